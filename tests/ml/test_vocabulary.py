"""Trimming a vocabulary: domain text is cut as before, any other text can still be written."""

import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from tokenizers.decoders import ByteLevel
from transformers import PreTrainedTokenizerFast

from tasks.ml.teacher import CHAT_TEMPLATE, SPECIALS
from tasks.ml.vocabulary import trim_tokenizer, used_tokens

CORPUS = [
    "Butter has 643 mg of sodium per 100 g, so yes.",
    "Sugar holds 387 kcal of energy; butter holds 717 kcal.",
    "The quick brown fox jumps over the lazy dog while other foxes are watching.",
    "Is peanut butter suitable for high blood pressure? Please ask a clinician.",
    "Bread, whole-wheat: energy 247 kcal, protein 13 g, fibre 6.8 g.",
] * 4
DOMAIN = [
    "Butter has 643 mg of sodium per 100 g, so yes.",
    " butter holds 717 kcal\nIs peanut butter suitable?",
]
OTHER = [
    "The quick brown fox 12345",
    "caf\u00e9 \u2264 5 \u00b5g",
    "\u6f22\u5b57 \U0001f600\t\n",
    "<|im_start|>user\nfoxes<|im_end|>",
]


@pytest.fixture
def full() -> PreTrainedTokenizerFast:
    """A small byte-level BPE that cuts digits one by one, as the default teacher does."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=list(SPECIALS.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, chat_template=CHAT_TEMPLATE, model_max_length=512, **SPECIALS
    )


def cut(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def test_text_seen_is_cut_as_before(full: PreTrainedTokenizerFast) -> None:
    trimmed, kept = trim_tokenizer(full, DOMAIN)
    assert 256 < len(kept) < len(full)
    assert len(trimmed) == len(kept)
    for text in DOMAIN:
        assert [kept[index] for index in cut(trimmed, text)] == cut(full, text)


def test_every_id_keeps_its_token(full: PreTrainedTokenizerFast) -> None:
    trimmed, kept = trim_tokenizer(full, DOMAIN)
    assert trimmed.convert_ids_to_tokens(list(range(len(kept)))) == full.convert_ids_to_tokens(kept)


def test_unseen_text_can_still_be_written(full: PreTrainedTokenizerFast) -> None:
    trimmed, kept = trim_tokenizer(full, DOMAIN)
    for text in OTHER:
        ids = cut(trimmed, text)
        assert trimmed.decode(ids) == text
        assert max(ids) < len(kept)
    assert [kept[index] for index in cut(trimmed, OTHER[0])] != cut(full, OTHER[0])
    assert len(cut(trimmed, OTHER[0])) > len(cut(full, OTHER[0]))


def test_digits_stay_apart(full: PreTrainedTokenizerFast) -> None:
    trimmed, _ = trim_tokenizer(full, DOMAIN)
    assert trimmed.convert_ids_to_tokens(cut(trimmed, "987654")) == list("987654")


def test_special_tokens_and_the_chat_form_survive(full: PreTrainedTokenizerFast) -> None:
    trimmed, kept = trim_tokenizer(full, DOMAIN)
    for name in ("pad_token_id", "eos_token_id", "bos_token_id"):
        assert kept[getattr(trimmed, name)] == getattr(full, name)
    messages = [{"role": "user", "content": "foxes"}]
    text = trimmed.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == full.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert cut(trimmed, text)[0] == trimmed.bos_token_id
    assert trimmed.model_max_length == 512
    assert trimmed.decode(cut(trimmed, text), skip_special_tokens=True) == "user\nfoxes\nassistant\n"


def test_a_trimmed_tokeniser_survives_its_folder(full: PreTrainedTokenizerFast, tmp_path) -> None:
    trimmed, _ = trim_tokenizer(full, DOMAIN)
    trimmed.save_pretrained(tmp_path)
    again = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert [cut(again, text) for text in DOMAIN + OTHER] == [cut(trimmed, text) for text in DOMAIN + OTHER]


def test_only_the_rules_of_kept_tokens_are_kept(full: PreTrainedTokenizerFast) -> None:
    trimmed, _ = trim_tokenizer(full, DOMAIN)
    before, after = (json.loads(t.backend_tokenizer.to_str())["model"] for t in (full, trimmed))
    rules = [tuple(rule) for rule in after["merges"]]
    assert 0 < len(rules) < len(before["merges"])
    assert all(part in after["vocab"] for left, right in rules for part in (left, right, left + right))
    assert rules == [tuple(rule) for rule in before["merges"] if tuple(rule) in set(rules)]


def test_added_tokens_that_are_not_special_are_kept_where_they_are_used(
    full: PreTrainedTokenizerFast,
) -> None:
    # Used tokens beyond the merge vocabulary, such as runs of spaces in code models, were lost unless
    # they were special, so that text seen was cut differently after all.
    full.add_tokens(["    ", "unused"])
    text = "Butter    has 643 mg"
    trimmed, kept = trim_tokenizer(full, [text])
    assert [kept[index] for index in cut(trimmed, text)] == cut(full, text)
    assert "unused" not in trimmed.get_vocab()


def test_the_ids_that_a_post_processor_adds_are_renumbered(full: PreTrainedTokenizerFast) -> None:
    # A tokeniser that opens every text with a token of its own kept that token's old id in its
    # post-processor, so that the student's embedding was read beyond its end.
    full.add_special_tokens({"additional_special_tokens": ["<|open|>"]})
    opening = processors.TemplateProcessing("<|open|> $A", None, [("<|open|>", len(full) - 1)])
    full.backend_tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), opening]
    )
    trimmed, kept = trim_tokenizer(full, DOMAIN)
    assert [kept[index] for index in trimmed.encode(DOMAIN[0])] == full.encode(DOMAIN[0])


def test_used_tokens_are_those_of_all_texts(full: PreTrainedTokenizerFast) -> None:
    assert used_tokens(full, ["12", "23"]) == {full.convert_tokens_to_ids(digit) for digit in "123"}


def test_other_vocabularies_are_refused() -> None:
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(ValueError, match="WordLevel"):
        trim_tokenizer(words, ["a"])
