"""The client's background thread: follows the configuration, and reports what was measured.

One turn, twenty times a second or as soon as a record comes: read records → adopt what they say → activate it →
gather measurements → report what is due → say that the instance is here → keep the incumbent on disk.
"""

import logging
import threading
from collections.abc import Callable
from time import monotonic, sleep, time

from ...schemas.configs import Arm, ConfigRecord
from ..broker import BrokerSettings
from .following import Answer, ContextData, Following
from .incumbent_store import IncumbentStore
from .link import Link
from .parameters import Parameters, Values
from .recorder import Author, Recorder
from .snapshot import Run, Snapshot
from .view import Status, View, view_of, without_restart

_log = logging.getLogger(__name__)

TURN_S = 0.05
"""Longest turn: what the host asks for, and a lease's end, wait no longer."""

HEARTBEAT_S = 10.0
"""Between two signs of life, while no record says otherwise."""

Callback = Callable[[Values, Values], object]


class Agent:
    """Everything of a client that one process does in the background.

    Args:
        parameters: The app's parameters.
        settings: Where the broker is.
        author: Who it is.
        following: What is known of the tuner already.
        store: Where the incumbent is kept.
        view: What the app sees at first.
        applied: The values that the app runs already; ``None`` where that is unknown.
        callbacks: Asked for at every change: whom to tell.
        publish: Swaps the view that the app sees.
        auto_activate: Whether values are in effect once the callbacks returned.
    """

    def __init__(  # noqa: PLR0913 - all of them by name, from one place
        self,
        *,
        parameters: Parameters,
        settings: BrokerSettings,
        author: Author,
        following: Following,
        store: IncumbentStore,
        view: View,
        applied: Values | None,
        callbacks: Callable[[], tuple[Callback, ...]],
        publish: Callable[[View], None],
        auto_activate: bool,
    ) -> None:
        self.author = author
        self.following = following
        self.recorder = Recorder()
        self.link = Link(settings, author.tuner)
        self.applied = applied
        self.ready = threading.Event()
        self.callback_problem = ""
        self._parameters = parameters
        self._store = store
        self._view = view
        self._mark: object = None
        self._callbacks = callbacks
        self._publish = publish
        self._auto_activate = auto_activate
        self._announce = True
        self._presence_due = 0.0
        self._record: ConfigRecord | None = None
        self._runs: dict[str, Run] = {}
        self._keep_due = False
        self._closing = threading.Event()
        self._close_by = 0.0
        self._abandoned = False
        self._restarts = threading.Condition()
        self._restarts_accepted = self._restarts_taken = 0
        self._logged: tuple[str, ...] = ()
        self._failure_logged_at = float("-inf")
        self._thread = threading.Thread(target=self._live, name=f"oppertune-{author.tuner}", daemon=True)

    # -- any thread

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Send what is left, say goodbye and end, within a time."""
        self._close_by = monotonic() + timeout_s
        self._closing.set()
        if self._thread is not threading.current_thread() and self._thread.ident is not None:
            self._thread.join(timeout_s)

    def abandon(self) -> None:
        """In the child of a fork: this agent is the parent's."""
        self._abandoned = True
        self.link.abandon()

    def set_context(self, context: ContextData | None) -> None:
        """The app's situation changed."""
        self.following.context = context
        self._announce = True

    def activate(self, snapshot: Snapshot) -> None:
        """The app has applied a snapshot's values."""
        if snapshot.values == self._view.own.values:
            self.applied = snapshot.values
        if snapshot.run is not None:
            snapshot.run.activate()
        self._announce = True

    def accept_restart(self, timeout_s: float) -> None:
        """The app can take values that need a restart; returns when it has them, or the time is up."""
        with self._restarts:
            self._restarts_accepted += 1
            this = self._restarts_accepted
            if self._thread is not threading.current_thread() and self._thread.is_alive():
                self._restarts.wait_for(lambda: self._restarts_taken >= this, timeout_s)

    @property
    def tuner_status(self) -> str | None:
        """What the newest record says of the tuner."""
        return self._record.status if self._record is not None else None

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now, one sentence each."""
        nothing = self.link.caught_up and self._record is None
        absent = f"tuner {self.author.tuner} has no config record: apply its spec" if nothing else ""
        several = (self.callback_problem, self.link.problem, absent)
        unreadable = tuple(self.following.unreadable.copy().values())
        refused = tuple(self.recorder.refused.copy().values())
        return self._view.problems + tuple(filter(None, several)) + unreadable + refused

    @property
    def lost(self) -> int:
        """Measurements that could not be gathered or delivered."""
        return self.recorder.lost + self.link.dropped

    # -- the background thread

    def _live(self) -> None:
        while not self._closing.is_set() and not self._abandoned:
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - the host's service goes on whatever happens here
                self._log_failure("a turn of the client failed; it goes on with new connections")
                self.link.renew()
                self._closing.wait(1.0)
        if self._abandoned:
            return
        try:
            self._finish()
        except Exception:  # noqa: BLE001 - as above
            self._log_failure("the client did not close cleanly")

    def _turn(self) -> None:
        self.link.connect()
        if self.link.connected:
            messages = self.link.poll(TURN_S)
        else:
            self._closing.wait(TURN_S)
            messages = []
        now, wall_ms = monotonic(), time() * 1000
        for message in messages:
            age_s = (wall_ms - message.timestamp_ms) / 1000 if message.timestamp_ms > 0 else 0.0
            self.following.take(message.key, message.value, age_s, now)
        self._adopt()
        self.recorder.gather()
        for run in self.recorder.due():
            self._report(run)
        self._be_present()
        self.link.serve()
        self._keep()

    def _adopt(self) -> None:
        """Follow what the records say now, if that changed, or if the app can take what waits."""
        accepted = self._restarts_accepted
        restarts = accepted > self._restarts_taken and bool(self._view.awaiting_restart)
        answer = self.following.answer(monotonic())
        if answer.kind != "unknown" and (restarts or answer.mark != self._mark):
            self._follow(answer, restarts=restarts)
        if accepted > self._restarts_taken:
            with self._restarts:
                self._restarts_taken = accepted
                self._restarts.notify_all()

    def _follow(self, answer: Answer, *, restarts: bool) -> None:
        before, runs = self._view, self._runs

        def run_for(record: ConfigRecord, arm: Arm, values_hash: str) -> Run:
            known = runs.get(arm.request_id)
            if known is None or known.values_hash != values_hash:
                known = Run(
                    arm,
                    record.scope,
                    values_hash=values_hash,
                    interval_s=record.interval_s,
                    settle_s=record.settle_s,
                    inbox=self.recorder,
                )
            return known

        view = view_of(answer, self.author.instance, self._parameters, run_for)
        restart = answer.record.restart if answer.record is not None else before.restart
        view = without_restart(view, view if restarts else before, restart)
        self._runs = {run.arm.request_id: run for run in view.runs}
        self._mark, self._record = answer.mark, answer.record
        self._swap(view)
        for run in runs.values():
            if run not in self._runs.values():
                run.end()
        self._log_problems(view)
        self._apply(view.own.values, before.own.values)
        self.recorder.gather()
        for run in runs.values():
            if run.ended is not None:
                self._report(run)
        self._keep_due = True
        if answer.kind == "deleted":
            self._store.forget()

    def _swap(self, view: View) -> None:
        self._view = view
        self._publish(view)
        if view.status is Status.READY:
            self.ready.set()
        else:
            self.ready.clear()

    def _apply(self, new: Values, old: Values) -> None:
        """Tell the app, and activate what is in effect then."""
        own = self._view.own.run
        unchanged = self.applied is not None and new == self.applied
        if not unchanged:
            self.applied = None
        told = unchanged or self._tell(new, old)
        if told and self._auto_activate:
            self.applied = new
        for run in self._view.runs:
            if run is not own and self._auto_activate:
                run.activate()
        if own is not None and (unchanged or (told and self._auto_activate)):
            own.activate()
        self._announce = True

    def _tell(self, new: Values, old: Values) -> bool:
        self.callback_problem = ""
        for callback in self._callbacks():
            try:
                callback(new, old)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the app's own code may raise anything
                self.callback_problem = f"a change callback raised {type(error).__name__}: {error}"[:300]
                _log.exception(
                    "tuner %s: a change callback raised: the values are not reported as in effect", self.author.tuner
                )
        return not self.callback_problem

    def _report(self, run: Run) -> None:
        for event in self.recorder.report(self.author, run):
            self.link.send(event)

    def _be_present(self, *, leaving: bool = False) -> None:
        now = monotonic()
        if not (self._announce or leaving or now >= self._presence_due):
            return
        self._announce = False
        self._presence_due = now + (self._record.heartbeat_s if self._record is not None else HEARTBEAT_S)
        run = self._view.own.run
        running = run.arm.request_id if run is not None and run.activated is not None and run.credited else None
        self.link.send(self.author.presence(self.following.context, running, leaving=leaving))

    def _keep(self) -> None:
        if self._keep_due:
            self._keep_due = False
            for record in self.following.known():
                self._store.save(record)

    def _finish(self) -> None:
        """Send what is left, say goodbye, close."""
        self.recorder.gather()
        for event in self.recorder.report_all(self.author):
            self.link.send(event)
        self._be_present(leaving=True)
        while self.link.connected and not self.link.idle and monotonic() < self._close_by:
            self.link.serve()
            sleep(0.005)
        self.link.close()

    def _log_problems(self, view: View) -> None:
        if view.problems != self._logged:
            self._logged = view.problems
            if view.problems:
                _log.warning("tuner %s: %s", self.author.tuner, "; ".join(view.problems))

    def _log_failure(self, message: str) -> None:
        if monotonic() > self._failure_logged_at + 60:
            self._failure_logged_at = monotonic()
            _log.exception("tuner %s: %s", self.author.tuner, message)
