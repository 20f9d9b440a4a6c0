"""Whatever an app records: it reaches its request, or is counted and named; and nothing is raised into the app."""

import asyncio
import functools
import inspect
import math
import threading
from typing import Any

import pytest

from kafkas import wait_for
from oppertune.core.errors import InvalidArgument, InvalidArgumentType
from oppertune.schemas.base import MAX_METRICS
from oppertune.streams.client import OfflineClient, Tuned, TunerClient
from oppertune.streams.client.recorder import Recorder
from oppertune.streams.client.snapshot import Snapshot
from oppertune.streams.client.units import per_second

from .conftest import PARAMETERS, TUNER, arm, until_values
from .test_recorder import request_of


class Hostile:
    """A number that is none, and says so in every way."""

    def __float__(self):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("not even a name")


NONSENSE: list[Any] = [math.nan, math.inf, -math.inf, 10**400, "text", None, [1], Hostile()]
NAMELESS: list[Any] = ["", "x" * 101, "two\nlines", None, 3, ["x"], {}]


@pytest.fixture
def alone(tmp_path):
    """A client that no broker answers, and that was never started: no request is there to be credited."""
    return TunerClient(TUNER, PARAMETERS, settings="127.0.0.1:1", state_dir=tmp_path)


@pytest.mark.parametrize("value", NONSENSE, ids=["nan", "inf", "-inf", "huge", "text", "none", "list", "hostile"])
def test_a_measurement_that_is_none_is_named_though_there_is_no_request(alone, value):
    for _ in range(3):
        alone.record("latency_ms", value)
    (problem,) = alone.problems
    assert "3 measurements of latency_ms refused" in problem
    assert "is not a finite number" in problem


@pytest.mark.parametrize("metric", NAMELESS)
def test_a_measurement_without_a_name_is_told_and_never_raises(alone, metric):
    alone.record(metric, 1.0)
    with alone.measure(metric):
        pass
    (problem,) = alone.problems
    assert "2 measurements" in problem
    assert "1 to 100 printable characters" in problem


def test_names_that_were_right_once_do_not_make_what_follows_right(alone):
    for value in (1.0, math.nan, 1e81, 2.0, -math.inf):
        alone.record("latency_ms", value)
    assert len(alone.problems) == 1
    assert "3 measurements of latency_ms refused: nan" in alone.problems[0]
    for n in range(1_000):
        alone.record(f"m{n}", 1.0)
    assert len(alone._recorder._named) == MAX_METRICS


@pytest.mark.parametrize("settle_s", [0.0, 60.0])
def test_with_a_request_settled_or_not_it_is_the_same(settle_s):
    recorder = Recorder()
    snapshot = Snapshot({}, request_of(recorder, settle_s=settle_s), recorder)
    for value in NONSENSE:
        snapshot.record("x", value)
    for metric in NAMELESS:
        snapshot.record(metric, 1.0)
    recorder.gather()
    assert recorder.refusals.count == len(NONSENSE) + len(NAMELESS)


def test_what_is_right_is_no_problem(alone):
    for value in (1, 1.5, True, -3.0):
        alone.record("latency_ms", value)
    assert alone.problems == ()


def test_a_switched_off_client_tells_too(monkeypatch, tmp_path):
    monkeypatch.setenv("OPPERTUNE_DISABLED", "1")
    client = TunerClient(TUNER, PARAMETERS, state_dir=tmp_path)
    client.record("latency_ms", math.nan)
    assert any("latency_ms" in problem for problem in client.problems)


def test_names_without_end_are_counted_together():
    recorder = Recorder()
    for n in range(25):
        recorder.pass_by(f"m{n}", math.nan)
    assert len(recorder.refusals.problems) == 11
    assert recorder.refusals.problems[-1] == "15 measurements of other names refused"


def test_refusals_of_many_threads_are_all_counted():
    recorder = Recorder()

    def record() -> None:
        for _ in range(500):
            recorder.pass_by("x", math.nan)

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.refusals.count == 2_000


def test_the_client_for_tests_refuses_the_same_loudly():
    client = OfflineClient(TUNER, PARAMETERS)
    for value in NONSENSE:
        with pytest.raises(InvalidArgument, match="not a finite number"):
            client.record("latency_ms", value)
    for metric in NAMELESS:
        with pytest.raises(InvalidArgument, match="printable"):
            client.record(metric, 1.0)


