"""Where the reward model is that `reward.warm_start` names, and what the cache key holds of it."""

import re
from pathlib import Path

from tasks.place import Place
from tasks.shared.artifacts import MANIFEST_NAME, ArtifactRef, sha256_file
from tasks.shared.errors import DataError, Problem
from tasks.shared.source_digest import source_digest

_KEY = re.compile(r"reward/[0-9a-f]{64}")


def warm_start_digest(source: str | None, place: Place, memo: Path | None) -> str:
    """What the cache key holds of the reward model that another starts from.

    Args:
        source: The key of an artifact, or a folder; None for none.
        place: Where artifacts are kept.
        memo: File that remembers digests of large files.

    Raises:
        DataError: There is no such artifact or folder.
    """
    if source is None:
        return "none"
    if _KEY.fullmatch(source):
        return _artifact(source, place).sha256
    return source_digest(str(_folder(source)), memo)


def earlier_reward(place: Place, source: str) -> Path:
    """The folder of the artifact that a key or a path names; one in the store is verified.

    Raises:
        DataError: There is no such artifact or folder.
    """
    if _KEY.fullmatch(source):
        return place.fetch(place.store(), _artifact(source, place))
    return _folder(source)


class EarlierRewards:
    """Gives a stage the reward models that it starts from, and remembers which.

    Attributes:
        digests: Of those artifacts: parents of what the stage makes, which has learnt what they had.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.digests: list[str] = []

    def __call__(self, source: str) -> Path:
        """See `earlier_reward`."""
        folder = earlier_reward(self._place, source)
        self.digests += artifact_digests(folder)
        return folder


def artifact_digests(folder: Path) -> list[str]:
    """The digest of the artifact in a folder, or of one that was copied there; none if it is no artifact."""
    manifest = folder / MANIFEST_NAME
    return [sha256_file(manifest)] if manifest.is_file() else []


def _artifact(key: str, place: Place) -> ArtifactRef:
    ref = place.find(place.store(), key)
    if ref is None:
        remedy = "The keys of the last run's artifacts are in `latest/summary.json`."
        raise DataError(Problem("reward.warm_start", f"no artifact `{key}`", "one in the store", remedy))
    return ref


def _folder(source: str) -> Path:
    path = Path(source).expanduser()
    if not path.is_dir():
        expected = "`reward/` with 64 hexadecimal digits, or the folder of such an artifact"
        remedy = f"Paths are relative to the working folder, {Path.cwd()}."
        raise DataError(Problem("reward.warm_start", f"no folder `{source}`", expected, remedy))
    return path
