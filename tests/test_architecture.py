"""The rules of the house that a program can check: who may import whom, sizes, and what files may hold."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.load import load_platform, load_run_config
from configs.space import DEFAULT_SPACE, read_space

ROOT = Path(__file__).parents[1]
PACKAGES = ("configs", "flows", "tasks")
# Most specific first: each package, and the parts of ours that it may import.
ARROWS = {
    "configs": {"configs"},
    "tasks.ml": {"configs", "tasks.ml"},
    "tasks.feedback": {"configs", "tasks.ml", "tasks.feedback"},
    "tasks.shared": {"configs", "tasks.shared"},
    "tasks": {"configs", "tasks", "tasks.ml", "tasks.feedback", "tasks.shared"},
    "flows": {"configs", "flows", "tasks", "tasks.ml", "tasks.feedback", "tasks.shared"},
}
# What pure loops take and plumbing provides: bars, and records; both are protocols that import nothing large.
ALSO = {
    "tasks.shared.progress": {"tasks.ml.progress"},
    "tasks.shared.record_shards": {"tasks.ml.records"},
}
NOT_IN_PURE_CODE = {"prefect", "mlflow", "boto3", "botocore", "requests", "httpx", "subprocess", "socket"}
LINES, FUNCTION_LINES, NESTING, PARAMETERS = 300, 60, 4, 7
# name: why it may be larger
EXCEPTIONS = {
    "tasks.ml.train_distill.train_distill": "what learns, from what, how and seen by whom: all differ",
    "tasks.ml.train_trl.train_with_trl": "what PPO gets, and what TRL needs beside it: a tokeniser, a folder",
}
PROFILES, PLATFORMS = 4, 3

SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def part_of(module: str) -> str:
    """The part of the house that a module lives in."""
    return next(part for part in ARROWS if module == part or module.startswith(f"{part}."))


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it; from a package, the names as well."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            base = node.module or ""
            modules = [f"{base}.{alias.name}" for alias in node.names]
            found.update(name if is_module(name) else base for name in modules)
    return found


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function))


def depth(node: ast.AST) -> int:
    """How many blocks deep the deepest statement below a node is; `elif` is no deeper than `if`."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        is_block = isinstance(child, ast.If | ast.For | ast.While | ast.With | ast.Try)
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, depth(child) + (is_block and not is_elif))
    return deepest


def house_files() -> list[Path]:
    """All text files that are, or would be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / line for line in listed.stdout.splitlines()]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_follow_the_arrows(path: Path) -> None:
    module = module_of(path)
    allowed = ARROWS[part_of(module)]
    ours = {name for name in imports(path) if name.split(".")[0] in PACKAGES}
    wrong = {name for name in ours - ALSO.get(module, set()) if part_of(name) not in allowed}
    assert not wrong


@pytest.mark.parametrize("package", ["ml", "feedback"])
def test_pure_code_knows_no_service(package: str) -> None:
    for path in (ROOT / "tasks" / package).glob("*.py"):
        assert not {name.split(".")[0] for name in imports(path)} & NOT_IN_PURE_CODE, path


def test_stages_do_not_import_each_other() -> None:
    from flows.graph import LADDER, NIGHT, PIPELINE

    stages = {stage.module for stage in (*PIPELINE.values(), *LADDER.values(), *NIGHT.values())}
    assert len(stages) == 15
    # What a stage took from another would be missing in its key.
    for module in stages:
        assert not imports(ROOT.joinpath(*module.split(".")).with_suffix(".py")) & stages, module


def test_only_env_reads_the_environment() -> None:
    readers = {path for path in SOURCES if reads_environment(path)}
    assert readers == {ROOT / "tasks" / "shared" / "env.py"}


def reads_environment(path: Path) -> bool:
    names = {"environ", "environb", "getenv", "putenv", "unsetenv", "load_dotenv"}
    nodes = list(ast.walk(ast.parse(path.read_text())))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    imported = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    return bool(names & (attributes | imported))


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_files_and_functions_are_small(path: Path) -> None:
    too_large = []
    lines = path.read_text().count("\n")
    if lines > LINES:
        too_large.append((module_of(path), f"{lines} lines"))
    for function in functions(path):
        arguments = function.args
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        count = len([parameter for parameter in parameters if parameter.arg not in ("self", "cls")])
        sizes = {
            f"{(function.end_lineno or 0) - function.lineno + 1} lines": FUNCTION_LINES,
            f"{depth(function)} levels": NESTING,
            f"{count} parameters": PARAMETERS,
        }
        name = f"{module_of(path)}.{function.name}"
        too_large += [(name, size) for size, most in sizes.items() if int(size.split()[0]) > most]
    assert [found for found in too_large if found[0] not in EXCEPTIONS] == []


def test_the_measure_of_depth() -> None:
    tree = ast.parse("def f():\n if a:\n  pass\n elif b:\n  for x in y:\n   while z:\n    pass\n")
    assert depth(tree.body[0]) == 3


def test_importing_has_no_effect(tmp_path: Path) -> None:
    folder, home = tmp_path / "working", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    # Alembic runs its `env.py` itself; it is no module to import.
    modules = [module_of(path) for path in SOURCES if path.parent.name != "migrations"]
    code = (
        "import importlib, logging, sys, threading\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "ours = [name for name in logging.root.manager.loggerDict if name.startswith(('tasks', 'flows'))]\n"
        "assert not ours, ours\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    watched = ROOT / "tests" / "flows" / "watched"
    events = tmp_path / "events"
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "RETORT_HOME": str(tmp_path / "retort"),
        "RETORT_TEST_EVENTS": str(events),
        "PYTHONPATH": f"{watched}:{ROOT}",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", code, *modules]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert not list(folder.iterdir())
    assert not (tmp_path / "retort").exists()
    noted = [line.split("\t") for line in events.read_text().splitlines()]
    assert "network" not in {kind for kind, *_ in noted}
    # Libraries ask the system about itself.
    assert not [
        what for kind, _, what in noted if kind == "process" and re.search("python|prefect|weed", what)
    ]


def test_no_module_is_named_like_a_library() -> None:
    """Prefect puts the folder of a flow's file first on the path if it is told the file, not the module."""
    libraries = set(importlib.metadata.packages_distributions()) | sys.stdlib_module_names
    ours = {path.stem for name in ("flows", "tasks") for path in (ROOT / name).glob("*.py")} - {"__init__"}
    # Stages are imported by module name; `evaluate` may be one, since the next test holds.
    assert not ours & (libraries - {"evaluate"})


