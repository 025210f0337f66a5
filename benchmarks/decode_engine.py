"""Worker: this project's decode engine on the workload."""

import torch

from benchmarks.decode_parts import measure, parse
from benchmarks.ppo_workload import Workload, policy_folder
from tasks.ml.decode import DecodeEngine
from tasks.ml.models import load_model
from tasks.ml.precision import frozen_copy
from tasks.ml.sampling import Sampling
from tasks.shared.hardware import keep_freed_memory


def main() -> None:
    """Decode, and print seconds; no token stops an answer, its limit does."""
    options = parse(__doc__)
    keep_freed_memory()
    model = frozen_copy(load_model(policy_folder(options.workload)), options.precision)

    def decode(workload: Workload, answers: int, rows: int) -> None:
        sampling = Sampling(workload.max_new_tokens, stop=-1, pad=workload.pad, temperature=1.0, rows=rows)
        prompts = workload.prompts_of(0, answers)
        keys = [str(index) for index in range(answers)]
        lengths = workload.lengths_of(0, answers)
        decoded = DecodeEngine(model, sampling).run(prompts, keys, lengths)
        if not torch.equal(decoded.lengths, torch.tensor(lengths)):
            raise RuntimeError("the engine did not keep to the lengths")

    measure(decode, options)


if __name__ == "__main__":
    main()
