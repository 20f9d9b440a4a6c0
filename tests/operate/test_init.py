"""``oppertune tuner init``: what is asked for is in the spec, and all that the spec offers is valid, too."""

import io
import json
import re
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oppertune.core.errors import CommandFailed
from oppertune.core.values import Categorical, Integer, Real
from oppertune.schemas.spec import IntegerParameter, Term, TunerSpec
from oppertune.streams.client import OfflineClient
from oppertune.streams.operate.exit_codes import ExitCode
from oppertune.streams.operate.specs.file import check_spec, read_spec
from oppertune.streams.operate.specs.short_forms import FORMS, parse_parameter
from oppertune.streams.operate.specs.template import app_lines, commented_spec

EXAMPLES = {
    "pool_size=10:1..100": Integer("pool_size", 10, 1, 100),
    "timeout_ms=1000:100..5000/100:ms": Integer("timeout_ms", 1000, 100, 5000, 100),
    "ratio=0.5:0..1": Real("ratio", 0.5, 0, 1),
    "rate=0.1:0.001..1:log": Real("rate", 0.1, 0.001, 1, log=True),
    "policy=lru:lru,lfu,fifo": Categorical("policy", "lru", ("lru", "lfu", "fifo")),
    "compression=on": Categorical.switch("compression", val=True),
    "threads=4:1..32:restart": Integer("threads", 4, 1, 32),
}
FURTHER = {
    "low=-5:-10..-1": Integer("low", -5, -10, -1),
    "grid=0.3:0..1/0.1": Real("grid", 0.3, 0, 1, 0.1),
    "tiny=1e-6:1e-9..1e-3:log": Real("tiny", 1e-6, 1e-9, 1e-3, log=True),
    "rows=100:1..1000000:log:rows:restart": Integer("rows", 100, 1, 10**6, log=True),
    "only=x:x": Categorical("only", "x", ("x",)),
    "words=no:yes,no,1,a b,c=d,#": Categorical("words", "no", ("yes", "no", "1", "a b", "c=d", "#")),
    "mode=on:on,off,auto": Categorical("mode", "on", ("on", "off", "auto")),
    "versions=1..2:1..2,3..4": Categorical("versions", "1..2", ("1..2", "3..4")),
    "tls=false:restart": Categorical.switch("tls", val=False),
}
ALL = EXAMPLES | FURTHER
LATENCY = Term(metric="latency_ms", aggregate="p95", goal="minimize", scale=100)
SALES = Term(metric="sales", aggregate="mean", goal="maximize")


def made(forms, term=LATENCY) -> str:
    return commented_spec("shop", [parse_parameter(form) for form in forms], term, "shop.yaml")


def blocks_uncommented(text: str, which: int | None = None) -> str:
    """The text with its optional parts in use: all of them, or one block (lines in a row) of them."""
    blocks = re.split(r"(\n\n)", text)
    return "".join(
        re.sub(r"(?m)^( *)#(?=\S)", r"\1", block) if which in (None, number) else block
        for number, block in enumerate(blocks)
    )


class TestForms:
    @pytest.mark.parametrize(("form", "value"), ALL.items(), ids=ALL)
    def test_each_form_is_the_parameter_it_says(self, form, value):
        assert parse_parameter(form).to_value() == value

    def test_the_forms_that_help_shows_are_those_that_are_tested(self):
        assert [line.split()[0] for line in FORMS.splitlines()] == list(EXAMPLES)

    def test_scale_unit_and_restart_come_in_any_order(self):
        first, second = (parse_parameter(f"rows=9:1..99:{more}") for more in ("log:rows:restart", "restart:rows:log"))
        assert first == second
        assert isinstance(first, IntegerParameter)
        assert (first.unit, first.restart, first.log) == ("rows", True, True)

    @pytest.mark.parametrize(
        ("form", "said"),
        [
            ("pool_size", "its value now, and what it may be, are missing"),
            ("pool_size=10", "its value now, and what it may be, are missing"),
            ("pool_size=:1..2", "its value now, and what it may be, are missing"),
            ("=1:1..2", "name"),
            ("pool_size=10:1..x", "'x' is not a number"),
            ("pool_size=ten:1..100", "'ten' is not a number"),
            ("pool_size=10:1..", "'' is not a number"),
            ("pool_size=10:1..inf", "'inf' is not a finite number"),
            ("pool_size=101:1..100", "min <= val <= max is violated: 1, 101, 100"),
            ("pool_size=10:100", "val '10' is not one of the categories"),
            ("pool_size=10:1..100/7", "multiple of the step 7"),
            ("pool_size=10:0..100:log", "log needs a min above 0"),
            ("pool_size=10:10..100/10:log", "log does not go with a step"),
            ("policy=lru:lru,lfu:log", "log"),
            ("pool_size=10:1..100:ms:s", ":ms:s is not :log, :restart and one unit"),
            ("pool_size=10:1..100:", "at most once each"),
            ("policy=fifo:lru,lfu", "'fifo' is not one of the categories"),
            ("policy=lru:lru,lru", "differ from each other"),
            ("policy=lru:lru,", "categories"),
        ],
    )
    def test_what_is_wrong_is_told_beside_the_forms_there_are(self, form, said):
        with pytest.raises(CommandFailed) as failed:
            parse_parameter(form)
        assert failed.value.code == ExitCode.USAGE
        assert str(failed.value).startswith(f"parameter {form!r}: ")
        assert said in str(failed.value)
        assert str(failed.value).endswith(FORMS)

    @given(st.text(st.sampled_from("ab019.:,=/-+eEl oglrestart\n#'\"")))
    def test_whatever_is_given_is_a_parameter_or_an_error_of_ours(self, form):
        try:
            parameter = parse_parameter(form)
        except CommandFailed:
            return
        spec, _ = check_spec(commented_spec("shop", [parameter], LATENCY, "shop.yaml"), "it")
        assert spec.parameters == [parameter]


