"""The file of principles: the one that ships is right, and every slip in another is named."""

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.load import load_run_config
from configs.principles import read_principles

GOOD = "name: {0}, critique: Look., revision: Mend it., judging: Compare."


def test_the_principles_that_the_base_names_can_be_read() -> None:
    principles = read_principles(Path(load_run_config(None, []).feedback.ai.principles))
    assert len(principles) == 4
    assert principles[0].name == "true to the facts"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("principles: []", "at least 1 item"),
        ("principles:\n  - {name: a, critique: b, revision: c}", "principles.0.judging"),
        (f"principles:\n  - {{{GOOD.format('a')}, weight: 2}}", "principles.0.weight"),
        (f"principles:\n  - {{{GOOD.format('a')}}}\n  - {{{GOOD.format('a')}}}", "twice: a"),
        ("principle: []", "unknown key"),
    ],
)
def test_a_slip_is_named(tmp_path: Path, lines: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(lines)
    with pytest.raises(ConfigError, match=said):
        read_principles(path)


def test_an_endpoint_needs_a_model_and_holds_no_secret() -> None:
    with pytest.raises(ConfigError, match=r"`feedback\.ai\.endpoint_model`"):
        load_run_config(None, ["feedback.ai.endpoint=http://127.0.0.1:8000/v1"])
    with pytest.raises(ConfigError, match="RETORT_ENDPOINT_KEY") as caught:
        load_run_config(
            None, ["feedback.ai.endpoint=http://sesame@127.0.0.1/v1", "feedback.ai.endpoint_model=m"]
        )
    assert "sesame" not in str(caught.value)
