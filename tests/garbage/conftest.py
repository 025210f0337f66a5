"""A home with a family of artifacts made by hand, as old as one says."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.garbage import search as searching
from tasks.garbage.search import Found, search
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.local_store import LocalStore

DAY = 86400.0


class Home:
    """A home with a store; what it holds is as old as one says."""

    def __init__(self, root: Path) -> None:
        self.place = Place(
            home=root / "home", tracking_uri="sqlite:///none.db", experiment="none", quiet=True
        )
        self.folder = self.place.home / "store"
        self.store = LocalStore(self.folder)
        self.refs: dict[str, ArtifactRef] = {}
        self._made = root / "made"

    def add(self, name: str, parents: str = "", days: float = 100.0) -> ArtifactRef:
        """An artifact of the stage that the name begins with, such as `ppo 2`, made some days ago."""
        stage, number = name.split()[0], len(self.refs)
        out = self._made / str(number)
        out.mkdir(parents=True)
        (out / "made.txt").write_text(name)
        digests = [self.refs[parent].sha256 for parent in parents.split(", ") if parent]
        ref = self.store.commit(f"{stage}/{number:064x}", stage, out, digests, {}, {"name": name})
        self.refs[name] = ref
        self.age(f"artifacts/{ref.key}", days)
        return ref

    def write(self, place: str, days: float, root: Path | None = None) -> Path:
        path = (root or self.folder) / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("12345")
        self.age(place, days, root)
        return path

    def age(self, place: str, days: float, root: Path | None = None) -> None:
        top = (root or self.folder) / place
        for path in (top, *top.rglob("*")):
            os.utime(path, (time.time() - days * DAY,) * 2)

    def key(self, name: str) -> str:
        return self.refs[name].key

    def search(self, days: float = 30, reports: int = 0) -> Found:
        return search(self.place, days, reports)

    def unneeded(self, days: float = 30, reports: int = 0) -> set[str]:
        """Names of the artifacts that are found, and of nothing else that is."""
        names = {ref.key: name for name, ref in self.refs.items()}
        return {names[one.key] for one in self.search(days, reports).rubbish if one.kind == "artifact"}

    def there(self) -> set[str]:
        return {name for name, ref in self.refs.items() if self.store.find(ref.key)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Two runs a hundred days ago, which share their first two stages."""
    home = Home(tmp_path)
    home.add("clean")
    home.add("distill", "clean")
    for run in "12":
        home.add(f"feedback {run}", "clean, distill")
        home.add(f"ppo {run}", f"clean, distill, feedback {run}")
        home.add(f"report {run}", f"ppo {run}")
    return home


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Let the logs of models name these keys."""
    return lambda named: monkeypatch.setattr(searching, "named_by_models", lambda _place: named)
