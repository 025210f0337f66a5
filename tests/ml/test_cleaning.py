"""Every reason to drop a row, once; and what must never be dropped."""

from collections import Counter

import pytest

from configs.schema import DataConfig
from tasks.ml.cleaning import clean, jaccard, normalise, shingles_of, split_of, thin
from tasks.ml.rows import ReferenceCheck

WORDS = [f"word{number}" for number in range(60)]


@pytest.fixture
def settings(config) -> DataConfig:
    return config.data.model_copy(
        update={"max_prompt_chars": 600, "max_answer_chars": 50, "min_answer_chars": 3, "near_duplicate": 0.8}
        | {"personal_data": "drop"}
    )


REASONS = {
    "prompt too long": {"question": "q" * 601},
    "answer too long": {"answer": "a" * 51},
    "answer too short": {"answer": " ab\n"},
    "personal data: e-mail address": {"answer": "ask a.person+x@mail.example.org"},
    "personal data: telephone number": {"question": "Is 555-123-4567 yours?"},
    "personal data: social security number": {"context": "078-05-1120"},
    "personal data: IP address": {"answer": "It is 192.168.10.20."},
    "exact duplicate": {"question": "Is  Butter rich\tin energy? "},
    "near duplicate": {"question": "Is butter rich in energy??"},
    "group is in another split": {
        "question": "Something new altogether here",
        "context": "",
        "split": "test",
    },
}


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_drops_its_row_and_is_counted(make_row, settings: DataConfig, reason: str) -> None:
    cleaned = clean([make_row(), make_row(id="row-2", **REASONS[reason])], settings)
    assert [row.id for row in cleaned.rows] == ["row-1"]
    assert cleaned.dropped == Counter({reason: 1})
    assert cleaned.examples == {reason: "row-2"}


def test_fit_rows_are_kept_in_order_and_normalised(make_row, settings: DataConfig) -> None:
    rows = [
        make_row(id="b", question="How  much\tfat?\r\n", answer=None, context="Milk: fat 3.5 g"),
        make_row(id="a", answer="cafe\u0301\x00 au lait", context="Coffee", question="What is it, then?"),
    ]
    cleaned = clean(rows, settings)
    assert [row.id for row in cleaned.rows] == ["b", "a"]
    assert cleaned.rows[0].question == "How much fat?"
    assert cleaned.rows[0].answer is None
    assert cleaned.rows[1].answer == "caf\u00e9 au lait"
    assert not cleaned.dropped


def test_tabs_part_words() -> None:
    # Tabs are control characters, and as such they were removed: "energy\t717" became "energy717".
    assert normalise("energy\t717\tkcal") == "energy 717 kcal"
    assert normalise(" a\x0b b \r\n\r\n c\x07d ") == "a b\n\ncd"


def test_personal_data_is_replaced_in_every_text_of_a_row_and_counted_once(make_row, settings) -> None:
    asked = "Jo (jo.doe@example.org) asks: how much fat?"
    row = make_row(
        context="Butter: fat 81 g. Call 555-123-4567.",
        question=asked,
        answer="Write to jo.doe@example.org or 10.0.0.17.",
        check=ReferenceCheck(text="Write to jo.doe@example.org or 10.0.0.17."),
        groups=(asked,),
    )
    cleaned = clean([row, make_row(id="row-2")], settings.model_copy(update={"personal_data": "redact"}))
    kept = cleaned.rows[0]
    assert kept.context == "Butter: fat 81 g. Call [telephone number]."
    assert kept.question == kept.groups[0] == "Jo ([e-mail address]) asks: how much fat?"
    assert kept.answer == kept.check.text == "Write to [e-mail address] or [IP address]."
    assert cleaned.redacted == Counter({"e-mail address": 2, "telephone number": 1, "IP address": 1})
    assert cleaned.redacted_rows == 1
    assert len(cleaned.rows) == 2


def test_personal_data_can_be_kept(make_row, settings: DataConfig) -> None:
    row = make_row(answer="Write to jo.doe@example.org.")
    cleaned = clean([row], settings.model_copy(update={"personal_data": "keep"}))
    assert cleaned.rows == [row]
    assert not cleaned.redacted
    assert not cleaned.dropped


def test_a_dropped_row_counts_no_placeholders(make_row, settings: DataConfig) -> None:
    row = make_row(question="Is 555-123-4567 yours?" + "q" * 601)
    cleaned = clean([row], settings.model_copy(update={"personal_data": "redact"}))
    assert (cleaned.rows, cleaned.redacted, cleaned.redacted_rows) == ([], Counter(), 0)


