"""Measuring a model: each figure against a plain forward pass, one question at a time."""

import math

import numpy as np
import pytest
import torch

from tasks.ml.evaluation import Answers, Contestant, answer, gold_likelihood, response_kl
from tasks.ml.models import tiny_random_model
from tasks.ml.progress import NoBar
from tasks.ml.prompts import decode_answer, encode_answer, encode_prompt
from tasks.ml.rubric import Judgement, judge
from tasks.ml.speed import latency, latency_column, latency_figures, throughput
from tasks.ml.teacher import byte_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


@pytest.fixture(scope="module")
def rows(make_row):
    return [
        make_row(id="a", context="Facts: A 5 g.", question="How much?", answer="5 g."),
        make_row(id="b", context="Facts: A 5 g.", question="Why so?", answer="It has 5 g, so yes."),
        make_row(id="c", context="", question="Is it?", answer="No."),
    ]


def model_of(tokenizer, seed: int):
    model = tiny_random_model(tokenizer, seed).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0 if parameter.ndim > 1 else 1.0)
    return model


def log_probs(model, prompt, response) -> torch.Tensor:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *response]])).logits[0]
    return logits[len(prompt) - 1 : -1].log_softmax(-1)


def test_likelihoods_are_those_of_each_gold_answer_alone(tokenizer, rows) -> None:
    model, shots = model_of(tokenizer, 0), (rows[2],)
    nats, tokens = gold_likelihood(Contestant("m", model, tokenizer, shots), rows)
    for index, row in enumerate(rows):
        response = encode_answer(tokenizer, row.answer)
        table = log_probs(model, encode_prompt(tokenizer, row, shots), response)
        expected = -sum(table[place, token].item() for place, token in enumerate(response))
        assert nats[index] == pytest.approx(expected, rel=1e-5)
        assert tokens[index] == len(response)


def test_the_divergence_is_summed_over_the_tokens_of_each_response(tokenizer, rows) -> None:
    ours, theirs = model_of(tokenizer, 0), model_of(tokenizer, 1)
    responses = [(70, 71, 72), (80, 1), (90,)]
    nats = response_kl(ours, Contestant("r", theirs, tokenizer), rows, responses)
    for index, (row, response) in enumerate(zip(rows, responses, strict=True)):
        prompt = encode_prompt(tokenizer, row)
        p, q = (log_probs(model, prompt, response).tolist() for model in (ours, theirs))
        expected = sum(
            math.exp(a) * (a - b) for ps, qs in zip(p, q, strict=True) for a, b in zip(ps, qs, strict=True)
        )
        assert nats[index] == pytest.approx(expected, rel=1e-4)
    assert response_kl(ours, Contestant("r", ours, tokenizer), rows, responses) == pytest.approx(
        [0, 0, 0], abs=1e-5
    )


def test_answers_are_decoded_and_judged(tokenizer, rows) -> None:
    model = model_of(tokenizer, 0)
    got = answer(Contestant("m", model, tokenizer), rows, max_new_tokens=5, batch=2, bar=NoBar())
    for index, row in enumerate(rows):
        ids = torch.tensor([encode_prompt(tokenizer, row)])
        output = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=5)
        expected = tuple(output[0, ids.shape[1] :].tolist())
        assert got.responses[index] == expected
        assert got.texts[index] == decode_answer(tokenizer, expected)
        assert got.judgements[index] == judge(row, got.texts[index], expected[-1] == tokenizer.eos_token_id)
        table = log_probs(model, ids[0].tolist(), expected)
        chances = [math.exp(table[place, token].item()) for place, token in enumerate(expected)]
        assert got.confidence[index] == pytest.approx(sum(chances) / len(chances), rel=1e-4)


def test_figures_of_answers() -> None:
    good, bad = Judgement(True, True, 0.5, True, False), Judgement(False, True, 1.0, False, False)
    answers = Answers(["one two three", "four"], [(1,), (2,)], [good, bad], np.array([0.5, 0.9]))
    assert answers.correct.tolist() == [1, 0]
    assert answers.stops.tolist() == [1, 0]
    assert answers.words.tolist() == [3, 1]
    assert answers.utility.tolist() == [2.0, 1.0]


def test_throughput_measures_every_contestant_every_time(tokenizer, rows) -> None:
    contestants = [Contestant(name, model_of(tokenizer, 0), tokenizer) for name in ("a", "b")]
    speeds = throughput(contestants, rows, new_tokens=3, repeats=2)
    assert speeds.keys() == {"a", "b"}
    assert all(values.shape == (2,) and (values > 0).all() for values in speeds.values())


def test_latency_is_measured_on_one_question_of_each_context(tokenizer, rows) -> None:
    contestants = [
        Contestant("short", model_of(tokenizer, 0), tokenizer),
        Contestant("shots", model_of(tokenizer, 0), tokenizer, (rows[2],)),
    ]
    column = latency_column(contestants, rows, np.array([0, 0, 1]), 9, max_new_tokens=3)
    # The first question of the first context, and of the second the one that is next in turn.
    assert column.weights.tolist() == [1, 0, 1]
    assert column.better == "lower"
    for own in column.values.values():
        assert own[0] > 0 < own[2]
        assert own[1] == 0
    figures = {(one["metric"], one["model"]): one for one in latency_figures(column, 200, 0)}
    own = sorted([column.values["short"][0], column.values["short"][2]])
    assert figures["latency_median", "short"]["value"] == pytest.approx(sum(own) / 2)
    assert figures["latency_p95", "short"]["value"] == pytest.approx(own[0] + 0.95 * (own[1] - own[0]))
    assert figures["latency_median", "shots"]["n"] == 2


def test_a_longer_answer_takes_longer(tokenizer, rows) -> None:
    # No token of these models is the stop token, so that both write as much as they may.
    model = [Contestant("m", model_of(tokenizer, 0), tokenizer)]
    assert latency(model, rows[:1], 200)["m"][0] > 3 * latency(model, rows[:1], 2)["m"][0]
