"""Start a reward model from the weights of an earlier one."""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from configs.errors import Problem, RetortError
from tasks.ml.models import HEAD_FILE, ScoredModel, load_tokenizer

KEY = "reward.warm_start"
_SHAPE = (  # what weights of the same shapes may still mean something else by
    "model_type",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "rms_norm_eps",
    "rope_parameters",
    "tie_word_embeddings",
)


class WarmStartRefused(RetortError):
    """Raised when an earlier reward model's weights are not this one's."""


def start_from(model: ScoredModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Give a reward model the weights of an earlier one, heads and all, in place.

    Args:
        model: The new one.
        tokenizer: Its tokeniser.
        folder: What `ScoredModel.save` wrote.

    Raises:
        WarmStartRefused: Naming everything in which the two differ.
    """
    if not (folder / HEAD_FILE).is_file():
        remedy = "Name an artifact of stage `reward`, or the folder of one."
        raise WarmStartRefused(Problem(KEY, f"{folder} without {HEAD_FILE}", "a reward model", remedy))
    earlier = ScoredModel.load(folder)
    problems = _differences(model, earlier)
    if load_tokenizer(folder).get_vocab() != tokenizer.get_vocab():
        problems.append(_differs("its tokens", "another vocabulary", "that of the distilled student"))
    if problems:
        raise WarmStartRefused(problems)
    model.load_state_dict(earlier.state_dict())


def _differences(model: ScoredModel, earlier: ScoredModel) -> list[Problem]:
    heads, had = model.head.out_features, earlier.head.out_features
    problems = []
    if heads != had:
        remedy = f"Set `reward.ensemble={had}`, or start without it."
        problems.append(Problem(KEY, f"{had} heads", f"{heads}, as `reward.ensemble` says", remedy))
    new, old = (scored.language_model for scored in (model, earlier))
    for name in _SHAPE:
        ours, theirs = getattr(new.config, name, None), getattr(old.config, name, None)
        if ours != theirs:
            problems.append(_differs(name, str(theirs), str(ours)))
    shapes = {name: tuple(weight.shape) for name, weight in new.state_dict().items()}
    others = {name: tuple(weight.shape) for name, weight in old.state_dict().items()}
    wrong = sorted(name for name in shapes.keys() | others.keys() if shapes.get(name) != others.get(name))
    if wrong:
        first = wrong[0]
        got = f"{len(wrong)} weights of other shapes, the first {first}: {others.get(first)}"
        problems.append(_differs("weights", got, str(shapes.get(first))))
    return problems


def _differs(what: str, got: str, expected: str) -> Problem:
    remedy = "Set it to null, or distil the student that it was made from."
    return Problem(KEY, f"{what}: {got}", expected, remedy)
