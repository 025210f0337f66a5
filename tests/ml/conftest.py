"""What tests of the pure code share: the smoke configuration, tiny models, rows, checkpoints in a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from configs.load import load_run_config
from configs.schema import RunConfig
from tasks.ml.checkpoint import Tensors, read_state, write_state
from tasks.ml.rows import Check, Row, VerdictCheck

PAD, STOP, BOS = 0, 1, 2
VOCABULARY = 40


class PaysTokens:
    """A reward model's interface whose reward is a program: the sum of what the tokens seen are worth."""

    def __init__(self, language_model: LlamaForCausalLM, worth: Mapping[int, float]) -> None:
        self.language_model = language_model
        self.worth = torch.tensor([worth.get(token, 0.0) for token in range(VOCABULARY)])

    def hidden_states(self, batch: Any) -> torch.Tensor:
        paid = self.worth[batch.input_ids].unsqueeze(-1)
        return (batch.mask.squeeze(1).float() @ paid).flatten(0, 1)

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.squeeze(-1)


class Interrupted(Exception):
    """Raised instead of a checkpoint's return, as if the machine had gone down just after it."""


class FolderCheckpoints:
    """Checkpoints as files, which can go down after the n-th save."""

    def __init__(self, folder: Path, die_after: int | None = None) -> None:
        self.folder, self.die_after, self.saves = folder, die_after, 0

    def save(self, name: str, tensors: Tensors, state: Mapping[str, Any]) -> None:
        write_state(self.folder / name, tensors, state)
        self.saves += 1
        if self.saves == self.die_after:
            raise Interrupted

    def load(self, name: str) -> tuple[Tensors, dict[str, Any]] | None:
        path = self.folder / name
        return read_state(path) if path.exists() else None


def build_llama(layers: int = 2, seed: int = 0, vocabulary: int = VOCABULARY) -> LlamaForCausalLM:
    """A random Llama with weights large enough that its predictions are far from uniform."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        eos_token_id=STOP,
        bos_token_id=BOS,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


def build_row(**changes: Any) -> Row:
    """A row, of which a test states what matters to it."""
    check: Check = VerdictCheck(yes=True)
    row = Row(
        id="row-1",
        task="lookup",
        groups=("Butter",),
        split="train",
        context="Facts per 100 g.\nButter: energy 717 kcal, sodium 643 mg",
        question="Is Butter rich in energy?",
        answer="717 kcal is a lot, so yes.",
        plain_words=6,
        medical=False,
        check=check,
    )
    return row.model_copy(update=changes)


@pytest.fixture(scope="session")
def config() -> RunConfig:
    """The smoke configuration in fp32, which does the same sums everywhere."""
    run = load_run_config(Path(__file__).parents[2] / "configs" / "smoke.yaml", [])
    exact = {
        name: section.model_copy(update={"precision": "fp32"})
        for name, section in run
        if hasattr(section, "precision")
    }
    return run.model_copy(update=exact)


@pytest.fixture(scope="session")
def make_llama() -> Callable[..., LlamaForCausalLM]:
    return build_llama


@pytest.fixture(scope="session")
def pays_tokens() -> type[PaysTokens]:
    return PaysTokens


@pytest.fixture(scope="session")
def make_row() -> Callable[..., Row]:
    return build_row


@pytest.fixture
def make_checkpoints(tmp_path: Path) -> Callable[..., FolderCheckpoints]:
    """Checkpoints in this test's folder; what one left, the next finds."""

    def make(die_after: int | None = None) -> FolderCheckpoints:
        return FolderCheckpoints(tmp_path, die_after)

    return make


@pytest.fixture(scope="session")
def interrupted() -> type[Exception]:
    return Interrupted


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    """One word for each id: `w05` is 5."""
    backend = Tokenizer(models.WordLevel({f"w{index:02}": index for index in range(40)}, unk_token="w03"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="w00", eos_token="w01", bos_token="w02", unk_token="w03"
    )
