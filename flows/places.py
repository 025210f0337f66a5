"""Where a run computes: which servers it uses, and the place that its stages are told of."""

from configs.errors import Problem
from configs.load import load_platform
from configs.schema_platform import PlatformConfig
from tasks.place import Place
from tasks.shared.env import Env, export, given_servers, laptop_settings
from tasks.shared.errors import ServiceError
from tasks.shared.services import Services, client_settings, find_services


def choose_platform(name: str, env: Env) -> PlatformConfig:
    """A platform by its name.

    Args:
        name: `auto` means what the environment names, else the servers of `retort up` if they run.
        env: What the machine says.

    Raises:
        ConfigError: There is none of this name.
    """
    if name == "auto":
        name = env.platform or ("local" if find_services(env.home) else "embedded")
    return load_platform(name)


def find_servers(platform: PlatformConfig, env: Env) -> Services | None:
    """The servers of a platform; None if a run needs none but its own.

    Raises:
        ServiceError: The platform needs servers, and none run or nobody says where they are.
    """
    if platform.servers == "own":
        return None
    if platform.servers == "given":
        return _given(platform.name)
    services = find_services(env.home)
    if services is None:
        got = f"`{platform.name}`, but no servers are running"
        raise ServiceError(Problem("platform", got, "running servers", "Start them: `retort up`."))
    return services


def _given(platform: str) -> Services:
    told = given_servers()
    missing = [name for name, value in told.items() if not value]
    if missing:
        remedy = f"Set it: platform `{platform}` computes with servers that others started."
        raise ServiceError([Problem(name, "not set", "where this is", remedy) for name in missing])
    prefect, mlflow, s3, bucket = told.values()
    return Services(prefect_api_url=prefect, mlflow_url=mlflow, s3_endpoint=s3, buckets=(bucket,), pids={})


def present_place(env: Env) -> tuple[Place, Services | None]:
    """Where the results of this home are: with the servers of its platform, else in its folder.

    Raises:
        ServiceError: The environment names a platform, and does not say where its servers are.
    """
    platform = choose_platform("auto", env)
    services = find_servers(platform, env)
    return enter(platform, env, services, quiet=True), services


def enter(platform: PlatformConfig, env: Env, services: Services | None, quiet: bool) -> Place:
    """Set what the libraries read from the environment, and give the place."""
    export(laptop_settings(env.home))
    if services and platform.servers == "local":
        export(client_settings(env.home, services))
    return make_place(platform, env, services, quiet)


def make_place(platform: PlatformConfig, env: Env, services: Services | None, quiet: bool) -> Place:
    """Where the run computes."""
    if services:
        return Place(
            home=env.home,
            s3_endpoint=services.s3_endpoint,
            s3_bucket=services.buckets[0],
            data_endpoint=services.s3_endpoint,
            tracking_uri=services.mlflow_url,
            experiment=platform.experiment,
            quiet=quiet,
            pools=platform.pools,
        )
    database = f"sqlite:///{env.home / 'mlflow.db'}"
    return Place(
        home=env.home,
        data_endpoint=env.s3_endpoint,
        tracking_uri=database,
        experiment=platform.experiment,
        quiet=quiet,
    )
