"""What a reward model says of held-out answers, whoever wrote them."""

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from configs.section import Precision
from tasks.ml.batching import group_examples
from tasks.ml.evaluation import Answers
from tasks.ml.metrics import Values
from tasks.ml.models import ScoredModel
from tasks.ml.prompts import encode_prompt, encode_written
from tasks.ml.reward_scores import score_groups
from tasks.ml.rows import Row

_ROW_TOKENS, _PASS_TOKENS = 1024, 2048


def answer_rewards(
    model: ScoredModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    answers: Answers,
    precision: Precision,
) -> Values:
    """The reward of each answer, without a penalty for a missing stop. Shape [Q].

    The texts are encoded with the reward model's own tokeniser, so that teachers' answers count alike.
    """
    examples = [
        encode_written(tokenizer, encode_prompt(tokenizer, row), text, judgement.stopped)
        for row, text, judgement in zip(rows, answers.texts, answers.judgements, strict=True)
    ]
    groups = group_examples(examples, [row.context for row in rows], _ROW_TOKENS)
    scores = score_groups(model, groups, len(rows), _PASS_TOKENS, precision)
    return scores.numpy().astype(np.float64)