# -- units


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("took_s", 1),
        ("request_duration_seconds", 1),
        ("took_second", 1),
        ("took_milliseconds", 1e3),
        ("latency_ms_p95", 1e3),
        ("took_microseconds", 1e6),
        ("took_usec", 1e6),
        ("took_nanoseconds", 1e9),
        ("http.request.seconds", 1),
        ("requestSeconds", 1),
        ("REQUEST_SECONDS", 1),
        ("batch_minutes", 1 / 60),
        ("batch_hours", 1 / 3600),
        ("latency", 1e3),
        ("misses", 1e3),
        ("", 1e3),
        (None, 1e3),
        (["took_s"], 1e3),
    ],
)
def test_the_name_says_the_unit(metric, expected):
    assert per_second(metric) == expected


# -- measure as a decorator


@pytest.fixture(params=["offline", "real"])
def client(request, alone):
    return OfflineClient(TUNER, PARAMETERS).start() if request.param == "offline" else alone


def test_a_decorated_function_is_what_it_was(client: Tuned) -> None:
    @client.measure("took_ms")
    def add(a: int, b: int = 2) -> int:
        """Adds."""
        return a + b

    @client.measure("took_ms")
    async def add_later(a: int) -> int:
        return a + 1

    assert (add(1), add(1, b=5), add.__doc__, add.__name__) == (3, 6, "Adds.", "add")
    assert list(inspect.signature(add).parameters) == ["a", "b"]
    assert inspect.iscoroutinefunction(add_later)
    assert asyncio.run(add_later(1)) == 2


def test_each_call_is_timed_under_the_configuration_of_its_own_beginning():
    client = OfflineClient(TUNER, PARAMETERS)
    requests = []
    client.put = lambda request, metric, value: requests.append(request.terms.arm.round)  # type: ignore[method-assign]

    class Service:
        @client.measure("took_ms")
        def fails(self):
            client.set(pool=client["pool"] + 1)
            raise ZeroDivisionError

        async def __call__(self):
            client.set(pool=client["pool"] + 1)

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            Service().fails()
    asyncio.run(client.measure("took_ms")(Service())())
    asyncio.run(client.measure("took_ms")(functools.partial(Service().__call__))())
    assert requests == [1, 2, 3, 4]
    asyncio.run(client.snapshot().measure("took_ms")(Service())())
    assert requests[-1] == 5


def test_async_calls_are_timed_to_their_end_side_by_side():
    client = OfflineClient(TUNER, PARAMETERS)

    @client.measure("took_s")
    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def both() -> None:
        await asyncio.gather(wait(0.02), wait(0.04))

    asyncio.run(both())
    first, second = client.recorded["took_s"]
    assert first >= 0.019
    assert second >= 0.039


def test_a_generator_whose_call_does_nothing_yet_is_refused_when_it_is_decorated(client):
    def numbers():
        yield 1

    async def later():
        yield 1

    for function in (numbers, later):
        with pytest.raises(InvalidArgumentType, match="generator"):
            client.measure("took_ms")(function)


# -- reading


def test_both_clients_are_tuned(client):
    assert isinstance(client, Tuned)


def test_an_unknown_parameter_is_an_error_that_names_those_there_are(client):
    for read in (client, client.snapshot(), client.values, client.assign("job")):
        with pytest.raises(KeyError, match=r"no parameter 'pool_size'; there are mode, pool"):
            read["pool_size"]
    assert client.values.get("pool_size") is client.get("pool_size") is None
    assert "pool_size" not in client.values


def test_values_have_types(client):
    for read in (client, client.snapshot()):
        pool: int = read.value("pool", int)
        mode: str = read.value("mode", str)
        ratio: float = read.value("pool", float)
        assert (pool, mode, ratio, type(ratio)) == (10, "slow", 10.0, float)
        with pytest.raises(InvalidArgumentType, match="mode is of type str, not int"):
            read.value("mode", int)
        with pytest.raises(KeyError, match="mode, pool"):
            read.value("nothing", int)


def test_a_switch_is_a_truth_value_and_no_number():
    client = OfflineClient(TUNER, {"on": True})
    on: bool = client.value("on", bool)
    assert on is True
    with pytest.raises(InvalidArgumentType):
        client.value("on", int)


def test_its_repr_says_how_it_stands(alone, topics, make):
    said = repr(alone)
    for word in ("checkout", alone.instance, "not started", "DEFAULT", "declared", "'pool': 10"):
        assert word in said
    alone.record("latency_ms", math.nan)
    assert "latency_ms refused" in repr(alone)
    topics.publish(arm(42, round_=3))
    client = make()
    until_values(client, pool=42)
    for word in ("started", "READY from record", "'pool': 42", "arm='candidate'", "round=3"):
        assert word in repr(client)
    wait_for(lambda: client.problems == (), "no problems")
    client.close()
    assert "closed" in repr(client)
    offline = OfflineClient(TUNER, PARAMETERS)
    offline.record("rows", 3)
    assert repr(offline) == "<OfflineClient checkout: {'pool': 10, 'mode': 'slow'}, recorded {'rows': 1}>"
