"""librdkafka's own error codes, by the names of its documentation.

``confluent_kafka`` publishes them as attributes that begin with an underscore, as librdkafka's C names do: public by
its documentation, private by Python's custom. Here is the one place that reads them.
"""

# ruff: noqa: SLF001 - see above

from confluent_kafka import KafkaError

ALL_BROKERS_DOWN = KafkaError._ALL_BROKERS_DOWN
AUTHENTICATION = KafkaError._AUTHENTICATION
FATAL = KafkaError._FATAL
FENCED = KafkaError._FENCED
MESSAGE_TIMED_OUT = KafkaError._MSG_TIMED_OUT
PARTITION_EOF = KafkaError._PARTITION_EOF
PURGED_IN_FLIGHT = KafkaError._PURGE_INFLIGHT
PURGED_IN_QUEUE = KafkaError._PURGE_QUEUE
STATE = KafkaError._STATE
TIMED_OUT = KafkaError._TIMED_OUT
TLS = KafkaError._SSL
TRANSPORT = KafkaError._TRANSPORT
UNKNOWN_PARTITION = KafkaError._UNKNOWN_PARTITION
UNKNOWN_TOPIC = KafkaError._UNKNOWN_TOPIC
