"""The client's background thread: follows the configuration, and reports what was measured.

One turn, twenty times a second or as soon as a record comes: read records → adopt what they say → activate it →
gather measurements → report what is due → say that the instance is here → keep the incumbent on disk.
"""

import logging
import math
from collections import deque
from collections.abc import Iterable
from threading import get_ident
from time import monotonic, time

from ...core.deadline import Deadline
from ...schemas.configs import ConfigRecord
from .active_request import ActiveRequest
from .config_follower import ConfigFollower, ContextData, FollowedRecord
from .connection import ConfigMessage, Connection
from .event_builder import EventBuilder
from .incumbent_store import IncumbentStore
from .offer import Offer, Refusal, offer_of
from .parameters import Parameters
from .real_threads import real_sleep, start_thread, wait_until
from .recorder import Recorder
from .serving import Serving
from .skew import Skew
from .snapshot import Snapshot
from .status import Status
from .values_in_effect import ValuesInEffect
from .view import CurrentView, View, view_of, without_restart

_log = logging.getLogger(__name__)

TURN_S = 0.05
"""Longest turn: what the app asks for, and a lease's end, wait no longer."""

HEARTBEAT_S = 10.0
"""Between two signs of life, while no record says otherwise: the default of a spec."""

SILENT_HEARTBEATS = 3
"""An instance that was silent for so many is gone: the default of a spec."""

RENEWALS_MISSED = 2
"""Before it is a problem: one may be late."""

SOON_S = 0.005
"""Between two looks at something that comes soon."""

FAILED_TURN_PAUSE_S = 1.0
"""After a turn that failed: one that fails again and again must not take the app's processor."""

LOG_FAILURE_EVERY_S = 60.0
"""A turn that fails again and again is not logged more often."""


class _Restart:
    """The app's word that it can take what waits for a restart, and whether it was heard."""

    taken = False


