"""Layers of configuration: precedence, and every kind of mistake with its place."""

from pathlib import Path
from typing import Annotated, Literal, Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from configs.errors import ConfigError, Problem
from configs.layers import read_layers


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(Section):
    source: str
    columns: dict[str, str] = {}
    families: tuple[str, ...] = ("lookup", "compare")


class Ppo(Section):
    learning_rate: float = Field(gt=0, le=1)
    steps: int = Field(ge=1)
    batch: int = 32
    minibatch: int = 8
    whiten: bool = True
    schedule: Literal["linear", "constant"] = "linear"
    limit: Annotated[int, Field(ge=1)] | Literal["none"] = "none"

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.batch % self.minibatch:
            raise ValueError(f"`minibatch` {self.minibatch} does not divide `ppo.batch` {self.batch}")
        return self


class LocalTeacher(Section):
    kind: Literal["local"]
    path: Path = Path("teacher")


class RemoteTeacher(Section):
    kind: Literal["remote"]
    url: str


class Run(Section):
    data: Data
    ppo: Ppo
    teacher: Annotated[LocalTeacher | RemoteTeacher, Field(discriminator="kind")] = LocalTeacher(kind="local")
    judge: Ppo | None = None


BASE = """\
data:
  source: foods.csv
  columns: {prompt: question, answer: reply}
ppo:
  learning_rate: 1e-4
  steps: 40
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def load(folder: Path, profile: str | None, *overrides: str) -> Run:
    files = [folder / "base.yaml"]
    if profile is not None:
        (folder / "profile.yaml").write_text(profile)
        files.append(folder / "profile.yaml")
    return read_layers(Run, files, overrides)


def problems_of(folder: Path, profile: str | None, *overrides: str) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load(folder, profile, *overrides)
    return caught.value.problems


def test_command_line_beats_profile_beats_base(folder: Path) -> None:
    config = load(folder, "ppo:\n  steps: 7\n  batch: 64\n", "ppo.batch=16", "ppo.batch=24")
    assert (config.ppo.learning_rate, config.ppo.steps, config.ppo.batch) == (0.0001, 7, 24)


def test_a_profile_states_only_differences(folder: Path) -> None:
    assert load(folder, "ppo:\n  steps: 7\n").data == Data(
        source="foods.csv", columns={"prompt": "question", "answer": "reply"}
    )


def test_an_empty_profile_and_an_empty_section_change_nothing(folder: Path) -> None:
    assert load(folder, "") == load(folder, "ppo:\n  # steps: 7\n") == load(folder, None)


def test_mappings_are_merged_and_lists_replaced(folder: Path) -> None:
    config = load(folder, "data:\n  columns: {answer: gold}\n  families: [lookup]\n")
    assert config.data.columns == {"prompt": "question", "answer": "gold"}
    assert config.data.families == ("lookup",)


def test_an_override_may_be_a_list_a_path_of_a_mapping_or_null(folder: Path) -> None:
    judge = "judge: {learning_rate: 0.5, steps: 1}\n"
    config = load(folder, judge, "data.families=[a, b]", "data.columns.answer=gold", "judge=null")
    assert config.data.families == ("a", "b")
    assert config.data.columns["answer"] == "gold"
    assert config.judge is None


def test_the_value_of_an_override_may_hold_equals_signs(folder: Path) -> None:
    assert load(folder, None, "data.source=s3://bucket/a=b.csv").data.source == "s3://bucket/a=b.csv"


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "1:30", "2026-11-21", "0o17", "007"])
def test_text_stays_text(folder: Path, word: str) -> None:
    assert load(folder, f"data:\n  source: {word}\n").data.source == word
    assert load(folder, None, f"data.source={word}").data.source == word


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-4", 1e-4), ("1E-4", 1e-4), ("5e-1", 0.5), ("1.", 1.0), (".25", 0.25), ("1", 1.0)],
)
def test_numbers_in_every_spelling(folder: Path, text: str, number: float) -> None:
    assert load(folder, f"ppo:\n  learning_rate: {text}\n").ppo.learning_rate == number
    assert load(folder, None, f"ppo.learning_rate={text}").ppo.learning_rate == number


def test_a_whole_number_may_be_scientific(folder: Path) -> None:
    assert load(folder, None, "ppo.steps=2e3").ppo.steps == 2000


def test_a_mistyped_key_names_the_nearest_key_and_its_place(folder: Path) -> None:
    (problem,) = problems_of(folder, "\nppo:\n  steps: 3\n  learning_rat: 0.1\n")
    assert problem.what == "ppo.learning_rat"
    assert problem.got == "an unknown key (profile.yaml:4)"
    assert problem.remedy == "Did you mean `ppo.learning_rate`?"


@pytest.mark.parametrize(
    ("override", "suggestion"),
    [
        ("pppo.steps=3", "Did you mean `ppo.steps`?"),
        ("training.source=x", "Did you mean `data.source`?"),
        ("optimiser_settings.families=[x]", "Did you mean `data.families`?"),
        ("judge.stepz=3", "Did you mean `judge.steps`?"),
        ("dta={}", "Did you mean `data`?"),
        ("zzzzzz=3", "`retort config --keys` lists all keys."),
    ],
)
def test_what_was_meant_by_an_unknown_key(folder: Path, override: str, suggestion: str) -> None:
    (problem,) = problems_of(folder, None, override)
    assert problem.what == override.partition("=")[0]
    assert problem.got == "an unknown key (command line)"
    assert problem.remedy == suggestion


@pytest.mark.parametrize(
    ("line", "key", "got", "expected"),
    [
        ("learning_rate: -1.5", "ppo.learning_rate", "-1.5", "a number greater than 0"),
        ("learning_rate: 3", "ppo.learning_rate", "3", "a number less than or equal to 1"),
        ("learning_rate: .nan", "ppo.learning_rate", '".nan"', "a valid number"),
        ("learning_rate: 1e999", "ppo.learning_rate", '"1e999"', "a valid number"),
        ("steps: 0", "ppo.steps", "0", "a number greater than or equal to 1"),
        ("steps: true", "ppo.steps", "true", "a valid integer"),
        ("steps: 1.5", "ppo.steps", "1.5", "a valid integer"),
        ("steps: '3'", "ppo.steps", '"3"', "a valid integer"),
        ("steps:", "ppo.steps", "null", "a valid integer"),
        ("whiten: no", "ppo.whiten", '"no"', "a valid boolean"),
        ("whiten: 1", "ppo.whiten", "1", "a valid boolean"),
        ("schedule: cosine", "ppo.schedule", '"cosine"', "'linear' or 'constant'"),
        ("limit: 0", "ppo.limit", "0", "a number greater than or equal to 1 or 'none'"),
    ],
)
def test_a_wrong_value_tells_its_key_value_place_and_bound(
    folder: Path, line: str, key: str, got: str, expected: str
) -> None:
    (problem,) = problems_of(folder, f"ppo:\n  # a comment\n  {line}\n")
    assert (problem.what, problem.got, problem.expected) == (key, f"{got} (profile.yaml:3)", expected)


def test_a_number_where_text_is_wanted_suggests_quotes(folder: Path) -> None:
    (problem,) = problems_of(folder, None, "data.source=12")
    assert problem.got == "12 (command line)"
    assert problem.remedy == """Write 'data.source="12"'."""
    assert load(folder, None, 'data.source="12"').data.source == "12"


def test_a_key_below_a_value(folder: Path) -> None:
    (problem,) = problems_of(folder, None, "ppo.steps.now=3")
    assert (problem.what, problem.got) == ("ppo.steps", '{"now": 3} (command line)')


def test_a_wrong_item_is_named_by_its_position(folder: Path) -> None:
    (problem,) = problems_of(folder, "data:\n  families: [lookup, 3]\n")
    assert (problem.what, problem.got) == ("data.families.1", "3 (profile.yaml:2)")


def test_a_value_in_place_of_a_section(folder: Path) -> None:
    (problem,) = problems_of(folder, "ppo: 3\n")
    assert (problem.what, problem.got, problem.expected) == (
        "ppo",
        "3 (profile.yaml:1)",
        "a section with keys",
    )


def test_a_choice_of_sections(folder: Path) -> None:
    assert load(folder, "teacher: {kind: remote, url: here}\n").teacher == RemoteTeacher(
        kind="remote", url="here"
    )
    (problem,) = problems_of(folder, "teacher:\n  kind: remote\n  url: 3\n")
    assert (problem.what, problem.got) == ("teacher.url", "3 (profile.yaml:3)")
    (problem,) = problems_of(folder, "teacher:\n  kind: local\n  url: here\n")
    assert (problem.what, problem.expected) == ("teacher.url", "a key of the schema")


def test_a_missing_value(folder: Path) -> None:
    (problem,) = problems_of(folder, "teacher: {kind: remote}\n")
    assert (problem.what, problem.got) == ("teacher.url", "no value")


def test_a_contradiction_names_the_keys_and_where_they_are_set(folder: Path) -> None:
    (problem,) = problems_of(folder, "ppo:\n  batch: 30\n", "ppo.minibatch=7")
    assert problem.what == "ppo"
    assert problem.got == "a contradiction: `minibatch` 7 does not divide `ppo.batch` 30"
    assert problem.remedy == "Change one of them (command line, profile.yaml:2)."


def test_all_problems_at_once(folder: Path) -> None:
    profile = "ppo:\n  steps: 0\n  batch: x\n  stepz: 1\n  steps: -1\n"
    problems = problems_of(folder, profile, "data.source", "data.sorce=x", "ppo.whiten=maybe", "ppo.limit=@")
    assert [problem.what for problem in problems] == [
        "ppo.steps",  # stated twice
        "data.source",  # without "="
        "ppo.limit",  # not YAML
        "ppo.stepz",
        "data.sorce",
        "ppo.steps",
        "ppo.batch",
        "ppo.whiten",
    ]
    assert "profile.yaml:2 and at profile.yaml:5" in problems[0].got


def test_contradictions_are_seen_beside_unknown_keys(folder: Path) -> None:
    problems = problems_of(folder, "ppo: {stepz: 1, batch: 9}\n", "data.sorce=x")
    assert [problem.what for problem in problems] == ["ppo.stepz", "data.sorce", "ppo"]


def test_a_missing_file_lists_those_that_exist(folder: Path) -> None:
    (folder / "smoke.yaml").write_text("")
    with pytest.raises(ConfigError) as caught:
        read_layers(Run, [folder / "base.yaml", Path("elsewhere/smok.yaml")], ["ppo.steps=0"])
    missing, bound = caught.value.problems
    assert (missing.what, missing.got) == ("elsewhere/smok.yaml", "no such file")
    assert missing.expected == "one of base.yaml, smoke.yaml"
    assert missing.remedy == "Did you mean `smoke.yaml`?"
    assert bound.what == "ppo.steps"


def test_a_missing_base_hides_what_it_would_have_stated(folder: Path) -> None:
    (folder / "base.yaml").unlink()
    (problem,) = problems_of(folder, "ppo:\n  batch: 9\n")
    assert problem.what == "base.yaml"


def test_files_that_are_no_text(folder: Path) -> None:
    (folder / "binary.yaml").write_bytes(b"ppo: \xff\n")
    (folder / "folder.yaml").mkdir()
    with pytest.raises(ConfigError) as caught:
        read_layers(Run, [folder / "base.yaml", folder / "binary.yaml", folder / "folder.yaml"])
    assert [(problem.what, problem.got) for problem in caught.value.problems] == [
        ("binary.yaml", "a byte that is not UTF-8 at position 5"),
        ("folder.yaml", "Is a directory"),
    ]


@pytest.mark.parametrize("override", ["ppo.steps", "=3", "ppo.=3", ".steps=3", "ppo steps"])
def test_an_override_without_key_or_value(folder: Path, override: str) -> None:
    (problem,) = problems_of(folder, None, override)
    assert (problem.what, problem.expected) == (override, "`section.key=value`")
