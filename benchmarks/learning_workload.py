"""A task that a tiny model learns in a few dozen PPO updates, with a reward that a program computes.

An answer of at most MAX_NEW_TOKENS tokens earns the share of its tokens that have an even id, stop token
included, less 1 if it does not stop. A random policy earns about -0.3; 11 even tokens and a stop earn 0.92.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

VOCABULARY = 64
STOP = 1
PROMPT_TOKENS = 4
MAX_NEW_TOKENS = 12
PROMPTS = 1024
MISSING_STOP_PENALTY = 1.0
SEEDS = 5
FOLDER = Path(".retort/benchmarks/ppo-learning")
FILE = "task.json"


@dataclass(frozen=True)
class LearningTask:
    """What `task.json` holds: prompts, and the hyper-parameters of both sides.

    Attributes:
        prompts: Token ids.
        updates: Rounds of rollout and optimisation.
        episodes_per_update: Answers in a rollout.
        epochs: Passes over a rollout, each one optimiser step on all of it.
        learning_rate: Of Adam, constant, without weight decay and without a limit on the gradient's norm.
        kl_coefficient: Reward lost per nat (k1), per token.
        clip_range: Of the probability ratio.
        value_clip_range: Of the value.
        value_coefficient: Weight of the value loss.
        discount: Of later rewards.
        gae_lambda: Of generalised advantage estimation.
        temperature: Of sampling.
        max_new_tokens: Longest answer.
        missing_stop_penalty: Reward lost by an answer that does not stop.
        stop: Id of the stop token.
    """

    prompts: list[list[int]]
    updates: int = 60
    episodes_per_update: int = 64
    epochs: int = 4
    learning_rate: float = 1e-3
    kl_coefficient: float = 0.05
    clip_range: float = 0.2
    value_clip_range: float = 0.2
    value_coefficient: float = 0.1
    discount: float = 1.0
    gae_lambda: float = 0.95
    temperature: float = 1.0
    max_new_tokens: int = MAX_NEW_TOKENS
    missing_stop_penalty: float = MISSING_STOP_PENALTY
    stop: int = STOP


def load_task(folder: Path) -> LearningTask:
    """Read `task.json`."""
    return LearningTask(**json.loads((folder / FILE).read_text()))


def policy_folder(folder: Path, seed: int) -> Path:
    """The initial policy of a seed: a Hugging Face folder without tokeniser, the same for both sides."""
    return folder / f"policy-{seed}"


def reward(response: Sequence[int]) -> float:
    """Share of even ids among the tokens of an answer, its stop token included; without the penalty."""
    return sum(token % 2 == 0 for token in response) / len(response)


def build_task(folder: Path = FOLDER, seeds: int = SEEDS, updates: int = LearningTask.updates) -> Path:
    """Write prompts and the initial policy of every seed; cheap enough to be done each time."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=STOP,
        pad_token_id=0,
    )
    for seed in range(seeds):
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(policy_folder(folder, seed))
    draw = random.Random(0)
    prompts = [[draw.randrange(2, VOCABULARY) for _ in range(PROMPT_TOKENS)] for _ in range(PROMPTS)]
    (folder / FILE).write_text(json.dumps(asdict(LearningTask(prompts, updates=updates))))
    return folder


def main() -> None:
    """Write the task and print where it is."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--updates", type=int, default=LearningTask.updates)
    options = parser.parse_args()
    folder = build_task(options.folder, options.seeds, options.updates)
    print(json.dumps({"folder": str(folder.absolute())}))


if __name__ == "__main__":
    main()
