"""`retort deploy`: tell a cluster's Prefect which flows there are, where they run, and when."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tasks.shared.env import read_env


class Pools(StrEnum):
    """What the workers of the pools start."""

    process = "process"
    docker = "docker"
    kubernetes = "kubernetes"


def deploy(
    pools: Annotated[Pools, typer.Option(help="What the workers of the pools start for every stage.")],
    file: Annotated[Path | None, typer.Option(help="Deployments; default: infra/prefect.yaml.")] = None,
    cpu_image: Annotated[str, typer.Option(help="Image of stages that need no GPU.")] = "",
    gpu_image: Annotated[str, typer.Option(help="Image of stages that want a GPU.")] = "",
    gpu: Annotated[bool, typer.Option(help="Whether there are workers with GPUs.")] = True,
) -> None:
    """Tell Prefect of work pools, deployments, schedules and automations, and say what changed.

    Servers are found by PREFECT_API_URL, MLFLOW_TRACKING_URI, AWS_ENDPOINT_URL_S3 and RETORT_BUCKET. A second
    call changes nothing.
    """
    from rich.console import Console
    from rich.table import Table

    from configs.load import load_platform
    from configs.schema_deployments import load_deployments
    from flows.places import enter, find_servers

    env, platform = read_env(), load_platform("cluster")
    enter(platform, env, find_servers(platform, env), quiet=True)
    # Prefect's library reads where its server is when it is imported.
    from flows.deploy_pools import INFRA, Images
    from flows.deploy_pools import deploy as apply

    wanted = load_deployments(file or INFRA / "prefect.yaml")
    table = Table("what", "", "keys")
    for change in apply(wanted, pools.value, Images(cpu_image, gpu_image), gpu):
        table.add_row(change.what, change.state, ", ".join(change.keys))
    Console().print(table)
