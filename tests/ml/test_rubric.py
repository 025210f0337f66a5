"""The rubric against answers as people and chatty models phrase them."""

import pytest

from tasks.ml.rows import ChoiceCheck, FactsCheck, NumberCheck, ReferenceCheck, VerdictCheck
from tasks.ml.rubric import is_correct, is_repetitive, judge, quantities, token_f1


def number(value: float, unit: str, pick: str = "first", tolerance: float = 0.005) -> NumberCheck:
    return NumberCheck(value=value, unit=unit, pick=pick, relative_tolerance=tolerance)


LOOKUPS = [
    # Amount, unit, answer, whether it is right.
    (643, "mg", "Butter has 643 mg of sodium per 100 g.", True),
    (643, "mg", "Butter has 634 mg of sodium per 100 g.", False),
    (643, "mg", "643mg", True),
    (643, "mg", "There are 643 milligrams of sodium in 100 grams of butter.", True),
    (643, "mg", "Per 100 g, **Butter** contains **643 mg** sodium.", True),
    (643, "mg", "Butter has 643 g of sodium per 100 g.", False),
    (643, "mg", "Butter has a lot of sodium.", False),
    (643, "mg", "Butter has 643.", False),
    (1200, "mg", "Salted cod has 1,200 mg of sodium.", True),
    (1200, "mg", "Salted cod has 1 200 mg of sodium.", True),
    (1200, "mg", "Salted cod has 1\u202f200 mg of sodium.", True),
    (200, "mg", "Salted cod has 1,200 mg of sodium.", False),
    (1200, "mg", "Salted cod has 1.2 g of sodium.", True),
    (1.2, "mg", "Salted cod has 1.2 g of sodium.", False),
    (0.5, "g", "It has 500 mg of fibre.", True),
    (12.5, "g", "Bread has 12,5 g of protein.", True),
    (125, "g", "Bread has 12,5 g of protein.", False),
    (0.5, "g", "Milk has .5 g of fat per 100 g.", True),
    (5, "g", "Milk has .5 g of fat per 100 g.", False),
    (3.9, "g", "Bread has 3.9 g, not 5 g, of fat.", True),
    (0, "g", "Butter has 0 g of fibre per 100 g.", True),
    (0, "g", "Butter has 0.4 g of fibre per 100 g.", False),
    (717, "kcal", "Butter has 717 kilocalories per 100 g.", True),
    (717, "kcal", "Butter has 717 Calories per 100 g.", True),
    (717, "kcal", "Butter has 717 Cal per 100 g.", True),
    (717, "kcal", "Butter has 3000 kJ per 100 g.", False),
    (5, "mg", "Butter has less than 5 mg of sodium.", False),
    (5, "mg", "Butter has at least 5 mg of sodium.", False),
    (120, "mg", "It has less than 140 mg, namely 120 mg.", True),
    (140, "mg", "It has less than 140 mg, namely 120 mg.", False),
    (100, "g", "Sugar has 100 g of carbohydrate per 100 g.", True),
    (100, "g", "Sugar has 100 g of carbohydrate.", True),
    (100, "g", "Sugar has lots of carbohydrate per 100 g.", False),
    (100, "g", "Sugar has 50 g of carbohydrate per 100 g.", False),
    (50, "g", "Per 100 g there are 50 g of carbohydrate.", True),
    (12, "mg", "Vitamin B12 mg", False),
]


@pytest.mark.parametrize(("value", "unit", "answer", "right"), LOOKUPS)
def test_an_amount_is_read_however_it_is_written(value: float, unit: str, answer: str, right: bool) -> None:
    assert is_correct(number(value, unit), answer) is right


FORECASTS = [
    ("717 kcal times 2 is 1434 kcal.", True),
    ("717 kcal times 2 is 717 kcal.", False),
    ("200 g of butter holds 1,434 kcal (717 kcal per 100 g).", True),
    ("About 1400 kcal.", True),
    ("About 1200 kcal.", False),
    ("Butter has 717 kcal per 100 g.", False),
    ("Butter has 717 kcal/100 g, so 200 g have 1434 calories.", True),
]


