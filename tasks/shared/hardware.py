"""What the processor does well."""

import ctypes
import platform
from functools import cache
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_FAST_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # x86 with AVX-512 or AMX; 64-bit Arm


@cache
def has_fast_bf16() -> bool:
    """Whether bf16 matrix products run on instructions of their own.

    Without them bf16 is 44 to 499 times slower than fp32 (measured by users on AVX2: pytorch#146508), so
    where it cannot be told, the answer is no.
    """
    if not _CPU_INFO.is_file():
        return False
    for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
        name, _, flags = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return not _FAST_BF16.isdisjoint(flags.split())
    return False


def keep_freed_memory() -> None:
    """Let glibc keep what tensors free, instead of asking the kernel for the same pages again and again.

    Every large tensor is otherwise mapped and cleared anew; keeping them makes training steps about a fifth
    faster. Elsewhere than on glibc this does nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
