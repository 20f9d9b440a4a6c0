"""A service that takes part in tuning with nothing of oppertune: a Kafka client, JSON, and one hash."""

import hashlib
import json
import time
import uuid

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

KNOWN = {"tuning", "observing", "rolling", "awaiting", "parked", "frozen", "paused", "killed", "achieved", "suspended"}
MEASURED = {"explore", "candidate", "confirm", "baseline"}


class Participant:
    """One running copy of a service."""

    def __init__(self, bootstrap, prefix, tuner, instance, declared, context=None):
        self.prefix, self.tuner, self.instance, self.declared, self.context = prefix, tuner, instance, declared, context
        self.boot, self.seq = uuid.uuid4().hex, {"contexts": 0, "metrics": 0}
        self.records, self.running, self.since = {}, None, 0.0
        self.producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
        reading = {"group.id": instance, "enable.auto.commit": False, "isolation.level": "read_committed"}
        self.consumer = Consumer({"bootstrap.servers": bootstrap} | reading)
        topic = prefix + "configs"
        partitions = self.consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self.ends = {n: self.consumer.get_watermark_offsets(TopicPartition(topic, n), 10)[1] for n in partitions}
        self.consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])

    def follow(self, wait_s=0.1):
        """Take in new config records, and run what they say."""
        for message in self.consumer.consume(100, wait_s):
            if message.error() is None and message.key().decode().partition("/")[0] == self.tuner:
                record = json.loads(message.value()) if message.value() is not None else None
                live = message.offset() not in range(self.ends[message.partition()])  # else it may be of any age
                leased_until = time.monotonic() + record["lease_s"] if record and live else 0.0
                self.records[message.key().decode()] = (record, leased_until)
        arm = self.arm()
        if (arm and arm["request_id"]) != (self.running and self.running["request_id"]):
            if (arm and arm["hash"]) != (self.running and self.running["hash"]):
                self.since = time.monotonic()  # the same values under another request go on
            self.running = arm
            self.here()

    def values(self):
        """What to run now: the arm, else the incumbent, else what the service was shipped with."""
        record, _ = self.record()
        return self.declared | ((self.running or (record and record["incumbent"]) or {}).get("values", {}))

    def record(self):
        """The newest record of our scope, else the tuner's own, and until when its arms are lent."""
        own, leased_until = self.records.get(self.tuner, (None, 0))
        if own is None or not own["features"]:
            return own, leased_until
        scope = hashlib.sha256(json.dumps(self.reduced(own["features"]), sort_keys=True).encode()).hexdigest()
        mine, mine_until = self.records.get(f"{self.tuner}/{scope}", (None, 0))
        return (own | {"arms": []}, 0) if mine is None else (mine, mine_until)

    def reduced(self, features):
        """Our context as the tuner sees it: the declared features only, numbers in their bins."""
        return {
            f["name"]: sum(edge <= self.context[f["name"]] for edge in f["bins"])
            if f.get("bins")
            else self.context[f["name"]]
            for f in features
        }

    def arm(self):
        """Our arm, as long as its lease holds; none where it is not measured, or of a word that we do not know."""
        record, leased_until = self.record()
        if record is None or record["status"] not in KNOWN or time.monotonic() > leased_until:
            return None
        digest = hashlib.sha256(f"{record['salt']}:{self.instance}".encode()).digest()
        where, upto = int.from_bytes(digest[:8], "big") / 2**64, 0.0
        pinned = record.get("pinned", {}).get(self.instance)
        for arm in record["arms"]:
            upto += arm["share"]
            if arm["arm"] == pinned if pinned else where < upto:
                return arm | {"scope": record["scope"]} if arm["kind"] in MEASURED else None
        return None

    def here(self, **more):
        """Say that we are here, in this context, running this request: at start, on change, and as a heartbeat."""
        running = {"request_id": self.running["request_id"]} if self.running else {}
        self.send("contexts", ({"context": self.context} if self.context else {}) | running | more)

    def leave(self):
        """Say goodbye."""
        self.here(leaving=True)
        self.producer.flush(10)

    def measured(self, interval_s, **metrics):
        """Report what was measured under the request that we run."""
        arm = self.running
        named = {"scope": arm["scope"], "round": arm["round"], "arm": arm["arm"], "request_id": arm["request_id"]}
        when = {"interval_s": interval_s, "active_for_s": time.monotonic() - self.since}
        self.send("metrics", named | when | {"values_hash": arm["hash"], "metrics": metrics})

    def send(self, topic, event):
        """Send an event: numbered, and keyed by the tuner's name."""
        number, self.seq[topic] = self.seq[topic], self.seq[topic] + 1
        envelope = {"v": 1, "id": f"{self.boot}-{topic}-{number}", "tuner": self.tuner, "instance": self.instance}
        event = envelope | {"boot": self.boot, "seq": number} | event
        self.producer.produce(self.prefix + topic, key=self.tuner, value=json.dumps(event))
        self.producer.poll(0)


def apply(bootstrap, prefix, spec):
    """What an operator does: say what is tuned, and how."""
    command = {"v": 1, "id": str(uuid.uuid4()), "kind": "apply", "tuner": spec["name"], "author": "ops", "spec": spec}
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
    producer.produce(prefix + "commands", key=spec["name"], value=json.dumps(command))
    producer.flush(10)
