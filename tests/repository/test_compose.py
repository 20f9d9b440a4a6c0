"""What runs in containers hangs together: images, compose file, Prometheus, alarms, Grafana. No engine is needed."""

import fnmatch
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from oppertune.streams.worker.metrics import METRICS
from repository.checks import parse

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "oppertune-streams"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
BOARD = json.loads((ROOT / "ops/grafana/dashboards/oppertune.json").read_text())
PROMETHEUS = yaml.safe_load((ROOT / "ops/prometheus.yml").read_text())
ALERTS = [rule for group in yaml.safe_load((ROOT / "ops/alerts.yml").read_text())["groups"] for rule in group["rules"]]
EXPRESSIONS = {
    **{f"board: {p['title']}: {n}": t["expr"] for p in BOARD["panels"] for n, t in enumerate(p.get("targets", []))},
    **{f"alarm: {rule['alert']}": rule["expr"] for rule in ALERTS},
    **{f"board: variable {v['name']}": v["definition"] for v in BOARD["templating"]["list"] if "definition" in v},
}
FROM_PROMETHEUS = {"instance", "job"}


def mounts(service: dict[str, Any]) -> dict[str, Path]:
    """Files and folders of the checkout, by where they are inside."""
    pairs = [volume.split(":")[:2] for volume in service.get("volumes", ())]
    return {inside: ROOT / outside for outside, inside in pairs if outside.startswith(".")}


def outside(service: dict[str, Any], inside: str) -> Path:
    """What of the checkout is at a path inside a service's container."""
    folder = next(f for f in mounts(service) if inside == f or inside.startswith(f"{f}/"))
    return mounts(service)[folder] / inside.removeprefix(folder).lstrip("/")


# -- compose


def test_the_compose_file_is_one_by_the_published_schema() -> None:
    # The schema that `check-jsonschema --builtin-schema vendor.compose-spec` checks by; finding it imports nothing.
    found = importlib.util.find_spec("check_jsonschema")
    assert found is not None
    package = Path(str(found.origin)).parent
    schema = json.loads((package / "builtin_schemas/vendor/compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    broken = {**COMPOSE, "services": {**SERVICES, "worker": {**SERVICES["worker"], "restarts": "always"}}}
    assert not validator.is_valid(broken), "the schema finds nothing"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_mounts_and_waits_for_is_there(name: str) -> None:
    service = SERVICES[name]
    for path in mounts(service).values():
        assert path.exists(), f"there is no {path}"
    for volume in service.get("volumes", ()):
        assert volume.startswith(".") or volume.split(":")[0] in COMPOSE["volumes"]
    awaited = service.get("depends_on", {})
    for other in awaited:
        assert other in SERVICES
        condition = awaited[other]["condition"] if isinstance(awaited, dict) else "service_started"
        if condition == "service_healthy":
            assert SERVICES[other]["healthcheck"].get("test"), f"{other} never says that it is healthy"
        if condition == "service_completed_successfully":
            assert "restart" not in SERVICES[other], f"{other} never completes"


@pytest.mark.parametrize("name", OURS)
def test_the_commands_of_our_services_exist(name: str) -> None:
    service = OURS[name]
    if "entrypoint" not in service:
        parse([_real(service, word) for word in service["command"]])
        return
    python, script = service["entrypoint"]
    assert python == "python"
    helped = subprocess.run(
        [sys.executable, outside(service, script), "--help"], capture_output=True, text=True, check=True
    )
    for option in (word for word in service["command"] if word.startswith("--")):
        assert re.search(rf"^ +{option} ", helped.stdout, re.MULTILINE), f"{script} has no {option}"


def _real(service: dict[str, Any], word: str) -> str:
    """A path inside a container as the checkout has it."""
    return str(outside(service, word)) if word.startswith("/") else word


def test_only_a_worker_that_was_not_stopped_starts_again_and_nobody_else_is_published() -> None:
    assert SERVICES["worker"]["restart"] == "on-failure"
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), "it asks for no login"


def test_every_image_of_others_has_a_version() -> None:
    for service in SERVICES.values():
        if service not in OURS.values():
            assert re.fullmatch(r"[a-z/]+:\$\{[A-Z_]+:-v?\d+\.\d+\.\d+\}", service["image"])


# -- the image


def test_the_build_gets_all_that_the_package_is_made_from() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines, "it lists what may come in"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {Path(folder).parts[0] for folder in project["tool"]["setuptools"]["package-dir"].values()}
    needed |= {"pyproject.toml", "setup.py", "README.md", "constraints.txt", *project["project"]["license-files"]}
    assert needed == let_in
    assert not any(fnmatch.fnmatch(name, line) for line in lines[2:] for name in needed if not line.startswith("!"))


def test_the_image_runs_as_nobody_special_and_its_worker_is_asked_whether_it_lives_at_its_port() -> None:
    user = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    assert user
    assert user[-1] != "0"
    command = json.loads(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1])
    parse(command)
    port = command[command.index("--health-port") + 1]
    assert f"http://127.0.0.1:{port}/livez" in DOCKERFILE
    assert f"EXPOSE {port}\n" in DOCKERFILE
    assert json.loads(re.findall(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1]) == ["oppertune"]
    extras = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE, re.MULTILINE)[0].split(",")
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) <= known.keys()


