"""Where an extra is not installed, the tests that need it skip and say so; the others run."""

import subprocess
import sys
from pathlib import Path

import pytest

from extras import skip_without_extra
from narrowing import registry_entries
from oppertune.algorithms import all as registry
from oppertune.core.errors import MissingExtra

HERE = Path(__file__).parent

HIDING = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "optuna"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def run_without_torch_and_optuna(tmp_path, *arguments):
    (tmp_path / "hiding.py").write_text(HIDING)
    command = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import hiding, pytest; sys.exit(pytest.main())"
    return subprocess.run(
        [sys.executable, "-c", command, "-q", "-rs", "-p", "no:cacheprovider", *arguments],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("file", "extra"), [("test_ddpg.py", "torch"), ("test_optuna.py", "bayes")])
def test_a_file_that_needs_an_extra_is_skipped_and_names_it(tmp_path, file, extra):
    done = run_without_torch_and_optuna(tmp_path, str(HERE / file))
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout
    assert "1 skipped" in done.stdout
    assert f"oppertune-streams[{extra}]" in done.stdout


def test_cases_that_need_an_extra_are_skipped_and_the_others_run(tmp_path):
    chosen = "every_registered_name or one_parameter_of_any_kind or can_be_streamed or hopt-tiny"
    files = [str(HERE / "test_contract.py"), str(HERE / "test_registry.py")]
    done = run_without_torch_and_optuna(tmp_path, *files, "-k", chosen)
    assert done.returncode == 0, done.stdout
    for name, extra in (("ddpg", "torch"), ("hopt", "optuna"), ("bayesian_optimization", "bayes")):
        assert f"the algorithm {name!r} needs" in done.stdout
        assert f"oppertune-streams[{extra}]" in done.stdout
    assert " passed" in done.stdout


def test_a_module_of_our_own_that_is_missing_is_no_reason_to_skip(monkeypatch):
    monkeypatch.setitem(registry_entries(), "broken", registry._Shipped(".no_such_module", "X", extra="torch"))
    try:
        with pytest.raises(MissingExtra):
            skip_without_extra("broken")
    except pytest.skip.Exception:
        pytest.fail("it was skipped")  # a skip would pass through pytest.raises, and this test be skipped with it
