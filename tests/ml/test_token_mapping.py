"""What a student can learn from: the same tokens under any ids, or else the texts alone."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.decoders import ByteLevel
from transformers import PreTrainedTokenizerFast

from tasks.ml.teacher import CHAT_TEMPLATE, SPECIALS, byte_tokenizer
from tasks.ml.token_mapping import mapping_of_kept, relate
from tasks.ml.vocabulary import trim_tokenizer

NAMES = [*SPECIALS.values(), *sorted(pre_tokenizers.ByteLevel.alphabet())]


def build(names: list[str], merges: list[tuple[str, str]] = (), **changes: str) -> PreTrainedTokenizerFast:
    """A byte-level tokeniser with these names in the order of their ids."""
    backend = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = ByteLevel()
    kept = {"chat_template": CHAT_TEMPLATE, "model_max_length": 512, **SPECIALS}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **kept | changes)


@pytest.fixture
def rows(make_row):
    return [make_row(), make_row(id="row-2", question="Then?", answer="Beer is best.")]


def test_the_same_tokeniser_maps_every_token_to_itself(rows) -> None:
    found = relate(byte_tokenizer(), byte_tokenizer(), rows, 259)
    assert found.kind == "same"
    assert found.student_id.tolist() == list(range(259))
    assert "All 2 training texts" in found.message
    assert "259 of the teacher's 259" in found.message


def test_tokens_in_another_order_are_found_by_name(rows) -> None:
    found = relate(build(NAMES), build(NAMES[::-1]), rows, 259)
    assert found.kind == "same"
    assert found.student_id.tolist() == list(range(258, -1, -1))


def test_a_trimmed_vocabulary_cuts_the_same_and_lacks_the_rest(rows, make_row) -> None:
    merges = [("e", "r"), ("t", "er"), ("s", "t"), ("q", "q")]
    teacher = build([*NAMES, "er", "ter", "st", "qq"], merges)
    text = teacher.apply_chat_template([{"role": "user", "content": "Butter is best."}], tokenize=False)
    student, kept = trim_tokenizer(teacher, [text])
    found = relate(teacher, student, rows, len(teacher))
    assert found.kind == "same"
    expected = [kept.index(index) if index in kept else -1 for index in range(len(teacher))]
    assert found.student_id.tolist() == expected
    assert found.student_id[-1] == -1
    assert f"{len(kept)} of the teacher's {len(teacher)}" in found.message
    # A text that needs what was trimmed away is cut differently, be it the last of all.
    found = relate(teacher, student, [*rows, make_row(id="row-3", answer="qq")], len(teacher))
    assert found.kind == "text"
    assert "`row-3`" in found.message


def test_embeddings_without_a_name_have_no_student_id(rows) -> None:
    found = relate(byte_tokenizer(), byte_tokenizer(), rows, 264)
    assert found.student_id.tolist() == [*range(259), *[-1] * 5]
    # A name beyond the teacher's embedding is none of its tokens.
    assert len(relate(byte_tokenizer(), byte_tokenizer(), rows, 200).student_id) == 200


def test_another_cut_leaves_the_text_alone(make_row) -> None:
    row = make_row(id="odd", answer="Yes, beer.")
    teacher, student = byte_tokenizer(), build([*NAMES, "ee"], [("e", "e")])
    found = relate(teacher, student, [make_row(), row], 259)
    assert (found.kind, found.student_id) == ("text", None)
    # "Yes, b" are six tokens of both.
    assert "answer of row `odd` is cut differently from token 7 on" in found.message
    assert "teacher ['e', 'e', 'r', '.'], student ['ee', 'r', '.', '<|im_end|>']" in found.message
    assert "`distill.kd_weight` are not used" in found.message
    assert "gold answers" in found.message


def test_another_stop_token_is_another_cut(make_row) -> None:
    # The stop token alone differs, so nothing but whole chats would show it.
    student = build(NAMES, eos_token="<|endoftext|>")
    student.add_special_tokens({"additional_special_tokens": ["<|im_end|>"]})
    found = relate(byte_tokenizer(), student, [make_row(answer="ab")], 259)
    assert found.kind == "text"
    assert "answer of row `row-1`" in found.message
    assert "token 3 on (teacher ['<|im_end|>'], student ['<|endoftext|>'])" in found.message


def test_another_chat_form_is_another_cut(make_row) -> None:
    student = build(NAMES, chat_template=CHAT_TEMPLATE.replace("'<|im_end|>\n'", "'<|im_end|>'"))
    found = relate(byte_tokenizer(), student, [make_row()], 259)
    assert found.kind == "text"
    assert "prompt of row `row-1`" in found.message


def test_chat_markers_that_are_no_tokens_are_another_cut(make_row) -> None:
    plain = [name for name in NAMES if name != "<|im_start|>"]
    student = build(plain, bos_token="<|endoftext|>")
    found = relate(byte_tokenizer(), student, [make_row()], 259)
    assert found.kind == "text"
    assert (
        "from token 1 on (teacher ['<|im_start|>', 's', 'y', 's'], student ['<', '|', 'i', 'm'])"
        in found.message
    )


def test_tokens_that_were_kept_know_their_place() -> None:
    found = mapping_of_kept([1, 3, 4], 6)
    assert found.kind == "same"
    assert torch.equal(found.student_id, torch.tensor([-1, 0, -1, 1, 2, -1]))
    assert "3 of the teacher's 6" in found.message
