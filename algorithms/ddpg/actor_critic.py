"""An actor and a critic that learn from a table of transitions: DDPG on plain vectors, without parameters or apps.

Lillicrap et al. 2015, *Continuous control with deep reinforcement learning*, arXiv:1509.02971 (equations by its
numbers; AL is its Algorithm 1). A step is a few dozen operations on very small tensors, whose cost is their number, so
gradients are written out: with autograd a step takes three times as long. All of it is float64, on the CPU, of
operations that do not share out such tensors among threads; nothing is drawn from torch's generators.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import StateMismatch
from ...core.state import JsonDict
from .packing import packed, unpacked

Matrix: TypeAlias = NDArray[np.float64]
_Layers: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]

_BETA1, _BETA2, _EPS, _WEIGHT_DECAY = 0.9, 0.999, 1e-8, 0.01
"""AdamW's (Loshchilov, Hutter 2019, arXiv:1711.05101, Algorithm 2), with torch's defaults."""

_LAST_LAYER = 3e-3
"""Weights of the last layers are drawn from within this bound (§7): first actions are near the middle."""

_LOG2_E = math.log2(math.e)
"""exp(x) = 2^(x log2 e). torch's ``exp`` and ``sqrt`` are MKL's, and share out even a handful of numbers among threads
once ``torch.set_num_threads`` was called; on a busy machine each call then waits for milliseconds. Its ``exp2`` and
``rsqrt`` do not."""

_LARGEST_LOGIT = 30.0
"""exp of it is far from overflow, and a share of 1e-13 is none."""

_PENALTY = 0.03
"""Weight of the squared logits that the actor is charged for, against rewards of about 1 (Andrychowicz et al. 2017,
arXiv:1707.01495, appendix A). Without it sigmoid and softmax saturate on what looked best early, and learn no more."""


class Network:
    """f(x) = relu(x W1 + b1) W2 + b2 for rows x, with a slow copy f' and AdamW's moments.

    Each is one flat vector, so that an optimizer's step does not depend on the number of layers.
    """

    def __init__(self, n_in: int, width: int, n_out: int, rng: np.random.Generator) -> None:
        shapes = ((n_in, width), (width,), (width, n_out), (n_out,))
        first = 1 / math.sqrt(max(n_in, 1))
        bounds = (first, first, _LAST_LAYER, _LAST_LAYER)
        drawn = np.concatenate([rng.uniform(-b, b, math.prod(s)) for b, s in zip(bounds, shapes, strict=True)])
        # Rows: theta, theta', m, v. theta' begins as a copy of theta (AL, line 2).
        self._numbers = torch.from_numpy(np.stack([drawn, drawn, np.zeros_like(drawn), np.zeros_like(drawn)]))
        self._theta, self._slow_theta, self._m, self._v = self._numbers
        self._gradient = torch.zeros_like(self._theta)
        self.layers, self.slow, self._slopes = (
            _layers(flat, shapes) for flat in (self._theta, self._slow_theta, self._gradient)
        )
        self._steps = 0

    def descend(self, x: Tensor, hidden: Tensor, slope: Tensor, lr: float) -> None:
        """One step of AdamW against the gradient of a loss.

        Args:
            x: The inputs, shape (batch, n_in).
            hidden: relu(x W1 + b1).
            slope: Derivative of the loss by the outputs, shape (batch, n_out).
            lr: Step size.
        """
        w1, b1, w2, b2 = self._slopes
        torch.mm(hidden.t(), slope, out=w2)
        torch.sum(slope, 0, out=b2)
        back = slope.mm(self.layers[2].t()).mul_(hidden > 0)
        torch.mm(x.t(), back, out=w1)
        torch.sum(back, 0, out=b1)
        self._steps += 1
        g, m, v = self._gradient, self._m, self._v
        m.lerp_(g, 1 - _BETA1)
        v.mul_(_BETA2).addcmul_(g, g, value=1 - _BETA2)
        # theta <- (1 - lr lambda) theta - lr m^ / (sqrt(v^) + eps), m^ = m / (1 - beta1^t), v^ = v / (1 - beta2^t)
        spread = (v / (1 - _BETA2**self._steps)).rsqrt_().reciprocal_().add_(_EPS)
        self._theta.mul_(1 - lr * _WEIGHT_DECAY).addcdiv_(m, spread, value=-lr / (1 - _BETA1**self._steps))

    def follow(self, tau: float) -> None:
        """Let the slow copy follow: theta' <- tau theta + (1 - tau) theta' (AL)."""
        self._slow_theta.lerp_(self._theta, tau)

    def get_state(self) -> JsonDict:
        """All weights and moments, and the number of steps."""
        return {"numbers": packed(self._numbers.numpy()), "steps": self._steps}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned.

        Raises:
            StateMismatch: Its networks had another size.
        """
        numbers = unpacked(state["numbers"], np.dtype(np.float64))
        if numbers.size != self._numbers.numel():
            raise StateMismatch("the state was learned with networks of another size")
        self._numbers.copy_(torch.from_numpy(numbers.reshape(4, -1)))
        self._steps = int(state["steps"])