# -- what watches them


def test_prometheus_asks_the_workers_at_their_port_and_knows_the_alarms() -> None:
    worker = SERVICES["worker"]["command"]
    (job,) = PROMETHEUS["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert (job["job_name"], found["names"], found["type"]) == ("oppertune", ["worker"], "A")
    assert str(found["port"]) == worker[worker.index("--health-port") + 1]
    inside = [f"/etc/prometheus/{file}" for file in PROMETHEUS["rule_files"]]
    assert all(outside(SERVICES["prometheus"], path).is_file() for path in inside)


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_metrics_and_labels_of_board_and_alarms_exist(place: str) -> None:
    expression = EXPRESSIONS[place]
    used = set(re.findall(r"\boppertune_\w+", expression))
    for name in used:
        known = METRICS.get(re.sub(r"_(bucket|sum|count)$", "", name))
        assert known, f"there is no metric {name}"
        assert (name in METRICS) == (known.type != "histogram"), f"{name} is a histogram's"
    labels = {label for name in used for label in METRICS[re.sub(r"_(bucket|sum|count)$", "", name)].labels}
    labels |= FROM_PROMETHEUS | {"le"}
    named = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression)
    named += [w for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for w in group.split(", ")]
    assert set(named) <= labels, place


def test_no_metric_is_left_unseen() -> None:
    seen = set(re.findall(r"\boppertune_\w+", " ".join(EXPRESSIONS.values())))
    seen |= {name.removesuffix("_bucket") for name in seen}
    # Offsets explain a lag where one looks closer, and versions a difference between workers.
    assert METRICS.keys() - seen == {"oppertune_build_info", "oppertune_applied_offset", "oppertune_end_offset"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alarm_says_what_it_means_and_what_to_do(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"Oppertune[A-Za-z]+", rule["alert"])
    assert rule["annotations"].keys() == {"summary", "meaning", "action"}
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert rule.get("for", "0m")[-1] in "mh"


def test_alarms_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names))


def test_the_boards_panels_explain_themselves_and_do_not_overlap() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"]
        assert all(t["datasource"]["uid"] == "${datasource}" for t in panel.get("targets", ()))
    for a, b in combinations((panel["gridPos"] for panel in panels), 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or apart, (a, b)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_grafana_finds_its_source_and_its_board() -> None:
    grafana = SERVICES["grafana"]
    provisioning = outside(grafana, "/etc/grafana/provisioning")
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    host, port = source["url"].removeprefix("http://").split(":")
    assert source["type"] == "prometheus"
    assert f":{port}" in SERVICES[host]["ports"][0]
    (provider,) = yaml.safe_load((provisioning / "dashboards/oppertune.yml").read_text())["providers"]
    home = outside(grafana, grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.is_file()
    assert home.parent == outside(grafana, provider["options"]["path"])
