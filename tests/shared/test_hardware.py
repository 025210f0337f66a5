"""What the processor says of itself, as kernels print it, and what a measurement makes of that."""

import json
from pathlib import Path

import pytest

from tasks.shared import hardware
from tasks.shared.hardware import faster_precision, has_bf16_instructions


@pytest.fixture
def cpu_info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(hardware, "_CPU_INFO", path)
    return path


@pytest.mark.parametrize(
    ("line", "has_them"),
    [
        ("flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 amx_tile", True),
        ("flags\t\t: fpu sse2 avx512f amx_bf16", True),
        ("flags\t\t: fpu sse2 avx2 avx512f avx512_vnni", False),
        ("flags\t\t: fpu avx512_bf16x", False),
        ("Features\t: fp asimd i8mm bf16", True),
        ("Features\t: fp asimd svebf16", False),
        ("model name\t: avx512_bf16 amx_bf16 bf16", False),
        ("bugs\t\t: bf16", False),
    ],
)
def test_flags(cpu_info: Path, line: str, has_them: bool) -> None:
    cpu_info.write_text(f"processor\t: 0\nvendor_id\t: x\n{line}\n\nprocessor\t: 1\n")
    assert has_bf16_instructions() is has_them


def test_the_first_processor_speaks_for_all(cpu_info: Path) -> None:
    cpu_info.write_text("flags\t: avx2\n\nflags\t: avx512_bf16\n")
    assert has_bf16_instructions() is False


def test_no_word_means_no(cpu_info: Path) -> None:
    assert not cpu_info.exists()
    assert has_bf16_instructions() is False
    cpu_info.write_text("processor\t: 0\n")
    assert has_bf16_instructions() is False


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Speed-ups that the next measurements find, the last first."""
    answers: list[float] = []
    monkeypatch.setattr(hardware, "_bf16_speedup", answers.pop)
    return answers


CAPABLE = "model name\t: Fast 9000\nflags\t: avx512_bf16\n"


@pytest.mark.parametrize(("speedup", "precision"), [(1.31, "bf16"), (1.29, "fp32"), (0.1, "fp32")])
def test_bf16_is_chosen_where_it_was_measured_to_be_faster(
    cpu_info: Path, tmp_path: Path, measured: list[float], speedup: float, precision: str
) -> None:
    cpu_info.write_text(CAPABLE)
    measured.append(speedup)
    assert faster_precision(tmp_path / "cache" / "precision.json") == precision
    assert measured == []


def test_the_answer_stays_until_processor_or_library_change(
    cpu_info: Path, tmp_path: Path, measured: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu_info.write_text(CAPABLE)
    memo = tmp_path / "precision.json"
    measured += [0.5, 0.6, 2.0]
    assert faster_precision(memo) == "bf16"
    assert faster_precision(memo) == "bf16"
    assert measured == [0.5, 0.6]
    cpu_info.write_text(CAPABLE.replace("9000", "9001"))
    assert faster_precision(memo) == "fp32"
    monkeypatch.setattr(hardware.metadata, "version", lambda name: "99")
    assert faster_precision(memo) == "fp32"
    assert measured == []
    assert json.loads(memo.read_text())["machine"] == {"processor": "Fast 9001", "torch": "99"}


def test_without_instructions_nothing_is_tried(cpu_info: Path, tmp_path: Path, measured: list[float]) -> None:
    cpu_info.write_text("flags\t: avx2\n")
    measured.append(9.0)
    assert faster_precision(tmp_path / "precision.json") == "fp32"
    assert measured == [9.0]


def test_the_measurement_measures() -> None:
    assert hardware._bf16_speedup() > 0
