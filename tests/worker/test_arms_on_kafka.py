"""Arms side by side on a real Kafka: bad ones are withdrawn, leases end them, and stages outlive their workers."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from apps import DECLARED, TUNER, Apps, Configs, Published, Topic, command, spec
from kafkas import value_of, wait_for
from oppertune.schemas import RoundRecord, ScopeState
from oppertune.schemas.keys import partition_of
from oppertune.streams.broker import BrokerSettings, read_table
from oppertune.streams.client import Snapshot, Source
from oppertune.streams.operate.reporting.history import history_data
from worker.ledger import read
from worker.processes import SESSION_S, Worker

# Long: two and a half minutes, and beside other heavy work a second's interval is missed, so that stages begin again.
pytestmark = [pytest.mark.kafka, pytest.mark.spread, pytest.mark.slow, pytest.mark.long]

MakeWorker = Callable[..., Worker]
APPS = 14
USUAL_INTERVALS = 2
"""Until an arm twice as slow is withdrawn."""

PROPOSED = 60.0
HERE = partition_of(TUNER, 4)


def say(text: str) -> None:
    print(text)  # noqa: T201 - pytest -s shows it: figures that no verdict hangs on


def two_workers(make: MakeWorker, broker: BrokerSettings) -> list[Worker]:
    both = [make("a", broker).start(), make("b", broker).start()]
    wait_for(lambda: owns_half(both), "each worker to own two partitions", 30)
    return both


def steady(_: Snapshot) -> float:
    return 10.0


def rounds_of(broker: BrokerSettings) -> Sequence[RoundRecord]:
    records = read(broker.bootstrap, broker.topic("rounds"))
    return [RoundRecord.from_bytes(value_of(message)) for messages in records.values() for message in messages]


def wait_published(
    configs: Configs, condition: Callable[[Published], object], what: str, within_s: float = 30
) -> Published:
    """The first record for which something holds, of those that come from now on, and the newest before."""
    seen = max(len(configs.published) - 1, 0)

    def found() -> list[Published]:
        configs.newest()
        return [one for one in configs.published[seen:] if condition(one)]

    return wait_for(found, what, within_s)[0]


def wait_comparing(configs: Configs) -> Published:
    """Until something is tried beside the incumbent."""
    return wait_published(configs, lambda one: one.kinds() >= {"explore", "baseline"}, "an explore arm")


def stage_of(one: Published) -> int | None:
    """The stage that a record opens, or goes on with."""
    return one.record.stage if "candidate" in one.kinds() else None


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["explore", "candidate"])
def test_what_is_twice_as_slow_is_withdrawn_and_every_app_runs_the_incumbent_again(
    real: BrokerSettings, worker: MakeWorker, tmp_path: Path, kind: str
) -> None:
    interval_s = 1.0
    name = "candidate" if kind == "candidate" else "e1"

    def latency(snapshot: Snapshot) -> float:
        return 20.0 if snapshot.arm == name else 10.0

    two_workers(worker, real)
    measurement = {"interval_s": interval_s, "min_duration_s": 5 * interval_s, "min_samples": 30}
    two = {"explore": {"share": 0.15, "arms": 1}, "rollout": {"stages": [0.15, 0.9], "min_s": 60, "max_s": 60}}
    command(real, "apply", spec=spec(measurement=measurement, **two))
    with Apps(real, tmp_path, APPS, latency) as apps, Configs(real) as configs, Topic(real, "metrics") as metrics:
        wait_comparing(configs)
        if kind == "candidate":
            command(real, "set", values={"pool": PROPOSED})
            wait_published(configs, stage_of, "the candidate")
        withdrawn = wait_published(
            configs,
            lambda one: any(arm.arm == name and arm.kind == "withdrawn" for arm in one.record.arms),
            "the arm to be withdrawn",
            10 * USUAL_INTERVALS * interval_s,
        )
        [piece] = [arm for arm in withdrawn.record.arms if arm.arm == name]
        before = configs.published[configs.published.index(withdrawn) - 1]
        [offered] = [arm for arm in before.record.arms if arm.arm == name]
        request, pool = offered.request_id, float(offered.values["pool"])
        assert piece.share == offered.share, "or others would change their arm"
        assert piece.values == withdrawn.record.incumbent.values == {"pool": DECLARED}
        wait_for(lambda: not apps.on(pool), "every app to leave it", 10 * USUAL_INTERVALS * interval_s)
        ran = [app for app in apps.all.values() if pool in [change.pool for change in app.changes]]
        assert ran, "somebody ran it"
        left = [app.changes[[change.pool for change in app.changes].index(pool) + 1] for app in ran]
        assert {change.pool for change in left} == {DECLARED}, "the incumbent, not the next that is tried"
        metrics.follow()
        first_s = next(at_s for at_s, _, value in metrics.messages if f'"{request}"'.encode() in value)
        last_s = max(change.at_s for change in left)
        say(f"{kind}: withdrawn {withdrawn.at_s - first_s:.2f} s, back {last_s - first_s:.2f} s after the first report")
        ended = wait_for(
            lambda: [r for r in rounds_of(real) if r.request_id == request and r.kind],
            "the round's record",
            every_s=0.3,
        )
        assert [(r.outcome, r.kind) for r in ended] == [("broken", kind)]
        assert "x the baseline's" in ended[0].why


@pytest.mark.timeout(120)
def test_with_both_workers_killed_after_a_candidate_was_published_every_app_is_back_within_a_lease(
    real: BrokerSettings, worker: MakeWorker, tmp_path: Path
) -> None:
    lease_s = heartbeat_s = 2.0
    both = two_workers(worker, real)
    command(real, "apply", spec=spec(lease_s=lease_s, heartbeat_s=heartbeat_s, rollout={"min_s": 60, "max_s": 60}))
    with Apps(real, tmp_path, APPS, steady) as apps, Configs(real) as configs:
        wait_comparing(configs)
        command(real, "set", values={"pool": PROPOSED})
        wait_published(configs, stage_of, "the candidate")
        [one] = wait_for(lambda: apps.on(PROPOSED), "the first stage's app to run it")
        for each in both:
            each.kill()
        ran = apps.all[one]
        again = apps.restart(one)
        wait_for(lambda: again.client.source is Source.RECORD, "the app that was restarted to follow", 20)
        wait_for(lambda: not apps.off(DECLARED), "every app to be back", 10 * (lease_s + heartbeat_s))
        newest = configs.newest()
        assert newest is not None
        assert stage_of(newest) == 1, "the newest record still offers it, and nobody withdrew it"
        assert [change.pool for change in ran.changes][-1] == PROPOSED
        assert {change.pool for change in again.changes} == {DECLARED}, "it met the candidate's record, and no renewal"
        took_s = apps.last_change_s() - newest.at_s
        say(f"the last app was back {took_s:.2f} s after the last record; {lease_s + heartbeat_s:g} s are allowed")


def history_of(broker: BrokerSettings) -> Any:
    state = read_table(broker, "state", [HERE])[HERE]
    scopes = [ScopeState.from_bytes(value) for key, value in state.items() if key == f"{TUNER}/"]
    assert len(scopes) == 1, sorted(state)
    return history_data(TUNER, scopes).model_dump()


def opens(stage: int, one: Published) -> bool:
    return stage_of(one) == stage


def more_than(apps: Apps, before: set[str]) -> bool:
    return len(apps.on(PROPOSED)) > len(before)


def owns_all(one: Worker) -> bool:
    return len(one.owns) == 4


def owns_half(both: Sequence[Worker]) -> bool:
    return all(len(each.owns) == 2 for each in both)


def half_as_slow(snapshot: Snapshot) -> float:
    return 5.0 if snapshot["pool"] == PROPOSED else 10.0


@pytest.mark.timeout(180)
def test_a_rollout_goes_on_over_workers_killed_between_its_stages_and_nobody_is_moved_back(
    real: BrokerSettings, worker: MakeWorker, tmp_path: Path
) -> None:
    both = two_workers(worker, real)
    command(real, "apply", spec=spec(lease_s=120.0))
    with Apps(real, tmp_path, APPS, half_as_slow) as apps, Configs(real) as configs:
        wait_comparing(configs)
        command(real, "set", values={"pool": PROPOSED}, reason="measured at home")
        on: set[str] = set()
        grown = []
        for stage in (1, 2, 3):
            wait_published(configs, partial(opens, stage), f"stage {stage}", 40)
            wait_for(partial(more_than, apps, on), f"the apps of stage {stage} to run it")
            owner, other = sorted(both, key=lambda each: HERE not in each.owns)
            owner.kill()
            assert apps.on(PROPOSED) >= on, "nobody was moved back"
            on = apps.on(PROPOSED)
            grown.append(len(on))
            wait_for(partial(owns_all, other), "the other worker to take over", 4 * SESSION_S)
            owner.start()
            wait_for(partial(owns_half, both), "each worker to own two partitions", 4 * SESSION_S)
        promoted = wait_published(configs, lambda one: one.record.incumbent.values == {"pool": PROPOSED}, "its end", 40)
        assert grown == sorted(set(grown)), "each stage has more"
        for app in apps.all.values():
            ran = [change.pool for change in app.changes if change.at_s < promoted.at_s]
            after = ran[ran.index(PROPOSED) :] if PROPOSED in ran else [PROPOSED]
            assert after == [PROPOSED], f"{app.name} was moved back: {ran}"
        seen = [one.record.stage for one in configs.published if "candidate" in one.kinds()]
        assert [n for i, n in enumerate(seen) if i == 0 or seen[i - 1] != n] == [1, 2, 3]
        say(f"apps on the candidate by stage: {grown}")
        told = history_of(real)
        first, second = told["contexts"][0]["versions"][:2]
        assert (second["values"], second["by"], second["reason"]) == ({"pool": PROPOSED}, "ops", "measured at home")
        assert first["values"] == {"pool": DECLARED}


@pytest.mark.timeout(180)
def test_no_stage_passes_while_no_worker_lives_and_the_history_reads_the_same_afterwards(
    real: BrokerSettings, worker: MakeWorker, tmp_path: Path
) -> None:
    min_s, lease_s = 2.0, 3.0
    both = two_workers(worker, real)
    command(real, "apply", spec=spec(lease_s=lease_s, rollout={"min_s": min_s, "max_s": 30.0}))
    with Apps(real, tmp_path, APPS, half_as_slow) as apps, Configs(real) as configs:
        wait_comparing(configs)
        command(real, "set", values={"pool": DECLARED + 1}, now=True)
        wait_published(configs, lambda one: one.record.incumbent.values == {"pool": DECLARED + 1}, "a second version")
        wait_comparing(configs)
        command(real, "set", values={"pool": PROPOSED}, reason="measured at home")
        wait_published(configs, lambda one: stage_of(one) == 2, "stage 2", 40)
        wait_for(lambda: len(apps.on(PROPOSED)) > 1, "the apps of stage 2 to run it")
        for each in both:
            each.kill()
        before = history_of(real)
        newest = configs.newest()
        assert newest is not None
        left = len(configs.published)
        wait_for(lambda: not apps.on(PROPOSED), "every lease to end", 10 * lease_s)
        assert time.time() - newest.at_s > min_s, "the stage would be old enough by time alone"
        assert history_of(real) == before
        both[0].start().wait_ready(within_s=4 * SESSION_S)
        wait_for(lambda: configs.newest() and len(configs.published) > left, "a record of the worker that came back")
        assert configs.published[left].record.stage == 2, "not passed while nobody measured"
        wait_published(configs, lambda one: stage_of(one) == 3, "stage 3", 40)
        ends = [r for r in rounds_of(real) if r.kind == "candidate"]
        assert [(r.stage, r.outcome) for r in ends] == [(1, "measured"), (2, "skipped"), (2, "measured")]
        assert "lease ran out" in ends[1].why
        assert history_of(real) == before
        wait_for(lambda: not apps.off(PROPOSED), "everybody to run it", 40)
        told = history_of(real)["contexts"][0]["versions"]
        assert told[:2] == before["contexts"][0]["versions"]
        assert (told[2]["values"], told[2]["by"]) == ({"pool": PROPOSED}, "ops")