class TestSpec:
    @pytest.mark.parametrize("term", [LATENCY, SALES], ids=["less", "more"])
    @given(forms=st.sets(st.sampled_from(list(ALL)), min_size=1))
    def test_every_combination_of_forms_gives_what_was_asked_for(self, term, forms):
        spec, _ = check_spec(made(forms, term), "it")
        assert spec.name == "shop"
        assert spec.values() == [ALL[form] for form in forms]
        assert spec.restart() == [form.partition("=")[0] for form in forms if form.endswith(":restart")]
        assert spec.objective.terms == [term]

    def test_what_is_not_said_is_as_it_is_by_default(self):
        spec, _ = check_spec(made(EXAMPLES), "it")
        objective = {"terms": [LATENCY]}
        assert spec == TunerSpec(name="shop", parameters=spec.parameters, objective=objective)

    @pytest.mark.parametrize("term", [LATENCY, SALES], ids=["less", "more"])
    @pytest.mark.parametrize("forms", [["pool_size=10:1..100"], ["compression=on"], list(EXAMPLES)], ids=len)
    def test_all_that_it_offers_is_valid_together_and_part_by_part(self, term, forms):
        text = made(forms, term)
        together, written = check_spec(blocks_uncommented(text), "all of it")
        assert written.keys() == TunerSpec.model_fields.keys(), "every section is there"
        assert together.values() == [EXAMPLES[form] for form in forms]
        parts = [n for n in range(len(re.split(r"(\n\n)", text))) if blocks_uncommented(text, n) != text]
        assert len(parts) >= 8
        for part in parts:
            check_spec(blocks_uncommented(text, part), "a part of it")

    @pytest.mark.parametrize("section", ["measurement", "deadlines", "explore", "rollout", "target"])
    def test_every_field_of_a_section_is_explained(self, section):
        spec = yaml.safe_load(blocks_uncommented(made(EXAMPLES)))
        model = type(getattr(check_spec(blocks_uncommented(made(EXAMPLES)), "it")[0], section))
        assert spec[section].keys() == model.model_fields.keys()
        for field in model.model_fields.values():
            assert field.description in made(EXAMPLES)

    def test_the_app_that_it_shows_declares_the_same_parameters(self):
        spec, _ = check_spec(made(ALL), "it")
        shown = [line.removeprefix("#   ") for line in made(ALL).partition("# In the app:\n")[2].splitlines()]
        code = "\n".join("" if line == "#" else line for line in shown)
        assert code.splitlines() == app_lines("shop", spec.parameters, LATENCY)
        assert "import TunerClient" in code
        found: dict[str, object] = {}
        exec(code.replace("TunerClient", "OfflineClient"), found)  # noqa: S102 - it is what a user would paste
        assert found["parameters"] == spec.values()
        tuned = found["tuned"]
        assert isinstance(tuned, OfflineClient)
        assert (tuned.values, tuned.recorded) == (spec.declared(), {"latency_ms": [1.0]})

    def test_lines_can_be_read(self):
        assert max(map(len, made(EXAMPLES).splitlines())) <= 120


class Terminal(io.StringIO):
    """Someone who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, no broker, and nobody who types."""
    folder = tmp_path / "Checkout"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OPPERTUNE_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return folder


@pytest.fixture
def type_in(here, monkeypatch):
    """Types these lines at a terminal."""
    return lambda *lines: monkeypatch.setattr(sys, "stdin", Terminal("".join(f"{line}\n" for line in lines)))


