"""The client for users' own tests reads and records as the real one does; and the switch that turns clients off."""

import inspect
import threading

import pytest

from kafkas import wait_for
from oppertune.core.errors import InvalidArgument
from oppertune.streams.client import OfflineClient, Source, Status, TunerClient

from .conftest import PARAMETERS, TUNER, arm, until_values


@pytest.fixture(params=["offline", "real"])
def client(request, topics, make):
    """Either client, running pool 42 under a request."""
    if request.param == "offline":
        return OfflineClient(TUNER, PARAMETERS, values={"pool": 42, "mode": "fast"}).start()
    topics.publish(arm(42))
    real = make()
    until_values(real, pool=42)
    return real


def test_both_read_alike(client):
    assert client.wait_ready(5)
    assert client.values == {"pool": 42, "mode": "fast"}
    assert (client["pool"], client.get("mode"), client.get("nothing", 3)) == (42, "fast", 3)
    assert client.snapshot().values == client.assign("job").values == client.values
    assert (client.status, client.source, client.problems) == (Status.READY, Source.RECORD, ())
    assert (client.started, client.dropped, client.awaiting_restart, client.tuner_status) == (True, 0, (), "tuning")
    with pytest.raises(KeyError):
        client["nothing"]
    with client.measure("latency_ms"):
        client.record("rows", 3)
    client.set_context({"region": "eu"})
    client.applied(client.snapshot())
    client.accept_restart()
    client.close()
    assert not client.started


def test_whatever_the_real_one_offers_the_other_does_with_the_same_arguments():
    offline = OfflineClient(TUNER, PARAMETERS)
    for name, member in inspect.getmembers(TunerClient):
        if name.startswith("_") and name not in {"__getitem__", "__enter__", "__exit__"}:
            continue
        assert hasattr(offline, name), name
        if inspect.isfunction(member):
            assert str(inspect.signature(member)) == str(inspect.signature(getattr(OfflineClient, name))), name


def test_a_test_sets_values_and_reads_what_was_recorded():
    client, changes = OfflineClient(TUNER, {"pool": 10, "ratio": 0.5}), []
    client.on_change(lambda new, old: changes.append((new["pool"], old["pool"])))
    with client.measure("latency_ms"):
        before = client.snapshot()
    client.set(pool=20)
    client.record("rows", 3)
    client.record("rows", 4, before)
    assert changes == [(20, 10)]
    assert client.recorded["rows"] == [3, 4]
    assert len(client.recorded["latency_ms"]) == 1
    assert before.request_id != client.snapshot().request_id


def test_what_would_be_refused_in_the_app_is_refused_in_its_test():
    client = OfflineClient(TUNER, PARAMETERS)
    for values, said in (({"pool": 1000}, "pool=1000 is not legal"), ({"size": 1}, "no parameter 'size'")):
        with pytest.raises(InvalidArgument, match=said):
            client.set(**values)
    with pytest.raises(InvalidArgument, match="not a finite number"):
        client.record("latency_ms", float("nan"))


@pytest.mark.parametrize("word", ["1", " True ", "perhaps"])
def test_switched_off_a_client_runs_the_declared_values_and_does_nothing(
    word, monkeypatch, topics, make, tmp_path, caplog
):
    topics.publish(arm(42))
    on = make(instance="on")
    until_values(on, pool=42)
    wait_for(lambda: list((tmp_path / "state").rglob("*.json")), "the incumbent on disk")
    on.close()
    monkeypatch.setenv("OPPERTUNE_DISABLED", word)
    (tmp_path / "shipped.json").write_text('{"pool": 30, "mode": "fast"}')
    caplog.clear()
    before = threading.active_count()
    off = make(instance="off", bootstrap_file=tmp_path / "shipped.json")
    assert not off.wait_ready(10)
    assert (off.values, off.status, off.source) == ({"pool": 10, "mode": "slow"}, Status.DEFAULT, Source.DECLARED)
    off.record("latency_ms", 1.0)
    off.accept_restart()
    assert threading.active_count() == before
    assert "OPPERTUNE_DISABLED is set" in off.problems[0]
    off.close()
    assert [e for e in topics.read().contexts if e.instance == "off"] == []
    assert [r.levelname for r in caplog.records] == (["WARNING"] if word == "perhaps" else [])


def test_switched_off_a_client_minds_no_settings_of_a_broker(monkeypatch):
    monkeypatch.setenv("OPPERTUNE_SASL_MECHANISM", "nonsense")
    for word in ("", "0", "False", "no", "off"):
        monkeypatch.setenv("OPPERTUNE_DISABLED", word)
        with pytest.raises(InvalidArgument, match="OPPERTUNE_SASL_MECHANISM"):
            TunerClient(TUNER, PARAMETERS)
    for word in ("1", "yes", "on"):
        monkeypatch.setenv("OPPERTUNE_DISABLED", word)
        with TunerClient(TUNER, PARAMETERS) as client:
            assert client["pool"] == 10
