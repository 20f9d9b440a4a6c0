"""The journal tells all that a fold depends on: folding it again gives the same state, record by record."""

from hypothesis import given
from hypothesis import strategies as st

from world import SPEC, World, running, spec

STEPS = st.lists(
    st.sampled_from(["play", "late", "pause", "resume", "apply", "reset", "wait", "leave", "bad"]), max_size=12
)


@given(STEPS)
def test_the_fold_of_the_journal_is_the_state(steps: list[str]) -> None:
    world = running()
    old = world.metric_event()
    for step in steps:
        match step:
            case "play" if world.config().arms:
                world.play(2, 0.5)
            case "late":
                world.send("metrics", {**old, "id": "late", "seq": 1000 + len(world.logs["metrics"])})
            case "pause" | "resume" | "reset":
                world.command(step)
            case "apply":
                world.apply(spec(heartbeat_s=10.0 + len(world.logs["commands"])))
            case "wait":
                world.wait(7.0)
            case "leave":
                world.here("b")
                world.here("b", leaving=True)
            case "bad":
                world.send("metrics", b"{")
            case _:
                world.here()
        world.fold()
    again = world.replayed()
    assert again.state == world.state
    assert again.configs == world.configs
    assert again.rounds == world.rounds


def test_lost_records_and_gaps_are_replayed_too() -> None:
    world = World()
    world.apply(SPEC)
    world.fold()
    for _ in range(5):
        world.here()
    world.logs["contexts"] = [r for r in world.logs["contexts"] if r.offset in {2, 4}]
    world.commit(world.partition.fold(world.logs["contexts"], read_to_end_ms={}, log_starts={"contexts": 2}))
    source = world.offsets().sources["contexts"]
    assert (source.lost, source.gaps, source.next) == (2, 1, 5)
    assert world.replayed().state == world.state
