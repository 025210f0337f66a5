"""Overlap, repetition and variety of answers, by hand."""

import pytest

from tasks.ml.text_metrics import chrf, distinct_2, repetitions, rouge_l


def test_rouge_is_the_f1_of_the_longest_common_subsequence() -> None:
    # "it has 5 g" in order: 4 of 6 words of the gold answer, 4 of 4 of the answer.
    found = rouge_l(["It has 5 g of iron.", "yes", "yes"], ["It has 5 g", "no", ""])
    assert found == pytest.approx([2 * (4 / 6) * 1 / (4 / 6 + 1), 0, 0])


def test_chrf_is_100_for_the_gold_answer_and_0_for_nothing_in_common() -> None:
    found = chrf(["It has 5 g.", "abc", "It has 5 g of iron."], ["It has 5 g.", "xyz", "It has 5 g"])
    assert found[:2] == pytest.approx([100, 0])
    assert 40 < found[2] < 90


def test_chrf_by_hand() -> None:
    # Orders 1 and 2 of "ab" in "abc": precisions 1 and 1, recalls 2/3 and 1/2; no order has more.
    precision, recall = 1.0, (2 / 3 + 1 / 2) / 2
    f2 = 5 * precision * recall / (4 * precision + recall)
    assert chrf(["abc"], ["ab"])[0] == pytest.approx(100 * f2)


def test_repetitions_are_of_words() -> None:
    # Five 3-grams, of which "a b c" comes twice: one of five was said before.
    assert repetitions(["a b c a b c x", "a b"]) == pytest.approx([1 / 5, 0])


def test_variety_is_over_all_answers_together() -> None:
    # it-has it-has has-5 has-5 5-g: three of five pairs differ; one word has no pair.
    assert distinct_2(["it has 5 g", "it has 5", "yes"]) == pytest.approx(3 / 5)
    assert distinct_2(["yes", ""]) == 0
