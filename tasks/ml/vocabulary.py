"""Trim a byte-level BPE vocabulary to what a domain uses, without changing how the domain's text is cut.

Kept are: every token that the given texts use, every single-byte token (so that any text can still be
written), every special token, and all tokens from which a kept token is merged. Of the merge rules those
stay whose two parts and whose result are kept. Text seen here is then cut exactly as before: every rule
that the full tokeniser applied to it is among those kept, in the same order of priority.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tasks.ml.prompts import chat
from tasks.ml.rows import Row


def domain_texts(
    tokenizer: PreTrainedTokenizerBase, rows: Iterable[Row], lexicon: Iterable[str]
) -> Iterator[str]:
    """Every text that the student must be able to read or write without changing how it is cut.

    Args:
        tokenizer: Whose chat form the texts have.
        rows: All questions and answers.
        lexicon: Names that answers may hold.
    """
    roles = (("system", "s"), ("user", "u"), ("assistant", "a"))
    frame = [{"role": role, "content": content} for role, content in roles]
    yield str(tokenizer.apply_chat_template(frame, tokenize=False))
    for name in lexicon:
        yield from (name, f" {name}", f"\n{name}")
    for row in rows:
        prompt = tokenizer.apply_chat_template(chat(row), tokenize=False, add_generation_prompt=True)
        yield str(prompt) + (row.answer or "")
        if row.answer:
            yield row.answer


def used_tokens(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> set[int]:
    """Ids of all tokens in the texts."""
    used: set[int] = set()
    for text in texts:
        used.update(tokenizer.encode(text, add_special_tokens=False))
    return used


def close_under_merges(state: dict[str, object], used: set[int]) -> list[int]:
    """Ids to keep, in the order of the full vocabulary: `used`, bytes, specials, and all parts of these.

    Args:
        state: The tokeniser as the `tokenizers` library writes it to JSON; its model must be BPE.
        used: Ids that texts need.
    """
    model: dict[str, object] = state["model"]  # type: ignore[assignment]
    vocabulary: dict[str, int] = model["vocab"]  # type: ignore[assignment]
    parts: dict[str, list[tuple[str, str]]] = {}
    for left, right in _merges(model):
        parts.setdefault(left + right, []).append((left, right))
    names = {index: name for name, index in vocabulary.items()}
    pending = [names[index] for index in used if index in names]
    pending += [byte for byte in ByteLevel.alphabet() if byte in vocabulary]
    specials = {token["id"] for token in state["added_tokens"] if token["special"]}  # type: ignore[attr-defined]
    kept: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in kept:
            kept.add(name)
            pending += [part for pair in parts.get(name, []) for part in pair]
    added = used - names.keys()
    return sorted({vocabulary[name] for name in kept} | specials | added)


def trim_tokenizer(
    tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]
) -> tuple[PreTrainedTokenizerFast, list[int]]:
    """A copy of a byte-level BPE tokeniser that knows only the tokens that the texts need.

    Returns:
        The trimmed tokeniser and the full tokeniser's id of each of its ids, so that row `i` of the trimmed
        embedding is row `kept[i]` of the full one.

    Raises:
        ValueError: The tokeniser is not byte-level BPE.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    if state["model"]["type"] != "BPE":
        raise ValueError(f"only BPE vocabularies can be trimmed, got {state['model']['type']}")
    kept = close_under_merges(state, used_tokens(tokenizer, texts))
    new_id = {old: new for new, old in enumerate(kept)}
    model = state["model"]
    model["vocab"] = {name: new_id[old] for name, old in model["vocab"].items() if old in new_id}
    model["merges"] = [
        [left, right]
        for left, right in _merges(model)
        if left in model["vocab"] and right in model["vocab"] and left + right in model["vocab"]
    ]
    state["added_tokens"] = [
        {**token, "id": new_id[token["id"]]} for token in state["added_tokens"] if token["id"] in new_id
    ]
    _renumber(state["post_processor"] or {}, new_id)
    trimmed = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        chat_template=tokenizer.chat_template,
        model_max_length=tokenizer.model_max_length,
        **tokenizer.special_tokens_map,
    )
    return trimmed, kept


def _renumber(processor: dict[str, Any], new_id: dict[int, int]) -> None:
    """Give the tokens that a post-processor adds to every text their new ids, in place."""
    for part in processor.get("processors", [processor]):
        for special in part.get("special_tokens", {}).values():
            special["ids"] = [new_id[old] for old in special["ids"]]


def _merges(model: dict[str, object]) -> list[tuple[str, str]]:
    rules = model["merges"]
    pairs = [rule.split(" ") if isinstance(rule, str) else rule for rule in rules]  # type: ignore[attr-defined]
    return [(left, right) for left, right in pairs]
