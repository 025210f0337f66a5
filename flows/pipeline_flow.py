"""The pipeline as a deployment starts it."""

from pathlib import Path
from typing import Any

from prefect import flow
from rich.console import Console

from configs.load import load_run_config
from flows.places import choose_platform
from tasks.shared.env import read_env


@flow(name="pipeline", log_prints=False, persist_result=False)
def pipeline(profile: str | None = None, overrides: list[str] | None = None) -> dict[str, Any]:
    """Run the pipeline where this process is; what is in the store already is not computed again."""
    from flows.run import run_pipeline

    env = read_env()
    config = load_run_config(Path(profile) if profile else None, overrides or [])
    return run_pipeline(config, choose_platform("auto", env), env, Console(stderr=True))
