"""What work costs: measured against work whose cost is known."""

import time
from pathlib import Path

import numpy as np
import pytest

from tasks.shared import cost
from tasks.shared.cost import WATTS_PER_CORE, metered, peak_memory_mb, resident_memory_mb
from tasks.shared.hardware import release_freed_memory


@pytest.fixture(autouse=True)
def no_memory_kept() -> None:
    """A stage that ran in this process before may have told glibc to keep what is freed."""
    release_freed_memory()


def test_sleeping_takes_time_but_no_processor() -> None:
    with metered() as spent:
        time.sleep(0.2)
        found = spent()
    assert found.seconds == pytest.approx(0.2, abs=0.15)
    assert found.processor_seconds < 0.1


def test_the_peak_is_that_of_the_work_and_not_of_what_was_before() -> None:
    before = np.ones(40_000_000)  # 320 MB
    assert peak_memory_mb() > 320
    del before
    release_freed_memory()
    with metered() as spent:
        small = spent().peak_memory_mb
        large = np.ones(25_000_000)  # 200 MB
        grown = spent().peak_memory_mb
        del large
    assert grown - small == pytest.approx(200, abs=40)


def test_a_meter_within_another_does_not_make_it_forget_its_peak() -> None:
    with metered() as outer:
        small = outer().peak_memory_mb
        large = np.ones(25_000_000)  # 200 MB
        del large
        release_freed_memory()
        with metered() as inner:
            inside = inner().peak_memory_mb
        whole = outer().peak_memory_mb
    assert whole - small == pytest.approx(200, abs=40)
    assert inside < whole - 100


def test_resident_memory_is_at_most_its_peak() -> None:
    now = resident_memory_mb()
    if now is None:
        pytest.skip("this system does not say how much memory a process holds")
    assert 10 < now <= peak_memory_mb() + 1


def test_energy_is_estimated_from_processor_time_where_nothing_counts_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cost, "_RAPL", tmp_path / "none")
    with metered() as spent:
        sum(number * number for number in range(2_000_000))
        found = spent()
    assert found.energy_source == "estimate"
    assert found.kwh == pytest.approx(found.processor_seconds * WATTS_PER_CORE / 3.6e6, rel=0.01)


def test_energy_is_read_where_the_processor_counts_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counter = tmp_path / "energy_uj"
    counter.write_text("5000000\n")
    monkeypatch.setattr(cost, "_RAPL", counter)
    with metered() as spent:
        counter.write_text("9600000\n")
        found = spent()
    # 4.6 joules.
    assert found.energy_source == "rapl"
    assert found.kwh == pytest.approx(4.6 / 3.6e6)


def test_a_counter_that_came_round_is_not_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counter = tmp_path / "energy_uj"
    counter.write_text("9000000\n")
    monkeypatch.setattr(cost, "_RAPL", counter)
    with metered() as spent:
        counter.write_text("100\n")
        assert spent().energy_source == "estimate"
