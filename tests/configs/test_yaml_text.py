"""YAML in and out: places of mistakes, and text that must come back as it was."""

import pytest
import yaml

from configs.yaml_text import read_value, read_yaml, write_yaml


def read(text: str) -> dict[str, object]:
    layer = read_yaml(text, "x.yaml")
    assert layer.problems == []
    return layer.values


def test_places_of_keys() -> None:
    layer = read_yaml("# top\na:\n  b: 1\n  c:\n\n    d: [1, 2]\n", "x.yaml")
    assert layer.values == {"a": {"b": 1, "c": {"d": [1, 2]}}}
    assert layer.origins == {
        ("a",): "x.yaml:2",
        ("a", "b"): "x.yaml:3",
        ("a", "c"): "x.yaml:4",
        ("a", "c", "d"): "x.yaml:6",
    }


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", "x.yaml:3:2"),
        ("a: 1\n\tb: 2\n", "x.yaml:2:1"),
        ("a: 1\nb: 'open\n", "x.yaml:3:1"),
        ("a: b: c\n", "x.yaml:1:5"),
        ("a: 1\n--- \nb: 2\n", "x.yaml:2:1"),
        ("a: 1\nb: x\x07y\n", "x.yaml:2:5"),
        ("a: &name 1\n", "x.yaml:1:4"),
        ("a: 1\nb: *name\n", "x.yaml:2:4"),
        ("a: !!python/name:os.system x\n", "x.yaml:1:4"),
        ("a: ! 1\n", "x.yaml:1:4"),
    ],
)
def test_mistakes_have_line_and_column(text: str, place: str) -> None:
    layer = read_yaml(text, "x.yaml")
    assert [problem.what for problem in layer.problems] == [place]
    assert layer.values == {}


def test_duplicate_keys_at_any_depth() -> None:
    layer = read_yaml("a:\n  b: 1\n  c: [{d: 1, d: 2}]\n  b: 2\n", "x.yaml")
    assert [(problem.what, problem.got) for problem in layer.problems] == [
        ("a.c.0.d", "two values, at x.yaml:3 and at x.yaml:3"),
        ("a.b", "two values, at x.yaml:2 and at x.yaml:4"),
    ]


@pytest.mark.parametrize("text", ["1: x\n", "true: x\n", "? [a, b]\n: x\n"])
def test_keys_must_be_text(text: str) -> None:
    (problem,) = read_yaml(text, "x.yaml").problems
    assert (problem.what, problem.got) == ("x.yaml:1", "a key that is not text")


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text", "3"])
def test_the_top_must_be_a_mapping(text: str) -> None:
    (problem,) = read_yaml(text, "x.yaml").problems
    assert (problem.what, problem.got) == ("x.yaml", "no keys")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n", "{}\n"])
def test_a_file_may_be_empty(text: str) -> None:
    assert read(text) == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-0.5", -0.5),
        ("1e-4", 0.0001),
        ("2e3", 2000),
        ("2.0e3", 2000.0),
        ("null", None),
        ("", None),
        ("~", None),
        ("True", True),
        ("false", False),
        ("no", "no"),
        ("12:30:45", "12:30:45"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("9999999999999999999", "9999999999999999999"),
        ("e5", "e5"),
        ("1e", "1e"),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("'12'", "12"),
        ("[1, [a, 1e-4]]", [1, ["a", 0.0001]]),
    ],
)
def test_values(text: str, value: object) -> None:
    got = read_value(text, ("a", "b")).values["a"]["b"]
    assert got == value
    assert type(got) is type(value)
    assert read(f"a: {text}\n")["a"] == value


@pytest.mark.parametrize("text", ["[1", "@x", "*x", "a: b: c", "x\ny: 1", "'open"])
def test_a_value_that_is_no_yaml(text: str) -> None:
    layer = read_value(text, ("a", "b"))
    (problem,) = layer.problems
    assert (problem.what, problem.got) == ("a.b", f"`{text}` (command line)")
    assert layer.values == {}


def test_what_is_written_is_read_back_by_either_version_of_yaml() -> None:
    tricky = [
        "no",
        "1e-4",
        "12",
        "1:30",
        "007",
        "null",
        "",
        "a: b",
        "# x",
        "2026-11-21",
        "é\n\tz ",
        "~",
        ".5",
        "0o7",
    ]
    values = {
        "texts": tricky,
        "numbers": [1e-05, 0.1, 5, -3, 1e22],
        "other": [True, None, [], {}],
        "on": {"y": 1},
    }
    text = write_yaml(values)
    assert read(text) == values
    assert yaml.safe_load(text) == values
