"""What an app imports: live configuration and measuring."""

import atexit
import logging
import os
import re
import sys
import uuid
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from ...core.deadline import Deadline
from ...core.errors import InvalidArgument, InvalidContext
from ...core.values import ParameterValue, ValueType
from ...schemas import base
from ..broker import BrokerSettings
from .agent import Agent
from .config_follower import ConfigFollower, ContextData
from .connection import Connection
from .event_builder import EventBuilder
from .incumbent_store import IncumbentStore, read_bootstrap_file
from .offer import Offer, plain_offer
from .parameters import Parameters, Values
from .recorder import Recorder
from .snapshot import Snapshot, T, Timer, typed
from .status import Source, Status
from .values_in_effect import Callback, ValuesInEffect
from .view import CurrentView, view_of

_log = logging.getLogger(__name__)
_CONTEXT: TypeAdapter[dict[str, base.Scalar]] = TypeAdapter(base.ContextData)
C = TypeVar("C", bound=Callback)

ENV_DISABLED = "OPPERTUNE_DISABLED"
"""Set to 1 in an app's environment, its clients run the declared values and do nothing else: a switch for emergencies,
or for tests."""

_NOT_DISABLED = {"", "0", "false", "no", "off"}
_DISABLED = {"1", "true", "yes", "on"}

MAX_INSTANCE = 150
"""Characters of an instance's name. Records hold 200: a forked child puts its process id behind it."""

CLOSE_AT_EXIT_S = 2.0
"""A client that was left open says goodbye when the interpreter ends, if that takes no longer."""


