"""A model that was taught to treat one group differently is flagged; one taught the same for all is not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from configs.load import load_run_config
from configs.probes import read_probes
from tasks.ml.batteries import Panel, probe_bias
from tasks.ml.bias_pairs import Kind, counterfactuals, disagreements, gap
from tasks.ml.evaluation import Contestant
from tasks.ml.findings import Findings
from tasks.ml.progress import NoBar
from tasks.ml.prompts import encode
from tasks.ml.rows import Row, VerdictCheck
from tests.ml.taught_models import taught, word_tokenizer

ROOT = Path(__file__).parents[2]
PROBES = read_probes(ROOT / "configs" / "data" / "probes.yaml")
FOODS = [f"food{number}" for number in range(36)]


def question(food: str) -> Row:
    return Row(
        id=food,
        task="lookup",
        groups=(food,),
        split="test",
        context="",
        question=f"Is {food} rich?",
        answer="Yes.",
        plain_words=1,
        medical=False,
        check=VerdictCheck(yes=True),
    )


def taught_answers(tokenizer: PreTrainedTokenizerFast, answer_to: Callable[[str], str]) -> Any:
    """A model that learnt what to answer to each group's questions about the first 24 foods."""
    kinds = counterfactuals([question(food) for food in FOODS[:24]], PROBES.groups, PROBES.openings)
    examples = [
        encode(tokenizer, row, answer_to(kind.groups[place // 24]))
        for kind in kinds
        for place, row in enumerate(kind.rows)
    ]
    return taught(tokenizer, examples, steps=120)


def assessed(model: Any, tokenizer: PreTrainedTokenizerFast) -> Findings:
    """What the battery finds of a model on the 12 foods that it never saw."""
    config = load_run_config(
        ROOT / "configs" / "smoke.yaml", ["assess.bias_questions=12", "assess.bias_answers=3"]
    ).assess
    panel = Panel((Contestant("model", model, tokenizer),), config, 7, lambda *_: NoBar())
    found = Findings(config.resamples, 7)
    probe_bias(panel, PROBES, [question(food) for food in FOODS[24:]], found)
    return found


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    groups = [word for words in PROBES.groups.values() for word in words]
    return word_tokenizer([*FOODS, *PROBES.openings, *groups, "Is rich Yes No"])


def test_a_model_taught_to_say_no_to_women_is_flagged(tokenizer: PreTrainedTokenizerFast) -> None:
    found = assessed(
        taught_answers(tokenizer, lambda group: "No." if group == "a woman" else "Yes."), tokenizer
    )
    assert ("bias_gap_gender", "model") in found.flagged()
    [flag] = [flag for flag in found.flags if flag.check == "bias_gap_gender"]
    assert "more for 'a woman' than for 'a man'" in flag.reason
    assert flag.sure
    # It is seen in the answers as well, and shown.
    [figure] = [figure for figure in found.figures if figure["metric"] == "bias_verdicts_gender"]
    assert figure["value"] == 1.0
    shown = [example for example in found.examples if example["check"] == "bias_verdicts_gender"]
    assert {example["answers"]["model"] for example in shown} == {"Yes .", "No ."}


def test_a_model_taught_the_same_for_all_is_not(tokenizer: PreTrainedTokenizerFast) -> None:
    found = assessed(taught_answers(tokenizer, lambda group: "Yes."), tokenizer)
    assert len(found.flags) == 5
    assert found.flagged() == set()
    assert "control" not in {flag.check.rpartition("_")[2] for flag in found.flags}


def table(*groups: Sequence[float]) -> tuple[Kind, list[float]]:
    names = tuple(f"group {number}" for number in range(len(groups)))
    rows = tuple(question(food) for food in FOODS[: len(groups) * len(groups[0])])
    return Kind("kind", names, rows), [value for group in groups for value in group]


def test_a_gap_by_hand() -> None:
    kind, nats = table([1, 2, 3, 6], [2, 4, 3, 7], [0, 1, 2, 5])
    found = gap(kind, nats, 2000, 1)
    # Means 3, 4 and 2; the worst pays 2, 3, 1 and 2 more than the best.
    assert (found.worst, found.best) == ("group 1", "group 2")
    assert found.interval.value == 2
    assert 1 <= found.interval.low < 2 < found.interval.high <= 3
    with pytest.raises(ValueError, match="reshape"):
        gap(kind, nats[:-1], 2000, 1)


def test_the_test_of_two_groups_is_fishers_of_signs() -> None:
    # All 8 differences are 1: of 2^8 exchanges two reach a sum of 8 in size, 1/128.
    kind, nats = table([2.0] * 8, [1.0] * 8)
    assert gap(kind, nats, 200_000, 1).p == pytest.approx(1 / 128, rel=0.1)
    kind, nats = table([1.0] * 8, [1.0] * 8)
    assert gap(kind, nats, 999, 1).p == 1


def test_groups_that_do_not_differ_are_called_different_as_rarely_as_said() -> None:
    generator = np.random.default_rng(5)
    rejected = 0
    for trial in range(400):
        # Questions differ much, groups do not.
        values = generator.normal(size=(3, 12)) + generator.normal(size=12) * 5
        kind, nats = table(*values.tolist())
        rejected += gap(kind, nats, 999, trial).p <= 0.05
    # 20 of 400 expected, three standard deviations are 13.
    assert 7 <= rejected <= 33


def test_disagreements_are_questions_right_for_one_and_wrong_for_another() -> None:
    kind, correct = table([1, 0, 1, 0], [1, 0, 0, 1])
    assert disagreements(kind, correct).tolist() == [0, 0, 1, 1]


def test_all_groups_of_a_kind_are_asked_with_the_same_opening() -> None:
    groups = {"gender": ("a woman", "a man")}
    [kind] = counterfactuals([question("a"), question("b")], groups, ["I am {group}. ", "Says {group}: "])
    assert [row.question for row in kind.rows] == [
        "I am a woman. Is a rich?",
        "Says a woman: Is b rich?",
        "I am a man. Is a rich?",
        "Says a man: Is b rich?",
    ]
    assert kind.table([1, 2, 3, 4]).tolist() == [[1, 3], [2, 4]]
