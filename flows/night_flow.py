"""The night as Prefect sees it: a flow of stages, and the entry of the deployment."""

from pathlib import Path
from typing import Any

from prefect import flow
from rich.console import Console

from configs.load import NIGHT_PROFILE, load_run_config
from configs.schema import RunConfig
from flows.approval import ask_approval
from flows.mending import mend
from flows.night_graph import walk_night
from flows.prefect_stages import PrefectStages
from tasks.model_records import ModelVersion
from tasks.place import Place
from tasks.shared.env import read_env


@flow(name="night-stages", log_prints=False, persist_result=False)
def night_stages(
    config: RunConfig, place: dict[str, Any], champion: dict[str, Any], external: dict[str, str]
) -> dict[str, Any]:
    """Run every stage of a night that is not in the store yet; give the artifacts and what became of each."""
    stages = PrefectStages(Place.model_validate(place))
    live = ModelVersion.model_validate(champion)
    refs = mend(lambda: walk_night(config, live, external, stages))
    return {
        "refs": {name: ref.model_dump(mode="json") for name, ref in refs.items()},
        "outcomes": [outcome.model_dump(mode="json") for outcome in stages.outcomes],
    }


@flow(name="nightly", log_prints=False, persist_result=False)
def nightly(profile: str | None = None, overrides: list[str] | None = None) -> dict[str, Any]:
    """Run a night where this process is; what a schedule, an event or a person starts."""
    from flows.nightly import Word, run_night
    from flows.places import choose_platform

    def ask(text: str, version: int) -> Word:
        answer = ask_approval(text, version)
        return Word(answer.approved, answer.by, answer.reason)

    config = load_run_config(Path(profile) if profile else NIGHT_PROFILE, overrides or [])
    env = read_env()
    summary = run_night(config, choose_platform("auto", env), env, Console(stderr=True), ask)
    return summary.model_dump(mode="json")
