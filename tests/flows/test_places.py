"""Where a run computes: what `auto` means, and servers that the environment names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from configs.load import load_platform, load_run_config
from flows.graph import PIPELINE, check_code, make_spec
from flows.places import choose_platform, find_servers, make_place
from tasks.shared.caching import ROOT
from tasks.shared.env import GIVEN_SERVERS, Env
from tasks.shared.errors import ServiceError, StageError

ADDRESSES = {
    "PREFECT_API_URL": "http://prefect:4200/api",
    "MLFLOW_TRACKING_URI": "http://mlflow:5000",
    "AWS_ENDPOINT_URL_S3": "http://s3:8333",
    "RETORT_BUCKET": "shelf",
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Set the variables that name servers, and no others of them."""

    def tell(variables: dict[str, str]) -> None:
        for name in GIVEN_SERVERS:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return tell


def test_auto_is_what_the_environment_names_else_the_folder(tmp_path: Path) -> None:
    assert choose_platform("auto", Env(tmp_path)).name == "embedded"
    assert choose_platform("auto", Env(tmp_path, platform="cluster")).name == "cluster"
    assert choose_platform("embedded", Env(tmp_path, platform="cluster")).name == "embedded"


def test_a_cluster_computes_where_the_environment_says(
    told: Callable[[dict[str, str]], None], tmp_path: Path
) -> None:
    told(ADDRESSES)
    platform = load_platform("cluster")
    place = make_place(platform, Env(tmp_path), find_servers(platform, Env(tmp_path)), quiet=True)
    assert (place.s3_endpoint, place.s3_bucket, place.tracking_uri) == (
        "http://s3:8333",
        "shelf",
        "http://mlflow:5000",
    )
    assert place.pools == platform.pools
    assert place.pools is not None


def test_every_missing_address_is_named_at_once(
    told: Callable[[dict[str, str]], None], tmp_path: Path
) -> None:
    told({"MLFLOW_TRACKING_URI": "http://mlflow:5000"})
    with pytest.raises(ServiceError) as caught:
        find_servers(load_platform("cluster"), Env(tmp_path))
    missing = [problem.what for problem in caught.value.problems]
    assert missing == ["PREFECT_API_URL", "AWS_ENDPOINT_URL_S3", "RETORT_BUCKET"]


def test_other_code_than_that_of_the_run_refuses_to_compute() -> None:
    config = load_run_config(ROOT / "configs" / "smoke.yaml", [])
    external = dict.fromkeys((part for stage in PIPELINE.values() for part in stage.external), "x")
    spec = make_spec("clean", config, external, {})
    check_code(spec)
    with pytest.raises(StageError, match="another version"):
        check_code(spec.model_copy(update={"key": "clean/" + "0" * 64}))


def test_what_a_stage_needs_is_no_part_of_its_key() -> None:
    config = load_run_config(ROOT / "configs" / "smoke.yaml", [])
    external = dict.fromkeys((part for stage in PIPELINE.values() for part in stage.external), "x")
    spec = make_spec("clean", config, external, {})
    assert (spec.resources.kind, PIPELINE["distill"].resources.kind) == ("cpu", "gpu")
    check_code(spec.model_copy(update={"resources": PIPELINE["distill"].resources}))
