"""How much a nat of KL costs: a fixed price, or one that is steered until the KL is as wished."""

_MOST_ERROR = 0.2


class KLController:
    """The coefficient of the KL in the reward.

    Args:
        coefficient: At the start.
        target: KL in nats per response that it is steered to; None: it stays as it is.
        horizon: Episodes over which it changes by a fifth at most.
    """

    def __init__(self, coefficient: float, target: float | None, horizon: int) -> None:
        self.coefficient, self.target, self.horizon = coefficient, target, horizon

    def observe(self, kl: float, episodes: int) -> None:
        """Steer by the KL of a rollout. Ziegler et al. 2019, section 2.2.

        b <- b (1 + clip(KL / target - 1, -0.2, 0.2) episodes / horizon)
        """
        if self.target is not None:
            error = max(-_MOST_ERROR, min(_MOST_ERROR, kl / self.target - 1))
            self.coefficient *= 1 + error * episodes / self.horizon
