"""What `retort up` starts: the servers, then what Prefect is to know, then the worker."""

from pathlib import Path

from flows.schedule import connect, read_schedule
from tasks.shared.env import Env
from tasks.shared.services import Report, start_services
from tasks.shared.worker import start_worker


def start_all(env: Env, report: Report) -> None:
    """Start what does not run; nights will run in the folder that this is called in.

    Args:
        env: What the machine says.
        report: Called with a server's name and what happened to it.

    Raises:
        ConfigError: The schedule of this home cannot be read.
        ServiceError: A server or the worker did not become ready.
    """
    # Before anything starts: what is wrong with it should not need a `down`.
    schedule = read_schedule(env.home)
    start_services(env.home, report)
    services = connect(env)
    # Prefect's library reads where its server is when it is imported.
    from flows.deploy import bootstrap

    bootstrap(schedule, Path.cwd())
    start_worker(env.home, services, report)
