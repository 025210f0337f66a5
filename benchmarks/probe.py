"""What a worker measures of its own process and of the machine: peak memory and peak matrix speed."""

import json
import resource
import time

import torch

from tasks.shared.hardware import has_bf16_instructions

SIZE = 2048
REPEATS = 5
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, MB of 10^6 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def matmul_peak(dtype: torch.dtype) -> float:
    """Best of some products of two square matrices, GFLOP/s; 2 n^3 operations each."""
    left, right = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
    torch.mm(left, right)
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - started)
    return 2 * SIZE**3 / best / 1e9


def main() -> None:
    """Print the matrix speed of this machine in each precision that it is worth trying."""
    torch.manual_seed(0)
    names = DTYPES if has_bf16_instructions() else ("fp32",)
    print(json.dumps({name: matmul_peak(DTYPES[name]) for name in names}))


if __name__ == "__main__":
    main()
