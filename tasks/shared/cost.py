"""What a piece of work costs: seconds, memory, energy."""

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# What one busy core of a server or laptop processor takes, without memory, disks and cooling: 225 W over 64
# cores is 3.5 W, 28 W over 4 cores is 7 W. Used only where the machine does not count its energy.
WATTS_PER_CORE = 5.0
_RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
_CLEAR_PEAK, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_JOULES_PER_KWH = 3.6e6
_running: list["_Peak"] = []


@dataclass
class _Peak:
    """The largest resident memory, in MB, that a meter has seen before a later one made the system forget."""

    megabytes: float = 0.0


@dataclass(frozen=True)
class Cost:
    """What was spent.

    Attributes:
        seconds: Of wall clock.
        processor_seconds: Of all threads together.
        peak_memory_mb: Largest resident memory of this process meanwhile, MB of 10^6 bytes.
        kwh: Energy of the processor, kWh.
        energy_source: `rapl`: counted by the processor, other work on it included; `estimate`:
            `processor_seconds` times 5 W.
    """

    seconds: float
    processor_seconds: float
    peak_memory_mb: float
    kwh: float
    energy_source: str

    def as_dict(self) -> dict[str, Any]:
        """For a record."""
        return asdict(self)


@contextmanager
def metered() -> Iterator[Callable[[], Cost]]:
    """Measure what is done inside; what is given says what was spent so far. Meters may be nested."""
    own = _Peak()
    for outer in _running:
        outer.megabytes = max(outer.megabytes, peak_memory_mb())
    _forget_peak()
    started, processor, joules = time.monotonic(), time.process_time(), _joules()

    def spent() -> Cost:
        seconds, busy = time.monotonic() - started, time.process_time() - processor
        now = _joules()
        counted = now is not None and joules is not None and now >= joules
        energy = now - joules if counted and now is not None and joules is not None else busy * WATTS_PER_CORE
        return Cost(
            round(seconds, 3),
            round(busy, 3),
            round(max(own.megabytes, peak_memory_mb()), 1),
            energy / _JOULES_PER_KWH,
            "rapl" if counted else "estimate",
        )

    _running.append(own)
    try:
        yield spent
    finally:
        _running.remove(own)


def peak_memory_mb() -> float:
    """Largest resident memory of this process since it was last forgotten, MB."""
    counted = _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6 if counted is None else counted


def resident_memory_mb() -> float | None:
    """Resident memory of this process now, MB; None where the system does not say."""
    return _status("VmRSS")


def _status(name: str) -> float | None:
    if _STATUS.is_file():
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


def _forget_peak() -> None:
    """Start the peak anew where the system can: on Linux, if this process may say so."""
    if os.access(_CLEAR_PEAK, os.W_OK):
        try:
            _CLEAR_PEAK.write_text("5", encoding="ascii")
        except OSError:
            return


def _joules() -> float | None:
    try:
        return int(_RAPL.read_text(encoding="ascii")) / 1e6
    except (OSError, ValueError):
        return None
