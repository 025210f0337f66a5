"""How much of a night there is for how much new feedback."""

import pytest

from configs.load import load_run_config
from flows.night_graph import begin_from
from tasks.model_records import ModelVersion
from tasks.shared.artifacts import ArtifactRef

REF = ArtifactRef(
    kind="ppo",
    key=f"ppo/{'0' * 64}",
    uri="file:///x",
    sha256="0" * 64,
    schema_version=1,
    parents=(),
    summary={},
)
CHAMPION = ModelVersion(
    model=REF,
    clean=REF,
    distill=REF,
    reward=REF,
    feedback="none",
    watermark=0,
    number=1,
    name="nutrition",
    served_sha256="0" * 64,
    mlflow_version=None,
)


@pytest.mark.parametrize(
    ("new", "replay", "updates"),
    [(1, 8, 1), (5, 40, 1), (18, 144, 1), (19, 150, 1), (60, 150, 1), (61, 150, 2)],
)
def test_a_night_costs_what_its_news_are(new: int, replay: int, updates: int) -> None:
    config = load_run_config(None, ["ppo.updates=2"])
    assert (config.nightly.replay_per_event, config.nightly.events_per_update) == (8, 60)
    night = begin_from(config, CHAMPION, new)
    assert (night.collect.replay, night.ppo.updates) == (replay, updates)
    assert night.reward.warm_start == REF.key


def test_never_more_than_the_profile_says() -> None:
    config = load_run_config(None, ["ppo.updates=2", "collect.replay=10"])
    night = begin_from(config, CHAMPION, 100_000)
    assert (night.collect.replay, night.ppo.updates) == (10, 2)
