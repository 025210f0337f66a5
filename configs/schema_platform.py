"""Where a run computes: the files of `configs/platform`. Nothing here changes a result."""

from typing import Literal

from pydantic import Field

from configs.schema_schedule import ScheduleConfig
from configs.section import Count, Section


class Resources(Section):
    """What a stage needs of the machine that it runs on."""

    gpus: int = Field(ge=0, le=64, description="GPUs; with none it runs as the deployment `stage/cpu`")
    cpus: float = Field(gt=0, le=1024, description="processor cores")
    memory_gib: float = Field(gt=0, le=65536, description="memory, GiB")

    @property
    def kind(self) -> Literal["cpu", "gpu"]:
        """The deployment that starts it."""
        return "gpu" if self.gpus else "cpu"


class PoolsConfig(Section):
    """How stages run in Prefect's work pools, each in a process or container of its own."""

    attempts: Count = Field(
        description="starts of a stage whose process or container is lost; each goes on from its checkpoint"
    )
    poll_seconds: float = Field(gt=0, le=60, description="seconds between two looks at a stage that runs")
    resources: dict[str, Resources] = Field(
        description="what stages need here, by name, where that is not what they say themselves"
    )


class PlatformConfig(Section):
    """Where a run computes and keeps its results."""

    name: str = Field(min_length=1)
    servers: Literal["own", "local", "given"] = Field(
        description="own: a Prefect server while the run lasts, MLflow and the store in files; local: those "
        "that `retort up` started; given: those that environment variables name"
    )
    experiment: str = Field(min_length=1, description="MLflow experiment of the runs")
    pools: PoolsConfig | None = Field(
        description="where stages run; null: in the process of the run, one after the other"
    )
    schedule: ScheduleConfig | None = Field(
        description="when nights start by themselves; null: never, for want of a server that would"
    )
