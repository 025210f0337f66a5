"""A night: from the champion and new feedback to a decision; which stage reads whose artifact."""

import math
from collections.abc import Mapping

from configs.schema import RunConfig
from flows.graph import Refs, RunStage, check_source, make_spec
from tasks.few_preferences import FEWEST_PAIRS
from tasks.model_records import ModelVersion
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.caching import source_state

# Twice what learning from them takes: some are kept to measure.
LEAST_PREFERENCES = 2 * FEWEST_PAIRS


def begin_from(config: RunConfig, champion: ModelVersion, new: int) -> RunConfig:
    """The configuration of a night: it starts from the champion's reward model, and costs what its news are.

    Args:
        config: As the profile has it; replay and updates are what a night has at most.
        champion: Where the night starts.
        new: Events since the champion's watermark.
    """
    nightly = config.nightly
    warm = champion.reward.key if champion.reward else None
    replay = min(config.collect.replay, math.ceil(nightly.replay_per_event * new))
    updates = min(config.ppo.updates, max(1, math.ceil(new / nightly.events_per_update)))
    return config.model_copy(
        update={
            "reward": config.reward.model_copy(update={"warm_start": warm}),
            "collect": config.collect.model_copy(update={"replay": replay}),
            "ppo": config.ppo.model_copy(update={"updates": updates}),
        }
    )


def walk_night(
    config: RunConfig, champion: ModelVersion, external: Mapping[str, str], run_stage: RunStage
) -> Refs:
    """Go through the stages of a night in order.

    Args:
        config: As `begin_from` gives it.
        champion: The model that the night starts from, and that its challenger is held against.
        external: Digest of each external input, by name.
        run_stage: Called once a stage; what it returns is what later stages read.

    Returns:
        Artifacts by name, in order: `collect`, `drift`, `reward` where there is one, `aligned`, `challenger`,
        `champion`, `unrefined` and `decide`. Without `decide` the night ended before there was a challenger:
        the last one is of the stage whose finding stopped it: too few preferences, feedback that is not
        what the champion was made for, or a reward model that was refused.

    Raises:
        StageError: The source was edited meanwhile.
    """
    refs: Refs = {}
    loaded = source_state()

    def give(name: str, stage: str, **inputs: ArtifactRef) -> ArtifactRef:
        check_source(loaded)
        refs[name] = run_stage(make_spec(stage, config, external, {"clean": champion.clean, **inputs}))
        return refs[name]

    feedback = give("collect", "collect")
    if feedback.summary["majority_pairs"] < LEAST_PREFERENCES:
        return refs
    drift = give("drift", "drift", distill=champion.distill, collect=feedback)
    if drift.summary["drift"] == "stop" and config.drift.gate == "stop":
        return refs
    if config.align == "ppo":
        reward = give("reward", "reward", distill=champion.distill, feedback=feedback)
        if reward.summary["card"] != "go" and config.ppo.reward_gate == "stop":
            return refs
        aligned = give("aligned", "ppo", distill=champion.model, reward=reward)
    else:
        aligned = give("aligned", "dpo", distill=champion.model, feedback=feedback)
    give("challenger", "examine", model=aligned)
    give("champion", "examine", model=champion.model)
    give("unrefined", "examine_unrefined", distill=champion.distill)
    examined = {name: refs[name] for name in ("challenger", "champion", "unrefined")}
    give("decide", "decide", **examined)
    return refs