class TestCommand:
    def test_a_spec_is_written_that_apply_takes(self, call, here):
        done = call("tuner", "init", "checkout", *(a for form in EXAMPLES for a in ("-p", form)), "--scale", "250")
        assert done.code == ExitCode.OK, done.err
        assert "oppertune tuner apply checkout.yaml" in done.out
        spec, _ = read_spec(here / "checkout.yaml")
        assert spec.values() == list(EXAMPLES.values())
        assert spec.objective.terms == [LATENCY.model_copy(update={"scale": 250})]
        assert call("tuner", "apply", "checkout.yaml", "--dry-run").code == ExitCode.OK

    def test_for_a_script(self, call, here):
        done = call("tuner", "init", "shop", "--parameter", "n=1:1..9", "--output", "a b.yaml", "--json")
        assert json.loads(done.out) == {"tuner": "shop", "file": "a b.yaml"}
        assert "oppertune tuner apply 'a b.yaml'" in (here / "a b.yaml").read_text()

    def test_on_standard_output_there_is_the_spec_alone(self, call, here):
        done = call("tuner", "init", "shop", "-p", "n=1:1..9", "-o", "-", "--goal", "maximize", "--metric", "sales")
        assert check_spec(done.out, "it")[0].objective.terms == [SALES]
        assert list(here.iterdir()) == []
        both = call("tuner", "init", "shop", "-p", "n=1:1..9", "-o", "-", "--json")
        assert (both.code, both.out) == (ExitCode.USAGE, "")

    def test_a_file_that_is_there_stays_unless_forced(self, call, here):
        (here / "shop.yaml").write_text("mine")
        refused = call("tuner", "init", "shop", "-p", "n=1:1..9")
        assert refused.code == ExitCode.USAGE
        assert "shop.yaml is there already" in refused.err
        assert "--force" in refused.err
        assert (here / "shop.yaml").read_text() == "mine"
        assert call("tuner", "init", "shop", "-p", "n=1:1..9", "--force").code == ExitCode.OK
        assert read_spec(here / "shop.yaml")[0].name == "shop"

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["shop"], ExitCode.USAGE, "what is tuned? Give each parameter as --parameter FORM"),
            ([], ExitCode.USAGE, "what is tuned?"),
            (["-p", "n=1:1..9"], ExitCode.USAGE, "the tuner needs a name"),
            (["../shop", "-p", "n=1:1..9"], ExitCode.USAGE, "'../shop' is no name for a tuner"),
            (["shop", "-p", "n=1"], ExitCode.USAGE, "what it may be"),
            (["shop", "-p", "n=1:1..9", "-p", "n=on"], ExitCode.INVALID, "declared twice: n"),
            (["shop", "-p", "n=1:1..9", "--goal", "best"], ExitCode.USAGE, "goal"),
            (["shop", "-p", "n=1:1..9", "--aggregate", "p1000"], ExitCode.USAGE, "aggregate"),
            (["shop", "-p", "n=1:1..9", "--scale", "0"], ExitCode.USAGE, "scale"),
            (["shop", "-p", "n=1:1..9", "-o", "no/such/folder.yaml"], ExitCode.USAGE, "cannot write"),
        ],
    )
    def test_nothing_is_written_where_something_is_wrong(self, call, here, arguments, code, said):
        told = call("tuner", "init", *arguments)
        assert (told.code, told.out) == (code, "")
        assert said in told.err
        assert list(here.iterdir()) == []

    def test_at_a_terminal_it_asks(self, call, type_in, here):
        answers = ["", "pool_size=10:1..100", "policy=lru:lru,lfu", "", "orders", "maximize", "rate", "40"]
        type_in(*answers)
        done = call("tuner", "init")
        assert done.code == ExitCode.OK, done.err
        spec, _ = read_spec(here / "checkout.yaml")
        assert spec.name == "checkout", "the folder's name"
        assert list(spec.declared()) == ["pool_size", "policy"]
        assert spec.objective.terms == [Term(metric="orders", goal="maximize", aggregate="rate", scale=40)]

    def test_what_was_given_is_not_asked_for_and_questions_do_not_mix_with_the_spec(self, call, type_in):
        type_in("n=1:1..9", "", "", "")
        done = call("tuner", "init", "shop", "--metric", "took_s", "--scale", "3", "--output", "-")
        spec, _ = check_spec(done.out, "it")
        assert spec.objective.terms == [Term(metric="took_s", goal="minimize", aggregate="p95", scale=3)]
        assert FORMS.splitlines()[0].strip() in done.err

    def test_an_answer_that_is_wrong_is_asked_for_again(self, call, type_in, here):
        type_in(
            "two words", "shop", "", "n=1", "n=1:1..9", "n=2:1..9", "", "", "best", "maximize", "", "0", "many", "7"
        )
        done = call("tuner", "init")
        assert done.code == ExitCode.OK, done.err
        for said in ("'two words' is no name", "are missing", "n is there already", "goal", "scale"):
            assert said in done.err
        terms = read_spec(here / "shop.yaml")[0].objective.terms
        assert terms is not None
        assert terms[0].model_dump(include={"goal", "aggregate", "scale"}) == {
            "goal": "maximize",
            "aggregate": "mean",
            "scale": 7,
        }

    def test_a_file_that_is_there_is_told_before_the_questions(self, call, type_in, here):
        (here / "shop.yaml").write_text("mine")
        type_in()
        assert "shop.yaml is there already" in call("tuner", "init", "shop").err

    def test_who_leaves_in_the_middle_leaves_nothing(self, call, type_in, here):
        type_in("shop", "n=1:1..9")
        done = call("tuner", "init")
        assert done.code == 1
        assert list(here.iterdir()) == []
