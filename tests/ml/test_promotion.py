"""The gate: what it promotes, and that each rule refuses by itself and by name."""

from typing import Any

import pytest

from configs.schema_promotion import PromotionConfig
from tasks.ml.promotion import Decision, decide

CONFIG = PromotionConfig(
    metric="utility",
    least_gain=0.1,
    confidence=0.95,
    accuracy_margin=0.06,
    safety_margin=0.1,
    length_margin=0.15,
    stop_margin=0.05,
    general_margin=0.05,
    harm_level=0.05,
    resamples=1999,
)


def better(context: int, task: str) -> dict[str, Any]:
    """0.2 on average, on every context a little other."""
    return {"utility": 2.2 + 0.1 * (-1) ** context}


def refused(decision: Decision) -> set[str]:
    return {rule.name for rule in decision.rules if not rule.passed}


@pytest.fixture
def judge(build_examined):
    """The gate's decision on a challenger that is better but for `change`, against a plain champion."""

    def start(change=lambda context, task: {}, nats: float = 0.9, **config: Any) -> Decision:
        def both(context: int, task: str) -> dict[str, Any]:
            return better(context, task) | change(context, task)

        unrefined = build_examined(lambda context, task: {"utility": 0.0, "correct": False}, nats=2.0)
        champion = build_examined(nats=0.9)
        challenger = build_examined(both, nats=nats)
        return decide(challenger, champion, unrefined, CONFIG.model_copy(update=config), 7)

    return start


def test_a_clear_gain_without_harm_is_promoted(judge) -> None:
    decision = judge()
    assert decision.promote
    assert decision.gain.value == pytest.approx(0.2)
    assert 0.15 < decision.gain.low < 0.2 < decision.gain.high < 0.25
    assert decision.gain.n == 120
    assert decision.reason.startswith("utility against the champion +0.200 [")
    assert decision.reason.endswith("no harm found")
    names = [rule.name for rule in decision.rules]
    assert names == [
        "utility against the champion",
        "utility against the unrefined model",
        "accuracy",
        "safety of medical answers",
        "answers that stop",
        "length",
        "general ability",
        *(f"{m} of {t}" for m in ("accuracy", "utility") for t in ("comparison", "lookup", "suitability")),
    ]


def test_the_other_way_round_it_is_not(build_examined) -> None:
    champion, challenger = build_examined(better), build_examined()
    decision = decide(challenger, champion, build_examined(lambda c, t: {"utility": 0.0}), CONFIG, 7)
    assert not decision.promote
    assert decision.gain.high < 0
    assert refused(decision) == {
        "utility against the champion",
        *(f"utility of {task}" for task in ("comparison", "lookup", "suitability")),
    }


def test_the_same_answers_are_no_gain(build_examined) -> None:
    one = build_examined(nats=0.9)
    decision = decide(one, one, build_examined(lambda c, t: {"utility": 0.0}, nats=2.0), CONFIG, 7)
    assert refused(decision) == {"utility against the champion"}
    assert (decision.gain.low, decision.gain.high) == (0, 0)
    assert decision.power.finds == 0
    assert "too few" not in decision.reason


def test_a_gain_whose_interval_crosses_zero_is_refused(judge) -> None:
    # Up by 1 on 22 contexts, down by 1 on 18: +0.1, as much as is stated, but it may be chance.
    decision = judge(lambda context, task: {"utility": 3.0 if context < 22 else 1.0})
    assert decision.gain.value == pytest.approx(0.1)
    assert decision.gain.low < 0 < decision.gain.high
    assert "utility against the champion" in refused(decision)
    # The error of a mean of 40 contexts of deviation 1 is 0.158; 2.8 of it are found, and a little more,
    # since the means over sets of ones are coarse.
    assert 2.8 * 0.158 < decision.power.finds < 1.15 * 2.8 * 0.158
    assert decision.power.needed == pytest.approx(120 * (decision.power.finds / 0.1) ** 2, rel=0.01)
    assert f"120 questions are too few to find 0.1: about {decision.power.needed} would do" in decision.reason


def test_what_does_not_beat_the_unrefined_model_is_refused(build_examined) -> None:
    challenger, champion = build_examined(better), build_examined()
    assert refused(decide(challenger, champion, challenger, CONFIG, 7)) == {
        "utility against the unrefined model"
    }


HARMS = {
    # 4 of 40 contexts wrong throughout: down by 10 points, and in no family clearly.
    "accuracy": lambda context, task: {"correct": context >= 4},
    "safety of medical answers": lambda context, task: {"safe": task != "suitability" or context >= 5},
    "answers that stop": lambda context, task: {"stopped": context >= 4},
    "length": lambda context, task: {"words": 12 if context % 2 else 11},
}


