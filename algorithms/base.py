"""The contract between a tuning instance, the apps that it tunes, and the learners that implement it.

Two ways in::

    in-process                                  a stream of events
    ----------                                  ------------------
    prediction, id = instance.predict(context)  request = instance.ask(context)
    … run with the prediction, measure …        … any number of asks may be open, answered in any order …
    instance.set_reward(reward, context_id)     instance.tell(request.id, reward)   # or instance.abandon(request.id)

and one set of methods to implement, ``_predict`` and ``_set_reward`` (or ``_set_reward_for_sequence``), both functions
of the learner's state and the request alone. What a learner must know later of a prediction (the direction drawn, the
arm and its probability) it returns as metadata, and finds again in the request it is to learn from; it never keeps "the
last thing I played" on the object, because by then something else may have been played.

Who owns what: the base class owns the requests and the translation between the parameters' units and transformed ones;
a learner owns its other attributes, which are its state. All of it is written by :meth:`Algorithm.get_state`, and an
instance that restores that state goes on exactly as its writer would have. Instances are not safe to share between
threads.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from ..core.errors import (
    AlgorithmFault,
    InvalidArgument,
    InvalidInput,
    InvalidState,
    StateMismatch,
    UnknownRequest,
)
from ..core.learner_state import check_attributes, check_header, encode_attributes, header, restore_attributes
from ..core.requests import Metadata, RequestManager, _TuningRequest
from ..core.state import JsonDict
from ..core.transform import ValueTransformer
from ..core.types import (
    Context,
    ContextIdType,
    NullContextId,
    NullRequestId,
    PredictionType,
    PredictResponse,
    RequestIdType,
    RewardType,
    TuningRequest,
    generate_request_id,
)
from ..core.values import ParameterValue, ValueType
from .shared.arguments import checked_context, checked_parameters, checked_reward, checked_seed
from .shared.played import Played

__all__ = [
    "Algorithm",
    "Capabilities",
    "Metadata",
    "Observation",
    "_PredictResponse",
    "_TuningRequest",
]


class _PredictResponse(NamedTuple):
    """What a learner predicts.

    Attributes:
        prediction: A value for every parameter in ``params``, in the same units; None for the declared values.
        metadata: What the learner must know to learn from the request.
    """

    prediction: Mapping[str, Any] | None
    metadata: Metadata | None = None


class Observation(NamedTuple):
    """What a learner remembers of a configuration.

    Attributes:
        prediction: The full configuration, in own units.
        reward: The mean of its rewards.
    """

    prediction: PredictionType
    reward: RewardType


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The flags of an algorithm's ``Meta``, defaults filled in.

    Attributes:
        supported_parameter_types: Kinds of parameters it tunes.
        requires_untransformed_parameters: It works in the parameters' own units, not in transformed ones.
        supports_context: It makes use of the context.
        supports_single_reward: It learns from one request at a time.
        supports_sequence_of_rewards: It learns from all open requests of a context together.
        learns_from_others: It can learn off-policy: from the reward of a configuration that it did not choose.
        needs_rewards: An app is expected to answer each prediction; else predictions without a reward are forgotten.
        needs_unit_rewards: Its equations need rewards in [0, 1]: where they are scaled to a range, it learns from those
            outside as from its ends. All others can take any number.
    """

    supported_parameter_types: tuple[type[ValueType], ...] = ()
    requires_untransformed_parameters: bool = False
    supports_context: bool = False
    supports_single_reward: bool = True
    supports_sequence_of_rewards: bool = False
    learns_from_others: bool = False
    needs_rewards: bool = True
    needs_unit_rewards: bool = False

    @classmethod
    def of(cls, meta: object) -> "Capabilities":
        """The flags that a ``Meta`` class sets; the others have their defaults."""
        flags = {name: getattr(meta, name) for name in cls.__slots__ if hasattr(meta, name)}
        if "supported_parameter_types" in flags:
            flags["supported_parameter_types"] = tuple(flags["supported_parameter_types"])
        return cls(**flags)


