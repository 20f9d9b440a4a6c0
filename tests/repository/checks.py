"""How each kind of block in the documents is tested. A kind that is not in :data:`CHECKS` has no place there."""

import importlib.util
import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from typer.main import get_command

from oppertune.schemas import TunerSpec
from oppertune.schemas.export import RECORDS
from oppertune.streams.broker import BrokerSettings
from oppertune.streams.operate.main import app
from oppertune.streams.operate.specs.file import read_spec
from repository.documents import ROOT, Block

SPEC = {"name": "t", "parameters": [{"name": "p", "type": "integer", "val": 1, "min": 0, "max": 9}]}

DIAGRAMS = {"flowchart", "sequenceDiagram", "stateDiagram-v2"}

FOREIGN = {".", "cd", "curl", "git", "gunicorn", "mkdir", "uvicorn"}
FOREIGN |= {"kafka-acls.sh", "kafka-configs.sh", "kafka-topics.sh", "kafka-delete-records.sh"}
"""Programs that are not ours, in shell blocks."""


def check_yaml(block: Block, folder: Path) -> None:
    """A spec, or a part of one, is valid; what has a file's name is that file."""
    text = block.text if block.included is None else block.included.read_text()
    if (ROOT / block.title).is_file():
        assert text == (ROOT / block.title).read_text(), f"{block} is not what is in {block.title}"
    written = yaml.safe_load(text)
    unknown = set(written) - set(TunerSpec.model_fields)
    assert not unknown, f"{block}: a spec has no {unknown}"
    path = folder / "spec.json"
    path.write_text(json.dumps(written if {"name", "parameters"} <= set(written) else SPEC | written))
    read_spec(path)


def check_json(block: Block, _: Path) -> None:
    """Its title, up to a colon, names the record that it is."""
    name = block.title.partition(":")[0]
    assert name in RECORDS, f"{block}: its title must begin with one of {', '.join(RECORDS)}"
    value = json.loads(block.text)
    if name == "dead-letter-headers":  # text, all of them
        assert all(isinstance(said, str) for said in value.values())
    RECORDS[name].model_validate(value)
    strangers = set(value) - set(RECORDS[name].model_fields)
    assert not strangers, f"{block}: a {name} has no {strangers}"


def check_toml(block: Block, folder: Path) -> None:
    """Settings of the connection, whose files are made up; or an example's own file."""
    if block.included is not None:
        tomllib.loads(block.included.read_text())
        return
    (folder / "file").write_text("secret")
    text = re.sub(r'"[^"]*/[^"/]+\.?\w*"', f'"{folder / "file"}"', block.text)
    (folder / "settings.toml").write_text(text)
    BrokerSettings.load(folder / "settings.toml")


def check_bash(block: Block, _: Path) -> None:
    """Each command exists, with its options."""
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command: list[str] = []
        words = iter([*lexer, ";"])
        for word in words:
            if re.fullmatch(r"[<>]+", word):
                next(words)  # a file
            elif not re.fullmatch(r"[;&|()]+", word):
                command.append(word)
            elif command:
                check_command(command)
                command = []


def check_command(words: list[str]) -> None:
    """One command, with variables before it."""
    while words and (assigned := re.fullmatch(r"([A-Z][A-Z0-9_]*)=.*", words[0])):
        check_variable(assigned[1])
        words = words[1:]
    if not words:
        return
    program, arguments = words[0], words[1:]
    if program == "oppertune":
        parse(arguments)
    elif program == "export":
        for argument in arguments:
            check_variable(argument.partition("=")[0])
    elif program == "pip":
        check_install(arguments)
    elif program in {"python", ".venv/bin/python"}:
        check_python(arguments)
    elif program == "docker":
        wanted = "docker-compose.yml" if arguments[0] == "compose" else "Dockerfile"
        assert (ROOT / wanted).is_file(), f"there is no {wanted}"
    elif "/" in program:
        ours = (ROOT / program).is_file() or program.startswith(".venv/bin/")
        assert ours, f"there is no {program}"
    else:
        assert program in FOREIGN, f"{program} is no command of ours: add it to FOREIGN if it is meant"


def check_variable(name: str) -> None:
    settings = {f"OPPERTUNE_{field.upper()}" for field in BrokerSettings.model_fields}
    settings |= {
        "OPPERTUNE_SASL_PASSWORD_FILE",
        "OPPERTUNE_SSL_KEY_PASSWORD_FILE",
        "OPPERTUNE_OAUTH_CLIENT_SECRET_FILE",
    }
    if name not in settings and name.startswith("OPPERTUNE_"):
        sources = [*(ROOT / "streams").rglob("*.py"), ROOT / "tests" / "conftest.py"]
        assert any(f'"{name}"' in path.read_text() for path in sources), f"nobody reads {name}"


def check_install(arguments: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for argument in arguments:
        if named := re.fullmatch(r"oppertune-streams\[(.*)\]", argument):
            unknown = set(named[1].split(",")) - set(extras)
            assert not unknown, f"there is no extra {unknown}"


def check_python(arguments: list[str]) -> None:
    if arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1]) is not None, f"there is no module {arguments[1]}"
    else:
        shown = [ROOT / arguments[0], *(ROOT / "examples").rglob(arguments[0])]
        assert any(path.is_file() for path in shown), f"there is no {arguments[0]}"


def parse(arguments: list[str]) -> None:
    """Parse a command line as the program would, and carry out nothing."""
    command: Any = get_command(app)
    context = command.make_context("oppertune", list(arguments))
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


def check_mention(words: list[str]) -> None:
    """A command named in the text, perhaps without its arguments: it and its options exist."""
    command: Any = get_command(app)
    options: set[str] = set()
    for word in words:
        if word in getattr(command, "commands", {}):
            command = command.commands[word]
            options = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
        elif word.startswith("-"):
            assert word in options, f"oppertune has no {' '.join(words)}: {word}"
        else:
            below = getattr(command, "commands", {})
            assert not below or word in {"…", "..."}, f"oppertune has no {' '.join(words)}: {word}"


def check_mermaid(block: Block, _: Path) -> None:
    first = block.text.split()[0]
    assert first in DIAGRAMS, f"{block}: {first} is no diagram that we use"


def check_python_block(block: Block, _: Path) -> None:
    """It compiles; pages are run as a whole (test_documents.py). What has a file's name is in that file."""
    if block.included is not None:
        assert block.included.is_file(), f"{block}: there is no {block.included}"
        assert block.title == str(block.included.relative_to(ROOT))
    elif ">>>" not in block.text:
        compile(block.text, str(block), "exec")
        if (ROOT / block.title).is_file():
            assert block.text in (ROOT / block.title).read_text(), f"{block} is not in {block.title}"


CHECKS: dict[str, Callable[[Block, Path], None]] = {
    "bash": check_bash,
    "json": check_json,
    "mermaid": check_mermaid,
    "python": check_python_block,
    "text": lambda block, folder: None,  # output, and what is said in no language
    "toml": check_toml,
    "yaml": check_yaml,
}
