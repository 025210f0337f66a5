"""What a reward model minimises: the surprise at what annotators said, and at F above the floor.

Every vote counts, those that contradict each other too: n against m votes put the best gap between two
scores at log(n / m), where votes that cancelled out would leave 2 : 1 as sure as 3 : 0.
"""

import torch

from configs.schema_reward import RewardConfig
from tasks.ml.preferences import RewardTargets
from tasks.ml.ranking_loss import pick_losses, start_threshold
from tasks.ml.reward_loss import floor_losses, rao_kupper, win_losses

_TIE_STEP = 0.02  # how far a step at the peak of the learning rate moves the threshold's logarithm


class RewardObjective(torch.nn.Module):
    """The loss of a reward model with N heads.

    Args:
        config: The section.
        targets: All that is learnt from; the threshold of ties starts at what would be most likely if all
            answers scored the same, and is learnt from there.
        resample: How often each head has drawn the question of each answer. Shape [M, N].

    Attributes:
        tie_shift: How far the logarithm of the threshold has moved; no parameter if nothing was tied.
    """

    def __init__(self, config: RewardConfig, targets: RewardTargets, resample: torch.Tensor) -> None:
        super().__init__()
        self._config, self._resample = config, resample
        self._start = _threshold_start(config, targets)
        self._gain = _TIE_STEP / config.learning_rate
        self.tie_shift = torch.nn.Parameter(torch.zeros(1), requires_grad=self._start > 0)

    @property
    def threshold(self) -> torch.Tensor:
        """How far apart two answers must seem for one of them to win, in units of score. Shape [1]."""
        # A model's learning rate would hardly move it; the gradient stays as it is, for the sake of the
        # norm that all gradients are scaled down to.
        shift = self.tie_shift + (self._gain - 1) * self.tie_shift.detach()
        return self._start * shift.exp()

    def forward(self, scores: torch.Tensor, targets: RewardTargets) -> torch.Tensor:
        """Mean loss over what was said of the answers scored, in nats, and over heads.

        Args:
            scores: Shape [M, N]; NaN for answers that are not in the batch.
            targets: What was said of those that are.
        """
        if self._config.loss == "plackett_luce":
            loss = self._rankings(scores, targets)
        else:
            loss = self._pairs(scores, targets)
        if len(targets.fails):
            fails = targets.fails
            floor = floor_losses(scores[fails.answer], fails.failed)
            loss = loss + self._config.floor_weight * self._mean([(floor, fails.answer, fails.votes)])
        return loss

    def _pairs(self, scores: torch.Tensor, targets: RewardTargets) -> torch.Tensor:
        decided, ties = targets.preferences, targets.ties
        gaps = scores[decided.chosen] - scores[decided.rejected]
        if self._config.margin_scale and decided.marks is not None:
            gaps = gaps - self._config.margin_scale * decided.marks[:, None]
        if self._config.loss == "bradley_terry":
            return self._mean([(win_losses(gaps), decided.chosen, decided.votes)])
        wins, _ = rao_kupper(gaps, self.threshold)
        _, tied = rao_kupper(scores[ties.first] - scores[ties.second], self.threshold)
        return self._mean([(wins, decided.chosen, decided.votes), (tied, ties.first, ties.votes)])

    def _rankings(self, scores: torch.Tensor, targets: RewardTargets) -> torch.Tensor:
        picks = targets.picks
        losses = pick_losses(picks.scores(scores), picks.sizes, self.threshold)
        return self._mean([(losses, picks.answers[:, 0], picks.votes)])

    def _mean(self, parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """Mean of losses [P, N], each with one of the answers that it is about and its votes; 0 of none."""
        total = sum(
            ((losses * votes[:, None] * self._resample[answer]).sum() for losses, answer, votes in parts),
            torch.zeros(()),
        )
        # By all votes and not by those that heads drew, which may be none in a small batch.
        weight = sum(votes.sum().item() for _, _, votes in parts) * self._resample.shape[1]
        return total / weight if weight else total


def _threshold_start(config: RewardConfig, targets: RewardTargets) -> float:
    if config.loss == "bradley_terry":
        return 0.0
    if config.loss == "rao_kupper":
        ties, decided = targets.ties.votes.tolist(), targets.preferences.votes.tolist()
        sizes = [2] * len(ties) + [1] * len(decided)
        return start_threshold([2] * len(sizes), sizes, ties + decided)
    left = (targets.picks.answers >= 0).sum(1).tolist()
    return start_threshold(left, targets.picks.sizes.tolist(), targets.picks.votes.tolist())


def draw_questions(question: torch.Tensor, heads: int, seed: int) -> torch.Tensor:
    """How often each head draws the question of each answer: its bootstrap sample. Shape [M, heads].

    One head sees every question once. Several each see a question Poisson(1) times, the bootstrap of data
    that come in batches (Oza and Russell 2001, "Online bagging and boosting").

    Args:
        question: Number of the question of each answer. Shape [M].
        heads: Number of heads.
        seed: Of the draw.
    """
    if heads == 1:
        return torch.ones(len(question), 1)
    generator = torch.Generator().manual_seed(seed)
    rates = torch.ones(int(question.max()) + 1 if len(question) else 0, heads)
    return torch.poisson(rates, generator)[question]
