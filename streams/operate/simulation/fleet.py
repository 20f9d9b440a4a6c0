"""The simulated instances: they follow config records, say that they are here, measure and report, come and go."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import orjson

from ....core.values import ParameterValue
from ....schemas.base import Scalar
from ....schemas.configs import Arm, ConfigRecord
from ....schemas.context import reduce_context
from ....schemas.keys import values_hash
from ....schemas.spec import TunerSpec
from .agenda import Agenda, Entry
from .instance import Instance, Run, arm_of, gap_ms, order_of, parsed
from .measuring import measured, metrics_of
from .options import FleetOptions
from .system import Effect, System, turned
from .truth import ArmTruth, Truth, no_worse, worse

Topic = Literal["contexts", "metrics"]
Values = Mapping[str, ParameterValue]

HOUR_MS = 3_600_000
DAY_H = 24.0

RESTART_S = 5.0
"""A process that ended starts anew after so long."""

SHOCK_MS = 10_000
"""What all instances feel alike changes so often."""

LAG_MS = (50, 250)
"""From publishing a record to following it, unless it straggles."""

_LATE_INTERVALS = 3.0
_OUTLIER = math.log(20.0)


class Fleet:
    """All instances.

    Args:
        spec: Of their tuner.
        system: What they run.
        options: What they are like.
        agenda: What is still to happen.
        truth: The accounts.
        send: Takes an event: its topic and bytes. It is on its topic at once.
        start_ms: When virtual time begins.
    """

    def __init__(
        self,
        spec: TunerSpec,
        system: System,
        options: FleetOptions,
        agenda: Agenda,
        truth: Truth,
        *,
        send: Callable[[Topic, bytes], None],
        start_ms: int,
    ) -> None:
        self.instances: list[Instance] = []
        self.rng = np.random.default_rng(options.seed)
        self.newest: dict[str, bytes] = {}
        self.values: dict[str, Values] = {}
        self.running: dict[str, int] = {}
        self.shock, self.shock_ms = 0.0, 0
        self.sent: dict[str, int] = {"contexts": 0, "metrics": 0}
        self.missing = 0
        self._spec, self._system, self._options = spec, system, options
        self._agenda, self._truth, self._send, self._start_ms = agenda, truth, send, start_ms
        self._parameters = spec.values()
        self._names = [p.name for p in self._parameters]
        self._metrics = metrics_of(spec)
        self._effects: dict[tuple[str, bool], Effect] = {}
        self.declared = values_hash(spec.declared())
        self.values[self.declared] = spec.declared()

    # -- the world

    def populate(self) -> None:
        """The instances that are there from the beginning, and what will befall them."""
        options = self._options
        for _ in range(options.instances):
            self._plan_start(self._born(), self.rng.uniform(0, self._spec.heartbeat_s))
        for what, per_hour in (("join", options.joins), ("death", options.deaths), ("restart", options.restarts)):
            self._plan_next(what, per_hour, self._start_ms)
        if options.switch_at_h is not None:
            self._agenda.plan(self._start_ms + round(options.switch_at_h * HOUR_MS), "switch")

    def take_over(self, instances: list[Instance], agenda: Agenda, truth: Truth, random: Mapping[str, Any]) -> None:
        """Go on with what was kept of another run."""
        self.instances, self._agenda, self._truth = instances, agenda, truth
        self.rng.bit_generator.state = dict(random)

    def happen(self, entry: Entry) -> None:
        """Let something happen to the fleet, or to an instance of it."""
        at_ms = entry.at_ms
        if entry.who >= 0:
            instance = self.instances[entry.who]
            if entry.what == "send":
                self._deliver("metrics", entry.value)
            elif entry.life == instance.life:
                self._happen_to(instance, entry)
        elif entry.what == "record":
            self._publish(entry.value, at_ms)
        elif entry.what == "join":
            self._plan_start(self._born(), 0.0, at_ms)
            self._plan_next("join", self._options.joins, at_ms)
        elif entry.what == "death":
            self._die(at_ms)
            self._plan_next("death", self._options.deaths, at_ms)
        elif entry.what == "restart":
            if (who := self._anyone()) is not None:
                self._crash(self.instances[who], at_ms)
            self._plan_next("restart", self._options.restarts, at_ms)

    def _happen_to(self, instance: Instance, entry: Entry) -> None:
        what, at_ms = entry.what, entry.at_ms
        if what == "start":
            self._start(instance, at_ms)
        elif not instance.alive:
            return
        elif what == "report":
            if instance.run is not None and instance.run.due_ms == at_ms:
                self._report(instance, at_ms)
                self._plan_report(instance, at_ms)
        elif what == "heartbeat":
            self._say(instance, at_ms)
            self._agenda.plan(at_ms + self._heartbeat_ms(instance), "heartbeat", entry.who, instance.life)
        elif what == "record":
            self._take(instance, entry.value, at_ms)
        elif what == "hear":
            self._take(instance, self.newest[instance.scope], at_ms)
        elif what == "lease":
            self._look_at_lease(instance, at_ms)
        elif what == "crash" and instance.crash_ms == at_ms:
            self._crash(instance, at_ms)

    def effect(self, hash_: str, at_ms: int) -> Effect:
        """What a configuration does at a moment."""
        moved = self._options.switch_at_h is not None and at_ms >= self._start_ms + self._options.switch_at_h * HOUR_MS
        found = self._effects.get((hash_, moved))
        if found is None:
            values = self.values[hash_]
            found = self._system.effect(turned(self._parameters, values) if moved else values)
            self._effects[hash_, moved] = found
        breaks_at = self._system.breaks_at
        if breaks_at is not None and hash_ != self.declared:
            everyone = sum(self.running.values())
            if everyone and self.running.get(hash_, 0) >= breaks_at * everyone:
                return found._replace(cost=3.0)
        return found

    def effect_of(self, values: Values, at_ms: int) -> Effect:
        """The same, by the configuration's values."""
        return self.effect(self._known(values_hash(values), values), at_ms)

    def on_trial(self) -> int:
        """How many instances run what is not their scope's incumbent."""
        incumbents = {scope: parsed(record).incumbent.hash for scope, record in self.newest.items()}
        return sum(
            one.alive and one.run is not None and one.values != incumbents.get(one.scope) for one in self.instances
        )

    def account(self, at_ms: int) -> None:
        """Bring all accounts up to a moment."""
        for instance in self.instances:
            if instance.alive:
                self._account(instance, at_ms)

    # -- lives

    def _born(self) -> int:
        options, rng, who = self._options, self.rng, len(self.instances)
        features = self._spec.context.features
        context: dict[str, Scalar] | None = {f.name: self._field(f.values, f.bins) for f in features} or None
        self.instances.append(
            Instance(
                who=who,
                name=f"i{who:04}",
                context=context,
                scope=reduce_context(features, context).id,
                host=options.host_sd * float(rng.standard_normal()),
                answer=1.0 + options.swing_sd * float(rng.standard_normal()),
                lag_ms=int(rng.integers(*LAG_MS)),
                noise=options.noise_sd * float(rng.standard_normal()),
            )
        )
        return who

    def _field(self, values: Sequence[Scalar] | None, bins: Sequence[float] | None) -> Scalar:
        if values is not None:
            return values[int(self.rng.integers(len(values)))]
        if bins is not None:
            edges = [bins[0] - 1.0, *bins]
            return float(edges[int(self.rng.integers(len(edges)))])
        return "a"

    def _plan_start(self, who: int, after_s: float, now_ms: int | None = None) -> None:
        at_ms = (self._start_ms if now_ms is None else now_ms) + round(after_s * 1000)
        self._agenda.plan(at_ms, "start", who, self.instances[who].life)

    def _plan_next(self, what: str, per_hour: float, now_ms: int) -> None:
        if per_hour > 0:
            self._agenda.plan(now_ms + round(float(self.rng.exponential(HOUR_MS / per_hour))), what)

    def _start(self, instance: Instance, at_ms: int) -> None:
        """A process begins. What it reads may be of any age: no arm is run before something new comes."""
        instance.alive, instance.contexts, instance.metrics = True, 0, 0
        instance.leased_ms, instance.lease_awaited, instance.deaf_ms = 0, False, 0
        instance.accounted_ms = at_ms
        instance.record, instance.order = b"", (-1, -1, -1)
        instance.values = self.declared
        record = self._record_of(instance.scope)
        if record is not None:
            instance.record, instance.order = self.newest[instance.scope], order_of(record)
            instance.values = self._known(record.incumbent.hash, record.incumbent.values)
        self._count(instance.values, 1)
        self._say(instance, at_ms)
        self._agenda.plan(at_ms + self._heartbeat_ms(instance), "heartbeat", instance.who, instance.life)
        self._plan_crash(instance, at_ms)

    def _crash(self, instance: Instance, at_ms: int) -> None:
        """A process ends without a word, and starts anew."""
        self._end(instance, at_ms)
        self._plan_start(instance.who, RESTART_S, at_ms)

    def _die(self, at_ms: int) -> None:
        who = self._anyone()
        if who is None:
            return
        instance = self.instances[who]
        if self.rng.random() < 0.5:
            self._report(instance, at_ms)
            self._say(instance, at_ms, leaving=True)
        self._end(instance, at_ms)

    def _end(self, instance: Instance, at_ms: int) -> None:
        self._account(instance, at_ms)
        if instance.run is not None:
            self._truth.off(instance.run.request_id, self._since_start(at_ms))
        instance.run, instance.alive = None, False
        self._count(instance.values, -1)
        instance.life += 1

    def _anyone(self) -> int | None:
        alive = [i for i, instance in enumerate(self.instances) if instance.alive]
        return alive[int(self.rng.integers(len(alive)))] if alive else None

    # -- records

    def _record_of(self, scope: str) -> ConfigRecord | None:
        return parsed(self.newest[scope]) if scope in self.newest else None

    def _publish(self, value: bytes, at_ms: int) -> None:
        """A record comes to all that are in its scope; some of them hear nothing for a while when it is a new one."""
        record = parsed(value)
        before = self._record_of(record.scope)
        renews = before is not None and order_of(before)[:2] == order_of(record)[:2]
        self.newest[record.scope] = value
        concerned = [one for one in self.instances if one.alive and one.scope == record.scope]
        chances = [1.0] * len(concerned) if renews else self.rng.random(len(concerned)).tolist()
        for instance, chance in zip(concerned, chances, strict=True):
            if at_ms < instance.deaf_ms:
                continue
            if chance < self._options.stragglers:
                instance.deaf_ms = at_ms + 1 + round(1000 * float(self.rng.exponential(self._options.straggle_s)))
                self._agenda.plan(instance.deaf_ms, "hear", instance.who, instance.life)
            elif renews:
                self._take(instance, value, at_ms)
            else:
                self._agenda.plan(at_ms + instance.lag_ms, "record", instance.who, instance.life, value)

    def _take(self, instance: Instance, value: bytes, at_ms: int) -> None:
        """A record comes to an instance while it listens: it has a lease from now on."""
        record = parsed(value)
        order = order_of(record)
        if order < instance.order:
            return
        goes_on = order[:2] == instance.order[:2] and at_ms < instance.leased_ms
        instance.record, instance.order = value, order
        instance.leased_ms = at_ms + round(record.lease_s * 1000)
        if record.arms and not instance.lease_awaited:
            instance.lease_awaited = True
            self._agenda.plan(instance.leased_ms, "lease", instance.who, instance.life)
        if not goes_on:
            self._follow(instance, record, at_ms)

    def _look_at_lease(self, instance: Instance, at_ms: int) -> None:
        if at_ms < instance.leased_ms:
            self._agenda.plan(instance.leased_ms, "lease", instance.who, instance.life)
            return
        instance.lease_awaited = False
        self._follow(instance, parsed(instance.record), at_ms)

    def _follow(self, instance: Instance, record: ConfigRecord, at_ms: int) -> None:
        """Run what the record says, as long as its lease holds; say so."""
        arm = arm_of(record, instance.name) if at_ms < instance.leased_ms else None
        before = instance.run
        if before is not None and arm is not None and (before.request_id, before.hash) == (arm.request_id, arm.hash):
            return
        if before is not None:
            self._report(instance, at_ms)
            self._truth.off(before.request_id, self._since_start(at_ms))
        configuration = arm if arm is not None else record.incumbent
        self._run_values(instance, self._known(configuration.hash, configuration.values), at_ms)
        instance.run = None
        if arm is not None:
            instance.run = self._begun(record, arm, before, at_ms)
            self._truth.on(arm.request_id, lambda: self._arm_truth(record, arm, at_ms), sum(self.running.values()))
            self._plan_report(instance, at_ms)
        self._say(instance, at_ms)

    def _arm_truth(self, record: ConfigRecord, arm: Arm, at_ms: int) -> ArmTruth:
        does = self.effect(arm.hash, at_ms)
        incumbent = self.effect(self._known(record.incumbent.hash, record.incumbent.values), at_ms)
        return ArmTruth(arm.kind, arm.hash, worse(does, incumbent), no_worse(does, incumbent), self._since_start(at_ms))

    def _begun(self, record: ConfigRecord, arm: Arm, before: Run | None, at_ms: int) -> Run:
        """A request begins; values that run already have settled."""
        goes_on = before is not None and before.hash == arm.hash
        active_ms = before.active_ms if before is not None and goes_on else at_ms
        settled_ms = active_ms + round(record.settle_s * 1000)
        tries = arm.kind in {"explore", "candidate"}
        reported_ms = max(at_ms, settled_ms)
        return Run(
            arm.request_id, arm.round, arm.arm, arm.hash, record.scope, active_ms, settled_ms, reported_ms, tries
        )

    def _run_values(self, instance: Instance, hash_: str, at_ms: int) -> None:
        if hash_ == instance.values:
            return
        self._account(instance, at_ms)
        self._count(instance.values, -1)
        self._count(hash_, 1)
        instance.values = hash_
        self._plan_crash(instance, at_ms)

    def _plan_crash(self, instance: Instance, at_ms: int) -> None:
        crashes, instance.crash_ms = self.effect(instance.values, at_ms).crashes, 0
        if crashes > 0:
            interval_ms = self._spec.measurement.interval_s * 1000
            mean_ms = interval_ms / -math.log1p(-min(crashes, 1 - 1e-9))
            instance.crash_ms = at_ms + 1 + round(float(self.rng.exponential(mean_ms)))
            self._agenda.plan(instance.crash_ms, "crash", instance.who, instance.life)

    def _known(self, hash_: str, values: Values) -> str:
        if hash_ not in self.values:
            self.values[hash_] = values
        return hash_

    def _count(self, hash_: str, more: int) -> None:
        self.running[hash_] = self.running.get(hash_, 0) + more
        if not self.running[hash_]:
            del self.running[hash_]

    # -- events

    def _heartbeat_ms(self, instance: Instance) -> int:
        record = parsed(instance.record) if instance.record else None
        return round(1000 * (record.heartbeat_s if record is not None else self._spec.heartbeat_s))

    def _plan_report(self, instance: Instance, at_ms: int) -> None:
        run, record = instance.run, parsed(instance.record)
        if run is not None:
            begun_ms = max(at_ms, run.reported_ms)
            run.due_ms = begun_ms + gap_ms(run, record, begun_ms)
            self._agenda.plan(run.due_ms, "report", instance.who, instance.life)

    def _say(self, instance: Instance, at_ms: int, *, leaving: bool = False) -> None:
        """The instance is here, and runs this or nothing on trial; or it leaves."""
        self._account(instance, at_ms)
        event = self._envelope(instance, "contexts") | {"parameters": self._names}
        if instance.context is not None:
            event["context"] = instance.context
        if instance.run is not None and not leaving:
            event["request_id"] = instance.run.request_id
        if leaving:
            event["leaving"] = True
        self._deliver("contexts", orjson.dumps(event))

    def _report(self, instance: Instance, at_ms: int) -> None:
        """Report what was measured since the last report; nothing, where there was no request."""
        self._account(instance, at_ms)
        run, options, rng = instance.run, self._options, self.rng
        if run is None or at_ms <= run.reported_ms:
            return
        interval_s = (at_ms - run.reported_ms) / 1000
        sin = math.sin(2 * math.pi * (at_ms - self._start_ms) / (DAY_H * HOUR_MS))
        requests = int(rng.poisson(options.rate_per_s * (1 + options.swing * sin) * interval_s))
        if not requests:
            return
        slow = self._slowness(instance, at_ms) + options.swing * instance.answer * sin
        fate = rng.random(4).tolist()
        slow += _OUTLIER if fate[0] < options.outliers else 0.0
        event = self._envelope(instance, "metrics") | {
            "scope": run.scope,
            "round": run.round,
            "arm": run.arm,
            "request_id": run.request_id,
            "values_hash": run.hash,
            "interval_s": interval_s,
            "active_for_s": (at_ms - run.active_ms) / 1000,
            "metrics": measured(self._metrics, self.effect(run.hash, at_ms), slow, requests, rng),
        }
        run.reported_ms = at_ms
        value = orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS)
        self._truth.reported(run.request_id, self._since_start(at_ms))
        if fate[1] < options.missing:
            self.missing += 1
            return
        if fate[2] < options.late:
            mean_ms = _LATE_INTERVALS * 1000 * self._spec.measurement.interval_s
            self._agenda.plan(at_ms + round(float(rng.exponential(mean_ms))), "send", instance.who, 0, value)
        else:
            self._deliver("metrics", value)
        if fate[3] < options.doubled:
            self._agenda.plan(at_ms + 1000, "send", instance.who, 0, value)

    def _deliver(self, topic: Topic, value: bytes) -> None:
        self.sent[topic] += 1
        self._send(topic, value)

    def _envelope(self, instance: Instance, topic: Topic) -> dict[str, Any]:
        boot = instance.boot
        if topic == "contexts":
            seq = instance.contexts
            instance.contexts += 1
        else:
            seq = instance.metrics
            instance.metrics += 1
        id_ = f"{boot}-{topic[0]}{seq}"
        return {
            "v": 1, "id": id_, "tuner": self._spec.name, "instance": instance.name, "boot": boot, "seq": seq,
        }  # fmt: skip

    # -- what is measured

    def _slowness(self, instance: Instance, at_ms: int) -> float:
        """Logarithm of what makes requests slower beside the configuration: host, noise, shocks, a shared back end."""
        options, rng = self._options, self.rng
        intervals = (at_ms - instance.noise_ms) / 1000 / self._spec.measurement.interval_s
        if intervals > 0:
            kept = options.noise_memory**intervals if instance.noise_ms else 0.0
            drawn = options.noise_sd * math.sqrt(max(1 - kept * kept, 0.0)) * float(rng.standard_normal())
            instance.noise, instance.noise_ms = kept * instance.noise + drawn, at_ms
        if at_ms >= self.shock_ms + SHOCK_MS:
            self.shock, self.shock_ms = options.shock_sd * float(rng.standard_normal()), at_ms - at_ms % SHOCK_MS
        slow = instance.host + instance.noise + self.shock
        if options.slump_at_h is not None and 0 <= at_ms - self._start_ms - options.slump_at_h * HOUR_MS < (
            1000 * options.slump_s
        ):
            slow += math.log(options.slump)
        if options.backend > 0:
            everyone = sum(self.running.values())
            mean = sum(n * self.effect(h, at_ms).cost for h, n in self.running.items()) / max(everyone, 1)
            slow += options.backend * max(math.log(mean), 0.0)
        return slow

    # -- accounts

    def _since_start(self, at_ms: int) -> int:
        return at_ms - self._start_ms

    def _account(self, instance: Instance, at_ms: int) -> None:
        if at_ms > instance.accounted_ms:
            self._truth.account(
                self._system,
                self.effect(instance.values, instance.accounted_ms),
                self.effect(self.declared, instance.accounted_ms),
                self._since_start(instance.accounted_ms),
                self._since_start(at_ms),
            )
            instance.accounted_ms = at_ms
