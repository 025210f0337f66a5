"""Sparse masks: which weights are chosen, by hand, and that no bit of the others changes."""

import pytest
import torch
from torch.nn.utils import parametrize

from configs.schema_tuning import TuningConfig
from tasks.ml.batching import Branch, Group, PackedBatch, pack
from tasks.ml.checkpoint import NoCheckpoints
from tasks.ml.kd_loss import gold_cross_entropy
from tasks.ml.models import hidden_states, response_log_probs
from tasks.ml.optim import adamw
from tasks.ml.sparse_mask import SparseWeight, add_mask, most_sensitive, remove_mask, squared_gradients
from tasks.ml.trainer import Watch, train

GROUPS = [Group((5, 6), (Branch((7 + number,), (20 + number, 1), number),)) for number in range(6)]
PLAN = [[GROUPS[step % 6], GROUPS[(step + 2) % 6]] for step in range(7)]


def nll(model):
    def loss_of(batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        log_probs = response_log_probs(model, hidden_states(model, batch), batch)
        return gold_cross_entropy(log_probs, batch.target).mean(), {}

    return loss_of


@pytest.fixture
def section(config):
    tuning = TuningConfig(way="sparse_mask", layers=1, rank=1, alpha=1, prompt_tokens=1, mask_share=0.05)
    update = {"tuning": tuning, "learning_rate": 0.01, "warmup_steps": 1, "weight_decay": 0.5}
    return config.distill.model_copy(update=update)


def mask(model, section, checkpoints):
    add_mask(model, PLAN, lambda groups: nll(model)(pack(groups, 0))[0], section, checkpoints)


def test_the_largest_of_all_matrices_together_are_chosen() -> None:
    squares = {
        "a": torch.tensor([[5.0, 1.0], [0.5, 4.0]]),
        "b": torch.tensor([[0.1, 0.2]]),
        "c": torch.tensor([[0.3], [9.0]]),
    }
    # 0.4 of 8 weights are 3: those of 9, 5 and 4.
    chosen = most_sensitive(squares, 0.4)
    assert {name: index.tolist() for name, index in chosen.items()} == {"a": [0, 3], "c": [1]}
    assert {name: index.tolist() for name, index in most_sensitive(squares, 0.01).items()} == {"c": [1]}
    everything = {name: list(range(square.numel())) for name, square in squares.items()}
    assert {name: index.tolist() for name, index in most_sensitive(squares, 1.0).items()} == everything


def test_squares_are_added_up_over_batches_not_before_squaring(make_llama) -> None:
    model = make_llama()
    weight = model.model.layers[1].self_attn.o_proj.weight
    expected = torch.zeros_like(weight)
    for groups in PLAN[:3]:
        model.zero_grad()
        nll(model)(pack(groups, 0))[0].backward()
        expected += weight.grad**2
    model.zero_grad()
    squares = squared_gradients(model, (nll(model)(pack(groups, 0))[0] for groups in PLAN[:3]))
    assert len(squares) == 14
    torch.testing.assert_close(squares["model.layers.1.self_attn.o_proj"], expected)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_chosen_weights_learn_and_decay_as_ever_and_the_others_keep_every_bit(
    make_llama, section, make_checkpoints
) -> None:
    model = make_llama()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    mask(model, section, make_checkpoints())
    places = {
        name.removesuffix(".parametrizations.weight.0.index"): index.clone()
        for name, index in model.named_buffers()
        if name.endswith("weight.0.index")
    }
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # 0.05 of 2 x 1,920 weights.
    assert sum(map(len, places.values())) == sum(p.numel() for p in trained) == 192
    optimizer = adamw(trained, 0.1, 0.5)
    assert [len(group["params"]) for group in optimizer.param_groups] == [len(trained)]
    train(model, PLAN, nll(model), section, 0, Watch())
    remove_mask(model)
    after = model.state_dict()
    assert after.keys() == before.keys()
    for name, tensor in after.items():
        index = places.get(name.removesuffix(".weight"), torch.empty(0, dtype=torch.long))
        stays = torch.ones(tensor.numel(), dtype=torch.bool)
        stays[index] = False
        assert torch.equal(tensor.flatten()[stays], before[name].flatten()[stays]), name
        assert (tensor.flatten()[index] != before[name].flatten()[index]).all(), name


def test_the_choice_of_a_run_that_was_cut_short_is_kept(make_llama, section, make_checkpoints) -> None:
    first, other = make_llama(), make_llama(seed=5)
    mask(first, section, make_checkpoints())
    mask(other, section, make_checkpoints())
    indices = [[buffer for name, buffer in m.named_buffers() if "index" in name] for m in (first, other)]
    assert all(torch.equal(one, two) for one, two in zip(*indices, strict=True))
    chosen_anew = make_llama(seed=5)
    mask(chosen_anew, section, NoCheckpoints())
    own = [buffer for name, buffer in chosen_anew.named_buffers() if "index" in name]
    assert [index.tolist() for index in own] != [index.tolist() for index in indices[0]]


def test_entries_and_gradients_by_hand() -> None:
    layer = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    layer.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    parametrize.register_parametrization(layer, "weight", SparseWeight(layer.weight, torch.tensor([2])))
    [values] = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    assert values.tolist() == [[3.0]]
    with torch.no_grad():
        values += 7
    output = layer(torch.tensor([[5.0, 6.0]]))
    assert output.tolist() == [[17.0, 10 * 5.0 + 4 * 6.0]]
    output.sum().backward()
    assert values.grad.tolist() == [[5.0]]
    remove_mask(layer)
    assert type(layer) is torch.nn.Linear
    assert layer.weight.tolist() == [[1.0, 2.0], [10.0, 4.0]]
