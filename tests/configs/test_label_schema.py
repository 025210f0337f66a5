"""Settings of `label` that do not go together, and an address that must not hold a secret."""

import pytest

from configs.errors import ConfigError
from configs.load import load_run_config

MODEL = "label.endpoint_model=m"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["label.decoding=greedy"], "greedy gives one answer: `label.samples` must be 1, got 3"),
        (["label.decoding=beam"], "beam gives one answer"),
        (["label.min_words=9", "label.max_words=8"], "`label.min_words` 9 exceeds `label.max_words` 8"),
        (["label.endpoint=http://127.0.0.1:8000/v1"], "needs `label.endpoint_model`"),
        (
            ["label.endpoint=http://127.0.0.1:8000/v1", MODEL, "label.decoding=beam", "label.samples=1"],
            "cannot search",
        ),
        (["label.filters=[facts,taste]"], "label.filters"),
        (["label.temperature=0"], "greater than 0"),
    ],
)
def test_what_does_not_go_together_is_named(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_run_config(None, overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["label.decoding=greedy", "label.samples=1"],
        ["label.decoding=beam", "label.samples=1", "label.beams=8"],
        ["label.endpoint=http://127.0.0.1:8000/v1", MODEL],
        ["label.endpoint=https://models.example/v1/", MODEL, "label.decoding=greedy", "label.samples=1"],
        ["label.filters=[]"],
    ],
)
def test_what_goes_together_is_taken(overrides: list[str]) -> None:
    load_run_config(None, overrides)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:sesame@127.0.0.1:8000/v1",
        "http://sesame@127.0.0.1/v1",
        "http://127.0.0.1/v1?key=sesame",
        "http://127.0.0.1/v1#sesame",
        "ftp://sesame/v1",
        "sesame",
        "http://[sesame/v1",
    ],
)
def test_an_address_with_more_than_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="RETORT_ENDPOINT_KEY") as caught:
        load_run_config(None, [f"label.endpoint={url}", MODEL])
    assert "sesame" not in str(caught.value)
