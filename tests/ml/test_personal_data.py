"""What points to a person, kind by kind, and what only looks like it."""

import csv
import itertools
from collections import Counter
from pathlib import Path

import pytest

from configs.load import load_run_config
from tasks.clean import questions_from_facts
from tasks.ml.facts import load_foods
from tasks.ml.personal_data import Found, find_personal_data, redact

ROOT = Path(__file__).parents[2]
REGIONS = ("FR", "BE", "CH", "GB", "US", "CA", "DE", "ES", "IT", "NL")


@pytest.mark.parametrize(
    ("before", "secret", "after", "kind"),
    [
        ("Write to ", "jo.doe@example.org", ".", "e-mail address"),
        ("", "JO_D@EXAMPLE.CO.UK", "", "e-mail address"),
        ("<", "o'neil+diet@a-b.example.museum", ">", "e-mail address"),
        ("à ", "zoé@bücher.example", ", merci", "e-mail address"),
        ("or ", "jo [at] example [dot] org", " if you like", "e-mail address"),
        ("Call ", "(555) 123-4567", " now", "telephone number"),
        ("Call ", "555-123-4567", ".", "telephone number"),
        ("", "555.123.4567", "", "telephone number"),
        ("", "+1 555 123 4567", "", "telephone number"),
        ("", "+44 20 7946 0958", "", "telephone number"),
        ("(", "+33612345678", ")", "telephone number"),
        ("", "+49 (30) 1234 5678", "", "telephone number"),
        ("", "020 7946 0958", "", "telephone number"),
        ("le ", "06 12 34 56 78", ", merci", "telephone number"),
        ("le ", "06.12.34.56.78", ".", "telephone number"),
        ("(", "01-42-34-56-78", ")", "telephone number"),
        ("", "0033 6 12 34 56 78", "", "telephone number"),
        ("", "+33 (0)6 12 34 56 78", "", "telephone number"),
        ("Her mobile is ", "612 345 678", ".", "telephone number"),
        ("Phone: ", "7035246686", "", "telephone number"),
        ("SSN ", "078-05-1120", "", "social security number"),
        # 97 - 1850578006084 % 97 = 91, the example of the French statistical office.
        ("", "1 85 05 78 006 084 91", "", "social security number"),
        ("n° ", "185057800608491", "", "social security number"),
        ("NI ", "AB 12 34 56 C", "", "social security number"),
        # Of the Swift registry, and of a card network's test numbers.
        ("IBAN ", "FR14 2004 1010 0505 0001 3M02 606", ".", "bank account"),
        ("", "GB29NWBK60161331926819", "", "bank account"),
        ("paid by ", "4111 1111 1111 1111", "", "card number"),
        ("", "3782-822463-10005", "", "card number"),
        ("from ", "10.0.0.17", " to", "IP address"),
        ("from ", "10.0.0.17", ".", "IP address"),
        ("", "2001:db8::8a2e:370:7334", "", "IP address"),
    ],
)
def test_personal_data_is_replaced_whole(before: str, secret: str, after: str, kind: str) -> None:
    redacted = redact(f"{before}{secret}{after}", REGIONS)
    assert redacted.text == f"{before}[{kind}]{after}"
    assert redacted.counts == Counter({kind: 1})


@pytest.mark.parametrize(
    "text",
    [
        "Facts per 100 g.\nButter: energy 717 kcal, sodium 643 mg, potassium 24 mg, calcium 24 mg",
        # Three numbers in a row of a table looked like a telephone number.
        "Butter 717 643 1200",
        "Butter\n574 310 1200\n102 3456 7890",
        "1,200 mg, 12 345 678 and 12.345.678",
        "between 100-200-300 kcal",
        "2000-2500 kcal on 2024-10-31",
        "on 05-12-2024, 01/02/2023 and 3.11.1999",
        "50 g, 200 g, 300 g",
        "0.5 1.25 0.75 2.5",
        "0 12 34 56 78 90",
        "2.5.1 and 1.2.3",
        "300.1.2.3",
        "fat 3.3 g @ 4 %",
        "21 CFR 101.9(c)(8)(iv)",
        "(100 g) 250-300 kcal",
        "at 10:30:15 and a::b",
        "ISBN 978-3-16-148410-0",
        # One digit of each is wrong: the checksums do not hold.
        "FR15 2004 1010 0505 0001 3M02 606",
        "4111 1111 1111 1112",
        "1 85 05 78 006 084 92",
        "Doses 5 11 5 21 4 5 14 5 24 5 5 17 5 27 6 5 20 5 30 7 9+ 5 30 5 40",
    ],
)
def test_nutrition_is_nobodys_personal_data(text: str) -> None:
    assert find_personal_data(text, REGIONS) == ()


def test_no_row_made_of_the_table_holds_any() -> None:
    config = load_run_config(None, []).data
    foods = load_foods(ROOT / config.source)
    rows = questions_from_facts(foods, config, 7)
    assert len(rows) > 2000
    texts = {text for row in rows for text in (row.context, row.question, row.answer or "")}
    assert [text for text in texts if find_personal_data(text, config.phone_regions)] == []


def test_no_line_of_the_table_holds_any_however_it_is_joined() -> None:
    with (ROOT / "configs" / "data" / "usda_foods.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))
    assert len(rows) > 300
    found = [
        text
        for row, joint in itertools.product(rows, (" ", ", ", " | ", "\t", "\n"))
        for text in [joint.join(row)]
        if find_personal_data(text, REGIONS)
    ]
    assert found == []


def test_a_number_without_its_countrys_code_needs_that_country() -> None:
    text = "Ask for Paul on 06 12 34 56 78."
    assert find_personal_data(text, ("FR",)) == (Found("telephone number", 16, 30),)
    assert find_personal_data(text, ()) == ()
    assert redact("Or on +33 6 12 34 56 78.", ()).text == "Or on [telephone number]."


def test_several_are_told_apart() -> None:
    text = "jo@example.org, 06 12 34 56 78 and jo@example.org from 10.0.0.17"
    redacted = redact(text, REGIONS)
    assert redacted.text == "[e-mail address], [telephone number] and [e-mail address] from [IP address]"
    assert redacted.counts == Counter({"e-mail address": 2, "telephone number": 1, "IP address": 1})
    assert redact(redacted.text, REGIONS).text == redacted.text