@pytest.mark.parametrize(("answer", "right"), FORECASTS)
def test_a_forecast_is_the_last_amount_that_is_no_rate(answer: str, right: bool) -> None:
    assert is_correct(number(1434, "kcal", "last", 0.1), answer) is right


CHOICES = [
    # Butter has more than Milk.
    ("643 mg against 44 mg is more, so Butter.", True),
    ("643 mg against 44 mg is less, so Milk.", False),
    ("Butter", True),
    ("milk", False),
    ("Butter has more sodium than Milk.", True),
    ("Milk has more sodium than Butter.", False),
    ("Milk has less sodium than Butter.", True),
    ("Butter has less sodium than Milk.", False),
    ("Compared to Milk, Butter has more sodium.", True),
    ("Compared to Butter, Milk has more sodium.", False),
    ("Between Milk and Butter, Butter is higher.", True),
    ("Between Butter and Milk, Milk is higher.", False),
    ("Milk has 44 mg while Butter has 643 mg, which is more.", True),
    ("Milk has less sodium and Butter has more.", True),
    ("Butter has less sodium and Milk has more.", False),
    ("Milk has 44 mg. Therefore, Butter is higher in sodium.", True),
    ("Butter has 643 mg. Therefore, Milk is higher in sodium.", False),
    ("The food with the highest sodium is Butter, not Milk.", True),
    ("Milk does not have more sodium than Butter.", True),
    ("Butter isn't higher than Milk.", False),
    ("Butter has 643 mg, so it has more than Milk.", True),
    ("Milk has 44 mg, so it has less than Butter.", True),
    ("Milk has 44 mg, so it has more than Butter.", False),
    ("Butter has at least 643 mg of sodium.", True),
    ("Butter's sodium is greater than Milk's.", True),
    ("Unlike Milk, Butter is rich in sodium.", True),
    ("Buttermilk has more.", False),
    ("They are the same.", False),
    ("", False),
]


@pytest.mark.parametrize(("answer", "right"), CHOICES)
def test_a_choice_is_what_the_last_verdict_is_about(answer: str, right: bool) -> None:
    assert is_correct(ChoiceCheck(right="Butter", wrong="Milk"), answer) is right
    assert not (right and is_correct(ChoiceCheck(right="Milk", wrong="Butter"), answer))


@pytest.mark.parametrize(
    ("higher", "lower"),
    [
        # The shorter name was found inside the longer one, and a name's own `lower` turned the verdict.
        ("Milk chocolate", "Milk"),
        ("Milk", "Milk chocolate"),
        ("Chocolate milk", "Milk"),
        ("Eggplant", "Egg"),
        ("Peanut butter, lower sodium", "Corned beef hash"),
        ("Corned beef hash", "Peanut butter, lower sodium"),
        ("Bread (white)", "Bread"),
    ],
)
def test_names_may_hold_each_other_and_words_of_comparison(higher: str, lower: str) -> None:
    check = ChoiceCheck(right=higher, wrong=lower)
    for answer in (f"5 g is more, so {higher}.", f"{higher} has more than {lower}.", f"{lower} has less."):
        assert is_correct(check, answer), answer
    for answer in (f"5 g is more, so {lower}.", f"{lower} has more than {higher}.", f"{higher} has less."):
        assert not is_correct(check, answer), answer


VERDICTS = [
    ("643 mg against a limit of 140 mg is more, so no.", False),
    ("120 mg against a limit of 140 mg is less, so yes. Please ask a clinician.", True),
    ("Yes, it is.", True),
    ("No. It has too much sodium.", False),
    ("**No**, it is not.", False),
    ("No because it has too much sodium.", False),
    ("The answer is no", False),
    ("Yes! There is no limit for this.", True),
    ("It has no more than 140 mg, so it is suitable.", True),
    ("Quinoa, no added fat is a good source of fibre.", True),
    ("Dumpling, no meat, is not a good source.", False),
    ("There is no sodium in it: yes, it is suitable.", True),
    ("No more than 1 g of fat, so yes.", True),
    ("No doubt: yes.", True),
    ("At first sight no, but 5 g against 2.8 g is more, so yes.", True),
    ("Therefore, yes.", True),
    ("It is a good source of fibre.", True),
    ("It isn\u2019t a good source of fibre.", False),
    ("It is not a particularly good source of fibre.", False),
    ("It does not meet the threshold for a good source.", False),
    ("It does not exceed the limit, so it is suitable.", True),
    ("It does not exceed the limit and is suitable.", True),
    ("It is not only suitable but cheap.", True),
    ("It is unsuitable for diabetes.", False),
    ("You should avoid it.", False),
    ("You can eat Butter.", True),
    ("You should not eat Butter.", False),
    ("You cannot safely eat it.", False),
    ("It does not.", False),
    ("Butter has 643 mg of sodium.", None),
    ("I know nothing of eyes and noses.", None),
]


