"""From rows to token ids and back, with the tokeniser of the random teacher."""

import pytest

from tasks.ml.prompts import (
    SYSTEM,
    chat,
    decode_answer,
    encode,
    encode_answer,
    encode_asked,
    encode_prompt,
    user_text,
)
from tasks.ml.rows import GENERAL
from tasks.ml.teacher import byte_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


def test_the_prompt_is_the_chat_form_up_to_the_answer(tokenizer, make_row) -> None:
    row = make_row(context="Facts", question="Why?")
    text = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\nFacts\nWhy?<|im_end|>\n"
    text += "<|im_start|>assistant\n"
    ids = encode_prompt(tokenizer, row)
    assert tokenizer.decode(list(ids)) == text
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.eos_token_id) == 2


def test_what_was_asked_is_encoded_as_the_row_would_be(tokenizer, make_row) -> None:
    for task in ("lookup", GENERAL):
        row = make_row(task=task, context="Facts", question="Why?")
        assert encode_asked(tokenizer, "Facts\nWhy?", task) == encode_prompt(tokenizer, row)
    with_system = encode_prompt(tokenizer, make_row(context="", question="Why?"))
    assert encode_asked(tokenizer, "Why?", "") == with_system


def test_worked_examples_stand_before_the_question(make_row) -> None:
    shot = make_row(context="", question="One?", answer="Yes.")
    messages = chat(make_row(context="F", question="Two?"), [shot])
    assert [(m["role"], m["content"]) for m in messages[1:]] == [
        ("user", "One?"),
        ("assistant", "Yes."),
        ("user", "F\nTwo?"),
    ]


def test_an_answer_ends_with_the_stop_token(tokenizer) -> None:
    ids = encode_answer(tokenizer, "Yes \u2264 5.")
    assert ids[-1] == tokenizer.eos_token_id
    assert ids.count(tokenizer.eos_token_id) == 1
    assert decode_answer(tokenizer, ids) == "Yes \u2264 5."
    assert decode_answer(tokenizer, (*encode_answer(tokenizer, " a ")[:-1], tokenizer.pad_token_id)) == "a"
    assert decode_answer(tokenizer, ()) == ""


def test_a_row_is_encoded_with_the_answer_given_else_its_own(tokenizer, make_row) -> None:
    row = make_row(answer="gold")
    assert encode(tokenizer, row).response == encode_answer(tokenizer, "gold")
    assert encode(tokenizer, row, "other").response == encode_answer(tokenizer, "other")
    assert encode(tokenizer, row, "").response == (tokenizer.eos_token_id,)
    assert encode(tokenizer, make_row(answer=None)).response == ()
    assert encode(tokenizer, row).prompt == encode_prompt(tokenizer, row)


def test_questions_about_the_same_facts_share_the_beginning(tokenizer, make_row) -> None:
    first, second = (encode_prompt(tokenizer, make_row(question=question)) for question in ("How?", "Why?"))
    facts = len(tokenizer.encode(user_text(make_row(question="?"))[:-1]))
    assert first[: facts + len(SYSTEM)] == second[: facts + len(SYSTEM)]