@pytest.mark.parametrize("name", HARMS)
def test_each_harm_refuses_by_itself(judge, name: str) -> None:
    decision = judge(HARMS[name])
    assert not decision.promote
    assert refused(decision) == {name}
    assert name in decision.reason
    assert "it may have" in decision.reason


def test_a_wider_margin_lets_it_pass_and_the_good_turn_always_does(judge) -> None:
    assert judge(HARMS["accuracy"], accuracy_margin=0.25).promote
    assert judge(HARMS["length"], length_margin=0.2).promote
    assert judge(lambda context, task: {"words": 3}).promote


def test_length_is_bounded_in_words_of_the_champion(judge) -> None:
    rule = next(rule for rule in judge(HARMS["length"]).rules if rule.name == "length")
    assert rule.difference.value == pytest.approx(1.5)
    assert rule.limit == pytest.approx(1.5)
    assert rule.difference.high > 1.5


def test_general_ability_lost_refuses(judge) -> None:
    assert judge(nats=0.94).promote
    decision = judge(nats=0.96)
    assert refused(decision) == {"general ability"}
    rule = next(rule for rule in decision.rules if rule.name == "general ability")
    assert rule.difference.value == pytest.approx(0.06)
    assert "grown by more than 0.05" in decision.reason


def test_all_harms_are_named_at_once(judge) -> None:
    decision = judge(lambda context, task: HARMS["length"](context, task) | HARMS["accuracy"](context, task))
    assert refused(decision) == {"accuracy", "length"}
    assert decision.reason.count("it may have") == 2


def test_a_family_that_loses_clearly_refuses_though_the_whole_gains(judge) -> None:
    def change(context: int, task: str) -> dict[str, Any]:
        return {"correct": False} if task == "comparison" and context < 12 else {}

    decision = judge(change, accuracy_margin=0.5)
    assert refused(decision) == {"accuracy of comparison"}
    rule = next(rule for rule in decision.rules if rule.name == "accuracy of comparison")
    assert rule.difference.value == pytest.approx(-0.3)
    # Only sets without any of the 12 contexts, 2^-12, reach it; p is 1 in 2,000 at least, times 6 by Holm.
    assert rule.p is not None
    assert 6 / 2000 <= rule.p <= 6 * 5 / 2000
    assert "clear harm (p = 0.0" in decision.reason


def test_a_family_that_loses_a_little_may_be_chance(judge) -> None:
    def change(context: int, task: str) -> dict[str, Any]:
        return {"correct": False} if task == "comparison" and context < 3 else {}

    decision = judge(change, accuracy_margin=0.5)
    assert decision.promote


def test_where_accuracy_is_the_metric_utility_does_not_count(judge, build_examined) -> None:
    decision = judge(metric="accuracy")
    assert refused(decision) == {"accuracy against the champion"}
    assert not any("utility" in rule.name for rule in decision.rules)


def test_what_cannot_be_measured_has_no_rule(build_examined) -> None:
    def plain(context: int, task: str) -> dict[str, Any]:
        return {"medical": False}

    challenger = build_examined(lambda context, task: plain(context, task) | better(context, task))
    decision = decide(
        challenger, build_examined(plain), build_examined(lambda c, t: {"utility": 0.0}), CONFIG, 7
    )
    assert decision.promote
    assert not {rule.name for rule in decision.rules} & {"safety of medical answers", "general ability"}


def test_four_contexts_are_too_few_for_anything(build_examined) -> None:
    challenger = build_examined(better, contexts=4)
    unrefined = build_examined(lambda context, task: {"utility": 0.0}, contexts=4)
    decision = decide(challenger, build_examined(contexts=4), unrefined, CONFIG, 7)
    assert not decision.promote
    assert decision.power.needed is None
    assert not decision.power.is_enough
    assert decision.reason.endswith("12 questions are too few to find 0.1")


def test_models_that_were_asked_other_questions_are_not_compared(build_examined) -> None:
    one, other = build_examined(), build_examined(contexts=39)
    with pytest.raises(ValueError, match="same questions"):
        decide(one, other, one, CONFIG, 7)
    with pytest.raises(ValueError, match="same general instructions"):
        decide(build_examined(nats=0.9), one, one, CONFIG, 7)


def test_a_decision_can_be_repeated(judge) -> None:
    assert judge(HARMS["accuracy"]) == judge(HARMS["accuracy"])
