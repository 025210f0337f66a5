"""Questions in, written answers out: the one way in which every stage lets a model answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from tasks.ml.decode import DecodeEngine, stopped
from tasks.ml.progress import Bar
from tasks.ml.prompts import decode_answer, encode_prompt
from tasks.ml.rows import Row
from tasks.ml.sampling import Sampling


@dataclass(frozen=True)
class Written:
    """An answer: its text, its token ids, whether it ended by itself, and how sure its model was.

    The confidence is the mean probability that the model gave to the tokens that it chose, 0 to 1.
    """

    text: str
    response: tuple[int, ...]
    stopped: bool
    confidence: float


def write_answers(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    sampling: Sampling,
    bar: Bar,
    shots: Sequence[Row] = (),
) -> list[Written]:
    """Let a model answer each question once; a row that comes several times is answered several times."""
    prompts = [encode_prompt(tokenizer, row, shots) for row in rows]
    engine = DecodeEngine(model, sampling, bar=bar)
    decoded = engine.run(prompts, [row.context for row in rows])
    return [
        Written(decode_answer(tokenizer, r), r, stopped(r, sampling.stop), float(sure[: len(r)].exp().mean()))
        for r, sure in zip(decoded.responses(), decoded.log_probs, strict=True)
    ]
