import os
from pathlib import Path

import pytest

from oppertune.streams.client.incumbent_store import IncumbentStore, default_state_dir, read_bootstrap_file

from .conftest import TUNER, arm, config
from .test_config_follower import FEATURES, scope_of


def store(folder, prefix="p."):
    return IncumbentStore(TUNER, prefix, folder)


def test_the_incumbent_and_nothing_else_survives(tmp_path):
    store(tmp_path / "deep" / "er").save(config(arm(77)))
    known = store(tmp_path / "deep" / "er").load(None)
    assert known.incumbent.values == {"pool": 20, "mode": "slow"}
    assert all(b"77" not in path.read_bytes() for path in tmp_path.rglob("*.json"))


def test_of_a_record_with_words_of_a_newer_worker_the_incumbent_is_kept(tmp_path):
    store(tmp_path).save(config(arm(77, kind="newer"), status="newer"))
    assert store(tmp_path).load(None).incumbent.values == {"pool": 20, "mode": "slow"}
    [kept] = tmp_path.iterdir()
    assert b"newer" not in kept.read_bytes()


def test_each_scope_has_its_own(tmp_path):
    kept = store(tmp_path)
    kept.save(config(features=FEATURES))
    kept.save(config(features=FEATURES, scope=scope_of("eu"), incumbent={"pool": 33}))
    assert store(tmp_path).load({"region": "eu"}).incumbent.values == {"pool": 33}
    assert store(tmp_path).load({"region": "us"}).incumbent.values["pool"] == 20
    assert store(tmp_path).load({"region": "mars"}).incumbent.values["pool"] == 20


def test_an_incumbent_of_an_earlier_life_of_the_tuner_is_not_taken(tmp_path):
    kept = store(tmp_path)
    kept.save(config(features=FEATURES, scope=scope_of("eu"), incumbent={"pool": 33}))
    kept.save(config(features=FEATURES, incarnation=2))
    assert store(tmp_path).load({"region": "eu"}).incumbent.values["pool"] == 20


def test_fleets_on_other_prefixes_do_not_share(tmp_path):
    store(tmp_path, "p.").save(config())
    assert store(tmp_path, "q.").load(None) is None


def test_a_deleted_tuner_is_forgotten_and_its_namesakes_are_not(tmp_path):
    kept = store(tmp_path)
    kept.save(config())
    kept.save(config(scope=scope_of("eu")))
    other = IncumbentStore(f"{TUNER}2", "p.", tmp_path)
    other.save(config(tuner=f"{TUNER}2"))
    kept.forget()
    assert store(tmp_path).load(None) is None
    assert len(list(tmp_path.iterdir())) == 1
    assert other.load(None) is not None
    kept.save(config())
    assert store(tmp_path).load(None) is not None


def test_the_same_incumbent_is_written_once(tmp_path):
    kept = store(tmp_path)
    kept.save(config(arm(1)))
    path = next(tmp_path.iterdir())
    path.unlink()
    kept.save(config(arm(2), version=2))
    assert not path.exists()
    kept.save(config(incumbent={"pool": 5}, version=3))
    assert path.exists()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"v":2}', b"\xff\xff", b"[]", b'{"v":1,"tuner":"checkout"}'])
def test_a_damaged_file_is_ignored_with_a_warning(tmp_path, caplog, damage):
    kept = store(tmp_path)
    kept.save(config())
    next(tmp_path.iterdir()).write_bytes(damage)
    assert store(tmp_path).load(None) is None
    assert "damaged" in caplog.text


def test_a_disk_that_cannot_be_written_is_one_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    kept = store(tmp_path / "file" / "folder")
    for version in range(3):
        kept.save(config(version=version, incumbent={"pool": version + 1}))
    kept.forget()
    assert kept.load(None) is None
    assert len(caplog.records) == 1


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, caplog):
    kept = store(tmp_path)
    kept.save(config())

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    kept.save(config(incumbent={"pool": 99}))
    assert store(tmp_path).load(None).incumbent.values["pool"] == 20
    assert len(list(tmp_path.iterdir())) == 1
    assert "No space left" in caplog.text


def test_the_folder_is_where_the_platform_keeps_state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state_dir() == tmp_path / "oppertune"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_state_dir() == Path("/home/somebody/.local/state/oppertune")


@pytest.mark.parametrize("content", [None, "", "[1]", "{not json"])
def test_a_bad_bootstrap_file_is_ignored_with_a_warning(tmp_path, caplog, content):
    path = tmp_path / "bootstrap.json"
    if content is not None:
        path.write_text(content)
    assert read_bootstrap_file(path) is None
    assert "bootstrap" in caplog.text


def test_a_bootstrap_file_is_an_object_of_values(tmp_path):
    path = tmp_path / "bootstrap.json"
    path.write_text('{"pool": 5}')
    assert read_bootstrap_file(path) == {"pool": 5}


def test_a_file_that_is_another_tuners_is_passed_over(tmp_path):
    store(tmp_path).save(config())
    [file] = tmp_path.iterdir()
    other = IncumbentStore("other", "p.", tmp_path)
    other._path("").write_bytes(file.read_bytes())
    assert store(tmp_path).load(None) is not None
    assert other.load(None) is None
