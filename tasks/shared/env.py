"""What the machine says: the only file that reads or changes environment variables.

It holds no choice of the user about a run; those are in `configs`. Secrets of other people's servers stay
in the variables that the libraries read by themselves and are not copied here, but for the one whose variable
is ours: `endpoint_key` gives it to whoever asks the server, and nobody keeps it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from configs.variables import FEEDBACK_VARIABLE

HOME_VARIABLE = "RETORT_HOME"
DEFAULT_HOME = ".retort"
ENDPOINT_KEY_VARIABLE = "RETORT_ENDPOINT_KEY"
PLATFORM_VARIABLE = "RETORT_PLATFORM"
# Where servers are that we did not start; who may use them is known to the libraries alone.
GIVEN_SERVERS = ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL_S3", "RETORT_BUCKET")

_LOOPBACK = ("127.0.0.1", "localhost")
# The user's settings of these programs are meant for other servers than ours, and so is the endpoint's key.
_NOT_INHERITED = (
    "PREFECT_",
    "MLFLOW_",
    "_MLFLOW_",
    "AWS_",
    "WEED_",
    ENDPOINT_KEY_VARIABLE,
    FEEDBACK_VARIABLE,
)


@dataclass(frozen=True)
class Env:
    """What the environment says about this process.

    Attributes:
        home: The absolute folder of all state: artifacts, databases, logs, the servers' files.
        s3_endpoint: Where datasets with an `s3://` uri are read from, as boto3 names the variable.
        platform: Name of the platform that is meant where a command names none.
    """

    home: Path
    s3_endpoint: str | None = None
    platform: str | None = None


def read_env() -> Env:
    """Read what the environment says now; an empty variable counts as unset."""
    return Env(
        home=Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).expanduser().absolute(),
        s3_endpoint=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None,
        platform=os.environ.get(PLATFORM_VARIABLE) or None,
    )


def given_servers() -> dict[str, str]:
    """The variables of `GIVEN_SERVERS`; one that is not set is empty."""
    return {name: os.environ.get(name, "") for name in GIVEN_SERVERS}


def endpoint_key() -> str | None:
    """The key of `label.endpoint` and `feedback.ai.endpoint`; None if they want none."""
    return os.environ.get(ENDPOINT_KEY_VARIABLE) or None


def secrets_set() -> dict[str, bool]:
    """Which of the variables with secrets that Retort and its libraries read are set; not to what."""
    names = (
        ENDPOINT_KEY_VARIABLE,
        FEEDBACK_VARIABLE,
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "HF_TOKEN",
    )
    return {name: bool(os.environ.get(name)) for name in names}


def feedback_url(home: Path) -> str:
    """Where people's feedback is kept: the database named in the environment, else a file below `home`."""
    return os.environ.get(FEEDBACK_VARIABLE) or f"sqlite:///{quote(str(home / 'feedback.db'))}"


def export(variables: Mapping[str, str]) -> None:
    """Set variables for this process and its children; for Prefect's, before Prefect is imported."""
    os.environ.update(variables)


def laptop_settings(home: Path) -> dict[str, str]:
    """Give the settings of Prefect and MLflow that hold for servers and clients alike on one machine.

    No telemetry, no hidden server, no pickle, and nothing of the user's own `~/.prefect`.
    """
    prefect_home = home / "prefect"
    return {
        "DO_NOT_TRACK": "1",
        # transformers draws bars of its own while it reads a GGUF file.
        "TQDM_DISABLE": "1",
        "PREFECT_HOME": str(prefect_home),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{prefect_home / 'prefect.db'}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # A missing server must be an error, not a second one that Prefect starts behind our back.
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        # Kept in memory, the leases are lost with the server, and every running limited run crashes.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # That heartbeats of a run are awaited is forgotten a minute after they failed to come, by default:
        # a run that died when the server was away for longer would be Running for ever. A week.
        "PREFECT_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER": "P7D",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        # Once it has had an answer, a client waits 2, 4, 8 ... seconds for a server that went away: with the
        # default of 5 for a minute, with this for eight.
        "PREFECT_CLIENT_MAX_RETRIES": "8",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        # The default of 7 with back-off makes a client of a broken server hang for minutes.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        **_past_the_proxy(),
    }


def server_environment(home: Path) -> dict[str, str]:
    """Give all variables of a server that we start: `laptop_settings` and what is inherited.

    The user's own settings of these programs are left out.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    return inherited | laptop_settings(home)


def worker_environment(home: Path) -> dict[str, str]:
    """Give all variables of the worker: those of a server, and what a run of the user's would see.

    It asks for work every ten seconds, and so bears seven minutes without its server; at two it would give up
    after one and a half.
    """
    ours = (ENDPOINT_KEY_VARIABLE, FEEDBACK_VARIABLE)
    own = {name: os.environ[name] for name in ours if os.environ.get(name)}
    fixed = {HOME_VARIABLE: str(home), PLATFORM_VARIABLE: "local", "PREFECT_WORKER_QUERY_SECONDS": "10"}
    return server_environment(home) | own | fixed


def _past_the_proxy() -> dict[str, str]:
    """Keep requests to our own servers away from a proxy that the user may have set."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in known.split(",") if host.strip()]
    value = ",".join([*hosts, *(host for host in _LOOPBACK if host not in hosts)])
    return {"no_proxy": value, "NO_PROXY": value}
