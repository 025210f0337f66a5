"""What is done to TRL so that both sides do the same work; TRL itself is not needed here."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from benchmarks.learning_workload import STOP, VOCABULARY, build_task, load_task, policy_folder
from benchmarks.ppo_workload import Workload
from benchmarks.trl_parts import force_lengths
from benchmarks.trl_ppo_learning import PAD, EvenShare, policy

PROMPT = [[5, 6, 7]] * 3


@pytest.fixture
def tiny_model() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


def test_every_answer_gets_its_length(tiny_model: Any) -> None:
    workload = Workload([], [], [4, 1, 6, 2, 2, 3], 6, 2, stop=2, pad=0, body_parameters=0, head_parameters=0)
    force_lengths(tiny_model, workload)
    for expected in ([4, 1, 6], [2, 2, 3], [4, 1, 6]):
        prompt = torch.tensor(PROMPT)
        rows = tiny_model.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=6, do_sample=True
        )[:, 3:].tolist()
        assert [row.index(2) + 1 for row in rows] == expected
        # Padding comes after the stop token and nowhere else.
        for row, length in zip(rows, expected, strict=True):
            assert 0 not in row[:length]
            assert set(row[length:]) <= {0}


def test_the_reward_is_the_share_of_even_tokens_so_far() -> None:
    module = EvenShare()
    ids = torch.tensor([[2, 2, 2, 2, 4, 3, 8, STOP], [3, 3, 3, 3, 5, STOP, 0, 0]])
    mask = torch.tensor([[1] * 8, [1] * 6 + [0] * 2])
    states = module.backbone(input_ids=ids, attention_mask=mask, position_ids=None).hidden_states[-1]
    rewards = module.score(states)[..., 0]
    # Answers 4 3 8 stop, and 5 stop; prompts do not count.
    assert rewards[0, 4:].tolist() == pytest.approx([1, 1 / 2, 2 / 3, 2 / 4])
    assert rewards[1, 5] == 0.0


def test_the_row_for_padding_changes_no_probability(tmp_path: Path) -> None:
    folder = build_task(tmp_path / "task", seeds=1, updates=7)
    assert load_task(folder).updates == 7
    saved = AutoModelForCausalLM.from_pretrained(policy_folder(folder, 0))
    widened = policy(policy_folder(folder, 0))
    ids = torch.tensor([[5, 9, 60, 2]])
    with torch.no_grad():
        expected, got = saved(ids).logits.softmax(-1), widened(ids).logits.softmax(-1)
    torch.testing.assert_close(got[..., :VOCABULARY], expected, rtol=0, atol=0)
    assert not got[..., PAD].any()
