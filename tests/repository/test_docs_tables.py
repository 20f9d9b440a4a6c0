"""Tables in the documents that repeat what the code says, row by row; a missing row is shown as it should be."""

import re
from collections.abc import Iterator

import pytest
import yaml

from kafkas import ROOT
from oppertune.algorithms.all import ALGORITHMS
from oppertune.streams.broker import BrokerSettings
from oppertune.streams.operate.exit_codes import ExitCode
from oppertune.streams.worker.exits import ExitCode as WorkerExitCode
from oppertune.streams.worker.health import WORDS
from oppertune.streams.worker.metrics import METRICS

ALERTS = yaml.safe_load((ROOT / "ops" / "alerts.yml").read_text())


def setting_rows() -> Iterator[str]:
    for name, field in BrokerSettings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        word = str(default).lower() if isinstance(default, bool) else str(default)
        yield f"| `{name}` | {'' if default in (None, {}) else f'`{word}`'} | {field.description} |"


def metric_rows() -> Iterator[str]:
    for name, metric in METRICS.items():
        yield f"| `{name}` | {metric.type} | {', '.join(metric.labels)} | {metric.meaning} |"


def alert_rows() -> Iterator[str]:
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            said = rule["annotations"]
            yield f"| `{rule['alert']}` | {rule['labels']['severity']} | {said['meaning']} | {said['action']} |"


def word_rows() -> Iterator[str]:
    for word, meaning in WORDS.items():
        yield f"| `{word}` | {meaning} |"


ROWS = {
    "operating.md: connection": setting_rows,
    "monitoring.md: states": word_rows,
    "monitoring.md: metrics": metric_rows,
    "monitoring.md: alarms": alert_rows,
}


@pytest.mark.parametrize("table", ROWS)
def test_each_row_is_on_the_page(table):
    page = (ROOT / "docs" / table.partition(":")[0]).read_text()
    missing = [row for row in ROWS[table]() if row not in page]
    assert not missing, "rows to be put on the page:\n" + "\n".join(missing)


@pytest.mark.parametrize("codes", [ExitCode, WorkerExitCode])
def test_every_exit_code_is_on_the_page_on_operating(codes):
    page = (ROOT / "docs" / "operating.md").read_text()
    for code in codes:
        assert re.search(rf"^\| {code.value} \|", page, re.MULTILINE), code


def test_what_is_not_there_any_more_is_not_on_the_page_either():
    page = (ROOT / "docs" / "monitoring.md").read_text()
    alerts = {rule["alert"] for group in ALERTS["groups"] for rule in group["rules"]}
    assert set(re.findall(r"^\| `(Oppertune\w+)`", page, re.MULTILINE)) == alerts
    assert set(re.findall(r"^\| `(oppertune_\w+)`", page, re.MULTILINE)) == set(METRICS)
    settings = (ROOT / "docs" / "operating.md").read_text().partition("| setting |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", settings, re.MULTILINE)) == set(BrokerSettings.model_fields)


def test_the_table_of_algorithms_says_when_to_take_each():
    rows = re.findall(r"(?m)^\| (`\w+`(?:, `\w+`)*) \| .* \| .* \|$", (ROOT / "docs" / "algorithms.md").read_text())
    named = {name for row in rows for name in re.findall(r"\w+", row)}
    assert set(ALGORITHMS) <= named, f"without a row: {sorted(set(ALGORITHMS) - named)}"
