"""A spec means what is written: what readers of YAML read otherwise is refused, with its place and what to write."""

import contextlib
import copy
import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from oppertune.core.errors import CommandFailed
from oppertune.schemas import sentences
from oppertune.schemas.sentences import sentence
from oppertune.schemas.spec import TunerSpec
from oppertune.streams.operate.exit_codes import ExitCode
from oppertune.streams.operate.specs.file import check_spec
from oppertune.streams.operate.specs.notation import Unclear, means_itself, read

pytestmark = pytest.mark.spread

SPEC = """\
name: shop
parameters:
  - {name: pool, type: integer, val: 10, min: 1, max: 100}
  - {name: rate, type: real, val: 0.1, min: 1.0e-4, max: 1, log: true}
  - {name: policy, type: categorical, val: lru, categories: [lru, lfu]}
  - {name: gzip, type: switch, val: on}
context: {features: [{name: country, values: [de, se]}]}
objective: {terms: [{metric: latency_ms, aggregate: p95, goal: minimize}]}
"""


def refused(text: str, *, alone: bool = False) -> str:
    with pytest.raises(CommandFailed) as failed:
        check_spec(text, "it", alone=alone)
    assert failed.value.code == ExitCode.INVALID
    return str(failed.value)


def place_of(text: str, what: str) -> str:
    """Where something stands, for the last time."""
    before = text[: text.rindex(what)]
    return f"line {before.count(chr(10)) + 1}, column {len(before) - (before.rfind(chr(10)) + 1) + 1}: "


def test_it_is_a_spec_to_begin_with():
    spec, written = check_spec(SPEC, "it", alone=True)
    assert written == yaml.safe_load(SPEC.replace("val: on", 'val: "on"'))
    assert spec.declared() == {"pool": 10, "rate": 0.1, "policy": "lru", "gzip": "on"}


class TestWords:
    @pytest.mark.parametrize(
        ("word", "instead"),
        {
            "1:30": "90", "190:20:30.15": "685230.15", "0644": "420, or 644", "0o644": "420", "0b101": "5",
            "0089": "89", "1_000": "1000", "1_000.5": "1000.5", "1e-4": "1.0e-4", "1E3": "1.0e+3", "1.5e5": "1.5e+5",
            "-1e5": "-1.0e+5", ".5e3": "0.5e+3", "no": "false", "No": "false", "yes": "true", "YES": "true",
            "On": "true", "OFF": "false", "2024-01-01": "", "2001-12-14 21:59:43": "", "=": "",
        }.items(),
    )  # fmt: skip
    def test_what_is_not_read_alike_is_refused_with_its_place_and_what_to_write(self, word, instead):
        text = f"a: 1\nb: [2, {word}]\n"
        with pytest.raises(Unclear) as unclear:
            read(text)
        [problem] = unclear.value.problems
        assert problem.startswith(f"line 2, column 8: {word} is not read alike")
        assert problem.endswith(f"write {f'{instead}, or ' if instead else ''}{json.dumps(word)} for the text")
        for one in [*instead.split(", or "), json.dumps(word)]:
            read(f"- {one}")  # can be written so
        assert not means_itself(word)

    @pytest.mark.parametrize("word", ["no", "1:30", "1e-4", "0644", "2024-01-01", "true", "1", "null", "~", "1.5"])
    def test_a_field_is_named_by_text(self, word):
        with pytest.raises(Unclear, match=re.escape(json.dumps(word))):
            read(f"- {{{word}: 1}}")
        assert read(f'{{"{word}": 1}}').data == {word: 1}

    def test_on_and_off_are_what_a_switch_calls_them(self):
        assert read("[on, off]").data == ["on", "off"]
        spec, written = check_spec(SPEC.replace("[de, se]", "[on, off]").replace("log: true", "log: on"), "it")
        assert written["context"]["features"][0]["values"] == ["on", "off"]
        assert spec.parameters[1].log is True  # type: ignore[union-attr] # it is a real

    @pytest.mark.parametrize(
        "text", ["a: !!int '7'", "a: !!str 7", "!x {a: 1}", "a: !!set {b}", "a: !!python/tuple []"]
    )
    def test_marks_of_type_are_refused(self, text):
        with pytest.raises(Unclear, match="no mark that is known here"):
            read(text)

    @given(st.text(st.sampled_from("0123456789abefxonyNO.:_-+eE~= <"), max_size=8))
    def test_a_word_without_quotes_is_read_as_every_reader_reads_it_or_not_at_all(self, word):
        try:
            data = read(f"- {word}\n").data
        except Unclear:
            return
        if data != [word]:  # not text: then as PyYAML and, where it is JSON, as JSON reads it
            assert yaml.safe_load(f"- {word}\n") == data
            with contextlib.suppress(ValueError):
                assert json.loads(word) == data[0]


