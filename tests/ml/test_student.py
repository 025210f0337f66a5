"""Making a student: of every kind, in every shape, and refused with the key to change."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from configs.errors import RetortError
from tasks.ml.models import parameter_count, save_model, tiny_random_model
from tasks.ml.student import Student, StudentRefused, make_student
from tasks.ml.teacher import CHAT_TEMPLATE, SPECIALS, byte_tokenizer
from tasks.ml.vocabulary import domain_texts

WIDTHS = {"kv_heads": 1, "ffn_channels": 40, "hidden_channels": 24}


@pytest.fixture
def teacher():
    """Four layers, of which the second and the third add nothing."""
    model = tiny_random_model(byte_tokenizer(), seed=3).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(10)
        for layer in model.model.layers[1:3]:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    return model


@pytest.fixture
def make(config, make_row, teacher, tmp_path):
    """A student of the smoke configuration with changes."""
    rows = [make_row(id=f"row-{number}") for number in range(3)]

    def build(seed: int = 7, texts: tuple[str, ...] = ("Butter",), **changes) -> Student:
        section = type(config.student).model_validate(config.student.model_dump() | changes)
        return make_student(section, teacher, byte_tokenizer(), rows, iter(texts), seed, tmp_path / "cache")

    return build


@pytest.mark.parametrize(
    ("layer_choice", "layers"), [("influence", (0, 3)), ("similarity", (0, 3)), ("even", (0, 3))]
)
def test_layers_that_do_nothing_are_left_out(make, teacher, layer_choice: str, layers) -> None:
    student = make(layers=2, layer_choice=layer_choice)
    assert student.layers == layers
    assert [line["kept"] for line in student.layer_table] == [True, False, False, True]
    ours, theirs = student.model.state_dict(), teacher.state_dict()
    for name in ("self_attn.q_proj", "mlp.down_proj"):
        for place, layer in enumerate(layers):
            assert torch.equal(
                ours[f"model.layers.{place}.{name}.weight"], theirs[f"model.layers.{layer}.{name}.weight"]
            )
    assert student.tokens.kind == "same"


def test_the_table_says_what_was_measured(make) -> None:
    table = make(layers=2, layer_choice="influence").layer_table
    assert [line["influence"] > 0.01 for line in table] == [True, False, False, True]
    blocks = [line["block_distance"] for line in make(layers=2, layer_choice="similarity").layer_table]
    assert blocks[1] == pytest.approx(0, abs=1e-6)
    assert blocks[0] > 0.01
    assert blocks[3] is None
    assert make(layers=4, layer_choice="similarity").layers == (0, 1, 2, 3)


def test_even_layers_need_no_sample_to_choose(make) -> None:
    assert make(layers=3, layer_choice="even").layers == (0, 2, 3)


def test_widths_are_those_asked_for(make, tmp_path) -> None:
    student = make(**WIDTHS)
    config = student.model.config
    assert (config.num_key_value_heads, config.intermediate_size, config.hidden_size) == (1, 40, 24)
    assert (config.num_attention_heads, config.head_dim) == (2, 8)
    save_model(tmp_path / "student", student.model, student.tokenizer)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "student", dtype=torch.float32)
    ids = torch.tensor([[5, 9, 100]])
    with torch.no_grad():
        assert torch.equal(again.eval()(input_ids=ids).logits, student.model.eval()(input_ids=ids).logits)
    alone = make(ffn_channels=40).model.config
    assert (alone.num_key_value_heads, alone.intermediate_size, alone.hidden_size) == (2, 40, 32)


@pytest.mark.parametrize("widths", [{}, WIDTHS], ids=["whole", "narrow"])
def test_a_random_student_has_the_shape_of_a_pruned_one(make, teacher, widths) -> None:
    pruned, random = make(**widths), make(kind="random", **widths)
    shapes = [{n: p.shape for n, p in s.model.named_parameters()} for s in (pruned, random)]
    assert shapes[0] == shapes[1]
    assert (random.layers, random.layer_table) == ((), ())
    assert torch.equal(random.tokens.student_id, pruned.tokens.student_id)
    weight = "model.layers.0.self_attn.q_proj.weight"
    drawn = random.model.state_dict()[weight]
    assert torch.equal(make(kind="random", **widths).model.state_dict()[weight], drawn)
    assert not torch.equal(make(kind="random", seed=8, **widths).model.state_dict()[weight], drawn)
    # As random weights are drawn, not as this teacher's are.
    assert drawn.std().item() == pytest.approx(0.02, rel=0.2)


def test_a_full_vocabulary_is_the_teachers(make, teacher) -> None:
    def unread():
        raise AssertionError("texts are of no use")
        yield

    student = make(vocabulary="full", texts=unread())
    assert student.model.config.vocab_size == teacher.config.vocab_size == 259
    assert student.tokens.student_id.tolist() == list(range(259))
    assert student.tokenizer.encode("Butter") == byte_tokenizer().encode("Butter")


def test_a_student_pads_even_if_its_teacher_does_not_know_how(make, teacher) -> None:
    teacher.config.pad_token_id = None
    assert make().model.config.pad_token_id == byte_tokenizer().pad_token_id


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({"layers": 5}, "student.layers", "got 5 layers; expected at most the teacher's 4"),
        ({"kv_heads": 3}, "student", "kv_heads 3, to which the teacher cannot be cut: 3 kv_heads of 2"),
        ({"hidden_channels": 30}, "student", "no multiple of 4 query heads"),
        ({"kind": "random", "ffn_channels": 65}, "student", "65 ffn_channels of 64"),
        ({"max_parameters": 1000}, "student.max_parameters", "at most 1,000. Lower `student.layers`"),
        (
            {"kind": "pretrained", "source": "random:tiny", "max_parameters": 1000},
            "student.max_parameters",
            "Choose a smaller `student.source`",
        ),
    ],
)
def test_a_student_that_cannot_be_is_refused(make, changes, key: str, said: str) -> None:
    with pytest.raises(StudentRefused) as caught:
        make(**changes)
    [problem] = caught.value.problems
    assert problem.what == key
    assert said in str(problem)


def test_the_largest_student_allowed_is_allowed(make) -> None:
    size = parameter_count(make().model)
    assert parameter_count(make(max_parameters=size).model) == size
    with pytest.raises(StudentRefused, match=f"a student of {size:,} parameters"):
        make(max_parameters=size - 1)


def test_a_teacher_that_cannot_be_cut_is_refused(make, teacher) -> None:
    teacher.config.tie_word_embeddings = False
    with pytest.raises(StudentRefused, match="untied embeddings"):
        make()
    assert make(kind="random", layers=1).model.config.num_hidden_layers == 1


def test_a_vocabulary_that_cannot_be_trimmed_is_refused(config, make_row, teacher, tmp_path) -> None:
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(StudentRefused, match=r"student\.vocabulary.*WordLevel.*`full`"):
        make_student(config.student, teacher, words, [make_row()], ["a"], 7, tmp_path)


def save(folder: Path, model, **specials: str) -> str:
    """A model that others trained, whose tokeniser knows little."""
    backend = byte_tokenizer().backend_tokenizer
    save_model(folder, model, PreTrainedTokenizerFast(tokenizer_object=backend, **specials))
    return str(folder)


def test_a_pretrained_student_is_given_what_its_tokeniser_lacks(make, tmp_path) -> None:
    model = tiny_random_model(byte_tokenizer(), seed=5)
    model.config.pad_token_id = None
    source = save(tmp_path / "other", model, eos_token=SPECIALS["eos_token"], unk_token=SPECIALS["pad_token"])
    student = make(kind="pretrained", source=source)
    assert student.tokenizer.chat_template == CHAT_TEMPLATE
    assert student.tokenizer.pad_token == "<|endoftext|>"
    assert student.model.config.pad_token_id == student.tokenizer.pad_token_id == 0
    assert (student.layers, student.layer_table) == ((), ())
    assert all(torch.equal(a, b) for a, b in zip(student.model.parameters(), model.parameters(), strict=True))
    assert student.tokens.kind == "same"
    assert student.tokens.student_id.tolist() == list(range(259))


def test_a_pretrained_student_that_stops_otherwise_learns_from_texts(make, tmp_path) -> None:
    source = save(tmp_path / "other", tiny_random_model(byte_tokenizer(), 5), eos_token="<|endoftext|>")
    student = make(kind="pretrained", source=source)
    assert (student.tokens.kind, student.tokens.student_id) == ("text", None)


def test_a_pretrained_student_that_is_not_there_is_named(make) -> None:
    with pytest.raises(RetortError) as caught:
        make(kind="pretrained", source="./nowhere")
    [problem] = caught.value.problems
    assert problem.what == "student.source"


def test_a_pretrained_student_that_cannot_be_used_is_refused(make, tmp_path) -> None:
    silent = save(tmp_path / "silent", tiny_random_model(byte_tokenizer(), 5))
    with pytest.raises(StudentRefused, match="without a stop token"):
        make(kind="pretrained", source=silent)
    small = tiny_random_model(byte_tokenizer(), 5)
    small.resize_token_embeddings(100)
    few = save(tmp_path / "few", small, eos_token=SPECIALS["eos_token"])
    with pytest.raises(StudentRefused, match="259 tokens for 100 embeddings"):
        make(kind="pretrained", source=few)
    gpt = GPT2LMHeadModel(
        GPT2Config(vocab_size=259, n_embd=8, n_layer=1, n_head=1, bos_token_id=1, eos_token_id=2)
    )
    with pytest.raises(StudentRefused, match=r"without `model\.layers`"):
        make(kind="pretrained", source=save(tmp_path / "gpt", gpt, eos_token=SPECIALS["eos_token"]))


def test_the_domains_texts_are_frames_names_and_chats(make_row) -> None:
    texts = list(domain_texts(byte_tokenizer(), [make_row(), make_row(answer=None)], ["Butter"]))
    assert texts[0].count("<|im_start|>") == 3
    assert texts[1:4] == ["Butter", " Butter", "\nButter"]
    assert texts[4].endswith("<|im_start|>assistant\n717 kcal is a lot, so yes.")
    assert texts[5] == "717 kcal is a lot, so yes."
    assert texts[6].endswith("<|im_start|>assistant\n")
    assert len(texts) == 7
