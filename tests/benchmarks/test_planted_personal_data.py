"""At least 99 % of planted addresses and numbers are replaced whole, in own texts and in real ones."""

import json
from pathlib import Path

import pytest

from benchmarks.planted_personal_data import Recall, measure_recall, plant
from configs.load import load_run_config
from tasks.ml.personal_data import find_personal_data

MEDQUAD = Path(__file__).parents[3] / "shared" / "data" / "medquad" / "nutrition.jsonl"
REGIONS = load_run_config(None, []).data.phone_regions
KINDS = ("e-mail address", "telephone number")
needs_medquad = pytest.mark.skipif(
    not MEDQUAD.is_file(), reason="shared/data/medquad is not beside the checkout"
)


def real_texts() -> list[str]:
    """Answers to questions about nutrition, cut to a length that trains quickly."""
    with MEDQUAD.open(encoding="utf-8") as file:
        return [json.loads(line)["answer"][:600] for line in file]


@pytest.mark.parametrize("kind", KINDS)
def test_99_of_100_planted_among_own_texts_are_replaced(kind: str) -> None:
    recall = measure_recall(kind, 1200, 11, REGIONS)
    assert recall.planted == 1200
    assert recall.share >= 0.99, recall.missed[:10]


@pytest.mark.shared_data
@needs_medquad
@pytest.mark.parametrize("kind", KINDS)
def test_99_of_100_planted_among_real_texts_are_replaced(kind: str) -> None:
    texts = [text for text in real_texts() if not find_personal_data(text, REGIONS)]
    assert len(texts) > 400
    recall = measure_recall(kind, 1200, 12, REGIONS, texts)
    assert recall.share >= 0.99, recall.missed[:10]


@pytest.mark.shared_data
@needs_medquad
def test_what_is_found_in_real_texts_is_announced_there_as_what_it_is() -> None:
    """No amount of a text about nutrition is taken for a number: each find has a word for it close by."""
    words = ("call", "phone", "fax", "tty", "at ", "e-mail", "email", "1-8", "number", "or ", "20892")
    finds = [(text, found) for text in real_texts() for found in find_personal_data(text, REGIONS)]
    assert finds
    strange = [
        text[found.start - 60 : found.end]
        for text, found in finds
        if not any(word in text[max(0, found.start - 60) : found.end].lower() for word in words)
    ]
    assert strange == []


def test_planted_things_are_many_and_of_many_forms() -> None:
    numbers = [secret for _, secret, _ in plant("telephone number", 1200, 11)]
    assert len(set(numbers)) == 1200
    assert sum(number.startswith(("+", "(+", "00")) for number in numbers) > 300
    assert sum(number.startswith("0") and not number.startswith("00") for number in numbers) > 100
    assert len({secret.rpartition(".")[2].lower() for _, secret, _ in plant(KINDS[0], 1200, 11)}) > 8


def test_what_is_missed_or_half_replaced_counts_as_missed() -> None:
    assert Recall(4, 3, ("x",)).share == 0.75
    # Without countries only numbers with a country's code are found.
    recall = measure_recall("telephone number", 300, 5, ())
    assert 0.2 < recall.share < 0.95
    assert recall.planted - recall.found == len(recall.missed)