class TestNotation:
    data = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    )

    @given(data)
    def test_json_is_read_as_json(self, data):
        for text in (json.dumps(data), json.dumps(data, indent="\t", ensure_ascii=True)):
            assert read(text).data == data

    def test_a_number_in_json_may_be_written_as_json_has_it(self):
        assert read('{"min": 1e-4, "max": 1E3}').data == {"min": 1e-4, "max": 1e3}

    @pytest.mark.parametrize("text", ['{"a": {"b": 1, "b": 2}}', "a: {b: 1, b: 2}", "a:\n  b: 1\n  'b': 2"])
    def test_a_key_that_is_given_twice_is_refused_with_both_places(self, text):
        with pytest.raises(Unclear) as unclear:
            read(text)
        [problem] = unclear.value.problems
        second = place_of(text, '"b"' if '"b"' in text else "'b'" if "'" in text else "b: 2")
        first = place_of(text[: text.rindex("b")], '"b' if '"b"' in text else "b: 1").removesuffix(": ")
        assert problem == f"{second}b is given twice, first in {first}: keep one"

    def test_all_that_is_unclear_is_told_at_once(self):
        with pytest.raises(Unclear) as unclear:
            read("a: no\nb: 0644\na: 1\n")
        assert [one.split(":")[0] for one in unclear.value.problems] == [
            "line 3, column 1", "line 1, column 4", "line 2, column 4",
        ]  # fmt: skip

    def test_aliases_and_merges_are_read(self):
        assert read("a: &x {b: 1}\nc: {<<: *x, d: 2}\n").data == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("a: [1, 2", "missing"),
            ("a: 'x", "missing"),
            ("a: b: c", "missing"),
            ("a:\n\t- 1", "tab"),
            ("a: 1\n---\na: 2", "a file holds one spec"),
            ("a: *b", "alias"),
            ("a: \x00", "control character"),
            ("[" * 5_000, "nested too deeply"),
            ("a: &a [*a, *a]", "multiply"),
            (f"a: {'9' * 5_000}", "a number that cannot be"),
        ],
    )
    def test_what_cannot_be_read_is_told_in_a_sentence_of_ours(self, text, said):
        with pytest.raises(Unclear) as unclear:
            read(text)
        [problem] = unclear.value.problems
        assert said in problem
        assert "\n" not in problem
        assert "while " not in problem, "PyYAML's own words"


class TestProblems:
    @pytest.mark.parametrize(
        ("old", "new", "at", "said"),
        [
            ("val: 10", "val: ten", "ten", "parameters.0.val: must be a whole number"),
            ("min: 1,", "mni: 1,", "mni", "parameters.0.mni: is no field that is known here; did you mean min?"),
            ("type: integer", "type: intger", "{name: pool", "parameters.0: must be of the type"),
            ("type: integer", "type: intger", "{name: pool", "did you mean integer?"),
            ("goal: minimize", "goal: minimise", "minimise", "terms.0.goal: must be 'minimize' or 'maximize'; did you"),
            ("aggregate: p95", "aggregat: p95", "{metric", "objective.terms.0.aggregate: is missing"),
            ("aggregate: p95", "aggregat: p95", "aggregat", "is no field that is known here; did you mean aggregate?"),
            ("objective:", "objectives:", "objectives", "is no field that is known here; did you mean objective?"),
            ("[de, se]", "[de, [se]]", "[se]", "context.features.0.values.1: must be text, or must be true or false, "),
            ("name: shop", "name: The Shop", "The", "name: must be of the pattern"),
            ("max: 100}", 'max: "100"}', '"100"', 'max: is written "100", and would be read as 100: write that'),
            ("min: 1,", "min: true, ", "true, ", "min: is written true, and would be read as 1: write that"),
            ("log: true", "log: 1 ", "1 ", "parameters.1.log: is written 1, and would be read as true: write that"),
            ("max: 1, log", "max: .inf, log", ".inf", "parameters.1.max: is not a finite number"),
        ],
    )
    def test_each_is_a_sentence_with_line_and_column(self, old, new, at, said):
        text = SPEC.replace(old, new, 1)
        where = place_of(text[: text.index(new) + len(new)], at) if at in new else place_of(text, at)
        assert any(said in line and line.strip().startswith(where) for line in refused(text).splitlines())

    def test_a_whole_number_may_be_written_with_a_point(self):
        spec, _ = check_spec(SPEC.replace("max: 100}", "max: 1.0e+2}"), "it")
        assert spec.parameters[0].max == 100  # type: ignore[union-attr] # it is an integer

    @pytest.mark.parametrize(
        ("algorithm", "said"),
        [
            ("{name: hybrid_solvr}", "no algorithm is named 'hybrid_solvr'; there are auto, "),
            ("{name: hybrid_solvr}", "; did you mean hybrid_solver?"),
            ("{args: {featurs: 5}}", "'auto' has no argument 'featurs'; it has "),
            ("{args: {featurs: 5}}", "; did you mean features?"),
            ("{name: identity, args: {a: 1}}", "'identity' has no argument 'a'"),
        ],
    )
    def test_a_dry_run_refuses_an_algorithm_or_argument_that_there_is_not(self, algorithm, said):
        text = f"{SPEC}algorithm: {algorithm}\n"
        told = refused(text, alone=True)
        assert said in told
        assert "line 9, column " in told

    def test_what_may_be_installed_with_the_workers_is_left_to_them_where_they_are_asked(self):
        check_spec(f"{SPEC}algorithm: {{name: theirs}}\n", "it")
        function = SPEC.replace("terms: [{metric: latency_ms, aggregate: p95, goal: minimize}]", "function: theirs")
        check_spec(function, "it")
        assert "no reward function 'theirs'" in refused(function, alone=True)
        assert "leave out --dry-run" in refused(function, alone=True)


THINGS = (
    st.sampled_from([None, True, False, 2**70, "x" * 2_000])
    | st.integers(-3, 3)
    | st.floats()
    | st.text(max_size=3)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.sampled_from("ab"), st.integers(), max_size=2)
)


@given(st.data())
def test_no_problem_is_told_in_the_words_of_the_library_that_finds_it(data):
    spec = copy.deepcopy(check_spec(SPEC, "it")[1]) | {"target": {"reward": 1}, "measurement": {"interval_s": 1}}
    at: Any = spec
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(THINGS)
    for problem in problems_of(spec):
        assert problem["type"] in {*sentences._SENTENCES, "value_error"}
        assert problem["type"] == "value_error" or problem["msg"] != sentence(problem)


def problems_of(spec):
    try:
        TunerSpec.model_validate(spec)
    except ValidationError as error:
        return error.errors()
    return []