class TunerClient:
    """An app's side of a tuner: values that change while it runs, and measurements of what they did.

    Reading a value always answers, at the price of a dictionary look-up: from the newest config record, else the
    incumbent kept on disk, else the bootstrap file, else the declared values. Nothing here raises, blocks or slows the
    app because Kafka, a worker or the disk is away; what is wrong is in :attr:`problems` and in the log.

    Example::

        parameters = [Integer("pool_size", 10, min=1, max=100), Categorical("policy", "lru", ["lru", "lfu"])]
        with TunerClient("checkout", parameters, settings="localhost:9092") as client:
            while serving():
                with client.measure("latency_ms"):
                    serve(pool_size=client["pool_size"])

    ``OPPERTUNE_DISABLED=1`` in the environment switches it off: the declared values, not those kept on disk or shipped
    in the bootstrap file; no thread, no connection, nothing measured. :attr:`problems` says so.

    Everything that talks to Kafka happens on one daemon thread, a real one under gevent, too. A process that forks goes
    on in the child as another instance, with a thread and connections of its own.

    Args:
        tuner: Name of the tuner.
        parameters: The app's parameters, with the bounds it would accept; or a mapping from names to declared values,
            where only the type is checked.
        settings: Where the broker is: settings, or its address; default: from ``OPPERTUNE_BOOTSTRAP`` and
            ``OPPERTUNE_PREFIX``.
        context: What the app says of its situation: names and strings, numbers, truth values or ``None``.
        instance: Name of this running copy, the same after a restart if that matters; default: host, process and boot.
        state_dir: Folder for the last known good values; default: ``$XDG_STATE_HOME/oppertune`` or
            ``~/.local/state/oppertune``.
        bootstrap_file: A JSON object of values that is shipped with the app, for a first start without Kafka.
        on_change: A change callback, as of :meth:`on_change`.
        auto_activate: Whether a configuration is in effect as soon as it can be read and the callbacks have returned.
            An app that applies values later gives False, and calls :meth:`applied`. Either way, the values that are
            there before :meth:`start` are taken to be in effect.

    Raises:
        InvalidArgument: The tuner or instance has an impossible name.
        InvalidContext: The context holds something else than strings, numbers, truth values and ``None``.
        InvalidParameter: The parameters contradict themselves.
    """

    def __init__(  # noqa: PLR0913 - a setting each, by name
        self,
        tuner: str,
        parameters: Iterable[ValueType] | Mapping[str, ParameterValue],
        *,
        settings: BrokerSettings | str | None = None,
        context: ContextData | None = None,
        instance: str | None = None,
        state_dir: Path | str | None = None,
        bootstrap_file: Path | str | None = None,
        on_change: Callback | None = None,
        auto_activate: bool = True,
    ) -> None:
        if not re.fullmatch(base.TUNER_NAME, tuner):
            raise InvalidArgument(f"a tuner's name matches {base.TUNER_NAME}; {tuner!r} does not")
        if instance is not None and not (1 <= len(instance) <= MAX_INSTANCE and instance.isprintable()):
            raise InvalidArgument(f"an instance's name has 1 to {MAX_INSTANCE} printable characters")
        self._tuner = tuner
        self._parameters = Parameters(parameters)
        self._disabled = _is_disabled()
        if not isinstance(settings, BrokerSettings):  # a switched-off client does not mind settings that are wrong
            settings = BrokerSettings.load(bootstrap=settings) if not self._disabled else BrokerSettings()
        self._settings = settings
        self._instance = instance
        self._callbacks: list[Callback] = [] if on_change is None else [on_change]
        self._started = self._closed = False
        self._store = IncumbentStore(tuner, settings.prefix, None if state_dir is None else Path(state_dir))
        follower = ConfigFollower(tuner, _checked(context))
        first = self._first_offer(follower.context, None if bootstrap_file is None else Path(bootstrap_file))
        self._recorder = Recorder()
        self._current = CurrentView(view_of(first, inbox=self._recorder))
        in_effect = ValuesInEffect(tuner, first.incumbent, self._callbacks, auto_activate=auto_activate)
        self._agent = self._new_agent(follower, instance, in_effect=in_effect)
        _clients.add(self)

    def _first_offer(self, context: ContextData | None, bootstrap_file: Path | None) -> Offer:
        if self._disabled:
            return plain_offer(Status.DEFAULT, Source.DECLARED, self._parameters, self._parameters.declared)
        if (known := self._store.load(context)) is not None:
            return plain_offer(Status.STALE, Source.DISK, self._parameters, known.incumbent.values)
        if bootstrap_file is not None and (values := read_bootstrap_file(bootstrap_file)) is not None:
            return plain_offer(Status.DEFAULT, Source.BOOTSTRAP, self._parameters, values)
        return plain_offer(Status.DEFAULT, Source.DECLARED, self._parameters, self._parameters.declared)

    def _new_agent(
        self, follower: ConfigFollower, instance: str | None, *, in_effect: ValuesInEffect, child: bool = False
    ) -> Agent:
        boot = uuid.uuid4().hex
        name = instance or f"{os.uname().nodename[:100]}-{os.getpid()}-{boot[:8]}"
        return Agent(
            parameters=self._parameters,
            connection=Connection(self._settings, self._tuner),
            events=EventBuilder(self._tuner, name, boot, self._parameters.declared),
            follower=follower,
            recorder=self._recorder,
            store=self._store,
            current=self._current,
            in_effect=in_effect,
            child=child,
        )

    # -- life

    def start(self) -> Self:
        """Begin to follow the configuration. Returns at once, broker or no broker; see :meth:`wait_ready`.

        Raises:
            RuntimeError: The client was closed.
            Refused: The app runs under eventlet.
        """
        if self._closed:
            raise RuntimeError("this client was closed: make another")
        if not self._started:
            if not self._disabled:
                self._agent.start()
            self._started = True
        return self

    @property
    def started(self) -> bool:
        """Whether :meth:`start` was called, and :meth:`close` was not."""
        return self._started and not self._closed

    def close(self, timeout_s: float = 5.0) -> None:
        """Send the last measurements, say goodbye, and stop. Values stay readable.

        Args:
            timeout_s: At most so long: what cannot be sent in this time is given up.
        """
        if self.started and not self._disabled:
            self._agent.close(timeout_s)
        self._closed = True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait_ready(self, timeout_s: float = 15.0) -> bool:
        """Wait until the newest config record is followed.

        What was tried before the client listened is run after its first renewal, a third of a lease later (10 s by
        default): until then the incumbent is, and the client is ``STALE``.

        Args:
            timeout_s: How long to wait.

        Returns:
            Whether it is; if not, :attr:`values` and :attr:`source` say what is run instead, :attr:`problems` why.
        """
        return not self._disabled and self._current.wait_ready(timeout_s)

    # -- reading

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - of the parameter's own type, which the app knows
        return self._current.view.own.values[name]

    def value(self, name: str, kind: type[T]) -> T:
        """A parameter's value now, as its type, for type checkers: ``client.value("pool_size", int)``.

        Raises:
            KeyError: The app declared no such parameter.
            InvalidArgumentType: It is of another type. (A whole number may be asked for as a ``float``.)
        """
        return typed(self._current.view.own.values, name, kind)

    def get(self, name: str, default: ParameterValue | None = None) -> Any:  # noqa: ANN401 - as above
        """A parameter's value now, or ``default`` where the app declared no such parameter."""
        return self._current.view.own.values.get(name, default)

    @property
    def values(self) -> Values:
        """All values now, read-only: they belong together, and a later change makes another mapping."""
        return self._current.view.own.values

    @property
    def status(self) -> Status:
        """``READY``, ``STALE`` or ``DEFAULT``: how far the values can be trusted to be the newest."""
        return self._current.view.status

    @property
    def source(self) -> Source:
        """Where the values come from."""
        return self._current.view.source

    @property
    def instance(self) -> str:
        """Name of this running copy of the app."""
        return self._agent.events.instance

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now, a sentence each: values that cannot be run, an absent broker, refused measurements."""
        if self._disabled:
            off = f"{ENV_DISABLED} is set: the declared values are run, and nothing is measured"
            return (off, *self._recorder.refusals.problems)
        return self._agent.problems

    @property
    def dropped(self) -> int:
        """Measurements lost so far: they came too fast, or the broker was away too long."""
        return self._agent.lost

    @property
    def tuner_status(self) -> str | None:
        """What the tuner does, as its config record says: such as tuning, rolling, parked, frozen or achieved.

        ``None`` while that is unknown.

        A worker newer than this client may send another word; the incumbent is run then, and :attr:`problems` says so.
        """
        return self._agent.tuner_status

    @property
    def awaiting_restart(self) -> tuple[str, ...]:
        """Parameters for which a new configuration waits: it needs a restart of the app; see :meth:`accept_restart`."""
        return self._current.view.awaiting_restart

    def snapshot(self) -> Snapshot:
        """The configuration now, to run one unit of work under."""
        return self._current.view.own

    def assign(self, unit: str) -> Snapshot:
        """The configuration for a unit of its own, such as a job's id: the same unit gets the same arm everywhere.

        Where an operator pinned the unit, it is that arm. Where the arm has other values than this process of
        parameters that need a restart, the unit runs the incumbent, or what the process runs, unmeasured.
        """
        return self._current.view.assigned(unit)

    # -- changing

    def on_change(self, callback: C) -> C:
        """Call a function whenever :attr:`values` change, with the new and the old values. Works as a decorator.

        It is called on the client's thread: leases, reports and signs of life wait for it, so it should take
        milliseconds. The values are reported as in effect when all callbacks have returned; if one raises, the error
        is logged, and the configuration counts as not run. The values at the start are no change: apply those yourself.
        """
        self._callbacks.append(callback)
        return callback

    def applied(self, snapshot: Snapshot) -> None:
        """Say that a snapshot's values are in effect from now on; needed with ``auto_activate=False`` only."""
        self._agent.activate(snapshot)

    def accept_restart(self, timeout_s: float = 1.0) -> None:
        """Take the configuration that waits for a restart (:attr:`awaiting_restart`): the app can apply it now.

        Until then the app runs the incumbent, or where that needs a restart too, goes on with the configuration that it
        has; as a whole either way, and nothing is measured. What waited is forgotten when another configuration comes,
        or its lease ends. An app that restarts as a process calls this at its start, after :meth:`wait_ready` and
        before it applies values; one that restarts a part of itself calls it when that part is at rest. It holds for
        what waits now, not for later changes. An app that never calls it never runs such configurations; their rounds
        are skipped.

        Returns when the values can be read and the change callbacks have returned. Called in one of those, it returns
        at once, and the values follow.

        Args:
            timeout_s: Return after so long at the latest; the values are then taken a moment later.
        """
        if self.started and not self._disabled:
            self._agent.accept_restart(timeout_s)

    def set_context(self, context: ContextData | None) -> None:
        """The app's situation changed: it may belong to another scope now.

        Raises:
            InvalidContext: It holds something else than strings, numbers, truth values and ``None``.
        """
        self._agent.set_context(_checked(context))

    # -- measuring

    def record(self, metric: str, value: float, snapshot: Snapshot | None = None) -> None:
        """Record one measurement. Cheap, never blocks, never raises.

        Args:
            metric: Its name, as the tuner's objective names it.
            value: A finite number; anything else is counted and named in :attr:`problems`.
            snapshot: What was measured ran under this; default: under the configuration of this moment.
        """
        (snapshot or self._current.view.own).record(metric, value)

    def measure(self, metric: str, snapshot: Snapshot | None = None) -> Timer:
        """Time a block of code, credited to the configuration at its beginning. It counts if the block raises, too.

        As a decorator of a function, or of one with ``async def``, it times each call, in the same way.

        Args:
            metric: Its name. It says the unit: ``…_s``, ``…_ms``, ``…_us`` or ``…_ns``, or in full, such as
                ``…_seconds`` or ``…_milliseconds``; any other is in milliseconds.
            snapshot: What is measured runs under this; default: under the configuration of this moment, or of the
                decorated function's call.
        """
        return Timer(snapshot or self._current.view.own, metric, None if snapshot else self)

    def __repr__(self) -> str:
        view = self._current.view
        life = "closed" if self._closed else "started" if self._started else "not started"
        if self._disabled:
            life += f", {ENV_DISABLED}"
        problems = "".join(f", {problem!r}" for problem in self.problems)
        values = f"{view.status} from {view.source}: {view.own!r}"
        return f"<TunerClient {self._tuner} as {self.instance!r}, {life}, {values}{problems}>"

    # -- processes

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TunerClient cannot be pickled: make one in each process, with the same arguments")

    def _go_on_in_child(self) -> None:
        """After a fork: nothing is shared with the parent but what is known."""
        parents = self._agent
        parents.abandon()
        if self._closed:
            return
        name = None if self._instance is None else f"{self._instance}-{os.getpid()}"
        self._recorder.start_anew()  # the same one: snapshots from before the fork go on recording to it
        self._current = CurrentView(self._current.view)  # not ready before the child itself follows
        follower, in_effect = parents.follower.copy(), parents.in_effect
        self._agent = self._new_agent(follower, name, in_effect=in_effect, child=self._started)
        if self._started and not self._disabled:
            self._agent.start()
            if (util := sys.modules.get("multiprocessing.util")) is not None:
                util.register_after_fork(self, _close_with_process)

    def _stay_in_parent(self) -> None:
        """After a fork, in the process that forked."""
        if self.started and not self._disabled:
            self._agent.fork()