def test_flows_are_named_by_module_never_by_path() -> None:
    by_path = re.compile(r"\b(?:flows|tasks|configs)/[\w/]+\.py:\w+")
    assert by_path.search("entrypoint: flows/run.py:main")
    kinds = {".py", ".yaml", ".yml", ".toml", ".sh", ".md", ""}
    for path in house_files():
        if path.suffix in kinds and path != Path(__file__):
            assert not by_path.search(path.read_text()), path


def test_no_package_below_tests() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_no_two_test_files_have_one_name() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_files_name_no_machine_and_no_registry() -> None:
    # Put together here, so that this file does not hold what it looks for.
    folders = "|".join(("wo" + "rk", "tmp/" + "w", "ro" + "ot"))
    paths = rf"(?<![\w.}}/*-])/(?:{folders})(?=/|\b(?![\w.-]))"
    hosts = "|".join(
        (r"py" + r"pi\.org", r"python" + r"hosted\.org", r"npm" + r"js\.(?:org|com)", r"crates" + r"\.io")
    )
    forbidden = re.compile(f"{paths}|{hosts}")
    for example in ("/wo" + "rk/main", "cd /tmp/" + "w", "https://py" + "pi.org/simple"):
        assert forbidden.search(example)
    for fine in ('home / "work"', "network/works", "~/workspace", "a /workflow"):
        assert not forbidden.search(fine)
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}" for path in house_files() for match in search(forbidden, path)
    ]
    assert found == []


def search(pattern: re.Pattern[str], path: Path) -> Iterator[re.Match[str]]:
    return pattern.finditer(path.read_text(encoding="utf-8", errors="replace"))


def test_every_configuration_is_valid() -> None:
    profiles = sorted(set((ROOT / "configs").glob("*.yaml")) - {DEFAULT_SPACE})
    assert len(profiles) == PROFILES + 1
    for profile in profiles:
        load_run_config(profile, [])
    assert 1 <= len(read_space(DEFAULT_SPACE, None, [])) <= 5
    platforms = sorted((ROOT / "configs" / "platform").glob("*.yaml"))
    assert len(platforms) == PLATFORMS
    for platform in platforms:
        assert load_platform(platform.stem).name == platform.stem
    assert len(list((ROOT / "configs").rglob("*.yaml"))) == PROFILES + PLATFORMS + 5  # base, tune, data/*
    assert not list((ROOT / "configs").rglob("*.yml"))
