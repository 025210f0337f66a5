"""Narrowing a model: which units matter, what is sliced, and that only what was zero may go unnoticed."""

import math

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GemmaConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tasks.ml.batching import Branch, Group, pack
from tasks.ml.width import (
    Units,
    Widths,
    most_important,
    narrow,
    narrowed_config,
    width_importance,
    widths_of,
)

SHAPE = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 10,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "tie_word_embeddings": True,
    "pad_token_id": 0,
    # Large, so that a model that forgets it is found out.
    "rms_norm_eps": 0.05,
}
IDS = torch.tensor([[5, 6, 7, 30, 39, 8]])
WIDTHS = Widths(kv_heads=1, ffn_channels=7, hidden_channels=12)
# Another head in each layer, and channels that do not lie side by side.
KEPT = Units(
    torch.tensor([[1], [0]]),
    torch.tensor([[0, 2, 3, 5, 6, 8, 9], [1, 2, 3, 4, 5, 6, 7]]),
    torch.tensor([0, 1, 3, 4, 6, 7, 8, 9, 10, 12, 14, 15]),
)
KINDS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "llama with biases": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True)),
    "llama with wide heads": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, head_dim=6)),
    "untied": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE | {"tie_word_embeddings": False})),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SHAPE)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=6)),
}