def nearly(make_row, identifier: str, changed: int):
    """60 words of which the last few differ: each of these spoils one 3-gram."""
    words = WORDS[: 60 - changed] + [f"{identifier}{number}" for number in range(changed)]
    return make_row(id=identifier, context="", question=" ".join(words))


@pytest.mark.parametrize(("changed", "kept"), [(1, False), (4, False), (10, True), (30, True)])
def test_near_is_above_the_threshold_of_shared_3_grams(
    make_row, settings: DataConfig, changed: int, kept: bool
) -> None:
    # 58 3-grams each, 58 - changed in common: 57/59, 54/62 = 0.87, 48/68 = 0.71, 28/88.
    rows = [nearly(make_row, "first", 0), nearly(make_row, "second", changed)]
    assert jaccard(*(shingles_of(row.question) for row in rows)) == pytest.approx(
        (58 - changed) / (58 + changed)
    )
    assert (len(clean(rows, settings).rows) == 2) is kept


@pytest.mark.parametrize(("threshold", "kept"), [(1.0, 2), (0.98, 2), (0.9, 1)])
def test_near_duplicates_can_be_allowed(make_row, settings: DataConfig, threshold: float, kept: int) -> None:
    # Every threshold above 0.96, and with it 1 for "off", died in the index: too few permutations.
    rows = [nearly(make_row, "first", 0), nearly(make_row, "second", 1)]
    cleaned = clean(rows, settings.model_copy(update={"near_duplicate": threshold}))
    assert len(cleaned.rows) == kept


def test_two_questions_about_one_long_context_are_not_near(make_row, settings: DataConfig) -> None:
    # A sheet's facts drown its question: questions about other nutrients were dropped as near duplicates.
    facts = " ".join(WORDS[:57])
    rows = [
        make_row(id="fat", context=facts, question="Which is higher in fat?"),
        make_row(id="fibre", context=facts, question="Which is higher in fibre?"),
    ]
    assert jaccard(*(shingles_of(f"{row.context} {row.question}") for row in rows)) > settings.near_duplicate
    assert len(clean(rows, settings).rows) == 2


def test_jaccard_by_hand() -> None:
    assert jaccard({"a", "b", "c"}, {"b", "c", "d"}) == 0.5
    assert jaccard(set(), set()) == 1.0
    assert jaccard({"a"}, set()) == 0.0


def test_a_dropped_row_leaves_no_trace(make_row, settings: DataConfig) -> None:
    long = make_row(id="long", answer="a" * 51, split="test")
    assert [row.id for row in clean([long, make_row()], settings).rows] == ["row-1"]


def test_no_group_ever_crosses_a_split(make_row, settings: DataConfig) -> None:
    rows = [
        make_row(
            id=f"row-{number}",
            context="",
            question=f"question {number} about {number * 7 % 13} and {number * 5 % 11}",
            groups=(f"food {number * 7 % 13}", f"food {number * 5 % 11}"),
            split=("train", "valid", "test")[number % 3],
        )
        for number in range(200)
    ]
    kept = clean(rows, settings).rows
    splits: dict[str, set[str]] = {}
    for row in kept:
        for group in row.groups:
            splits.setdefault(group, set()).add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    assert len({row.split for row in kept}) > 1


@pytest.mark.parametrize(("valid", "test"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_shares_of_nothing_and_all(valid: float, test: float) -> None:
    expected = "train" if valid + test == 0 else "valid" if valid else "test"
    assert {split_of(f"food {number}", valid, test) for number in range(50)} == {expected}


def test_thinning_keeps_the_same_rows_when_others_go(make_row) -> None:
    rows = [make_row(id=f"row-{number}") for number in range(100)]
    kept = thin(rows, 20, seed=1)
    assert len(kept) == 20
    assert kept == [row for row in rows if row in kept]
    gone = {row.id for row in rows[::2] if row not in kept}
    rest = [row for row in rows if row.id not in gone]
    assert thin(rest, 20, seed=1) == kept
    assert thin(list(reversed(rows)), 20, seed=1) == list(reversed(kept))
    assert thin(rows, 10, seed=1) == [row for row in kept if row in thin(rows, 10, seed=1)]
    assert thin(rows, 20, seed=2) != kept
    assert thin(rows, 100, seed=1) == rows
