"""What the processor says of itself, as kernels print it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.shared import hardware
from tasks.shared.hardware import has_fast_bf16


@pytest.fixture
def cpu_info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(hardware, "_CPU_INFO", path)
    has_fast_bf16.cache_clear()
    yield path
    has_fast_bf16.cache_clear()


@pytest.mark.parametrize(
    ("line", "is_fast"),
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
def test_flags(cpu_info: Path, line: str, is_fast: bool) -> None:
    cpu_info.write_text(f"processor\t: 0\nvendor_id\t: x\n{line}\n\nprocessor\t: 1\n")
    assert has_fast_bf16() is is_fast


def test_the_first_processor_speaks_for_all(cpu_info: Path) -> None:
    cpu_info.write_text("flags\t: avx2\n\nflags\t: avx512_bf16\n")
    assert has_fast_bf16() is False


def test_no_word_means_no(cpu_info: Path) -> None:
    assert not cpu_info.exists()
    assert has_fast_bf16() is False
    has_fast_bf16.cache_clear()
    cpu_info.write_text("processor\t: 0\n")
    assert has_fast_bf16() is False
