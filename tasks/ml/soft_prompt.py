"""Soft prompts (Lester et al. 2021): embeddings of new tokens, put before every prompt, learn; nothing else.

The tokens are real ones of the vocabulary, and the chat template writes them, so that a model with a soft
prompt is a plain model with a few rows more and whoever reads its tokenizer writes the prompt by itself.

The head is untied: the rows of the new tokens would else be learnt as answers too. In the head each of them
is the mean of all other rows, so its logit is the mean of all logits. It never is the largest, and since
e^(mean z) <= mean e^z, its probability is at most 1 / V for V other tokens, and far less where one is sure.
"""

from typing import Any

import torch
from tokenizers import AddedToken
from torch.nn.functional import embedding
from transformers import PreTrainedTokenizerBase

from tasks.ml.models import untie_head
from tasks.ml.prompts import SYSTEM


class SoftPromptEmbedding(torch.nn.Module):
    """A frozen embedding with some rows in a row that learn.

    Kept apart, so that neither gradients nor weight decay nor the optimiser's moments reach the others.

    Args:
        plain: The embedding; it is frozen.
        first: The first row that learns.
        count: How many do.
    """

    def __init__(self, plain: torch.nn.Embedding, first: int, count: int) -> None:
        super().__init__()
        self.plain, self.first = plain.requires_grad_(False), first
        self.rows = torch.nn.Parameter(plain.weight.detach()[first : first + count].clone())

    @property
    def weight(self) -> torch.Tensor:
        """Of the plain embedding, without what was learnt. Shape [V, H]."""
        return self.plain.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Shape [...] to [..., H]."""
        place = ids - self.first
        learns = (place >= 0) & (place < len(self.rows))
        own = embedding(place.clamp(0, len(self.rows) - 1), self.rows)
        return torch.where(learns.unsqueeze(-1), own, self.plain(ids))

    @torch.no_grad()
    def settled(self) -> torch.nn.Embedding:
        """The plain embedding, with what was learnt."""
        self.plain.weight[self.first : self.first + len(self.rows)] = self.rows
        return self.plain


def add_soft_prompt(language_model: Any, tokenizer: PreTrainedTokenizerBase, count: int) -> None:
    """Add tokens to vocabulary, chat template, embedding and head; only their embeddings learn.

    They begin as the tokens of the system prompt, over and over.

    Args:
        language_model: A causal language model; everything else is frozen.
        tokenizer: Its tokenizer, with a chat template.
        count: Number of tokens.
    """
    spoken = tokenizer.encode(SYSTEM, add_special_tokens=False)
    names = [f"<|soft_prompt_{number}|>" for number in range(count)]
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in names], True)
    tokenizer.chat_template = "".join(names) + str(tokenizer.chat_template)
    first = int(tokenizer.convert_tokens_to_ids(names[0]))  # type: ignore[arg-type]
    untie_head(language_model)
    _add_rows(language_model, first + count)
    language_model.requires_grad_(False)
    plain, head = language_model.get_input_embeddings(), language_model.lm_head
    begin = torch.tensor([spoken[number % len(spoken)] for number in range(count)])
    with torch.no_grad():
        plain.weight[first : first + count] = plain.weight[begin]
        head.weight[first : first + count] = head.weight[:first].mean(0)
    language_model.set_input_embeddings(SoftPromptEmbedding(plain, first, count))


def settle_soft_prompt(language_model: Any) -> None:
    """Put the plain embedding back, with what was learnt."""
    soft = language_model.get_input_embeddings()
    if isinstance(soft, SoftPromptEmbedding):
        language_model.set_input_embeddings(soft.settled())


def _add_rows(language_model: Any, size: int) -> None:
    """Make room for `size` tokens; some models have more rows than their tokenizer has tokens."""
    if size > language_model.config.vocab_size:
        with torch.random.fork_rng(devices=[]):
            language_model.resize_token_embeddings(size, mean_resizing=False)
