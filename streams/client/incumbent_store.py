"""The last known good configuration on disk, for a start without Kafka. Nothing here ever raises for a bad disk."""

import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import quote

import orjson
from pydantic import ValidationError

from ...schemas.base import ContextId, Counter, Record, TunerName, explain
from ...schemas.configs import ConfigRecord, Configuration
from ...schemas.context import Feature, reduce_context
from .config_follower import ContextData

_log = logging.getLogger(__name__)


class KnownIncumbent(Record):
    """A scope's incumbent as it is kept on disk: a config record without its arms."""

    tuner: TunerName
    scope: ContextId
    incarnation: Counter
    incumbent: Configuration
    features: list[Feature]

    @classmethod
    def of(cls, record: ConfigRecord) -> Self:
        """What to keep of a config record."""
        return cls(
            v=1,
            tuner=record.tuner,
            scope=record.scope,
            incarnation=record.incarnation,
            incumbent=record.incumbent,
            features=record.features,
        )


def default_state_dir() -> Path:
    """``$XDG_STATE_HOME/oppertune``, by default ``~/.local/state/oppertune``.

    Raises:
        RuntimeError: The user has no home.
    """
    given = os.environ.get("XDG_STATE_HOME", "")
    return (Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state") / "oppertune"


class IncumbentStore:
    """Incumbents of one tuner, a small file per scope, shared by all its processes on this machine.

    Args:
        tuner: The tuner's name.
        prefix: That of the topics: fleets on different prefixes do not share incumbents.
        folder: Where to keep the files; default: :func:`default_state_dir`.
    """

    def __init__(self, tuner: str, prefix: str, folder: Path | None = None) -> None:
        self._tuner = tuner
        self._stem = quote(f"{prefix}{tuner}", safe="")
        self._written: dict[str, KnownIncumbent] = {}
        self._warned = False
        try:
            self._folder = folder if folder is not None else default_state_dir()
        except RuntimeError as error:
            self._folder = Path("/nonexistent")
            self._warn("there is no place to keep the incumbent: %s; give state_dir", error)

    def load(self, context: ContextData | None) -> KnownIncumbent | None:
        """The incumbent of a context's scope, else the tuner's own, else ``None``."""
        own = self._read("")
        if own is None:
            return None
        try:
            scope = reduce_context(own.features, None if context is None else dict(context)).id
        except ValueError:
            return own
        found = self._read(scope) if scope else own
        return found if found is not None and found.incarnation >= own.incarnation else own

    def save(self, record: ConfigRecord) -> None:
        """Keep a record's incumbent, durably, if it is not what was kept last."""
        known = KnownIncumbent.of(record)
        if self._written.get(known.scope) == known:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write_atomically(self._path(known.scope), known.to_bytes())
        except OSError as error:
            self._warn("the incumbent of %s cannot be kept on disk: %s", self._tuner, error)
        else:
            self._warned = False
        self._written[known.scope] = known  # a full disk is not tried again for the same incumbent

    def forget(self) -> None:
        """The tuner was deleted: none of its incumbents is good any more."""
        self._written.clear()
        try:
            for path in [self._path(""), *self._folder.glob(f"{self._stem}@*.json")]:
                path.unlink(missing_ok=True)
        except OSError as error:
            self._warn("the incumbent of deleted tuner %s stays on disk: %s", self._tuner, error)

    def _path(self, scope: str) -> Path:
        return self._folder / f"{self._stem}{'@' if scope else ''}{scope}.json"

    def _read(self, scope: str) -> KnownIncumbent | None:
        path = self._path(scope)
        try:
            known = KnownIncumbent.from_bytes(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._warn("%s cannot be read: %s", path, error)
            return None
        except ValidationError as error:
            _log.warning("%s is ignored, as it is damaged: %s", path, explain(error))
            return None
        return known if (known.tuner, known.scope) == (self._tuner, scope) else None

    def _warn(self, message: str, *args: object) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(message, *args)


def read_bootstrap_file(path: Path) -> Mapping[str, object] | None:
    """Values by name from a JSON object that was shipped with the app; ``None``, with a warning, if it is none."""
    try:
        values = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        _log.warning("bootstrap file %s is ignored: %s", path, error)
        return None
    if not isinstance(values, dict):
        _log.warning("bootstrap file %s is ignored: it holds no JSON object", path)
        return None
    return values


def _write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash at any moment, finds the old or the new one, never a part."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
