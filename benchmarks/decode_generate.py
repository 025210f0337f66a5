"""Worker: `generate` of transformers on the workload, batch by batch."""

import torch
from transformers import AutoModelForCausalLM

from benchmarks.decode_parts import measure, parse
from benchmarks.ppo_workload import Workload, policy_folder
from benchmarks.trl_parts import be_quiet, force_lengths, load
from tasks.shared.hardware import keep_freed_memory


def main() -> None:
    """Decode, and print seconds; a batch ends when its longest answer does."""
    options = parse(__doc__)
    be_quiet()
    keep_freed_memory()
    model = load(AutoModelForCausalLM, policy_folder(options.workload), options.precision).eval()
    generate = model.generate

    def decode(workload: Workload, answers: int, rows: int) -> None:
        model.generate = generate
        force_lengths(model, workload)
        for start in range(0, answers, rows):
            ids = torch.tensor(workload.prompts_of(start, min(rows, answers - start)))
            model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=workload.max_new_tokens,
                eos_token_id=workload.stop,
                pad_token_id=workload.pad,
            )

    measure(decode, options)


if __name__ == "__main__":
    main()