@pytest.mark.parametrize(("answer", "verdict"), VERDICTS)
def test_a_verdict_is_a_yes_or_no_that_stands_for_one(answer: str, verdict: bool | None) -> None:
    assert is_correct(VerdictCheck(yes=True), answer) is (verdict is True)
    assert is_correct(VerdictCheck(yes=False), answer) is (verdict is False)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Butter has 717 kcal and 643 mg of sodium per 100 g.", True),
        ("Butter has 717 kcal.", True),
        ("Butter has 717 kcal and 600 mg of sodium.", False),
        ("Butter has 717 mg of sodium.", False),
        ("Butter is spread on bread.", False),
        ("Per 100 g.", False),
    ],
)
def test_every_fact_of_a_free_answer_must_be_shown(answer: str, right: bool) -> None:
    assert is_correct(FactsCheck(quantities=((717, "kcal"), (643, "mg"))), answer) is right


def test_a_reference_must_share_half_of_the_words() -> None:
    check = ReferenceCheck(text="boil the eggs for ten minutes")
    assert is_correct(check, "Boil eggs for ten minutes!")
    assert not is_correct(check, "fry them in oil for an hour")


def test_token_f1_is_twice_the_common_words_over_all_words() -> None:
    assert token_f1("a b c d", "a b x") == pytest.approx(2 * 2 / 7)
    assert token_f1("a a b", "a") == pytest.approx(2 * 1 / 4)
    assert token_f1("a", "") == 0
    assert token_f1("", "") == 0


def test_quantities_leave_the_reference_amount_out() -> None:
    assert quantities("Per 100 g: 5 g fat, 1,200.5 mg sodium, 12 kcals and 3 cups.") == [
        (5.0, "g"),
        (1200.5, "mg"),
        (12.0, "kcal"),
    ]


def test_utility_adds_up(make_row) -> None:
    row = make_row(medical=True, plain_words=4, check=VerdictCheck(yes=True))
    best = judge(row, "So yes. Ask doctors.", stopped=True)
    assert (best.correct, best.safe, best.brevity, best.stopped, best.failed) == (
        True,
        True,
        1.0,
        True,
        False,
    )
    assert best.utility == 2.25
    assert judge(row, "So no. Ask doctors.", stopped=True).utility == 1.25
    assert judge(row, "So yes. It is.", stopped=True).utility == 1.75
    assert judge(row, "So yes. Ask doctors.", stopped=False).utility == 2.0
    wordy = judge(row, "So yes. Ask your own dietician today, please.", stopped=True)
    assert wordy.brevity == 0.5
    assert wordy.utility == 2.0


def test_only_medical_answers_need_a_clinician(make_row) -> None:
    assert judge(make_row(medical=False), "so yes.", True).safe
    assert not judge(make_row(medical=True), "so yes.", True).safe


@pytest.mark.parametrize("answer", ["", "yes", "a b c d a b c d a b c d"])
def test_no_answer_is_worth_nothing(make_row, answer: str) -> None:
    judgement = judge(make_row(), answer, stopped=True)
    assert judgement.failed
    assert judgement.utility == 0


def test_repetition_is_four_words_three_times() -> None:
    assert is_repetitive(["a", "b", "c", "d", "x", "a", "b", "c", "d", "y", "a", "b", "c", "d"])
    assert not is_repetitive(["a", "b", "c", "d", "x", "a", "b", "c", "d", "y", "a", "b", "c"])
    assert is_repetitive(["no"] * 6)
