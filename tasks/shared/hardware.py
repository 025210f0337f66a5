"""What the processor does well."""

import ctypes
import json
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Literal

_CPU_INFO = Path("/proc/cpuinfo")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_BF16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}  # x86 with AVX-512 or AMX; 64-bit Arm
_PROBE_SHAPE = (512, 576, 1536)  # tokens, and a feed-forward layer of the default student
_PROBE_REPEATS = 5
_WORTH_IT = 1.3


def faster_precision(memo: Path) -> Literal["fp32", "bf16"]:
    """The precision in which a training step's products take less time on this processor.

    It is measured once and remembered in `memo`, because the keys of stages hold it: an answer that changed
    with the weather on the machine would compute everything anew. Another processor or torch is measured
    again.

    Args:
        memo: A JSON file; made if it is not there.
    """
    machine = {"processor": _processor(), "torch": metadata.version("torch")}
    if memo.is_file():
        known = json.loads(memo.read_text(encoding="utf-8"))
        if known["machine"] == machine:
            return "bf16" if known["speedup"] >= _WORTH_IT else "fp32"
    speedup = _bf16_speedup() if has_bf16_instructions() else 0.0
    memo.parent.mkdir(parents=True, exist_ok=True)
    partial = memo.with_suffix(".partial")
    partial.write_text(json.dumps({"machine": machine, "speedup": speedup}), encoding="utf-8")
    partial.replace(memo)
    return "bf16" if speedup >= _WORTH_IT else "fp32"


def has_bf16_instructions() -> bool:
    """Whether the processor says that it can multiply in bf16.

    Where it cannot, bf16 is 44 to 499 times slower than fp32 (measured by users on AVX2: pytorch#146508), too
    slow even to try.
    """
    return not _BF16_INSTRUCTIONS.isdisjoint(_cpu_info("flags", "features").split())


def keep_freed_memory() -> None:
    """Let glibc keep what tensors free, instead of asking the kernel for the same pages again and again.

    Every large tensor is otherwise mapped and cleared anew; keeping them makes training steps about a fifth
    faster. Elsewhere than on glibc this does nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


def release_freed_memory() -> None:
    """Give back to the system what tensors freed, so that what is measured next starts from what is in use.

    Elsewhere than on glibc this does nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _bf16_speedup() -> float:
    """Seconds of a product in fp32 over seconds in bf16, the best of some turns of each."""
    import torch

    rows, inner, columns = _PROBE_SHAPE
    best = dict.fromkeys((torch.float32, torch.bfloat16), float("inf"))
    for _ in range(_PROBE_REPEATS):
        for dtype in best:
            left, right = torch.ones(rows, inner, dtype=dtype), torch.ones(inner, columns, dtype=dtype)
            started = time.perf_counter()
            torch.mm(left, right)
            best[dtype] = min(best[dtype], time.perf_counter() - started)
    return best[torch.float32] / best[torch.bfloat16]


def _processor() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _cpu_info(*names: str) -> str:
    """What the first processor says under one of the names, or nothing."""
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() in names:
                return value.strip()
    return ""
