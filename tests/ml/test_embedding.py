"""Mean hidden states of prompts that share a beginning, against each prompt read alone."""

from collections.abc import Callable

import torch
from transformers import LlamaForCausalLM

from tasks.ml.embedding import embed_prompts, lower_half
from tasks.ml.models import tiny_random_model
from tasks.ml.progress import NoBar
from tasks.ml.prompts import encode_asked
from tasks.ml.teacher import byte_tokenizer

PROMPTS = (
    "Facts.\nIs it rich?",
    "Other facts.\nHow much?",
    "Facts.\nIs it low in salt?",
    "Hello",
    "Facts.\nIs it",
)
TASKS = ("lookup", "lookup", "", "general", "lookup")


def test_a_prompt_is_the_mean_of_its_hidden_states() -> None:
    tokenizer = byte_tokenizer()
    model = tiny_random_model(tokenizer, seed=1).eval()
    units = [prompt.rpartition("\n")[0] for prompt in PROMPTS]
    found = embed_prompts(model, tokenizer, PROMPTS, TASKS, units, NoBar())
    for place, (prompt, task) in enumerate(zip(PROMPTS, TASKS, strict=True)):
        ids = torch.tensor([encode_asked(tokenizer, prompt, task)])
        with torch.no_grad():
            alone = model.model(input_ids=ids).last_hidden_state[0].mean(0)
        torch.testing.assert_close(found[place], alone, rtol=1e-4, atol=1e-5)


def test_the_lower_half_is_the_first_layers(make_llama: Callable[..., LlamaForCausalLM]) -> None:
    model, ids = make_llama(layers=3), torch.tensor([[3, 4, 5]])
    with torch.no_grad():
        states = model.model(input_ids=ids, output_hidden_states=True).hidden_states
        wanted = model.model.norm(states[2])
        found = lower_half(model).model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(found, wanted)
