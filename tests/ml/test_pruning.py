"""Cutting a student out of a teacher: which layers count, and that nothing else changes."""

import math

import pytest
import torch

from tasks.ml.batching import Branch, Group, pack
from tasks.ml.pruning import block_influence, most_influential, prune


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
