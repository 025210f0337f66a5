"""Every way of fine-tuning: what learns, that nothing else moves, and that a plain model comes out."""

import pytest
import torch

from configs.schema_tuning import TuningConfig
from tasks.ml.batching import group_examples
from tasks.ml.decode import decode
from tasks.ml.ia3 import ScaledLinear, add_factors
from tasks.ml.models import load_model, load_tokenizer, save_model, trained_parameters
from tasks.ml.prompts import encode, encode_prompt
from tasks.ml.sampling import Sampling
from tasks.ml.teacher import byte_tokenizer
from tasks.ml.teacher_signal import TeacherSignal
from tasks.ml.train_distill import mean_nll, train_distill
from tasks.ml.trainer import Watch
from tasks.ml.tuning import finish, prepare

# Hidden size 16, keys and values 8, feed-forward 24, 3 layers, 259 tokens: 1,920 weights in a layer's linear
# layers, 32 in its norms.
COUNTS = {
    "full": 259 * 16 + 3 * 1952 + 16,
    "last_layer": 259 * 16,
    "top_layers": 2 * 1952 + 16,
    "lora": 3 * 2 * (32 + 24 + 24 + 32 + 40 + 40 + 40),
    "qlora": 3 * 2 * (32 + 24 + 24 + 32 + 40 + 40 + 40),
    "ia3": 3 * (8 + 8 + 24),
    "prompt": 5 * 16,
    "sparse_mask": 576,
}
LINEAR = tuple(f"{name}_proj.weight" for name in ("q", "k", "v", "o", "gate", "up", "down"))
MOVES = {
    "full": lambda name: True,
    "last_layer": lambda name: name == "lm_head.weight",
    "top_layers": lambda name: ".layers.1." in name or ".layers.2." in name or name == "model.norm.weight",
    "lora": lambda name: name.endswith(LINEAR),
    "qlora": lambda name: name.endswith(LINEAR),
    "ia3": lambda name: name.endswith(("k_proj.weight", "v_proj.weight", "down_proj.weight")),
    "prompt": lambda name: name in ("model.embed_tokens.weight", "lm_head.weight"),
    "sparse_mask": lambda name: name.endswith(LINEAR),
}
WAYS = list(COUNTS)
NOTHING = TeacherSignal.none(3)


@pytest.fixture
def settings(config):
    """A section of the configuration for a way."""

    def make(way: str, **changes):
        tuning = TuningConfig(way=way, layers=2, rank=2, alpha=4, prompt_tokens=5, mask_share=0.1)
        update = {
            "tuning": tuning,
            "epochs": 4,
            "learning_rate": 0.02,
            "warmup_steps": 1,
            "token_budget": 200,
            "weight_decay": 0.1,
            "validate_every": 3,
        }
        return config.distill.model_copy(update=update | changes)

    return make


@pytest.fixture
def student(make_llama):
    def make():
        return make_llama(layers=3, vocabulary=259), byte_tokenizer()

    return make


def lessons(tokenizer, make_row):
    rows = [
        make_row(context="", question=f"Is {name} sweet?", answer="yes.") for name in ("ham", "rum", "jam")
    ]
    return group_examples([encode(tokenizer, row) for row in rows], ["a", "b", "c"], 300)


def logits(model, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits


def teach(model, tokenizer, make_row, section, watch=None):
    prepare(model, tokenizer, section, seed=3)
    groups = lessons(tokenizer, make_row)
    train_distill(
        model, [groups] * section.epochs, groups, NOTHING, torch.empty(0), section, 0, watch or Watch()
    )
    return groups


@pytest.mark.parametrize("way", WAYS)
def test_what_should_learn_does_and_nothing_else_moves(student, settings, make_row, way: str) -> None:
    section, (model, tokenizer) = settings(way), student()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    start = mean_nll(model, lessons(tokenizer, make_row), section, 0)
    groups = teach(model, tokenizer, make_row, section)
    assert trained_parameters(model) == COUNTS[way]
    assert mean_nll(model, groups, section, 0) < 0.9 * start
    finish(model, section.tuning)
    after = model.state_dict()
    assert after.keys() == before.keys()
    for name, tensor in after.items():
        if way == "prompt":
            assert torch.equal(tensor[: len(before[name])], before[name]), name
        moved = len(tensor) > len(before[name]) or not torch.equal(tensor, before[name])
        # A mask may leave a whole matrix out.
        assert moved == MOVES[way](name) or (way == "sparse_mask" and not moved), name


@pytest.mark.parametrize("way", WAYS)
def test_the_finished_model_is_plain_says_the_same_and_survives_its_folder(
    student, settings, make_row, tmp_path, way: str
) -> None:
    section, (model, tokenizer) = settings(way, epochs=2), student()
    teach(model, tokenizer, make_row, section)
    prompt = encode_prompt(tokenizer, make_row())
    tuned = logits(model, prompt)
    finish(model, section.tuning)
    assert {type(module).__module__.split(".")[0] for module in model.modules()} <= {"torch", "transformers"}
    assert all(p.requires_grad and p.dtype == torch.float32 for p in model.parameters())
    assert not any(hasattr(model, name) for name in ("peft_config", "is_loaded_in_4bit"))
    torch.testing.assert_close(logits(model, prompt), tuned, atol=1e-5, rtol=1e-5)
    save_model(tmp_path / "model", model, tokenizer)
    again, words = load_model(tmp_path / "model"), load_tokenizer(tmp_path / "model")
    assert again.config.tie_word_embeddings == (way not in ("last_layer", "prompt"))
    assert encode_prompt(words, make_row()) == prompt
    assert torch.equal(logits(again.eval(), prompt), logits(model, prompt))
    sampling = Sampling(rows=2, max_new_tokens=4, stop=2, pad=0)
    assert decode(again, [prompt], [""], sampling) == decode(model, [prompt], [""], sampling)


@pytest.mark.parametrize("way", WAYS)
def test_a_run_cut_short_goes_on_to_the_same_bits(
    student, settings, make_row, make_checkpoints, interrupted, way: str
) -> None:
    section = settings(way, epochs=2, checkpoint_seconds=0.0, patience=9)
    whole, tokenizer = student()
    teach(whole, tokenizer, make_row, section)
    finish(whole, section.tuning)
    model, tokenizer = student()
    # Of a mask the choice is saved first.
    die_after = 3 if way == "sparse_mask" else 2
    with pytest.raises(interrupted):
        teach(model, tokenizer, make_row, section, Watch(checkpoints=make_checkpoints(die_after)))
    model, tokenizer = student()
    steps = []
    watch = Watch(log=lambda points, step: steps.append(step), checkpoints=make_checkpoints())
    teach(model, tokenizer, make_row, section, watch)
    finish(model, section.tuning)
    assert steps[0] == 3
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name]), name


