"""The nutrition task mixture: a sheet of facts about one or two foods, and questions that the sheet decides.

Gold answers name the amount before the verdict, so that a small model reads first and judges then. Like
answers collected from people they are uneven in style: many end with a courtesy, and only some of the medical
ones point to a clinician. Correctness is taught by the table; style is left for feedback to decide.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.ml.facts import BY_LABEL, GOOD_SOURCE_SHARE, NUTRIENTS, Food, Nutrient, round_amount, show_amount
from tasks.ml.food_groups import food_group
from tasks.ml.rows import Check, ChoiceCheck, FactsCheck, NumberCheck, Row, Split, VerdictCheck
from tasks.ml.seeding import random_for, stable_hash

CLINICIAN = "Please ask a clinician."
COURTESIES = (" I hope this helps you.", " I hope this is what you need.")
PORTIONS_G = (50, 200, 300)


@dataclass(frozen=True)
class Condition:
    """A condition, the nutrient that decides, and the most of it per 100 g that counts as low.

    Limits: sodium 140 mg (21 CFR 101.61(b)(4)); saturated fat 1.5 g and sugars 5 g (Regulation (EC) No
    1924/2006, annex); potassium 200 mg (National Kidney Foundation, low-potassium food).
    """

    name: str
    nutrient: str
    limit: float


CONDITIONS = (
    Condition("high blood pressure", "sodium", 140),
    Condition("high cholesterol", "saturated fat", 1.5),
    Condition("diabetes", "sugars", 5),
    Condition("kidney disease", "potassium", 200),
)


@dataclass(frozen=True)
class Sheet:
    """One or two foods and the nutrients shown of them, in the order shown."""

    foods: tuple[Food, ...]
    nutrients: tuple[Nutrient, ...]

    @property
    def text(self) -> str:
        """The facts as they stand in the prompt."""
        lines = [
            f"{food.name}: " + ", ".join(f"{n.label} {amount(food, n)}" for n in self.nutrients)
            for food in self.foods
        ]
        return "Facts per 100 g.\n" + "\n".join(lines)


@dataclass(frozen=True)
class Draft:
    """A question before it becomes a row: the plain gold answer and what decides it."""

    question: str
    plain: str | None
    check: Check
    medical: bool = False


def amount(food: Food, nutrient: Nutrient) -> str:
    """A food's amount of a nutrient with its unit."""
    return f"{show_amount(food.amounts[nutrient.label])} {nutrient.unit}"


def compared(value: float, other: float) -> str:
    """`more`, `less` or `equal`: the word that every verdict is drawn from."""
    if value == other:
        return "equal"
    return "more" if value > other else "less"


def ask_lookup(sheet: Sheet, draw: random.Random) -> Draft | None:
    """How much of a nutrient is in a food?"""
    food, nutrient = draw.choice(sheet.foods), draw.choice(sheet.nutrients)
    question = draw.choice(
        [
            f"How much {nutrient.label} is in {food.name}?",
            f"{food.name}: how much {nutrient.label}?",
        ]
    )
    plain = f"It has {amount(food, nutrient)} of {nutrient.label} per 100 g."
    value = food.amounts[nutrient.label]
    return Draft(question, plain, _number(value, nutrient.unit, 0.005, "first"))


def ask_comparison(sheet: Sheet, draw: random.Random) -> Draft | None:
    """Which of the two foods has more of a nutrient? None where they are too close to call."""
    if len(sheet.foods) < 2:
        return None
    nutrient = draw.choice(sheet.nutrients)
    first, second = sheet.foods
    low, high = sorted((first, second), key=lambda food: food.amounts[nutrient.label])
    if high.amounts[nutrient.label] < 1.1 * low.amounts[nutrient.label] + 0.1:
        return None
    question = draw.choice(
        [
            f"Which of the two has more {nutrient.label}?",
            f"Which is higher in {nutrient.label}?",
        ]
    )
    order = compared(first.amounts[nutrient.label], second.amounts[nutrient.label])
    plain = f"{amount(first, nutrient)} against {amount(second, nutrient)} is {order}, so {high.name}."
    return Draft(question, plain, ChoiceCheck(right=high.name, wrong=low.name))


def ask_good_source(sheet: Sheet, draw: random.Random) -> Draft | None:
    """Does 100 g hold at least a tenth of the FDA's daily value?"""
    candidates = [nutrient for nutrient in sheet.nutrients if nutrient.daily_value]
    if not candidates:
        return None
    food, nutrient = draw.choice(sheet.foods), draw.choice(candidates)
    threshold = round_amount(GOOD_SOURCE_SHARE * (nutrient.daily_value or 0))
    yes = food.amounts[nutrient.label] >= threshold
    question = draw.choice(
        [
            f"Is {food.name} a good source of {nutrient.label}?",
            f"{food.name}: a good source of {nutrient.label}?",
        ]
    )
    needed = f"{show_amount(threshold)} {nutrient.unit}"
    order = compared(food.amounts[nutrient.label], threshold)
    plain = f"{amount(food, nutrient)} against {needed} for a good source is {order}, so {_word(yes)}."
    return Draft(question, plain, VerdictCheck(yes=yes))


