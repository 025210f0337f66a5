"""Notice when a PPO run goes wrong: what it optimises still looks fine while the answers do not.

Limits are relative to the first rollout, which the unchanged policy made; that of gold, to the rollout that
gold liked best. One bad rollout may be chance; `patience` bad ones in a row are an alarm.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from configs.schema_ppo import GuardConfig

_NGRAM = 3


class Guard:
    """Watches the points of one rollout after another.

    Args:
        config: The limits.
    """

    def __init__(self, config: GuardConfig) -> None:
        self.config = config
        self.first: dict[str, float] = {}
        self.best: dict[str, float] = {}
        self.beyond: dict[str, int] = {}

    def observe(self, points: Mapping[str, float]) -> str | None:
        """Look at one rollout.

        Args:
            points: Names and values of `rollout_points`.

        Returns:
            Why the run must stop, or None.
        """
        broken = not_finite(points)
        if broken:
            return broken
        if not self.first:
            self.first = dict(points)
        if points.get("objective/gold", -math.inf) >= self.best.get("objective/gold", -math.inf):
            self.best = dict(points)
        complaints = {
            "entropy": self._entropy(points),
            "length": self._length(points),
            "repetition": self._repetition(points),
            "gold": self._gold(points),
        }
        self.beyond = {name: self.beyond.get(name, 0) + 1 for name, said in complaints.items() if said}
        ripe = [complaints[name] for name, count in self.beyond.items() if count >= self.config.patience]
        return "; ".join(said for said in ripe if said) or None

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {"first": self.first, "best": self.best, "beyond": self.beyond}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.first, self.best = dict(state["first"]), dict(state["best"])
        self.beyond = dict(state["beyond"])

    def _entropy(self, points: Mapping[str, float]) -> str | None:
        now, first = points["objective/entropy"], self.first["objective/entropy"]
        if now >= self.config.entropy_floor * first:
            return None
        return f"the policy's entropy collapsed from {first:.2f} to {now:.2f} nats per token"

    def _length(self, points: Mapping[str, float]) -> str | None:
        now, first = points["objective/length"], self.first["objective/length"]
        if 1 / self.config.length_factor <= now / first <= self.config.length_factor:
            return None
        return f"answers drifted from {first:.1f} to {now:.1f} tokens"

    def _repetition(self, points: Mapping[str, float]) -> str | None:
        now, first = points["objective/repetition"], self.first["objective/repetition"]
        if now - first <= self.config.repetition_rise:
            return None
        return f"answers repeat themselves: {now:.0%} of their {_NGRAM}-grams, at first {first:.0%}"

    def _gold(self, points: Mapping[str, float]) -> str | None:
        """Gold fell by more than chance explains, while the reward that stands for it rose.

        The best of many rollouts was lucky too. Four standard errors below it, twice in a row, come about by
        chance in 1 of 1,000 runs of 100 rollouts (simulated, gold and reward independent and level).
        """
        if "objective/gold" not in points or points["objective/scores"] <= self.best["objective/scores"]:
            return None
        now, best = points["objective/gold"], self.best["objective/gold"]
        error = math.hypot(points["objective/gold_error"], self.best["objective/gold_error"])
        if best - now <= self.config.gold_drop * error:
            return None
        gain = points["objective/scores"] - self.best["objective/scores"]
        return (
            f"the reward rose by {gain:.2f} while gold fell from {best:.2f} to {now:.2f}: it is being hacked"
        )


def not_finite(points: Mapping[str, float]) -> str | None:
    """Name the points that are NaN or infinite, if there are any."""
    broken = [f"`{name}` is {value}" for name, value in points.items() if not math.isfinite(value)]
    return ", ".join(broken) or None


def repetition(response: Sequence[Hashable]) -> float:
    """Share of a response's 3-grams, of tokens or words, that it has said before; 0 if it has none."""
    grams = [tuple(response[start : start + _NGRAM]) for start in range(len(response) - _NGRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
