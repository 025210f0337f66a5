"""The key of a stage: it follows everything that decides the result, and nothing else."""

import hashlib
import json
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tasks.shared import caching
from tasks.shared.caching import LIBRARIES, code_digests, import_closure, library_versions, stage_key
from tasks.shared.errors import StageError

# A tree of our shape. The stage reaches `deep` through a function's import, and `lonely` not at all.
TREE = {
    "tasks/__init__.py": "",
    "tasks/boil.py": "import json\nfrom tasks.ml.heat import warm\nfrom tasks.shared.pot import lift\n",
    "tasks/cool.py": "import tasks.ml.deep as deep\nfrom tasks.boil import run\n",
    "tasks/ml/__init__.py": "",
    "tasks/ml/heat.py": "def warm():\n    from tasks.ml import deep\n    return deep\n",
    "tasks/ml/deep.py": "from tasks.feedback.taste import salt\nfrom configs.schema import Section\n",
    "tasks/ml/lonely.py": "",
    "tasks/feedback/__init__.py": "",
    "tasks/feedback/taste.py": "from tasks.ml.heat import warm  # round in a circle\nsalt = 1\n",
    "tasks/shared/__init__.py": "",
    "tasks/shared/pot.py": "from tasks.ml.lonely import nothing\n",
    "tasks/templates/page.html": "<p>",
    "configs/schema.py": "class Section: ...\n",
}
FILES = ("tasks/templates/page.html",)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(caching, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Pretend that another version of a library is installed."""

    def install(name: str, version: str) -> None:
        real = metadata.version
        monkeypatch.setattr(
            caching.metadata, "version", lambda asked: version if asked == name else real(asked)
        )
        library_versions.cache_clear()

    yield install
    library_versions.cache_clear()


def key(
    stage: str = "boil",
    module: str = "tasks.boil",
    config: dict[str, object] | None = None,
    inputs: dict[str, str] | None = None,
    external: dict[str, str] | None = None,
) -> str:
    return stage_key(
        stage,
        module,
        config or {"heat": {"degrees": 90, "slow": True}, "seed": 7},
        inputs or {"clean": "a" * 64},
        external or {"dataset": "sha256:1"},
        FILES,
    )


@pytest.mark.usefixtures("tree")
def test_a_key_is_a_stage_and_the_digest_of_all_that_counts() -> None:
    code = {
        name: hashlib.sha256(TREE[path].encode()).hexdigest()
        for name, path in {
            "tasks.boil": "tasks/boil.py",
            "tasks.ml.heat": "tasks/ml/heat.py",
            "tasks.ml.deep": "tasks/ml/deep.py",
            "tasks.feedback.taste": "tasks/feedback/taste.py",
            "tasks/templates/page.html": "tasks/templates/page.html",
        }.items()
    }
    content = {
        "schema": 1,
        "stage": "boil",
        "config": {"heat": {"degrees": 90, "slow": True}, "seed": 7},
        "inputs": {"clean": "a" * 64},
        "external": {"dataset": "sha256:1"},
        "code": code,
        "libraries": {
            name: metadata.version(name)
            for name in (
                *("torch", "transformers", "tokenizers", "numpy"),
                *("peft", "trl", "bitsandbytes", "krippendorff"),
            )
        },
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert key() == f"boil/{hashlib.sha256(text.encode()).hexdigest()}"


@pytest.mark.usefixtures("tree")
def test_every_part_counts() -> None:
    keys = [
        key(),
        key(config={"heat": {"degrees": 91, "slow": True}, "seed": 7}),
        key(config={"heat": {"degrees": 90, "slow": True}, "seed": 8}),
        key(config={"heat": {"degrees": 90, "slow": True}, "seed": 7, "more": {}}),
        key(inputs={"clean": "b" * 64}),
        key(inputs={"label": "a" * 64}),
        key(external={"dataset": "sha256:2"}),
        key(external={"teacher": "sha256:1"}),
        key(module="tasks.cool"),
        key(stage="stew"),
    ]
    assert len(set(keys)) == len(keys)


@pytest.mark.usefixtures("tree")
def test_the_order_of_names_does_not_count() -> None:
    assert key(config={"seed": 7, "heat": {"slow": True, "degrees": 90}}) == key()
    two, turned = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    assert key(inputs=two) == key(inputs=turned)


@pytest.mark.parametrize(
    "path", ["tasks/boil.py", "tasks/ml/heat.py", "tasks/ml/deep.py", "tasks/feedback/taste.py", *FILES]
)
def test_a_line_of_what_the_stage_reaches_counts(tree: Path, path: str) -> None:
    before = key()
    with (tree / path).open("a") as file:
        file.write("# a line\n")
    assert key() != before
    (tree / path).write_text(TREE[path])
    assert key() == before


@pytest.mark.parametrize(
    "path",
    ["tasks/ml/lonely.py", "tasks/shared/pot.py", "tasks/cool.py", "configs/schema.py", "tasks/ml/new.py"],
)
def test_a_line_of_anything_else_does_not_count(tree: Path, path: str) -> None:
    before = key()
    with (tree / path).open("a") as file:
        file.write("# a line\n")
    assert key() == before


def test_where_the_tree_is_does_not_count(
    tree: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key()
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "tree"
    tree.rename(elsewhere)
    monkeypatch.setattr(caching, "ROOT", elsewhere)
    monkeypatch.setenv("RETORT_HOME", str(elsewhere / "home"))
    monkeypatch.chdir(elsewhere)
    assert key() == before


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_version_of_a_library_counts(versions: Callable[[str, str], None], library: str) -> None:
    before = key()
    versions(library, "0.0.1")
    assert key() != before


@pytest.mark.usefixtures("tree")
def test_the_version_of_another_library_does_not_count(versions: Callable[[str, str], None]) -> None:
    before = key()
    versions("prefect", "0.0.1")
    versions("mlflow", "0.0.1")
    assert key() == before


@pytest.mark.usefixtures("tree")
def test_the_closure_is_the_module_and_the_pure_ones() -> None:
    pure = {"tasks.ml.heat", "tasks.ml.deep", "tasks.feedback.taste"}
    assert import_closure("tasks.boil") == {"tasks.boil", *pure}
    # Another stage is no pure module, and what plumbing imports is plumbing.
    assert import_closure("tasks.cool") == {"tasks.cool", *pure}
    assert import_closure("tasks.ml.lonely") == {"tasks.ml.lonely"}


@pytest.mark.usefixtures("tree")
def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        code_digests("tasks.boil", ("tasks/templates/gone.html",))


@pytest.mark.usefixtures("tree")
def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(StageError, match="config.heat"):
        key(config={"heat": float("nan")})