def ask_suitability(sheet: Sheet, draw: random.Random) -> Draft | None:
    """Is a food low enough in what a condition limits?"""
    shown = {nutrient.label for nutrient in sheet.nutrients}
    candidates = [condition for condition in CONDITIONS if condition.nutrient in shown]
    if not candidates:
        return None
    food, condition = draw.choice(sheet.foods), draw.choice(candidates)
    nutrient = BY_LABEL[condition.nutrient]
    yes = food.amounts[nutrient.label] <= condition.limit
    question = draw.choice(
        [
            f"Is {food.name} suitable for {condition.name}?",
            f"I have {condition.name}. Can I eat {food.name}?",
        ]
    )
    limit = f"a limit of {show_amount(condition.limit)} {nutrient.unit}"
    order = compared(food.amounts[nutrient.label], condition.limit)
    plain = f"{amount(food, nutrient)} of {nutrient.label} against {limit} is {order}, so {_word(yes)}."
    return Draft(question, plain, VerdictCheck(yes=yes), medical=True)


def ask_forecast(sheet: Sheet, draw: random.Random) -> Draft | None:
    """How much energy will a portion of one food, or a meal of two, hold?"""
    energy = BY_LABEL["energy"]
    if energy not in sheet.nutrients:
        return None
    if len(sheet.foods) > 1:
        value = sum(food.amounts["energy"] for food in sheet.foods)
        question = "How much energy is in a meal of 100 g of each?"
        plain = " plus ".join(amount(food, energy) for food in sheet.foods)
    else:
        food, grams = sheet.foods[0], draw.choice(PORTIONS_G)
        value = food.amounts["energy"] * grams / 100
        question = f"How much energy is in {grams} g of {food.name}?"
        plain = f"{amount(food, energy)} times {grams / 100:g}"
    check = _number(value, "kcal", 0.1, "last")
    return Draft(question, f"{plain} is {show_amount(value)} kcal.", check) if value >= 5 else None


def ask_open(sheet: Sheet, draw: random.Random) -> Draft | None:
    """A free question that only a teacher answers; the sheet still decides whether the answer is true."""
    food = draw.choice(sheet.foods)
    question = draw.choice(
        [
            f"Tell me one fact about {food.name} with its amount.",
            f"What is in {food.name}? Name one amount.",
        ]
    )
    quantities = tuple((food.amounts[n.label], n.unit) for n in sheet.nutrients)
    return Draft(question, None, FactsCheck(quantities=quantities))


FAMILIES: dict[str, Callable[[Sheet, random.Random], Draft | None]] = {
    "lookup": ask_lookup,
    "comparison": ask_comparison,
    "good_source": ask_good_source,
    "suitability": ask_suitability,
    "forecast": ask_forecast,
    "open": ask_open,
}


def make_sheets(
    foods: Sequence[Food], count: int, foods_shown: int, nutrients_shown: int, *identity: object
) -> list[Sheet]:
    """Draw sheets; no food comes twice before all have come once.

    Args:
        foods: The foods of one split, at least `foods_shown`.
        count: Number of sheets.
        foods_shown: Foods on each sheet, 1 or 2.
        nutrients_shown: Nutrients shown of each food; energy is always among them.
        identity: What makes these draws independent of others, for instance seed and split.
    """
    draw = random_for("sheets", foods_shown, *identity)
    deck: list[Food] = []
    sheets = []
    for _ in range(count):
        if len(deck) < foods_shown:
            deck = draw.sample(list(foods), len(foods))
        shown = draw.sample(NUTRIENTS[1:], nutrients_shown - 1)
        shown.insert(draw.randrange(nutrients_shown), NUTRIENTS[0])
        sheets.append(Sheet(tuple(deck.pop() for _ in range(foods_shown)), tuple(shown)))
    return sheets


def make_rows(sheet: Sheet, split: Split, plan: Sequence[str], style: "Style", seed: int) -> list[Row]:
    """Ask the families of `plan` about a sheet; what a sheet cannot answer is passed over."""
    rows = []
    names = tuple(food.name for food in sheet.foods)
    food_groups = tuple(dict.fromkeys(food_group(food.category) for food in sheet.foods))
    for position, family in enumerate(plan):
        identity = (seed, split, *names, position, family)
        draw = random_for("question", *identity)
        draft = FAMILIES[family](sheet, draw)
        if draft is None:
            continue
        rows.append(
            Row(
                id=f"{family}-{stable_hash(draw.getrandbits(48), sheet.text):016x}",
                task=family,
                groups=names,
                split=split,
                context=sheet.text,
                question=draft.question,
                answer=style.dress(draft, draw),
                plain_words=len(style.shortest(draft).split()),
                medical=draft.medical,
                check=draft.check,
                food_groups=food_groups,
            )
        )
    return rows


@dataclass(frozen=True)
class Style:
    """How gold answers are dressed.

    Attributes:
        wordy_share: Share of gold answers that end with a courtesy.
        clinician_share: Share of medical gold answers that point to a clinician.
    """

    wordy_share: float
    clinician_share: float

    def dress(self, draft: Draft, draw: random.Random) -> str | None:
        """The gold answer in one of the registers."""
        if draft.plain is None:
            return None
        answer = draft.plain
        if draft.medical and draw.random() < self.clinician_share:
            answer = f"{answer} {CLINICIAN}"
        if draw.random() < self.wordy_share:
            answer += draw.choice(COURTESIES)
        return answer

    def shortest(self, draft: Draft) -> str:
        """The shortest answer that a careful person would give."""
        if draft.plain is None:
            return "It has an amount of a nutrient per 100 g."
        return f"{draft.plain} {CLINICIAN}" if draft.medical else draft.plain


def _word(yes: bool) -> str:
    return "yes" if yes else "no"


def _number(value: float, unit: str, tolerance: float, pick: str) -> NumberCheck:
    return NumberCheck.model_validate(
        {"value": value, "unit": unit, "relative_tolerance": tolerance, "pick": pick}
    )
