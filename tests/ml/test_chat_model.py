"""A chat model's replies and log-odds, against a plain pass of the model over each conversation alone."""

import pytest
import torch

from tasks.ml.chat_model import ChatModel
from tasks.ml.models import tiny_random_model
from tasks.ml.progress import NoBar
from tasks.ml.teacher import byte_tokenizer

CHATS = [
    [{"role": "system", "content": "You judge."}, {"role": "user", "content": text}]
    for text in ("Facts.\n\nAnswer A: x", "Facts.\n\nAnswer A: longer", "Others.\n\nAnswer A: x")
]


class Loads:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self):
        self.times += 1
        return tiny_random_model(byte_tokenizer(), seed=3).eval()


@pytest.fixture
def loads() -> Loads:
    return Loads()


@pytest.fixture
def chat(loads: Loads) -> ChatModel:
    return ChatModel(byte_tokenizer(), loads, 5, NoBar())


def encoded(messages: list[dict[str, str]]) -> torch.Tensor:
    tokenizer = byte_tokenizer()
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return torch.tensor([tokenizer.encode(text, add_special_tokens=False)])


def test_log_odds_are_those_of_each_conversation_alone(chat: ChatModel, loads: Loads) -> None:
    tokenizer, model = byte_tokenizer(), loads()
    a, b = (tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "AB")
    expected = []
    with torch.no_grad():
        for messages in CHATS:
            log_probs = model(encoded(messages)).logits[0, -1].log_softmax(-1)
            expected.append(float(log_probs[a] - log_probs[b]))
    assert chat.log_odds(CHATS) == pytest.approx(expected, abs=1e-5)
    assert len(set(expected)) == 3


def test_replies_are_greedy(chat: ChatModel, loads: Loads) -> None:
    tokenizer, model = byte_tokenizer(), loads()
    expected = []
    with torch.no_grad():
        for messages in CHATS:
            ids = encoded(messages)
            prompt = ids.shape[1]
            while ids.shape[1] < prompt + 5 and ids[0, -1] != tokenizer.eos_token_id:
                ids = torch.cat([ids, model(ids).logits[:, -1].argmax(-1, keepdim=True)], 1)
            expected.append(tokenizer.decode(ids[0, prompt:], skip_special_tokens=True).strip())
    assert chat.reply(CHATS) == expected


def test_weights_are_loaded_once_and_only_when_asked(chat: ChatModel, loads: Loads) -> None:
    assert loads.times == 0
    chat.log_odds(CHATS[:1])
    chat.reply(CHATS[:1])
    assert loads.times == 1
