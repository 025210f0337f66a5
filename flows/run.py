"""A run from beginning to end: find what is there, start what is missing, walk the graph, leave results."""

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from configs.schema import RunConfig
from configs.schema_platform import PlatformConfig
from configs.section import Precision
from flows.enter_model import enter_model
from flows.external import external_digests
from flows.footprint import footprint, footprint_metrics
from flows.found_stages import FoundStages, NotCached
from flows.graph import walk
from flows.places import enter, find_servers
from flows.results import StageOutcome, save_latest
from tasks.place import Place, SetAsideError
from tasks.shared.artifacts import ArtifactRef, canonical_json, sha256_bytes
from tasks.shared.env import Env, export, server_environment
from tasks.shared.hardware import faster_precision
from tasks.shared.run_prefect import start_prefect
from tasks.shared.services import Services
from tasks.shared.tracking import FLOW_KEY, Scalar, Tracker
from tasks.stage_spec import flatten


def run_pipeline(config: RunConfig, platform: PlatformConfig, env: Env, console: Console) -> dict[str, Any]:
    """Run what is not in the store yet and return the summary that `latest/summary.json` holds.

    A run whose stages are all there starts no server and imports no model library.

    Args:
        config: What to compute.
        platform: Where.
        env: What the machine says.
        console: Where progress is shown.
    """
    started = time.monotonic()
    config, place, services = prepare(config, platform, env, console.quiet)
    external = external_digests(config, place)
    run: str | None = None
    try:
        refs, outcomes = look_up(config, place, external)
    except NotCached:
        refs, outcomes, run = compute(config, place, external, env, services)
    summary = save_latest(place.patient(), refs["report"], outcomes, time.monotonic() - started, run)
    enter_model(config, place, refs, external["people"])
    return summary


def prepare(
    config: RunConfig, platform: PlatformConfig, env: Env, quiet: bool
) -> tuple[RunConfig, Place, Services | None]:
    """What this machine decides of a run: its arithmetic, where it computes, and the servers that it uses.

    Raises:
        ServiceError: The platform needs servers, and there are none.
    """
    config = resolve(config, faster_precision(env.home / "cache" / "precision.json"))
    services = find_servers(platform, env)
    return config, enter(platform, env, services, quiet), services


def resolve(config: RunConfig, precision: Precision) -> RunConfig:
    """Decide what the configuration leaves to this machine, so that the keys say what is computed."""

    def decided(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {k: precision if k == "precision" and v == "auto" else decided(v) for k, v in tree.items()}
        return tree

    return RunConfig.model_validate(decided(config.model_dump()))


def look_up(
    config: RunConfig, place: Place, external: Mapping[str, str]
) -> tuple[dict[str, ArtifactRef], list[StageOutcome]]:
    """All artifacts of a run that was made before, the report verified, as it is read at once.

    Raises:
        NotCached: At least one stage must run.
    """
    stages = FoundStages(place)
    refs = walk(config, external, stages)
    try:
        place.fetch(place.store(), refs["report"])
    except SetAsideError as error:
        raise NotCached("report") from error
    return refs, stages.outcomes


def compute(
    config: RunConfig, place: Place, external: dict[str, str], env: Env, services: Services | None
) -> tuple[dict[str, ArtifactRef], list[StageOutcome], str]:
    """Run the flow through Prefect, recorded in MLflow under the id that is given last."""
    with prefect_server(env, services), place.tracker() as tracker:
        parent = tracker.open(run_name(config), run_tags(config), flatten(config.model_dump(mode="json")))
        recorded = place.patient().model_copy(update={"parent_run": parent})
        from flows.distill_align import distill_align

        outcomes = [
            StageOutcome.model_validate(outcome)
            for outcome in distill_align(config, recorded.model_dump(mode="json"), external, tracker.url)
        ]
        refs = {outcome.name: outcome.ref for outcome in outcomes}
        record_headline(tracker, recorded, refs, outcomes)
        found = footprint(recorded.store(), refs, config.assess.country)
        tracker.headline(footprint_metrics(found))
    return refs, outcomes, parent


@contextmanager
def prefect_server(env: Env, services: Services | None) -> Iterator[None]:
    """A Prefect server for this run, unless one is running; it starts while the libraries load."""
    if services:
        yield
        return
    server = start_prefect(env.home, server_environment(env.home))
    try:
        export({**server.client_settings, "PREFECT_LOGGING_LEVEL": "CRITICAL"})
        preload()
        server.wait_ready()
        yield
    finally:
        server.stop()


def preload() -> None:
    """Import what every run needs, while the server starts on the other core."""
    import mlflow  # noqa: F401

    import tasks.label
    import tasks.run_stage  # noqa: F401


def run_name(config: RunConfig) -> str:
    """What people see in MLflow's list."""
    return f"{config.name}-{time.strftime('%Y-%m-%d-%H%M%S')}"


def run_tags(config: RunConfig) -> dict[str, str]:
    """Tags of the parent run."""
    digest = sha256_bytes(canonical_json(config.model_dump(mode="json")))
    return {FLOW_KEY: digest, "config.sha256": digest, "host": socket.gethostname(), "pid": str(os.getpid())}


def record_headline(
    tracker: Tracker, place: Place, refs: Mapping[str, ArtifactRef], outcomes: list[StageOutcome]
) -> None:
    """Put the closing figures and the state of every stage on the parent run."""
    from flows.results import load_figures

    figures = load_figures(place, refs["report"])
    tracker.headline({f"{f['metric']}/{f['model']}": f["value"] for f in figures})
    tracker.stages_table(stages_rows(outcomes))
    for outcome in outcomes:
        if outcome.state == "cached" and outcome.run_id:
            tracker.link(outcome.name, outcome.run_id)


def stages_rows(outcomes: Sequence[StageOutcome]) -> list[dict[str, Scalar]]:
    """What became of each stage, for the table on the parent run."""
    return [
        {"stage": o.name, "status": o.state, "seconds": o.seconds, "key": o.ref.key, "run": o.run_id}
        for o in outcomes
    ]
