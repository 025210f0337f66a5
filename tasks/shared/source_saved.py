"""Folders that the `datasets` library saved with `save_to_disk`: one dataset, or one for each split."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.errors import Problem
from tasks.shared.errors import DataError
from tasks.shared.source_formats import Record, RowStream


@contextmanager
def open_saved_rows(folder: Path, name: str) -> Iterator[RowStream]:
    """Open the rows of a saved dataset; those of a DatasetDict get a column `split` if they have none.

    Raises:
        DataError: It is no such folder.
    """
    from datasets import DatasetDict, load_from_disk

    try:
        saved = load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        got = f"a folder that `datasets` cannot load ({' '.join(str(error).split())})"
        expected = "a folder made by save_to_disk"
        raise DataError(Problem(name, got, expected, "Give one, or a single file.")) from error
    splits = dict(saved) if isinstance(saved, DatasetDict) else {"": saved}
    columns = list(dict.fromkeys(column for table in splits.values() for column in table.column_names))
    yield RowStream(
        columns + ["split"] * (isinstance(saved, DatasetDict) and "split" not in columns), _rows(splits)
    )


def _rows(splits: dict[str, Any]) -> Iterator[Record]:
    number = 0
    for split, table in splits.items():
        for values in table:
            number += 1
            yield Record(number, {"split": split} | values if split else values)
