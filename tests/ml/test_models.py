"""Heads, freezing, and folders on disk."""

import pytest
import torch

from tasks.ml.batching import Branch, Group, pack
from tasks.ml.models import (
    ScoredModel,
    freeze_bottom,
    load_model,
    load_tokenizer,
    parameter_count,
    save_model,
    tiny_random_model,
    untie_head,
)
from tasks.ml.precision import arithmetic, frozen_copy
from tasks.ml.teacher import byte_tokenizer

BATCH = pack([Group((5, 6), (Branch((7,), (8, 9), 0),))], 0)


def scored(make_llama) -> ScoredModel:
    model = ScoredModel(make_llama())
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    torch.nn.init.constant_(model.head.bias, 0.5)
    return model


def test_a_new_head_scores_0(make_llama) -> None:
    model = ScoredModel(make_llama())
    assert model.scores(model.hidden_states(BATCH)).tolist() == [0.0] * 5


def test_a_scored_model_survives_its_folder(make_llama, tmp_path) -> None:
    model = scored(make_llama)
    model.save(tmp_path / "model", byte_tokenizer())
    again = ScoredModel.load(tmp_path / "model")
    with torch.no_grad():
        assert torch.equal(again.scores(again.hidden_states(BATCH)), model.scores(model.hidden_states(BATCH)))
    assert load_tokenizer(tmp_path / "model").encode("abc") == byte_tokenizer().encode("abc")


def test_a_score_is_the_mean_over_heads_which_survive_the_folder(make_llama, tmp_path) -> None:
    model = ScoredModel(make_llama(), heads=3)
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    model.head.bias.data = torch.tensor([1.0, 2.0, 6.0])
    model.save(tmp_path / "model", byte_tokenizer())
    again = ScoredModel.load(tmp_path / "model")
    hidden = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        by_head = again.head_scores(hidden)
        assert by_head.shape == (2, 5, 3)
        weights, row = model.head.weight.tolist(), hidden[1, 4].tolist()
        expected = [
            sum(w * h for w, h in zip(weights[head], row, strict=True)) + bias
            for head, bias in enumerate((1.0, 2.0, 6.0))
        ]
        assert by_head[1, 4].tolist() == pytest.approx(expected, abs=1e-5)
        assert again.scores(hidden)[1, 4].item() == pytest.approx(sum(expected) / 3, abs=1e-5)


def test_the_head_computes_in_fp32_whatever_comes_in(make_llama) -> None:
    model = scored(make_llama)
    hidden = torch.randn(3, 16, generator=torch.Generator().manual_seed(1)).bfloat16()
    expected = [
        sum(w * h for w, h in zip(model.head.weight[0].tolist(), row, strict=True)) + 0.5
        for row in hidden.tolist()
    ]
    with arithmetic("bf16"), torch.no_grad():
        got = model.scores(hidden)
    assert got.dtype == torch.float32
    assert got.tolist() == pytest.approx(expected, abs=1e-5)


def test_freezing_nothing_trains_everything(make_llama) -> None:
    model = make_llama(layers=3)
    freeze_bottom(model, 0)
    assert all(parameter.requires_grad for parameter in model.parameters())
    freeze_bottom(model, 1)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if "embed" in name or ".layers.0." in name}


def test_tied_parameters_count_once(make_llama) -> None:
    # Embedding 40 x 16; a layer: q and o 16 x 16, k and v 16 x 8, three 16 x 24 and two norms of 16; a norm.
    layer = 2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 24 + 2 * 16
    assert parameter_count(make_llama(layers=2)) == 40 * 16 + 2 * layer + 16


def test_a_folder_gives_back_the_same_model_in_fp32(make_llama, tmp_path) -> None:
    model = make_llama()
    save_model(tmp_path / "m", model, byte_tokenizer())
    again = load_model(tmp_path / "m")
    assert again.dtype == torch.float32
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_a_random_model_depends_on_its_seed_alone() -> None:
    tokenizer = byte_tokenizer()
    state = torch.random.get_rng_state()
    first = tiny_random_model(tokenizer, 1)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(5)
    same, other = tiny_random_model(tokenizer, 1), tiny_random_model(tokenizer, 2)
    assert torch.equal(first.lm_head.weight, same.lm_head.weight)
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)
    assert first.config.vocab_size == len(tokenizer)


def test_a_frozen_copy_leaves_its_model_alone(make_llama) -> None:
    model = make_llama().train()
    copy = frozen_copy(model, "bf16")
    assert {parameter.dtype for parameter in copy.parameters()} == {torch.bfloat16}
    assert not copy.training
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_automatic_precision_must_be_resolved_first() -> None:
    with pytest.raises(ValueError, match="auto"):
        arithmetic("auto")


def test_a_head_that_is_untied_says_the_same_and_stays_untied_in_its_folder(make_llama, tmp_path) -> None:
    model, ids = make_llama(), torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
        untie_head(model)
        assert torch.equal(model(input_ids=ids).logits, before)
        model.lm_head.weight += 1
        untie_head(model)  # again: nothing happens
        after = model(input_ids=ids).logits
        assert not torch.allclose(after, before)
        save_model(tmp_path / "model", model, byte_tokenizer())
        again = load_model(tmp_path / "model")
        assert torch.equal(again(input_ids=ids).logits, after)
    assert parameter_count(again) == parameter_count(make_llama()) + 40 * 16