def build(kind: str):
    """A model in which no weight is 0 or 1, as norms and biases are at first."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = KINDS[kind]().eval()
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                torch.nn.init.uniform_(parameter, 0.3, 1.7)
    return model


def dropped(kept: torch.Tensor, count: int) -> list[int]:
    return [unit for unit in range(count) if unit not in kept.tolist()]


@torch.no_grad()
def silence(model, kept: Units) -> None:
    """Set what the units left out write to zero, with plain loops; their inputs stay as they are."""
    config = model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    shared = config.num_attention_heads // config.num_key_value_heads
    for layer, block in enumerate(model.model.layers):
        for group in dropped(kept.kv_heads[layer], config.num_key_value_heads):
            for head in range(group * shared, (group + 1) * shared):
                block.self_attn.o_proj.weight[:, head * size : (head + 1) * size] = 0
        for channel in dropped(kept.ffn_channels[layer], config.intermediate_size):
            block.mlp.down_proj.weight[:, channel] = 0
        for channel in dropped(kept.hidden_channels, config.hidden_size):
            for writer in (block.self_attn.o_proj, block.mlp.down_proj):
                writer.weight[channel] = 0
                if writer.bias is not None:
                    writer.bias[channel] = 0
    for channel in dropped(kept.hidden_channels, config.hidden_size):
        model.model.embed_tokens.weight[:, channel] = 0


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(input_ids=IDS).logits


@pytest.mark.parametrize("kind", KINDS)
def test_units_that_write_nothing_can_go(kind: str) -> None:
    model = build(kind)
    untouched = logits(model)
    silence(model, KEPT)
    small = narrow(model, KEPT).eval()
    torch.testing.assert_close(logits(small), logits(model), atol=2e-5, rtol=1e-5)
    assert (logits(model) - untouched).abs().max() > 0.1
    assert widths_of(small.config) == WIDTHS
    assert small.config.num_attention_heads == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_narrow_model_survives_its_folder(kind: str, tmp_path) -> None:
    small = narrow(build(kind), KEPT).eval()
    small.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert type(again) is type(small)
    assert torch.equal(logits(again.eval()), logits(small))
    assert again.config.head_dim == small.model.layers[0].self_attn.head_dim


@pytest.mark.parametrize("kind", KINDS)
def test_keeping_everything_changes_nothing(kind: str) -> None:
    model = build(kind)
    everything = Units(torch.arange(2).expand(2, -1), torch.arange(10).expand(2, -1), torch.arange(16))
    assert torch.equal(logits(narrow(model, everything).eval()), logits(model))


def test_the_weights_are_the_rows_and_columns_kept() -> None:
    model = build("qwen3")
    small = narrow(model, KEPT).state_dict()
    whole, growth = model.state_dict(), math.sqrt(16 / 12)
    hidden, size, shared = KEPT.hidden_channels.tolist(), 6, 2
    for layer in range(2):
        at = f"model.layers.{layer}"
        [group] = KEPT.kv_heads[layer].tolist()
        keys = [group * size + place for place in range(size)]
        queries = [
            head * size + place for head in (group * shared, group * shared + 1) for place in range(size)
        ]
        channels = KEPT.ffn_channels[layer].tolist()
        for name, rows, columns, factor in (
            ("self_attn.q_proj", queries, hidden, growth),
            ("self_attn.k_proj", keys, hidden, growth),
            ("self_attn.v_proj", keys, hidden, 1),
            ("self_attn.o_proj", hidden, queries, 1),
            ("mlp.gate_proj", channels, hidden, 1),
            ("mlp.up_proj", channels, hidden, 1),
            ("mlp.down_proj", hidden, channels, 1),
        ):
            got, full = small[f"{at}.{name}.weight"], whole[f"{at}.{name}.weight"]
            assert got.shape == (len(rows), len(columns))
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    assert got[i, j].item() == pytest.approx(full[row, column].item() * factor, rel=1e-6)
        for name in ("input_layernorm", "post_attention_layernorm"):
            expected = [whole[f"{at}.{name}.weight"][channel].item() * growth for channel in hidden]
            assert small[f"{at}.{name}.weight"].tolist() == pytest.approx(expected, rel=1e-6)
        assert torch.equal(small[f"{at}.self_attn.q_norm.weight"], whole[f"{at}.self_attn.q_norm.weight"])
    assert torch.equal(small["model.embed_tokens.weight"], whole["model.embed_tokens.weight"][:, hidden])


def test_a_narrow_model_owns_its_weights() -> None:
    model = build("llama")
    before = logits(model)
    small = narrow(model, KEPT)
    assert small.lm_head.weight is small.model.embed_tokens.weight
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    assert torch.equal(logits(model), before)
    assert (model.config.hidden_size, model.config.rms_norm_eps) == (16, 0.05)


def by_hand(model, texts: list[list[int]]) -> tuple[list[list[float]], list[list[float]], list[float]]:
    """The importance of all units of a model, text by text and token by token, the first token left out."""
    heads, channels = [[0.0] * 2 for _ in range(2)], [[0.0] * 10 for _ in range(2)]
    hidden, tokens = [0.0] * 16, 0
    seen: dict[str, torch.Tensor] = {}
    for name, module in model.model.named_modules():
        module.register_forward_hook(
            lambda _, args, out, name=name: seen.update({f"{name} in": args, f"{name}": out})
        )
    for ids in texts:
        with torch.no_grad():
            model.model(input_ids=torch.tensor([ids]))
        for place in range(1, len(ids)):
            tokens += 1
            for layer in range(2):
                [attended] = seen[f"layers.{layer}.self_attn.o_proj in"]
                for group in range(2):
                    part = attended[0, place].tolist()[group * 8 : group * 8 + 8]
                    heads[layer][group] += math.sqrt(sum(value * value for value in part))
                [inner] = seen[f"layers.{layer}.mlp.down_proj in"]
                for channel in range(10):
                    channels[layer][channel] += abs(inner[0, place, channel].item())
                for norm in ("input_layernorm", "post_attention_layernorm"):
                    for channel in range(16):
                        hidden[channel] += abs(seen[f"layers.{layer}.{norm}"][0, place, channel].item())
            for channel in range(16):
                hidden[channel] += abs(seen["norm"][0, place, channel].item())
    return (
        [[value / tokens for value in row] for row in heads],
        [[value / tokens for value in row] for row in channels],
        [value / tokens for value in hidden],
    )


def test_importance_is_the_mean_norm_of_a_units_activation() -> None:
    texts = [[5, 6, 7, 8, 9], [10, 11, 12]]
    # In one batch and in two; the shorter text is padded in the first.
    groups = [Group(tuple(ids[:2]), (Branch((ids[2],), tuple(ids[3:]), 0),)) for ids in texts]
    heads, channels, hidden = by_hand(build("llama"), texts)
    for batches in ([pack(groups, 0)], [pack([group], 0) for group in groups]):
        found = width_importance(build("llama"), batches)
        for layer in range(2):
            assert found.kv_heads[layer].tolist() == pytest.approx(heads[layer], rel=1e-4)
            assert found.ffn_channels[layer].tolist() == pytest.approx(channels[layer], rel=1e-4)
        assert found.hidden_channels.tolist() == pytest.approx(hidden, rel=1e-4)


def test_the_units_of_an_engineered_model_rank_as_they_were_made() -> None:
    model = build("llama")
    with torch.no_grad():
        # Values ten times as large in the second head; gates of channel 4 that are nearly shut; a hidden
        # channel that no norm lets through.
        model.model.layers[0].self_attn.v_proj.weight[4:] *= 10
        model.model.layers[1].mlp.up_proj.weight[4] *= 1e-3
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter[3] = 0
    found = width_importance(model, [pack([Group((5, 6), (Branch((7,), (8, 9), 0),))], 0)])
    kept = most_important(found, Widths(1, 9, 15))
    assert kept.kv_heads[0].tolist() == [1]
    assert kept.ffn_channels[1].tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert kept.hidden_channels.tolist() == [0, 1, 2, *range(4, 16)]


def test_the_most_important_units_stay_in_order() -> None:
    importance = Units(
        torch.tensor([[0.2, 0.9, 0.5], [0.4, 0.4, 0.4]]),
        torch.tensor([[4.0, 1.0, 3.0, 2.0], [0.0, 1.0, 2.0, 3.0]]),
        torch.tensor([1.0, 5.0, 5.0, 0.5, 2.0]),
    )
    kept = most_important(importance, Widths(2, 3, 2))
    assert kept.kv_heads.tolist() == [[1, 2], [0, 1]]
    assert kept.ffn_channels.tolist() == [[0, 2, 3], [1, 2, 3]]
    assert kept.hidden_channels.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("widths", "said"),
    [
        (Widths(3, 10, 16), "3 kv_heads of 2"),
        (Widths(2, 11, 16), "11 ffn_channels of 10"),
        (Widths(2, 10, 20), "20 hidden_channels of 16"),
        (Widths(2, 10, 14), "14 hidden_channels are no multiple of 4 query heads"),
    ],
)
def test_widths_that_a_model_cannot_have_are_refused(widths: Widths, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        narrowed_config(LlamaConfig(**SHAPE), widths)


def test_a_family_that_norms_in_another_way_is_refused() -> None:
    with pytest.raises(ValueError, match="got gemma"):
        widths_of(GemmaConfig(**SHAPE))
