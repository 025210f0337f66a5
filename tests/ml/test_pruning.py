"""Cutting a student out of a teacher: which layers count, and that nothing else changes."""

import math

import pytest
import torch

from tasks.ml.batching import Branch, Group, pack
from tasks.ml.pruning import (
    block_distances,
    block_influence,
    evenly_spaced,
    most_influential,
    prune,
    without_block,
)


def identity(layer) -> None:
    """Let a layer add nothing to its input."""
    torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
    torch.nn.init.zeros_(layer.mlp.down_proj.weight)


def cosine(first: list[float], second: list[float]) -> float:
    dot = sum(a * b for a, b in zip(first, second, strict=True))
    return dot / math.sqrt(sum(a * a for a in first) * sum(b * b for b in second))


def seen_by_layers(model, ids: list[int]) -> list[tuple[list[list[float]], list[list[float]]]]:
    """What goes into each layer and what comes out of it, token by token."""
    seen = []
    hooks = [
        layer.register_forward_hook(
            lambda _, args, output: seen.append((args[0][0].tolist(), output[0].tolist()))
        )
        for layer in model.model.layers
    ]
    with torch.no_grad():
        model.model(input_ids=torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return seen


def test_block_influence_is_one_minus_the_cosine_of_input_and_output(make_llama) -> None:
    model = make_llama(layers=3)
    torch.nn.init.uniform_(model.model.norm.weight, 0.1, 3.0, torch.Generator().manual_seed(0))
    texts = [[5, 6, 7, 8, 9], [10, 11, 12]]
    expected, tokens = [0.0] * 3, 0
    for ids in texts:
        for layer, (before, after) in enumerate(seen_by_layers(model, ids)):
            expected[layer] += sum(1 - cosine(before[place], after[place]) for place in range(1, len(ids)))
        tokens += len(ids) - 1
    # Both texts in one batch, so that the shorter one is padded; each row's first token does not count.
    batch = pack([Group(tuple(ids[:2]), (Branch((ids[2],), tuple(ids[3:]), 0),)) for ids in texts], 0)
    influence = block_influence(model, [batch])
    assert influence == pytest.approx([total / tokens for total in expected], abs=1e-5)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_layer_that_does_nothing_has_no_influence(make_llama, place: int) -> None:
    model = make_llama(layers=3)
    # The last layer's output was read behind the final norm, whose weights were then put down to the layer:
    # a last layer that does nothing seemed to matter.
    torch.nn.init.uniform_(model.model.norm.weight, 0.1, 3.0, torch.Generator().manual_seed(0))
    identity(model.model.layers[place])
    influence = block_influence(model, [pack([Group((5, 6), (Branch((7,), (8, 9), 0),))], 0)])
    assert influence[place] == pytest.approx(0, abs=1e-5)
    assert all(influence[other] > 0.01 for other in range(3) if other != place)


def test_the_most_influential_layers_stay_in_order() -> None:
    assert most_influential([0.5, 0.1, 0.9, 0.2], 2) == [0, 2]
    assert most_influential([0.1, 0.2, 0.3, 0.4], 3) == [1, 2, 3]
    assert most_influential([0.3, 0.3, 0.3], 2) == [0, 1]


def test_keeping_everything_changes_nothing(make_llama) -> None:
    teacher = make_llama(layers=3)
    student = prune(teacher, range(3), range(40))
    ids = torch.tensor([[5, 6, 7, 30, 39]])
    with torch.no_grad():
        assert torch.equal(student(input_ids=ids).logits, teacher(input_ids=ids).logits)


def test_a_student_is_its_teacher_without_the_layers_left_out(make_llama) -> None:
    teacher = make_llama(layers=4)
    identity(teacher.model.layers[1])
    identity(teacher.model.layers[2])
    kept = [0, 1, 2, 7, 9, 30]
    student = prune(teacher, [0, 3], kept)
    with torch.no_grad():
        ours = student(input_ids=torch.tensor([[3, 5, 4]])).logits
        theirs = teacher(input_ids=torch.tensor([[7, 30, 9]])).logits[..., kept]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert (student.config.num_hidden_layers, student.config.vocab_size) == (2, 6)


def test_a_student_owns_its_weights_and_knows_its_special_tokens(make_llama) -> None:
    teacher = make_llama(layers=2)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    student = prune(teacher, [1], [2, 1, 9, 0])
    assert (student.config.bos_token_id, student.config.eos_token_id, student.config.pad_token_id) == (
        0,
        1,
        3,
    )
    assert student.lm_head.weight is student.model.embed_tokens.weight
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    assert teacher.config.num_hidden_layers == 2


def test_a_special_token_that_is_not_kept_is_forgotten(make_llama) -> None:
    assert prune(make_llama(), [0], [1, 5]).config.pad_token_id is None


def test_untied_embeddings_are_refused(make_llama) -> None:
    teacher = make_llama()
    teacher.config.tie_word_embeddings = False
    with pytest.raises(ValueError, match="tied"):
        prune(teacher, [0], [0, 1])


def test_the_distance_of_a_block_is_the_angle_between_its_ends(make_llama) -> None:
    model = make_llama(layers=3)
    texts = [[5, 6, 7, 8, 9], [10, 11, 12]]
    expected, tokens = [0.0, 0.0], 0
    for ids in texts:
        seen = seen_by_layers(model, ids)
        for first in range(2):
            before, after = seen[first][0], seen[first + 1][1]
            expected[first] += sum(
                math.acos(cosine(before[place], after[place])) / math.pi for place in range(1, len(ids))
            )
        tokens += len(ids) - 1
    batch = pack([Group(tuple(ids[:2]), (Branch((ids[2],), tuple(ids[3:]), 0),)) for ids in texts], 0)
    assert block_distances(model, [batch], 2) == pytest.approx(
        [total / tokens for total in expected], abs=1e-5
    )
    assert len(block_distances(model, [batch], 3)) == 1


@pytest.mark.parametrize("first", [0, 1, 2])
def test_the_block_that_turns_nothing_goes(make_llama, first: int) -> None:
    model = make_llama(layers=4)
    torch.nn.init.uniform_(model.model.norm.weight, 0.1, 3.0, torch.Generator().manual_seed(0))
    identity(model.model.layers[first])
    identity(model.model.layers[first + 1])
    distances = block_distances(model, [pack([Group((5, 6), (Branch((7,), (8, 9), 0),))], 0)], 2)
    assert distances[first] == pytest.approx(0, abs=1e-6)
    assert without_block(distances, 4) == [layer for layer in range(4) if layer not in (first, first + 1)]


def test_the_block_of_the_smallest_distance_goes() -> None:
    # Blocks of three of six layers; of two that are equal the first.
    assert without_block([0.4, 0.1, 0.3, 0.2], 6) == [0, 4, 5]
    assert without_block([0.2, 0.1, 0.4, 0.1], 6) == [0, 4, 5]
    assert without_block([0.5, 0.1], 2) == [0]


def test_layers_spaced_evenly_hold_the_first_and_the_last() -> None:
    assert evenly_spaced(30, 12) == [0, 3, 5, 8, 11, 13, 16, 18, 21, 24, 26, 29]
    assert evenly_spaced(6, 4) == [0, 2, 3, 5]
    assert evenly_spaced(5, 5) == [0, 1, 2, 3, 4]
    assert evenly_spaced(5, 2) == [0, 4]
    assert evenly_spaced(5, 1) == [0]


def test_of_several_stop_tokens_those_that_are_kept_are_renumbered(make_llama) -> None:
    # A list, as the newer Llamas have it, was looked up like a single id.
    teacher = make_llama()
    teacher.config.eos_token_id = [2, 7, 9]
    assert prune(teacher, [0], [1, 7, 2]).config.eos_token_id == [2, 1]
    assert prune(teacher, [0], [1, 5]).config.eos_token_id is None
