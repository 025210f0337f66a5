"""Starting from an earlier reward model, and the ones that it cannot start from."""

from pathlib import Path

import pytest
import torch

from tasks.ml.models import ScoredModel, tiny_random_model
from tasks.ml.reward_start import WarmStartRefused, start_from
from tasks.ml.teacher import byte_tokenizer


def tiny(seed: int, heads: int = 2) -> ScoredModel:
    model = ScoredModel(tiny_random_model(byte_tokenizer(), seed), heads)
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(seed))
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny(1).save(tmp_path / "model", byte_tokenizer())
    return tmp_path / "model"


def test_trunk_and_heads_are_those_of_the_earlier_model(folder: Path) -> None:
    model = tiny(2)
    start_from(model, byte_tokenizer(), folder)
    for name, weight in tiny(1).state_dict().items():
        assert torch.equal(model.state_dict()[name], weight), name


def test_another_number_of_heads_is_refused_with_the_number_to_set(folder: Path) -> None:
    with pytest.raises(WarmStartRefused, match=r"got 2 heads; expected 3.*reward.ensemble=2"):
        start_from(tiny(2, heads=3), byte_tokenizer(), folder)


def test_everything_in_which_a_model_differs_is_said_at_once(folder: Path) -> None:
    other = tiny(2, heads=1)
    other.language_model.model.layers = other.language_model.model.layers[:3]
    other.language_model.config.num_attention_heads = 8  # weights of the same shapes, read otherwise
    with pytest.raises(WarmStartRefused) as raised:
        start_from(other, byte_tokenizer(), folder)
    text = str(raised.value)
    assert len(raised.value.problems) == 3
    assert "2 heads" in text
    assert "num_attention_heads: 4; expected 8" in text
    assert "weights of other shapes, the first model.layers.3." in text
    assert all(problem.what == "reward.warm_start" for problem in raised.value.problems)


def test_another_vocabulary_of_the_same_size_is_refused(folder: Path) -> None:
    # All weights fit, and every token would mean another.
    tokenizer = byte_tokenizer()
    vocabulary = tokenizer.get_vocab()
    swapped = vocabulary | {"a": vocabulary["b"], "b": vocabulary["a"]}
    tokenizer.get_vocab = lambda: swapped
    with pytest.raises(WarmStartRefused, match="another vocabulary"):
        start_from(tiny(2), tokenizer, folder)


def test_a_folder_without_heads_is_no_reward_model(tmp_path: Path) -> None:
    with pytest.raises(WarmStartRefused, match=r"without head.safetensors"):
        start_from(tiny(2), byte_tokenizer(), tmp_path)
