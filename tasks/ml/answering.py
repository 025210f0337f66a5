"""Questions in, written answers out: the one way in which every stage lets a model answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from tasks.ml.decode import decode, stopped
from tasks.ml.progress import Bar
from tasks.ml.prompts import decode_answer, encode_prompt
from tasks.ml.rows import Row
from tasks.ml.sampling import Sampling


@dataclass(frozen=True)
class Written:
    """An answer: its text, its token ids, and whether it ended by itself."""

    text: str
    response: tuple[int, ...]
    stopped: bool


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
    responses = decode(model, prompts, [row.context for row in rows], sampling, bar)
    return [Written(decode_answer(tokenizer, r), r, stopped(r, sampling.stop)) for r in responses]
