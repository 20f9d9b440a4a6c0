"""DDPG: deep deterministic policy gradient, an actor that proposes a configuration for a state and a critic of it.

Lillicrap et al. 2015, *Continuous control with deep reinforcement learning*, arXiv:1509.02971, with the arguments of
OPPerTune 0.2.0. The networks and their updates are in ``actor_critic``, the transitions in
``replay``, values as numbers in ``coding``; here is what makes a tuner of them.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...core.errors import InvalidArgument, InvalidArgumentType, InvalidParameter
from ...core.transform import ValueTransformer
from ...core.types import Context, PredictionType, RewardType
from ...core.values import Categorical, Integer, Real, ValueType, to_value
from ..base import Algorithm, _PredictResponse, _TuningRequest
from ..shared.arguments import checked_count, checked_flag, checked_number
from ..shared.torch_threads import one_thread
from .actor_critic import ActorCritic
from .coding import Coding, Row
from .replay import Matrix, Replay

_LARGEST_REWARD = 1e300
"""Rewards are cut here: differences of two of them are finite."""

_MOST_REWARDS = 10**6
"""Rewards that an argument may count up to: a round every second for twelve days. More is a typing error."""

_MOST_UNITS, _MOST_TRANSITIONS = 1024, 100_000
"""Largest hidden layer and buffer: for ten numbers they take 1 MB and 7 MB of state (a stream's budget is 4 MB)."""

_LARGEST_BATCH, _MOST_STEPS = 1024, 10_000
"""Largest batch, and most steps after a reward: for ten numbers 10,000 steps of the default network take 2 s, and
one step of the largest network and batch 17 ms."""

_LARGEST_SCALED = 3.0
"""Scaled rewards are cut here: one failure must not make all the others look alike."""

_LARGEST_UNSCALED = 1e6
"""Rewards taken as they are, are cut here: the square of an error is finite, and the way back from it not endless."""


class DDPG(Algorithm):
    """An actor that maps the state to a configuration, improved along the gradient of a critic (Algorithm 1).

    The state is the request's context, as ``state_config`` declares it. A round plays the actor's action with Gaussian
    noise, or, with probability epsilon and for the first ``initial_random_steps`` rewards, a uniform draw. Each reward
    makes a transition (s, a, r, s'), kept with the newest ``buffer_size``; then both networks take ``learn_loop_count``
    steps, each on a batch of them. It learns from any configuration, so also from one that it did not ask for.

    What follows counts where there is something that follows: s' is ``reward_data["next_state"]``, else the state of
    the next request of the sequence; without either the transition is the last, and gamma weighs nothing.

    Its state is written after every round: for ten mixed parameters at most 110 kB, of which the networks are 70 (four
    numbers a weight; about 2 width (S + A) weights, where S and A are the lengths of a state and an action), and 500
    transitions of 0.08 the rest. Older ones than these were measured in a fleet that is no longer the same.

    Args:
        parameters: Parameters of any kind.
        state_config: The features of the state, each a parameter or its dictionary: where they lie. Numbers outside the
            bounds are taken as the bound. ``val`` is the state where there is no context. May be empty.
        epsilon: Probability of a uniform draw, in [0, 1].
        epsilon_decay: What it is multiplied with after every ``epsilon_decay_frequency`` rewards, in [0, 1].
        epsilon_decay_frequency: Number of rewards, from 1.
        hidden_width: Units of each network's hidden layer, 1 to 1024.
        batch_size: Transitions of a step, drawn with replacement, 1 to 1024.
        initial_random_steps: Rewards of uniform draws before the actor plays, from 0.
        gamma: Weight of what follows against the reward, in [0, 1].
        tau: How fast the slow copies of the networks follow, in (0, 1].
        lr: Step size of both networks, above 0.
        learn_loop_count: Steps after each reward, or sequence of rewards, 0 to 10,000.
        noise: Standard deviation of what is added to the actor's action, on ranges scaled to [0, 1], from 0. It is that
            of Fujimoto et al. 2018 (arXiv:1802.09477, §6.1), 0.1 on [-1, 1]; the paper's is correlated in time, for
            bodies with momentum, and a configuration has none.
        buffer_size: Transitions kept, 1 to 100,000.
        scale_rewards: Learn from (r - median) / (interquartile range) of the rewards kept, within ±3, so that rewards
            of any scale and offset serve. Turn it off where sequences differ in length by what was played: an offset
            changes which is best. Rewards are then cut at ±1e6.
        random_seed: Seed of everything that is drawn.

    Raises:
        InvalidArgument: An argument is outside its range.
        InvalidParameter: A feature is wrong, or two have the same name.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical, Integer, Real)
        supports_context = True
        supports_single_reward = False
        supports_sequence_of_rewards = True
        learns_from_others = True
        configuration = (
            "_features",
            "_states",
            "_actions",
            "_epsilon0",
            "_epsilon_decay",
            "_epsilon_decay_frequency",
            "_batch_size",
            "_initial_random_steps",
            "_gamma",
            "_learn_loop_count",
            "_noise",
            "_scale_rewards",
        )

    def __init__(  # noqa: PLR0913, PLR0917 - the original's arguments, and three more
        self,
        parameters: Iterable[ValueType | Mapping[str, object]],
        state_config: Iterable[ValueType | Mapping[str, object]],
        epsilon: float = 0.1,
        epsilon_decay: float = 0.8,
        epsilon_decay_frequency: int = 10,
        hidden_width: int = 32,
        batch_size: int = 10,
        initial_random_steps: int = 10,
        gamma: float = 0.5,
        tau: float = 0.005,
        lr: float = 3e-4,
        learn_loop_count: int = 400,
        *,
        noise: float = 0.05,
        buffer_size: int = 500,
        scale_rewards: bool = True,
        random_seed: int | None = None,
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        self._features = {feature.name: ValueTransformer(feature) for feature in _checked_features(state_config)}
        self._states = Coding([t.transformed for t in self._features.values()])
        self._actions = Coding(self.params)
        self._epsilon0 = checked_number("epsilon", epsilon, at_least=0, up_to=1)
        self._epsilon_decay = checked_number("epsilon_decay", epsilon_decay, at_least=0, up_to=1)
        self._epsilon_decay_frequency = checked_count(
            "epsilon_decay_frequency", epsilon_decay_frequency, 1, _MOST_REWARDS
        )
        self._batch_size = checked_count("batch_size", batch_size, 1, _LARGEST_BATCH)
        self._initial_random_steps = checked_count("initial_random_steps", initial_random_steps, 0, _MOST_REWARDS)
        self._gamma = checked_number("gamma", gamma, at_least=0, up_to=1)
        self._learn_loop_count = checked_count("learn_loop_count", learn_loop_count, 0, _MOST_STEPS)
        self._noise = checked_number("noise", noise, at_least=0)
        self._scale_rewards = checked_flag("scale_rewards", scale_rewards)
        self._rng = np.random.default_rng(self._random_seed)
        self._networks = ActorCritic(
            self._states.width,
            self._actions.sizes,
            checked_count("hidden_width", hidden_width, 1, _MOST_UNITS),
            lr=checked_number("lr", lr, above=0),
            tau=checked_number("tau", tau, above=0, up_to=1),
            rng=self._rng,
        )
        # A row: the state, the action, whether something follows, and what.
        columns = 2 * len(self._states.sizes) + len(self._actions.sizes) + 1
        self._replay = Replay(checked_count("buffer_size", buffer_size, 1, _MOST_TRANSITIONS), columns)

    @property
    def epsilon(self) -> float:
        """Probability that the next play is a uniform draw, once the actor plays."""
        return self._epsilon0 * self._epsilon_decay ** (self._replay.added // self._epsilon_decay_frequency)

    @property
    def _actor_plays(self) -> bool:
        return self._replay.added >= self._initial_random_steps

    def _check_context(self, context: Context) -> None:
        self._state(context.data)

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:
        if not self.params:
            return _PredictResponse({})
        state = self._state(tuning_request.context.data)
        if not self._actor_plays or self._rng.random() < self.epsilon:
            played = self._actions.drawn(self._rng)
        else:
            action = self._mu(state)
            played = self._actions.nearest(action + self._noise * self._rng.standard_normal(len(action)))
        return _PredictResponse(self._actions.values(played))

    def _recommend(self, context: Context) -> PredictionType | None:
        if not self._actor_plays or not self._replay.added:
            return None
        return self._actions.values(self._actions.nearest(self._mu(self._state(context.data))))

    def _set_reward_for_sequence(self, tuning_requests: Sequence[_TuningRequest]) -> None:
        states = [self._state(request.context.data) for request in tuning_requests]
        transitions = []
        for request, state, following in zip(tuning_requests, states, [*states[1:], None], strict=True):
            if request.reward is None or request.prediction is None:
                continue
            next_state = (request.reward_data or {}).get("next_state")
            after = following if next_state is None else self._state(next_state)
            transitions.append(self._transition(state, request.prediction, request.reward, after))
        self._learn(transitions)

    def _observe(self, prediction: PredictionType, context: Context, reward: RewardType) -> None:
        self._learn([self._transition(self._state(context.data), prediction, reward, None)])

    def _mu(self, state: Row) -> Matrix:
        """The actor's action in a state, a vector."""
        with one_thread():
            return self._networks.act(self._states.vectors(np.array([state]))[0])

    def _state(self, data: object) -> Row:
        """The row of a context's data.

        Raises:
            InvalidArgument: A feature is missing, or not of its kind.
        """
        if data is None:
            return self._states.row({name: t.transformed.val for name, t in self._features.items()})
        if not isinstance(data, Mapping):
            raise InvalidArgumentType(f"a state is a dictionary of features, not {type(data).__name__}")
        if missing := sorted(self._features.keys() - data.keys()):
            raise InvalidArgument(f"the state lacks {', '.join(missing)}")
        legal = {
            name: data[name] if isinstance(t.value, Categorical) else t.value.snap(data[name])
            for name, t in self._features.items()
        }
        return self._states.row({name: t.transform(legal[name]) for name, t in self._features.items()})

    def _transition(self, state: Row, played: PredictionType, reward: float, after: Row | None) -> tuple[Row, float]:
        """What the replay keeps: the state, the action played, whether something follows, and what; and the reward."""
        action = self._actions.row(self._transformed(played))
        row = [*state, *action, float(after is not None), *(state if after is None else after)]
        return row, min(max(reward, -_LARGEST_REWARD), _LARGEST_REWARD)

    def _learn(self, transitions: Sequence[tuple[Row, float]]) -> None:
        if not transitions or not self.params:
            return
        for row, reward in transitions:
            self._replay.add(row, reward)
        if self._actor_plays:
            batches = self._rng.integers(len(self._replay), size=(self._learn_loop_count, self._batch_size))
            with one_thread():
                self._networks.learn(self._table(), batches)

    def _table(self) -> Matrix:
        """All transitions kept, as :meth:`ActorCritic.learn` takes them."""
        rows, rewards = self._replay.rows, self._replay.rewards
        n_state, n_action = len(self._states.sizes), len(self._actions.sizes)
        s, a, follows, s_next = np.split(rows, (n_state, n_state + n_action, n_state + n_action + 1), axis=1)
        r = _scaled(rewards) if self._scale_rewards else np.clip(rewards, -_LARGEST_UNSCALED, _LARGEST_UNSCALED)
        s, a, s_next = self._states.vectors(s), self._actions.vectors(a), self._states.vectors(s_next)
        return np.hstack((s, a, r[:, None], self._gamma * follows, s_next))


def _scaled(rewards: Matrix) -> Matrix:
    """(r - median) / (interquartile range), within ±3; where most are equal, by the largest distance instead."""
    low, middle, high = map(float, np.percentile(rewards, (25, 50, 75)))
    distance: Matrix = rewards - middle
    spread = (high - low) or float(np.abs(distance).max())
    limit = _LARGEST_SCALED * spread
    return np.clip(distance, -limit, limit) / spread if spread else distance


def _checked_features(state_config: object) -> list[ValueType]:
    """The features of a state that can differ."""
    if isinstance(state_config, str | Mapping) or not isinstance(state_config, Iterable):
        raise InvalidArgumentType(f"state_config is a list of features, not {state_config!r}")
    features = [to_value(feature) for feature in state_config]
    names = [feature.name for feature in features]
    if len(set(names)) < len(names):
        raise InvalidParameter(f"two features of the state have the same name: {', '.join(names)}")
    return [feature for feature in features if not feature.is_constant]