class ActorCritic:
    """mu(s), the action to take in a state, and Q(s, a), what it is worth.

    An action is a row of groups. A group of one is a number in (0, 1), the sigmoid of one output of the actor; a group
    of more is a choice: shares that add up to 1, the softmax of as many outputs.

    Args:
        n_features: S, length of a state.
        groups: Sizes of an action's groups; A is their sum.
        width: Units of each network's hidden layer.
        lr: Step size of both networks.
        tau: How fast their slow copies follow, in (0, 1].
        rng: Draws the initial weights.
    """

    def __init__(
        self, n_features: int, groups: Sequence[int], width: int, *, lr: float, tau: float, rng: np.random.Generator
    ) -> None:
        n_actions = sum(groups)
        self._lr, self._tau = lr, tau
        self._parts = (n_features, n_actions, 1, 1, n_features)
        # shares = e / (e G + c), e = exp(outputs): G adds up each group; c = 1 makes the sigmoid of a group of one.
        group_of = np.repeat(np.arange(len(groups)), groups)
        self._same_group = torch.from_numpy((group_of[:, None] == group_of).astype(np.float64))
        self._alone = torch.from_numpy(np.repeat([float(size == 1) for size in groups], groups))
        self.actor = Network(n_features, width, n_actions, rng)
        self.critic = Network(n_features + n_actions, width, 1, rng)

    def act(self, state: Matrix) -> Matrix:
        """mu(s) for one state, shape (S,): an action of shape (A,)."""
        action: Matrix = self._mu(self.actor.layers, torch.from_numpy(state[None]))[-1][0].numpy()
        return action

    def learn(self, table: Matrix, batches: NDArray[np.int64]) -> None:
        """A step of both networks for each batch (AL, its inner lines).

        Args:
            table: Transitions, shape (n, S + A + 2 + S): s, a, r, d, s', where d weighs what follows: the discount
                gamma, or 0 where nothing does.
            batches: Rows of the table, shape (steps, batch).
        """
        transitions = torch.from_numpy(table)
        n_state_action = sum(self._parts[:2])
        for rows in torch.from_numpy(batches).unbind():
            batch = transitions.index_select(0, rows)
            s, _, r, d, s_next = batch.split_with_sizes(self._parts, 1)
            # y = r + d Q'(s', mu'(s'))
            y = r.addcmul(d, self._q(self.critic.slow, s_next, self._mu(self.actor.slow, s_next)[-1]))
            self._descend_critic(batch[:, :n_state_action], y)
            self._ascend_actor(s)
            self.actor.follow(self._tau)
            self.critic.follow(self._tau)

    def _descend_critic(self, s_a: Tensor, y: Tensor) -> None:
        """Minimise L = mean (y - Q(s, a))^2 (equation 4), of which the slope by Q is 2 (Q - y) / batch."""
        hidden = _hidden(self.critic.layers, s_a)
        slope = _output(self.critic.layers, hidden).sub_(y).mul_(2 / len(y))
        self.critic.descend(s_a, hidden, slope, self._lr)

    def _ascend_actor(self, s: Tensor) -> None:
        """Maximise mean (Q(s, mu(s)) - penalty |o|^2 / 2), o the logits: along dQ/da dmu/dtheta (equation 6)."""
        w1, _, w2, _ = self.critic.layers
        hidden, o, a = self._mu(self.actor.layers, s)
        active = _hidden(self.critic.layers, torch.cat((s, a), 1)) > 0
        dq_da = (active * w2.t()).mm(w1[self._parts[0] :].t())
        # A share's derivative by its own output is a (1 - a), by another's of its group -a a': sigmoid and softmax.
        dq_do = (dq_da - (a * dq_da).mm(self._same_group)).mul_(a).sub_(o, alpha=_PENALTY)
        self.actor.descend(s, hidden, dq_do.mul_(-1 / len(s)), self._lr)

    def _mu(self, layers: _Layers, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The actor's hidden layer, its logits, and its actions."""
        hidden = _hidden(layers, s)
        o = _output(layers, hidden).clamp_(-_LARGEST_LOGIT, _LARGEST_LOGIT)
        e = (o * _LOG2_E).exp2_()
        return hidden, o, e / torch.addmm(self._alone, e, self._same_group)

    @staticmethod
    def _q(layers: _Layers, s: Tensor, a: Tensor) -> Tensor:
        return _output(layers, _hidden(layers, torch.cat((s, a), 1)))

    def get_state(self) -> JsonDict:
        """Both networks'."""
        return {"actor": self.actor.get_state(), "critic": self.critic.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned.

        Raises:
            StateMismatch: Its networks had another size.
        """
        self.actor.set_state(state["actor"])
        self.critic.set_state(state["critic"])


def _layers(flat: Tensor, shapes: Sequence[tuple[int, ...]]) -> _Layers:
    """W1, b1, W2 and b2 as views of a flat vector."""
    w1, b1, w2, b2 = (
        part.view(shape)
        for part, shape in zip(flat.split_with_sizes([math.prod(s) for s in shapes]), shapes, strict=True)
    )
    return w1, b1, w2, b2


def _hidden(layers: _Layers, x: Tensor) -> Tensor:
    return torch.addmm(layers[1], x, layers[0]).relu_()


def _output(layers: _Layers, hidden: Tensor) -> Tensor:
    return torch.addmm(layers[3], hidden, layers[2])
