"""Finding and loading teachers, without a network or a large file."""

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tasks.ml.models import save_model
from tasks.ml.teacher import byte_tokenizer, load_teacher, ready_tokenizer
from tasks.ml.teacher_source import TeacherNotFound, locate


def test_bytes_make_a_tokeniser_that_writes_anything() -> None:
    tokenizer = byte_tokenizer()
    text = "Butter \u2264 5 \u00b5g\n\u6f22 \U0001f600"
    assert len(tokenizer) == 256 + 3
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(text)) == len(text.encode())
    assert len({tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}) == 3


def test_a_random_teacher_is_always_the_same(tmp_path) -> None:
    first, tokenizer = load_teacher("random:tiny", "main", tmp_path)
    second, _ = load_teacher("random:tiny", "main", tmp_path)
    assert not first.training
    assert first.config.vocab_size == len(tokenizer)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert list(tmp_path.iterdir()) == []


def test_a_teacher_in_a_folder_is_loaded(make_llama, tmp_path) -> None:
    model = make_llama()
    save_model(tmp_path / "teacher", model, byte_tokenizer())
    loaded, tokenizer = load_teacher(str(tmp_path / "teacher"), "main", tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))
    assert tokenizer.encode("ab") == byte_tokenizer().encode("ab")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("package:no-such-package-at-all", "no package"),
        ("package:pytest", "no GGUF file"),
        ("./nowhere", "no file or folder"),
        ("nowhere.gguf", "no file or folder"),
    ],
)
def test_a_teacher_that_is_not_there_is_named(source: str, said: str) -> None:
    with pytest.raises(TeacherNotFound, match=said):
        locate(source)


def test_a_folder_without_a_model_is_no_teacher(tmp_path) -> None:
    with pytest.raises(TeacherNotFound, match="could not be loaded"):
        load_teacher(str(tmp_path), "main", tmp_path)


def test_ids_and_random_models_have_no_path(tmp_path) -> None:
    assert locate("owner/model-name") is None
    assert locate("random:tiny") is None
    assert locate(str(tmp_path)) == tmp_path


def bare(**specials: str) -> PreTrainedTokenizerFast:
    backend = byte_tokenizer().backend_tokenizer
    return PreTrainedTokenizerFast(tokenizer_object=backend, **specials)


def test_a_tokeniser_is_given_what_it_lacks() -> None:
    ready = ready_tokenizer(bare(eos_token="<|im_end|>", unk_token="<|endoftext|>"))
    assert ready.pad_token == "<|endoftext|>"
    assert ready.model_max_length == 2048
    assert (
        ready.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
        == "<|im_start|>user\na<|im_end|>\n"
    )


def test_a_padding_token_that_is_the_stop_is_replaced_where_there_is_another() -> None:
    both = {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    assert ready_tokenizer(bare(**both, unk_token="<|endoftext|>")).pad_token == "<|endoftext|>"
    assert ready_tokenizer(bare(eos_token="<|im_end|>")).pad_token == "<|im_end|>"
    own = bare(
        eos_token="<|im_end|>", pad_token="<|im_start|>", unk_token="<|endoftext|>", chat_template="own"
    )  # noqa: S106
    assert (ready_tokenizer(own).pad_token, own.chat_template) == ("<|im_start|>", "own")