class Agent:
    """Everything of a client that one process does in the background.

    Args:
        parameters: The app's parameters.
        connection: To the broker.
        events: Makes this instance's events.
        follower: What is known of the tuner already.
        recorder: Where the app's measurements go.
        store: Where the incumbent is kept.
        current: The view that the app sees; the agent alone swaps it.
        in_effect: What the app runs, and how it is told.
        child: Whether this process is the child of one in which the client was started.
    """

    def __init__(  # noqa: PLR0913 - a part each, by name
        self,
        *,
        parameters: Parameters,
        connection: Connection,
        events: EventBuilder,
        follower: ConfigFollower,
        recorder: Recorder,
        store: IncumbentStore,
        current: CurrentView,
        in_effect: ValuesInEffect,
        child: bool = False,
    ) -> None:
        self.connection = connection
        self.events = events
        self.follower = follower
        self.in_effect = in_effect
        self.recorder = recorder
        self._parameters = parameters
        self._store = store
        self._current = current
        self._mark: object = None
        self._serving = Serving(monotonic(), child=child)
        self._here = False  # as far as the worker was told
        self._announce = True
        self._presence_due = 0.0
        self._record: ConfigRecord | None = None
        self._renewal_due = math.inf
        self._skew = Skew()
        self._requests = {request.terms.key: request for request in current.view.requests}
        self._keep_due = False
        self._promised: ActiveRequest | None = None  # the app itself said that it runs it
        self._thread: int | None = None
        self._closing = self._ended = False
        self._close_deadline = Deadline(0.0)
        self._abandoned = False
        self._restarts: deque[_Restart] = deque()
        self._logged: tuple[str, ...] = ()
        self._failure_logged_at = float("-inf")

    # -- any thread

    def start(self) -> None:
        """Begin.

        Raises:
            Refused: Threads cannot run here.
        """
        start_thread(self._live, f"oppertune-{self.events.tuner}")

    def close(self, timeout_s: float) -> None:
        """Send what is left, say goodbye and end, within a time."""
        self._close_deadline = Deadline(timeout_s)
        self._closing = True
        if self._thread != get_ident():
            wait_until(lambda: self._ended, timeout_s, SOON_S)

    def abandon(self) -> None:
        """In the child of a fork: this agent is the parent's."""
        self._abandoned = True
        self.connection.abandon()

    def fork(self) -> None:
        """In the parent of a fork."""
        if self.recorder.fork():
            self._serving.record(monotonic())
        self._serving.fork(monotonic())

    def set_context(self, context: ContextData | None) -> None:
        """The app's situation changed."""
        self.follower.context = context
        self._announce = True

    def activate(self, snapshot: Snapshot) -> None:
        """The app has applied a snapshot's values."""
        own, since = self._current.view.own, None
        if snapshot.values == own.values:
            self.in_effect.confirm(snapshot.values)
            since = self.in_effect.since
            if own.active_request is not None:
                own.active_request.activate(since)
        if snapshot.active_request is not None:
            snapshot.active_request.activate(since)
            self._promised = snapshot.active_request
        self._announce = True

    def accept_restart(self, timeout_s: float) -> None:
        """The app can take values that need a restart; returns when it has them, or the time is up."""
        restart = _Restart()
        self._restarts.append(restart)
        if self._thread != get_ident():
            wait_until(lambda: restart.taken or self._ended, timeout_s, SOON_S)

    @property
    def tuner_status(self) -> str | None:
        """What the newest record says of the tuner."""
        return self._record.status if self._record is not None else None

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now, one sentence each."""
        nothing = self.connection.caught_up and self._record is None
        absent = f"tuner {self.events.tuner} has no config record: apply its spec" if nothing else ""
        waits = (
            "no worker renewed what was tried before this client listened: the incumbent is run"
            if monotonic() > self._renewal_due and self._current.view.status is Status.STALE
            else ""
        )
        several = (self.in_effect.problem, self.connection.problem, absent, waits, self._skew.problem)
        unreadable = tuple(self.follower.unreadable.copy().values())
        refused = self.recorder.refusals.problems
        return self._current.view.problems + tuple(filter(None, several)) + unreadable + refused

    @property
    def lost(self) -> int:
        """Measurements that could not be gathered or delivered."""
        return self.recorder.lost + self.connection.dropped

    # -- the background thread

    def _live(self) -> None:
        self._thread = get_ident()
        try:
            while not self._closing and not self._abandoned:
                try:
                    self._turn()
                except Exception:  # noqa: BLE001 - the app goes on whatever happens here
                    self._log_failure("a turn of the client failed; it goes on with new connections")
                    self.connection.renew()
                    self._pause(FAILED_TURN_PAUSE_S)
            if not self._abandoned:
                self._finish()
        except Exception:  # noqa: BLE001 - as above
            self._log_failure("the client did not close cleanly")
        finally:
            self._ended = True

    def _pause(self, seconds: float) -> None:
        """Wait, but not past the end."""
        deadline = Deadline(seconds)
        while not (deadline.passed or self._closing or self._abandoned):
            real_sleep(deadline.remaining(TURN_S))

    def _turn(self) -> None:
        self.connection.connect()
        if self.connection.connected:
            messages = self.connection.poll(TURN_S)
        else:
            self._pause(TURN_S)
            messages = []
        for message in messages:
            self._take(message)
        self._adopt()
        self._gather()
        for request in self.recorder.due():
            self._report(request)
        self._be_present()
        self.connection.serve()
        self._keep()

    def _take(self, message: ConfigMessage) -> None:
        self.follower.take(message.key, message.value, monotonic(), live=message.live)
        if message.live and message.timestamp_ms > 0:
            before = self._skew.problem
            self._skew.note(time(), message.timestamp_ms)
            if self._skew.problem and not before:
                _log.warning("tuner %s: %s", self.events.tuner, self._skew.problem)

    def _adopt(self) -> None:
        """Follow what the records say now, if that changed, or if the app can take what waits."""
        accepted = [self._restarts.popleft() for _ in range(len(self._restarts))]
        restarts = bool(accepted and self._current.view.awaiting_restart)
        followed = self.follower.current(monotonic())
        if followed.kind != "unknown" and (restarts or followed.mark != self._mark):
            self._follow(followed, restarts=restarts)
        for restart in accepted:
            restart.taken = True

    def _follow(self, followed: FollowedRecord, *, restarts: bool) -> None:
        """Records → offer → view → app; then what was measured before the change is reported."""
        before, earlier = self._current.view, self._requests
        offer = offer_of(followed, self._parameters)
        was = before.own.active_request
        own = self._own_request(offer, was)
        view = view_of(offer, self.events.instance, self._requests_of(offer), own=own, inbox=self.recorder)
        restart = followed.record.restart if followed.record is not None else before.restart
        view = without_restart(view, view if restarts else before, restart)
        self._requests = {request.terms.key: request for request in view.requests}
        self._mark, self._record = followed.mark, followed.record
        due = monotonic() + RENEWALS_MISSED * followed.waits_s
        self._renewal_due = min(self._renewal_due, due) if followed.waits_s else math.inf
        self._current.swap(view)
        over = [request for key, request in earlier.items() if key not in self._requests]
        if was is not None and was not in (view.own.active_request, *over):
            over.append(was)
        for request in over:
            request.end()
        self._log_problems(view)
        self._activate(view, before, earlier.values())
        self._gather()
        for request in over:
            self._report(request)
        self._keep_due = True
        if followed.kind == "deleted":
            self._store.forget()

    def _own_request(self, offer: Offer, before: ActiveRequest | None) -> ActiveRequest | None:
        """The instance's own: the one that it runs already, or a new one."""
        arm = offer.arm_of(self.events.instance)
        if arm is None or arm.terms is None:
            return None
        goes_on = before is not None and before.ended is None and before.terms.key == arm.terms.key
        return before if goes_on else ActiveRequest(arm.terms, self.recorder)

    def _requests_of(self, offer: Offer) -> dict[tuple[str, str], ActiveRequest]:
        """Each request that is offered to units: the one that is active already, or a new one."""
        requests = {}
        for arm in offer.arms:
            if arm.terms is not None:
                key = arm.terms.key
                requests[key] = self._requests.get(key) or ActiveRequest(arm.terms, self.recorder)
        return requests

    def _activate(self, view: View, before: View, earlier: Iterable[ActiveRequest]) -> None:
        """Tell the app of its own configuration, and activate what is in effect then.

        Values that go on under another request have settled already: of the instance's own they are compared, of other
        units' the hashes of the earlier requests.
        """
        own = view.own.active_request
        if self.in_effect.change(view.own.values, before.own.values) and own is not None:
            own.activate(self.in_effect.since)
        in_effect = {request.terms.arm.hash: request.activated for request in earlier}
        for request in view.requests:
            since = in_effect.get(request.terms.arm.hash)
            if since is not None or self.in_effect.auto_activate:
                request.activate(since)
        self._announce = True

    def _gather(self) -> None:
        if self.recorder.gather():
            self._serving.record(monotonic())

    def _report(self, request: ActiveRequest) -> None:
        for event in self.recorder.report(self.events, request):
            self.connection.send(event)

    def _be_present(self) -> None:
        """Say that this instance is here, or that it is none any more."""
        now = monotonic()
        heartbeat_s = self._record.heartbeat_s if self._record is not None else HEARTBEAT_S
        promised = self._promised is not None and self._promised.ended is None
        if not (promised or self._serving.takes_part(now, SILENT_HEARTBEATS * heartbeat_s)):
            self._leave()
        elif not (self._here or self.connection.caught_up):
            return  # a round that opens for us must come while we listen
        elif self._announce or not self._here or now >= self._presence_due:
            self._announce = False
            self._presence_due = now + heartbeat_s
            self._here = True
            self._say(leaving=False)

    def _leave(self) -> None:
        if self._here:
            self._here = False
            for event in self.recorder.report_all(self.events):  # later it would bring the instance back
                self.connection.send(event)
            self._say(leaving=True)

    def _say(self, *, leaving: bool) -> None:
        request, refusal = self._current.view.own.active_request, self._current.view.refusal
        running = None
        if request is not None and request.activated is not None:
            running = request.terms.arm.request_id
        elif request is not None and self.in_effect.problem:
            refusal = Refusal(request.terms.arm.request_id, self.in_effect.problem)
        event = self.events.presence(self.follower.context, running, refusal=refusal, leaving=leaving)
        self.connection.send(event)

    def _keep(self) -> None:
        if self._keep_due:
            self._keep_due = False
            for record in self.follower.known():
                self._store.save(record)

    def _finish(self) -> None:
        """Send what is left, say goodbye, close."""
        self._gather()
        for event in self.recorder.report_all(self.events):
            self._here = True  # by what it measured
            self.connection.send(event)
        self._leave()
        deadline = self._close_deadline
        while self.connection.connected and not self.connection.idle and not deadline.passed:
            self.connection.serve()
            real_sleep(deadline.remaining(SOON_S))
        self.connection.close()

    def _log_problems(self, view: View) -> None:
        if view.problems != self._logged:
            self._logged = view.problems
            if view.problems:
                _log.warning("tuner %s: %s", self.events.tuner, "; ".join(view.problems))

    def _log_failure(self, message: str) -> None:
        if monotonic() > self._failure_logged_at + LOG_FAILURE_EVERY_S:
            self._failure_logged_at = monotonic()
            _log.exception("tuner %s: %s", self.events.tuner, message)