def test_full_leaves_model_and_tokenizer_alone(student, settings) -> None:
    model, tokenizer = student()
    modules, template = list(model.modules()), tokenizer.chat_template
    prepare(model, tokenizer, settings("full"), seed=0)
    finish(model, settings("full").tuning)
    assert list(model.modules()) == modules
    assert tokenizer.chat_template == template
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_weights_of_qlora_have_four_bits(student, settings) -> None:
    from bitsandbytes.nn import Params4bit

    model, tokenizer = student()
    whole = {name: module.weight.clone() for name, module in model.named_modules() if name.endswith("_proj")}
    prepare(model, tokenizer, settings("qlora"), seed=0)
    for name, weight in whole.items():
        small = model.get_submodule(name).base_layer.weight
        assert isinstance(small, Params4bit)
        assert small.quant_state.quant_type == "nf4"
        assert small.quant_state.nested
        assert small.nbytes * 8 == weight.nbytes
    finish(model, settings("qlora").tuning)
    # NF4's widest gap is that between -1 and -0.6962, and half of it is the largest error of a block of 64.
    for name, weight in whole.items():
        blocks = (model.get_submodule(name).weight - weight).detach().flatten().split(64)
        largest = weight.detach().flatten().split(64)
        assert all(b.abs().max() <= 0.16 * w.abs().max() for b, w in zip(blocks, largest, strict=True)), name


def test_adapters_begin_with_the_model_as_it_was_and_by_their_seed(student, settings) -> None:
    model, tokenizer = student()
    before = logits(model, [5, 6, 7])
    draws = []
    for seed in (1, 1, 2):
        model, tokenizer = student()
        prepare(model, tokenizer, settings("lora"), seed=seed)
        draws.append(model.model.layers[0].mlp.up_proj.down["default"].detach())
        torch.testing.assert_close(logits(model, [5, 6, 7]), before, atol=1e-6, rtol=0)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_factors_by_hand() -> None:
    base = torch.nn.Linear(2, 2)
    with torch.no_grad():
        base.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        base.bias.copy_(torch.tensor([10.0, 20.0]))
    states = torch.tensor([[1.0, 1.0]])
    # Outputs 1 + 2 + 10 = 13 and 3 + 4 + 20 = 27, each by its factor.
    out = ScaledLinear(base, scales_input=False)
    out.factor.data = torch.tensor([2.0, -1.0])
    assert out(states).tolist() == out.folded()(states).tolist() == [[26.0, -27.0]]
    with torch.no_grad():
        base.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        base.bias.copy_(torch.tensor([10.0, 20.0]))
    # Inputs 2 and -1: 2 - 2 + 10 = 10 and 6 - 4 + 20 = 22.
    into = ScaledLinear(base, scales_input=True)
    into.factor.data = torch.tensor([2.0, -1.0])
    assert into(states).tolist() == into.folded()(states).tolist() == [[10.0, 22.0]]


def test_a_model_of_other_names_cannot_have_factors() -> None:
    with pytest.raises(ValueError, match="k_proj, v_proj, down_proj"):
        add_factors(torch.nn.Sequential(torch.nn.Linear(1, 1)))


@pytest.mark.parametrize("way", ["lora", "qlora", "ia3", "prompt", "sparse_mask"])
def test_it_learns_in_bf16_too_and_comes_out_in_fp32(student, settings, make_row, way: str) -> None:
    section, (model, tokenizer) = settings(way, precision="bf16"), student()
    start = mean_nll(model, lessons(tokenizer, make_row), section, 0)
    groups = teach(model, tokenizer, make_row, section)
    finish(model, section.tuning)
    assert mean_nll(model, groups, section, 0) < 0.9 * start
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