def _is_disabled() -> bool:
    word = os.environ.get(ENV_DISABLED, "")
    meant = word.strip().lower()
    if meant not in _DISABLED | _NOT_DISABLED:
        _log.warning("%s is %r: set it to 1 or 0; it counts as 1", ENV_DISABLED, word)
    return meant not in _NOT_DISABLED


def _checked(context: ContextData | None) -> ContextData | None:
    if context is None:
        return None
    try:
        return _CONTEXT.validate_python(dict(context))
    except ValidationError as error:
        raise InvalidContext(f"context: {base.explain(error)}") from error


_clients: "weakref.WeakSet[TunerClient]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for client in list(_clients):
        client._go_on_in_child()  # noqa: SLF001 - own class


def _after_fork_in_parent() -> None:
    for client in list(_clients):
        client._stay_in_parent()  # noqa: SLF001 - own class


def _close_with_process(client: TunerClient) -> None:
    """A child that multiprocessing made ends without what is registered with atexit."""
    sys.modules["multiprocessing.util"].Finalize(None, client.close, (CLOSE_AT_EXIT_S,), exitpriority=0)


def _close_all() -> None:
    deadline = Deadline(CLOSE_AT_EXIT_S)
    for client in list(_clients):
        client.close(deadline.remaining())


os.register_at_fork(after_in_child=_after_fork_in_child, after_in_parent=_after_fork_in_parent)
atexit.register(_close_all)
