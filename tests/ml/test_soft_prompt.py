"""Soft prompts: rows that learn by hand, tokens that the tokenizer writes, and that none is ever answered."""

import pytest
import torch

from tasks.ml.models import load_tokenizer
from tasks.ml.optim import adamw
from tasks.ml.prompts import SYSTEM, decode_answer, encode_prompt
from tasks.ml.soft_prompt import SoftPromptEmbedding, add_soft_prompt, settle_soft_prompt
from tasks.ml.teacher import byte_tokenizer

COUNT = 4


@pytest.fixture
def prompted(make_llama):
    tokenizer = byte_tokenizer()
    model = make_llama(vocabulary=len(tokenizer))
    add_soft_prompt(model, tokenizer, COUNT)
    return model, tokenizer


def test_ids_of_the_prompt_find_rows_that_learn_and_others_the_frozen_ones() -> None:
    plain = torch.nn.Embedding.from_pretrained(torch.arange(8.0).view(4, 2), freeze=False)
    layer = SoftPromptEmbedding(plain, first=1, count=2)
    with torch.no_grad():
        layer.rows += 100
    states = layer(torch.tensor([[0, 1], [2, 3]]))
    assert states.tolist() == [[[0, 1], [102, 103]], [[104, 105], [6, 7]]]
    states.sum().backward()
    assert plain.weight.grad is None
    assert layer.rows.grad.tolist() == [[1, 1], [1, 1]]
    assert layer.settled() is plain
    assert plain.weight.tolist() == [[0, 1], [102, 103], [104, 105], [6, 7]]


def test_weight_decay_does_not_reach_the_frozen_rows(prompted) -> None:
    model, _ = prompted
    frozen = model.get_input_embeddings().plain.weight
    before, rows = frozen.clone(), model.get_input_embeddings().rows.detach().clone()
    optimizer = adamw(model.parameters(), 0.1, weight_decay=0.5)
    model(input_ids=torch.tensor([[259, 260, 7]])).logits.sum().backward()
    optimizer.step()
    assert torch.equal(frozen, before)
    assert not torch.equal(model.get_input_embeddings().rows, rows)
    assert sum(tensor.numel() for state in optimizer.state.values() for tensor in state.values()) == (
        2 * COUNT * 16 + 1
    )


def test_it_begins_as_the_system_prompt_in_a_circle(make_llama) -> None:
    tokenizer = byte_tokenizer()
    model = make_llama(vocabulary=len(tokenizer))
    before = model.get_input_embeddings().weight.detach().clone()
    spoken = tokenizer.encode(SYSTEM, add_special_tokens=False)
    add_soft_prompt(model, tokenizer, len(spoken) + 2)
    rows = model.get_input_embeddings().rows
    assert torch.equal(rows, before[[*spoken, *spoken[:2]]])


def test_the_tokenizer_writes_it_and_still_does_from_its_folder(prompted, make_row, tmp_path) -> None:
    _, tokenizer = prompted
    expected = (259, 260, 261, 262, *encode_prompt(byte_tokenizer(), make_row()))
    assert encode_prompt(tokenizer, make_row()) == expected
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert encode_prompt(again, make_row()) == expected
    assert again.chat_template == tokenizer.chat_template
    assert decode_answer(again, (259, *again.encode("so"), 262)) == "so"


def test_a_prompt_token_is_never_the_best_and_always_improbable(prompted) -> None:
    model, _ = prompted
    states = 30 * torch.randn(500, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model.lm_head(states)
    assert int(logits.argmax(-1).max()) < 259
    torch.testing.assert_close(logits[:, 259:], logits[:, :259].mean(-1, keepdim=True).expand(-1, COUNT))
    assert (logits.softmax(-1)[:, 259:] <= 1 / 259).all()


def test_rows_that_a_model_has_to_spare_are_used(make_llama) -> None:
    tokenizer = byte_tokenizer()
    model = make_llama(vocabulary=300)
    add_soft_prompt(model, tokenizer, COUNT)
    settle_soft_prompt(model)
    assert model.config.vocab_size == len(model.get_input_embeddings().weight) == 300
    torch.testing.assert_close(model.lm_head.weight[262], model.lm_head.weight[:259].mean(0))
