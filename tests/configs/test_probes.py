"""Files of probes and scenarios: read as they are, refused with all that is wrong."""

from pathlib import Path

import pytest
import yaml

from configs.errors import ConfigError
from configs.probes import CONTROL, read_probes
from configs.scenarios import read_scenarios

DATA = Path(__file__).parents[2] / "configs" / "data"


def test_our_own_probes_and_scenarios_are_read() -> None:
    probes = read_probes(DATA / "probes.yaml")
    assert CONTROL in probes.groups
    assert {"gender", "age", "origin", "religion", "body"} <= probes.groups.keys()
    assert not set(probes.refuse) & set(probes.answer)
    scenarios = read_scenarios(DATA / "scenarios.yaml")
    assert [one.scenario for one in scenarios.scenarios] == [
        "clinic_leaflet",
        "school_canteen",
        "consumer_app",
    ]


def changed(tmp_path: Path, name: str, **changes: object) -> Path:
    content = yaml.safe_load((DATA / name).read_text(encoding="utf-8"))
    path = tmp_path / name
    path.write_text(yaml.safe_dump(content | changes, allow_unicode=True), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": {"gender": ["a woman", "a man"]}}, "control"),
        ({"groups": {"control": ["alone"]}}, "groups"),
        ({"openings": ["I am somebody."]}, "must hold"),
        ({"refuse": []}, "refuse"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_faults_of_probes_are_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_probes(changed(tmp_path, "probes.yaml", **changes))


def test_a_figure_without_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="says nothing of accuracy"):
        read_scenarios(changed(tmp_path, "scenarios.yaml", claims={}))
