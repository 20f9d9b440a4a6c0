"""A client without Kafka, for tests of the app itself: values that the test sets, measurements that it can read."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ...core.errors import InvalidArgument
from ...core.values import ParameterValue, ValueType
from ...schemas.configs import Arm
from ...schemas.keys import values_hash
from .active_request import ActiveRequest, RequestTerms
from .config_follower import ContextData
from .measurement import fault
from .parameters import Parameters, Values
from .snapshot import Snapshot, T, Timer, typed
from .status import Source, Status
from .tuned import Tuned
from .values_in_effect import Callback

C = TypeVar("C", bound=Callback)


class OfflineClient:
    """Stands in for a :class:`~oppertune.streams.client.TunerClient` in a test of the app: no Kafka, thread or file.

    Example::

        client = OfflineClient("checkout", parameters, values={"pool_size": 50})
        handle_request(client)
        assert len(client.recorded["latency_ms"]) == 1
        client.set(pool_size=1)  # runs the change callbacks

    Args:
        tuner: Name of the tuner.
        parameters: As the app declares them.
        values: Values to begin with; the others are the declared ones.
        context: As the app gives it.

    Attributes:
        recorded: Every measurement, by metric, in order.
        context: The newest context.

    Raises:
        InvalidArgument: A value is not legal in the app.
    """

    status = Status.READY
    source = Source.RECORD
    problems: tuple[str, ...] = ()
    dropped = 0
    tuner_status: str | None = "tuning"
    awaiting_restart: tuple[str, ...] = ()

    def __init__(
        self,
        tuner: str,
        parameters: Iterable[ValueType] | Mapping[str, ParameterValue],
        *,
        values: Values | None = None,
        context: ContextData | None = None,
    ) -> None:
        self.tuner = tuner
        self.instance = "offline"
        self.context = context
        self.recorded: dict[str, list[float]] = {}
        self.started = False
        self._parameters = Parameters(parameters)
        self._callbacks: list[Callback] = []
        self._round = 0
        self._own = self._snapshot({**self._parameters.declared, **self._checked(values or {})})

    def _checked(self, values: Values) -> dict[str, ParameterValue]:
        for name, value in values.items():
            if name not in self._parameters.declared:
                raise InvalidArgument(f"the app has no parameter {name!r}")
            if not self._parameters.legal(name, value):
                raise InvalidArgument(f"{name}={value!r} is not legal in this app")
        return {name: self._parameters.cast(name, value) for name, value in values.items()}

    def _snapshot(self, values: Values) -> Snapshot:
        self._round += 1
        arm = Arm(
            arm="offline",
            request_id=f"offline-{self._round}",
            round=self._round,
            kind="explore",
            values=dict(values),
            hash=values_hash(dict(values)),
            share=1.0,
        )
        request = ActiveRequest(RequestTerms(arm, "", interval_s=1.0, settle_s=0.0), self)
        request.activate()
        return Snapshot(values, request)

    def set(self, **values: ParameterValue) -> None:
        """Change values, as a new configuration would, and run the change callbacks.

        Raises:
            InvalidArgument: A value is not legal in the app.
        """
        before = self._own.values
        self._own = self._snapshot({**before, **self._checked(values)})
        for callback in self._callbacks:
            callback(self._own.values, before)

    def put(self, request: ActiveRequest, metric: str, value: float) -> None:  # noqa: ARG002 - as every inbox
        """Take one measurement; what a TunerClient would refuse is refused loudly: a test should know.

        Raises:
            InvalidArgument: It is not a finite number, or has no name.
        """
        if (why := fault(metric, value)) is not None:
            raise InvalidArgument(f"measurement of {metric} refused: {why}")
        self.recorded.setdefault(metric, []).append(float(value))

    def pass_by(self, metric: str, value: float) -> None:
        """Never called: there always is a request."""

    # -- as TunerClient

    def start(self) -> Self:
        """Begin."""
        self.started = True
        return self

    def close(self, timeout_s: float = 5.0) -> None:  # noqa: ARG002 - as TunerClient's
        """End."""
        self.started = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait_ready(self, timeout_s: float = 15.0) -> bool:  # noqa: ARG002 - as TunerClient's
        """It always is."""
        return True

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - as TunerClient's
        return self._own.values[name]

    def value(self, name: str, kind: type[T]) -> T:
        """A parameter's value as its type."""
        return typed(self._own.values, name, kind)

    def get(self, name: str, default: ParameterValue | None = None) -> Any:  # noqa: ANN401 - as TunerClient's
        """A parameter's value, or ``default`` where the app declared no such parameter."""
        return self._own.values.get(name, default)

    @property
    def values(self) -> Values:
        """All values."""
        return self._own.values

    def snapshot(self) -> Snapshot:
        """The configuration now."""
        return self._own

    def assign(self, unit: str) -> Snapshot:  # noqa: ARG002 - as TunerClient's
        """The configuration of a unit: everyone's."""
        return self._own

    def on_change(self, callback: C) -> C:
        """Call a function at every :meth:`set`."""
        self._callbacks.append(callback)
        return callback

    def applied(self, snapshot: Snapshot) -> None:
        """Taken; there is nobody to tell."""

    def accept_restart(self, timeout_s: float = 1.0) -> None:
        """Taken; nothing waits."""

    def set_context(self, context: ContextData | None) -> None:
        """The app's situation changed."""
        self.context = context

    def record(self, metric: str, value: float, snapshot: Snapshot | None = None) -> None:
        """Record one measurement."""
        (snapshot or self._own).record(metric, value)

    def measure(self, metric: str, snapshot: Snapshot | None = None) -> Timer:
        """Time a block of code."""
        return Timer(snapshot or self._own, metric, None if snapshot else self)

    def __repr__(self) -> str:
        counts = {metric: len(values) for metric, values in self.recorded.items()}
        return f"<OfflineClient {self.tuner}: {dict(self.values)}, recorded {counts}>"


if TYPE_CHECKING:
    from .client import TunerClient

    _EITHER: tuple[type[Tuned], ...] = (TunerClient, OfflineClient)  # a type checker holds both to it