class Algorithm(ABC):
    """A tuning instance: parameters, a learner, and its open requests.

    To implement one, set ``Meta`` and write ``_predict`` and ``_set_reward``; the rest is optional. Attributes that
    hold plain data, numpy arrays, generators, parameters or other algorithms are the learner's state as they are.
    Attributes that the constructor sets for good may be named in ``Meta.configuration``: they are left out of it.
    The base class's own attributes have mangled names (two leading underscores), so that no learner's can collide.

    Args:
        parameters: What to tune, at least one, each a parameter or its dictionary; names must differ.
        random_seed: Seed of the learner's random draws; None for a fresh one.

    Attributes:
        params: The parameters that are not constant, in transformed units unless ``Meta`` asks for their own.

    Raises:
        InvalidParameter: No parameters, or two of the same name.
        InvalidParameterType: A parameter of a kind that the algorithm does not tune.
    """

    class Meta:
        """Flags of the algorithm, see :class:`Capabilities`."""

    capabilities: Capabilities = Capabilities()
    _remembers: ClassVar[bool] = True
    _not_learned: ClassVar[frozenset[str]] = frozenset({"params", "capabilities", "_raw_params", "_random_seed"})

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.capabilities = Capabilities.of(cls.Meta)
        cls._remembers = cls._recommend is Algorithm._recommend
        cls._not_learned |= frozenset(getattr(cls.Meta, "configuration", ()))

    def __init__(
        self, parameters: Iterable[ValueType | Mapping[str, object]], *, random_seed: int | None = None
    ) -> None:
        self._raw_params = checked_parameters(
            parameters, self.capabilities.supported_parameter_types, type(self).__name__
        )
        self._random_seed = checked_seed(random_seed)
        tuned = [p for p in self._raw_params if not p.is_constant]
        self.__transformers = {p.name: ValueTransformer(p) for p in tuned}
        untransformed = self.capabilities.requires_untransformed_parameters
        self.params: tuple[ValueType, ...] = tuple(
            p if untransformed else self.__transformers[p.name].transformed for p in tuned
        )
        self.__inverses = [
            (n, t.value.snap if untransformed else t.inverse_transform) for n, t in self.__transformers.items()
        ]
        self.__declared: PredictionType = {p.name: p.val for p in self._raw_params}
        self.__header = header(type(self).__name__, self._raw_params)
        self.__iteration = 0
        self.__requests = RequestManager()
        self.__played = Played()
        self.__constructed: frozenset[str] | None = None

    @property
    def parameters(self) -> tuple[ValueType, ...]:
        """All parameters in their own units, in the order of declaration."""
        return self._raw_params

    @property
    def iteration(self) -> int:
        """Number of rewards learned from (of sequences, for an algorithm that learns from sequences)."""
        return self.__iteration

    # ---- in-process -------------------------------------------------------------------------------------------------

    def predict(self, context: Context | None = None, predict_data: Mapping[str, Any] | None = None) -> PredictResponse:
        """The configuration to run next.

        While a context has an open request, its configuration is returned again, under a new id: exploring goes on
        when the reward has been set. (Algorithms that learn from sequences predict anew each time.)

        Args:
            context: The situation to predict for.
            predict_data: Anything the algorithm is documented to want.

        Raises:
            TooManyRequests: Too many requests are open.
        """
        context = checked_context(context)
        if not self.capabilities.needs_rewards and len(self.__requests) >= self.__requests.limit:
            self.abandon(next(iter(self.__requests)).id)
        request_id = generate_request_id()
        pending = self.__requests.newest(context.id)
        if pending is None or self.capabilities.supports_sequence_of_rewards:
            request = self._opened(request_id, context, predict_data)
        else:
            request = replace(pending, id=request_id, predict_data=predict_data, reward=None, reward_data=None)
            self.__requests.open(request)
        return PredictResponse(self._completed(request.prediction or {}), request_id)

    def store_reward(
        self, request_id: RequestIdType, reward: RewardType, reward_data: Mapping[str, Any] | None = None
    ) -> None:
        """Keep a reward with its request, for a later ``set_reward()`` without one. Nothing is learned yet.

        Raises:
            UnknownRequest: No open request has this id.
            InvalidReward: The reward is not a finite number.
        """
        request = self.__requests.get(request_id)
        request.reward, request.reward_data = checked_reward(reward), reward_data

    def set_reward(self, reward: RewardType | None = None, context_id: ContextIdType | Context = NullContextId) -> None:
        """Learn, and close all open requests of a context.

        With a reward, it is learned for the newest request of the context. Without, the rewards stored for all its
        requests are learned as one sequence.

        Args:
            reward: A finite number; more is better.
            context_id: The context, or its id.

        Raises:
            UnknownRequest: No request of this context is open.
            InvalidReward: The reward is not a finite number.
            InvalidArgument: The algorithm does not learn in this way, or no reward was stored.
        """
        context_id = context_id.id if isinstance(context_id, Context) else context_id
        pending = self.__requests.of_context(context_id)
        if reward is not None:
            reward = checked_reward(reward)
            if not self.capabilities.supports_single_reward:
                raise InvalidArgument(f"{type(self).__name__} learns from sequences: store_reward, then set_reward()")
        elif not self.capabilities.supports_sequence_of_rewards:
            raise InvalidArgument(f"{type(self).__name__} does not learn from sequences: set_reward(reward)")
        if not pending:
            if self.capabilities.needs_rewards:
                raise UnknownRequest(f"no request is open for context {context_id!r}: predict first")
            self.__iteration += 1
            return
        if reward is not None:
            self.learn(pending[-1].rewarded(reward))
        elif all(request.reward is None for request in pending) and self.capabilities.needs_rewards:
            raise InvalidArgument(f"no reward was stored for context {context_id!r}: store_reward first")
        else:
            self.learn_sequence([replace(request) for request in pending])
        if len(pending) == 1:
            self.__requests.close(pending[0].id)
            return
        learned = {pending[-1].origin} if reward is not None else {request.origin for request in pending}
        for request in pending:
            self.__requests.close(request.id)
            if request.origin not in learned:
                learned.add(request.origin)
                self.withdraw(request)

    def get_tuning_requests(self, context_id: ContextIdType | None = None) -> list[TuningRequest]:
        """The open requests, of one context or of all, oldest first."""
        pending = self.__requests if context_id is None else self.__requests.of_context(context_id)
        return [self._view(request) for request in pending]

    def get_current_prediction(self, context_id: ContextIdType = NullContextId) -> PredictionType | None:
        """The configuration of the newest open request of a context, None where none is open."""
        request = self.__requests.newest(context_id)
        return None if request is None else self._completed(request.prediction or {})

    # ---- a stream ---------------------------------------------------------------------------------------------------

    def ask(
        self,
        context: Context | None = None,
        request_id: RequestIdType | None = None,
        held: Mapping[str, ParameterValue] | None = None,
    ) -> TuningRequest:
        """Open a new request, whatever else is open.

        Args:
            context: The situation to ask for.
            request_id: Its id; generated if None.
            held: Values that the configuration must have, by parameter: it explores the others. A learner that cannot
                learn from others' configurations takes the reward for that of its own choice: held values make it the
                same for each of their values, on average, so that it says nothing of them.

        Raises:
            InvalidArgument: A request of this id is open, or a value to be held is not legal.
            TooManyRequests: Too many requests are open.
        """
        request_id = generate_request_id() if request_id is None else request_id
        return self._view(self._opened(request_id, checked_context(context), None, self.__legal_held(held or {})))

    def tell(self, request_id: RequestIdType, reward: RewardType, reward_data: Mapping[str, Any] | None = None) -> None:
        """Learn a reward for exactly this request, and close it.

        If ``predict`` gave the same configuration several ids, one answer closes them all.

        Args:
            request_id: Id of an open request.
            reward: A finite number; more is better.
            reward_data: Anything the algorithm is documented to want. ``{"scaled": True}`` says that rewards are scaled
                so that 0 to 1 is what is to be expected of them; see ``Capabilities.needs_unit_rewards``.

        Raises:
            UnknownRequest: No open request has this id.
            InvalidReward: The reward is not a finite number; the request stays open.
        """
        request = self.__requests.get(request_id)
        self.learn(request.rewarded(checked_reward(reward), reward_data))
        self.__requests.close(request_id)
        for twin in self.__requests.twins(request):
            self.__requests.close(twin.id)

    def check_context(self, context: Context | None = None) -> None:
        """Check that the learner can be asked for a context: a stream refuses an app's message where it can't.

        Raises:
            InvalidInput: The context lacks a field that the learner needs, or has it with an impossible value.
        """
        self._check_context(checked_context(context))

    def abandon(self, request_id: RequestIdType) -> None:
        """Withdraw a request: close it and learn nothing.

        Raises:
            UnknownRequest: No open request has this id.
        """
        request = self.__requests.close(request_id)
        if not self.__requests.twins(request):
            self.withdraw(request)

    def refuse(
        self, request_id: RequestIdType, worst: RewardType | None, reward_data: Mapping[str, Any] | None = None
    ) -> RewardType | None:
        """Close a request whose configuration nobody would run: what is like it may be refused, too.

        Most learn it as the worst reward, so that they turn away from it; told nothing, they might ask for the very
        same again. Those that would learn nothing from many equal rewards ask for something else.

        Args:
            request_id: Id of an open request.
            worst: The worst reward seen, None before any.
            reward_data: As for :meth:`tell`.

        Returns:
            The reward that was learned, None where none was.

        Raises:
            UnknownRequest: No open request has this id.
        """
        request = self.__requests.get(request_id)
        if not self.__requests.twins(request) and self.turn_down(request):
            self.__requests.close(request_id)
            return None
        if worst is None:
            self.abandon(request_id)
        else:
            self.tell(request_id, worst, reward_data)
        return worst

    def observe(
        self, prediction: Mapping[str, ParameterValue], reward: RewardType, context: Context | None = None
    ) -> None:
        """Learn off-policy: from the reward of a configuration that this learner did not choose.

        An operator may have set it, or another learner played it.

        Args:
            prediction: The full configuration that ran, in own units.
            reward: A finite number; more is better.
            context: The situation that it ran in.

        Raises:
            InvalidArgument: The algorithm can't (see ``Meta.learns_from_others``), or a value is not legal.
            InvalidReward: The reward is not a finite number.
        """
        context, reward = checked_context(context), checked_reward(reward)
        if not self.capabilities.learns_from_others:
            raise InvalidArgument(f"{type(self).__name__} learns only from what it asked for")
        for parameter in self._raw_params:
            if not parameter.contains(prediction.get(parameter.name)):
                raise InvalidArgument(f"{prediction.get(parameter.name)!r} is not a legal value of {parameter.name!r}")
        tuned = {name: t.value.snap(prediction[name]) for name, t in self.__transformers.items()}
        self._observe(tuned, context, reward)
        self._remember(_TuningRequest(NullRequestId, context, prediction=tuned, reward=reward))

    # ---- both -------------------------------------------------------------------------------------------------------

    def observations(self, context: Context | None = None) -> list[Observation]:
        """What is remembered of a context, oldest first, so that another learner may :meth:`observe` it.

        Learners that keep no configurations, but only what follows from them, remember none.
        """
        context = checked_context(context)
        known = self._observations(context)
        if known is not None:
            return [Observation(self._completed(self._legal(prediction)), reward) for prediction, reward in known]
        played = self.__played.of(context.id if self.capabilities.supports_context else NullContextId)
        return [
            Observation(self._completed(dict(zip(self.__transformers, values, strict=True))), mean)
            for values, mean in played
        ]

    def recommend(self, context: Context | None = None) -> PredictionType:
        """The full configuration to run if exploring stopped now. Changes nothing; the declared one before any reward.

        Where the learner has no model to tell, it is the configuration with the best mean reward among those played.
        """
        context = checked_context(context)
        recommended = self._recommend(context)
        if recommended is not None:
            return self._completed(self._legal(recommended))
        best = self.__played.best(context.id if self.capabilities.supports_context else NullContextId)
        if best is None:
            return dict(self.__declared)
        return self._completed(dict(zip(self.__transformers, best, strict=True)))

    def get_state(self) -> JsonDict:
        """Everything that changes: open requests, generators, what was learned. JSON-safe, with a format version.

        Raises:
            NotStreamable: An attribute can't be written; the message names it.
        """
        state: JsonDict = {
            **self.__header,
            "iteration": self.__iteration,
            "requests": self.__requests.get_state(),
            "learner": encode_attributes(self, self._learned()),
        }
        if self._remembers:
            state["played"] = self.__played.get_state()
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned: this instance goes on exactly as the writer would, to the bit.

        The instance must have been built with the same parameters, and arguments of the same shape.

        Raises:
            StateMismatch: The state is another algorithm's, or was learned with other parameters.
            InvalidState: It is damaged, or of a format version that is not read. In either case nothing has changed.
        """
        self._note_constructed()
        check_header(state, self.__header)
        before = self.get_state()
        try:
            self._restore(state)
        except StateMismatch:
            self._restore(before)
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
            self._restore(before)
            raise InvalidState(f"a damaged state: {type(error).__name__}: {error}") from error

    def check_streamable(self) -> None:
        """Check that the state can be written and restored without loss, as a stream needs.

        Raises:
            NotStreamable: An attribute can't be, or two attributes share an object; the message names them.
        """
        check_attributes(self, self._learned())

    # ---- for algorithms made of others: the caller keeps the request ------------------------------------------------

    def propose(self, request: _TuningRequest) -> _PredictResponse:
        """Predict for a request that the caller keeps, in the units of ``params``."""
        return self._predict(request)

    def learn(self, request: _TuningRequest) -> None:
        """Learn from a request that the caller kept, its reward and metadata filled in."""
        if not self.capabilities.supports_single_reward:
            self.learn_sequence([request])
            return
        if request.off_policy:
            self._observe(request.prediction or {}, request.context, request.learned_reward)
        else:
            self._set_reward(self._in_unit(request))
        self.__iteration += 1
        self._remember(request)

    def learn_sequence(self, requests: Sequence[_TuningRequest]) -> None:
        """Learn from requests that the caller kept, oldest first, together."""
        self._set_reward_for_sequence([self._in_unit(request) for request in requests])
        self.__iteration += 1
        for request in requests:
            self._remember(request)

    def withdraw(self, request: _TuningRequest) -> None:
        """Learn nothing from a request that the caller kept: it will not be answered."""
        if not request.off_policy:
            self._abandon(request)

    def turn_down(self, request: _TuningRequest) -> bool:
        """Take note that nobody would run a request that the caller kept; False: the worst reward is to be learned."""
        return not request.off_policy and self._refuse(request)

    # ---- to implement -----------------------------------------------------------------------------------------------

    @abstractmethod
    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:
        """A value for every parameter in ``params``, and what is needed to learn from it."""

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        """Learn from one request. Needed where ``Meta.supports_single_reward``."""
        raise NotImplementedError

    def _set_reward_for_sequence(self, tuning_requests: Sequence[_TuningRequest]) -> None:
        """Learn from requests in order, some perhaps without a reward. Needed for sequences of rewards."""
        raise NotImplementedError

    def _check_context(self, context: Context) -> None:  # noqa: B027 - optional: most take any
        """Raise ``InvalidContext`` where ``_predict`` would, for lack of a field or for its value."""

    def _abandon(self, tuning_request: _TuningRequest) -> None:  # noqa: B027 - optional: most have nothing to do
        """Take note that a request will never be answered."""

    def _refuse(self, tuning_request: _TuningRequest) -> bool:  # noqa: ARG002 - optional: most have nothing to do
        """Take note that nobody would run a request; whether that is all, and the worst reward need not be learned."""
        return False

    def _recommend(self, context: Context) -> Mapping[str, Any] | None:  # noqa: ARG002
        """A value for every parameter in ``params``, without exploration; None where there is no model to tell."""
        return None

    def _observations(
        self,
        context: Context,  # noqa: ARG002 - optional: most keep nothing
    ) -> Iterable[tuple[Mapping[str, Any], float]] | None:
        """Remembered values of ``params`` and their mean rewards, oldest first; None: those that were played."""
        return None

    def _observe(self, prediction: PredictionType, context: Context, reward: RewardType) -> None:  # noqa: B027 - optional
        """Learn off-policy, from a configuration (the parameters that are not constant, in own units) of another's."""

    def _transformed(self, prediction: PredictionType) -> PredictionType:
        """Values of the parameters that are not constant, from their own units to those of ``params``."""
        if self.capabilities.requires_untransformed_parameters:
            return prediction
        return {name: self.__transformers[name].transform(x) for name, x in prediction.items()}

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _opened(
        self,
        request_id: RequestIdType,
        context: Context,
        predict_data: Mapping[str, Any] | None,
        held: PredictionType | None = None,
    ) -> _TuningRequest:
        self.__requests.check_room(request_id)
        self._note_constructed()
        request = _TuningRequest(id=request_id, context=context, predict_data=predict_data, origin=request_id)
        request.held = self._transformed(held) if held else None
        response = self._predict(request)
        request.prediction = self._legal(response.prediction)
        request.metadata, request.held = response.metadata, None
        if held:
            self.__hold(request, held)
        self.__requests.admit(request)
        return request

    def __legal_held(self, held: Mapping[str, ParameterValue]) -> PredictionType:
        """Values to be held, of the parameters that are not constant, in own units."""
        declared = {parameter.name: parameter for parameter in self._raw_params}
        for name, x in held.items():
            if name not in declared or not declared[name].contains(x):
                raise InvalidArgument(f"{x!r} is not a legal value of {name!r}, it cannot be held")
        return {name: t.value.snap(held[name]) for name, t in self.__transformers.items() if name in held}

    def __hold(self, request: _TuningRequest, held: PredictionType) -> None:
        """Put held values into what a learner chose, which may know nothing of them."""
        chosen = request.prediction or {}
        if self.capabilities.learns_from_others and not all(_alike(chosen[name], x) for name, x in held.items()):
            self._abandon(request)
            request.metadata, request.off_policy = None, True
        request.prediction = {**chosen, **held}

    def _legal(self, prediction: Mapping[str, Any] | None) -> PredictionType:
        """A learner's prediction in own units, inside the bounds and on the step, whatever it predicted."""
        if prediction is None:
            return {name: self.__declared[name] for name in self.__transformers}
        name = ""
        try:
            return {(name := parameter): inverse(prediction[parameter]) for parameter, inverse in self.__inverses}
        except (KeyError, IndexError, InvalidInput) as error:
            raise AlgorithmFault(f"{type(self).__name__} predicted no legal value of {name!r}: {error}") from error

    def _completed(self, prediction: PredictionType) -> PredictionType:
        """The full configuration: constants filled in, in the order of declaration."""
        return self.__declared | prediction

    def _view(self, request: _TuningRequest) -> TuningRequest:
        return TuningRequest(request.id, request.context, self._completed(request.prediction or {}), request.reward)

    def _in_unit(self, request: _TuningRequest) -> _TuningRequest:
        """A request as the learner may learn from it: cut to [0, 1] where its equations need that."""
        if not self.capabilities.needs_unit_rewards or request.reward is None:
            return request
        if not (request.reward_data or {}).get("scaled"):
            return request
        return request.rewarded(min(max(request.reward, 0.0), 1.0), request.reward_data)

    def _remember(self, request: _TuningRequest) -> None:
        if self._remembers and request.reward is not None and request.prediction is not None:
            scope = request.context.id if self.capabilities.supports_context else NullContextId
            self.__played.add(scope, list(request.prediction.values()), request.reward)

    def _learned(self) -> list[str]:
        """Names of the attributes that are the learner's state: all but this class's own, and the configuration."""
        return [n for n in self.__dict__ if n not in self._not_learned and not n.startswith("_Algorithm__")]

    def _note_constructed(self) -> None:
        """Before anything happens to a new instance, note which attributes its constructor made: a state has them."""
        if self.__constructed is None:
            self.__constructed = frozenset(self._learned())

    def _restore(self, state: Mapping[str, Any]) -> None:
        if not isinstance(state["iteration"], int) or isinstance(state["iteration"], bool):
            raise InvalidState("a damaged state: iteration is no number")
        learner: Mapping[str, object] = state["learner"]
        if missing := sorted((self.__constructed or frozenset()) - learner.keys()):
            raise StateMismatch(
                f"the state lacks {', '.join(missing)}: another version of {type(self).__name__} wrote it"
            )
        restore_attributes(self, self._learned(), learner)
        self.__iteration = state["iteration"]
        self.__requests.set_state(state["requests"])
        if self._remembers:
            self.__played.set_state(state["played"])


def _alike(x: ParameterValue, held: ParameterValue) -> bool:
    """Whether a learner chose what is held: its units lose the last digits."""
    return x == held or (isinstance(x, float) and isinstance(held, float) and math.isclose(x, held, rel_tol=1e-9))
