"""How curious to be: the standard deviations that an unseen configuration's bound is above its expected reward.

More where there is noise and little is known: settings that do little alone get long length scales, and their pair is
then taken for known; what a broad look finds, it finds within some 80 rewards. Less with each look that was in vain: a
learner that has settled would otherwise pay ever more for what nobody has seen yet. And more while it only repeats what
it knows, the sooner the less that is, so that it never stands on the wrong hill for good.
"""

import math

_BY_NOISE, _MOST_BY_NOISE, _SETTLED = 8.0, 2.0, 80.0
"""Growth for each unit of noise variance (of rewards scaled to 1), at most, and the rewards by which most of it is over
(as 1 / (1 + (n / 80)⁴)). For ever, or with less, noisy tables cost more or the needles of ``benchmarks/tails.py`` are
found later: docs/decisions/0016-curiosity.md."""

_SOBERING, _LEAST = 0.03, 0.1
"""Each look in vain takes a 33rd of it, down to a tenth."""

_NOISY = 0.02
"""Noise variance at which a look in vain counts half: with one reward each, most of what failed may be better yet."""

_RESTLESS = 0.5
"""Growth for each ask for what is known, over how much that is. At 1, or at 0.25, the measured systems cost no less."""

_BY_OPEN = 0.1
"""Fall for each open request beyond those that were meant to be: their answers may make this try unnecessary."""


def optimism(noise: float, rewards: float, known: int, in_vain: float, repeated: float, late: int) -> float:
    """Standard deviations of optimism, as a multiple of what was asked for, above 0.

    Args:
        noise: σ², variance of a single reward about its mean, of rewards scaled to variance 1.
        rewards: How many rewards what is known of the context is worth.
        known: Configurations that were rewarded in it, at least 1.
        in_vain: Looks in vain since the last that was not, each as :func:`failure` counts it.
        repeated: Asks for what is known already, see :func:`repeats`.
        late: Open requests beyond those that were meant to be open.
    """
    curious = 1 + min(_MOST_BY_NOISE, _BY_NOISE * noise) / (1 + (rewards / _SETTLED) ** 4)
    sober = max(_LEAST, math.exp(-_SOBERING * in_vain))
    return curious * sober * (1 + _RESTLESS * repeated / known) / (1 + _BY_OPEN * late)


def failure(noise: float) -> float:
    """What a look in vain counts: 1 without noise, less the less a single reward says."""
    return 1 / (1 + noise / _NOISY)


def repeats(before: float, *, known: bool) -> float:
    """Asks for what is known already, after one more ask; a look at something new halves them.

    Were they forgotten at the first look, a learner on a hill that is lower than what is far would stand there for as
    long again before the second.
    """
    return before + 1 if known else before / 2
