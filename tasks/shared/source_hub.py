"""Datasets of the Hugging Face Hub, or of its cache on this machine, named `hf:owner/name/config@split`."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import Problem
from tasks.shared.errors import DataError
from tasks.shared.source_formats import Record, RowStream

_FORM = re.compile(
    r"hf:(?P<name>\w[\w.-]*/\w[\w.-]*)(?:/(?P<config>[\w.-]+))?(?:@(?P<split>[\w.\[\]:%+-]+))?"
)


@dataclass(frozen=True)
class HubDataset:
    """Which rows of which dataset.

    Attributes:
        name: The dataset's id, `owner/name`.
        config: One of the dataset's configurations; None if it has only one.
        split: A split, or a slice of one as in `train[:1000]`.
    """

    name: str
    config: str | None
    split: str


def parse_hub_source(source: str) -> HubDataset:
    """Read a source of the form `hf:owner/name/config@split`; the last two may be left out.

    Raises:
        DataError: It has another form, or a local folder of that name would be read in its place.
    """
    match = _FORM.fullmatch(source)
    if not match:
        expected = "`hf:owner/name`, `hf:owner/name/config` or either with `@split`"
        raise DataError(Problem(source, "an id of another form", expected, "Write it in that form."))
    if Path(match["name"]).exists():
        got = f"a local folder `{match['name']}`, which the datasets library would read instead"
        raise DataError(Problem(source, got, "a dataset of the Hub", "Run in another folder, or rename it."))
    return HubDataset(match["name"], match["config"], match["split"] or "train")


def hub_revision(source: str) -> str:
    """Return the revision that reading the dataset now would give: the Hub's newest, or else the cache's.

    Raises:
        DataError: There is no such dataset, or it is neither within reach nor in the cache.
    """
    dataset = parse_hub_source(source)
    with _hub_errors(source, dataset):
        from datasets import load_dataset_builder

        return str(load_dataset_builder(dataset.name, dataset.config).hash)


@contextmanager
def open_hub_rows(source: str, wanted: Collection[str]) -> Iterator[RowStream]:
    """Download the dataset if the cache does not have it, and open its rows.

    Raises:
        DataError: As for `hub_revision`.
    """
    dataset = parse_hub_source(source)
    with _hub_errors(source, dataset):
        from datasets import load_dataset

        table = load_dataset(dataset.name, dataset.config, split=dataset.split)
    yield RowStream(table.column_names, _records(table, wanted))


def _records(table: Any, wanted: Collection[str]) -> Iterator[Record]:
    rows = table.select_columns([column for column in table.column_names if column in wanted])
    return (Record(number, values) for number, values in enumerate(rows, start=1))


@contextmanager
def _hub_errors(source: str, dataset: HubDataset) -> Iterator[None]:
    import httpx
    from datasets.exceptions import DatasetsError

    try:
        yield
    except (ConnectionError, httpx.TransportError) as error:
        arguments = ", ".join(f'"{part}"' for part in (dataset.name, dataset.config) if part)
        remedy = (
            f"Where there is a network, run python -c 'import datasets; datasets.load_dataset({arguments})', "
            "bring its HF_HOME folder here and set HF_HUB_OFFLINE=1."
        )
        got = "no answer from the Hub and no copy in the cache"
        raise DataError(Problem(source, got, "one of the two", remedy)) from error
    except (DatasetsError, OSError, ValueError, RuntimeError, httpx.HTTPError) as error:
        remedy = "Correct the id, the configuration or the split; private datasets need `hf auth login`."
        got = " ".join(str(error).split())
        raise DataError(Problem(source, got, "a dataset that can be loaded", remedy)) from error
