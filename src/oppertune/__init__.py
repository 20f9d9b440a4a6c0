"""oppertune-streams: live tuning for fleets of services, over Kafka.

In-process use needs only :mod:`oppertune.core` and :mod:`oppertune.algorithms`; a service that takes part in a fleet
imports :class:`oppertune.streams.client.TunerClient`.
"""

__version__ = "0.1.0"
