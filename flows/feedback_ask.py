"""`retort feedback ask`: queue answers of champion and challengers for people to compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.feedback.ask import Author
    from tasks.ml.rows import Row
    from tasks.shared.artifacts import ArtifactRef
    from tasks.shared.env import Env

MODEL_FOLDER = "model"


def ask(
    model: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of an artifact with a model; repeat it. Default: champion and challenger, or if "
            "there is no champion, the last run's models."
        ),
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(help="rows.jsonl of questions; default: those of the models, or the last run's."),
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="Questions, of those for training.")] = 50,
    answers: Annotated[int, typer.Option(min=2, max=6, help="Answers to each; the models take turns.")] = 4,
    wanted: Annotated[int, typer.Option(min=1, max=1000, help="People who are to judge each.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.01, max=2, help="Of the answers.")] = 0.8,
    longest: Annotated[int, typer.Option(min=1, help="Longest answer, tokens.")] = 64,
) -> None:
    """Let models answer questions, and queue the answers for people to compare.

    Questions that these models were asked before are left out, so that asking again brings others.
    """
    from rich.console import Console

    from flows.feedback_cli import opened
    from tasks.feedback.ask import Asking, make_comparisons
    from tasks.feedback.store.comparisons import Comparisons
    from tasks.shared.env import read_env
    from tasks.shared.hardware import faster_precision
    from tasks.shared.progress import ProgressBars

    env = read_env()
    authors, asked = chosen(env, model or [], rows)
    precision = faster_precision(env.home / "cache" / "precision.json")
    asking = Asking(questions, answers, wanted, temperature, longest, precision)
    with opened() as database:
        queue = Comparisons(database)
        before = queue.rows_answered_by({author.digest for author in authors})
        left = [row for row in asked if row.id not in before]
        count = min(questions, len(left))
        with ProgressBars(Console(stderr=True)) as bars:
            bar = bars.bar("feedback: sample answers", count * answers, "answers")
            comparisons = make_comparisons(authors, left, asking, bar) if left else []
        queue.put(comparisons)
    typer.echo(f"{len(comparisons)} comparisons queued.")
    if len(left) < questions and before:
        typer.echo(f"{len(before)} of {len(asked)} questions were put to these models before.")
    if count > len(comparisons):
        typer.echo(f"{count - len(comparisons)} questions left out: all answers were the same.")


def named_author(folder: Path) -> "Author":
    """The model in the folder of an artifact, or in a folder of its own, by the digest of what is there.

    Raises:
        StageError: There is no complete model.
    """
    from tasks.feedback.ask import Author
    from tasks.ml.prompts import SYSTEM
    from tasks.shared.artifacts import MANIFEST_NAME, sha256_file
    from tasks.shared.model_folder import check_model_folder, served_digest

    manifest, inner = folder / MANIFEST_NAME, folder / MODEL_FOLDER
    place = inner if inner.is_dir() else folder
    check_model_folder(place)
    return Author(place, sha256_file(manifest) if manifest.is_file() else served_digest(place, SYSTEM))


def chosen(env: "Env", named: list[Path], rows: Path | None) -> "tuple[list[Author], list[Row]]":
    """Who answers which questions: the models that are named, or those of the registry or the last run."""
    from flows.last_run import LastRun
    from tasks.feedback.ask import Author

    fetched, clean = registered(env) if not named else ([], None)
    if not named and not fetched:
        run = LastRun(env)
        fetched = [run.fetch("distill"), run.aligned()]
    authors = [named_author(folder) for folder in named]
    authors += [Author(folder / MODEL_FOLDER, ref.sha256) for folder, ref in fetched]
    if rows is None:
        rows = (clean or LastRun(env).fetch("clean")[0]) / "rows.jsonl"
    return authors, training_rows(rows)


def registered(env: "Env") -> "tuple[list[tuple[Path, ArtifactRef]], Path | None]":
    """Folders of champion and challenger, and of the champion's questions; nothing if there is no champion.

    Raises:
        RegistryError: There are champions of several use cases.
    """
    from flows.places import present_place
    from tasks.model_registry import ModelRegistry, RegistryError, registry_names
    from tasks.shared.errors import Problem

    place, _ = present_place(env)
    registries = [ModelRegistry(place, name) for name in registry_names(place)]
    crowned = [(registry, champion) for registry in registries if (champion := registry.champion())]
    if len(crowned) > 1:
        names = ", ".join(registry.name for registry, _ in crowned)
        remedy = "Name the models that are to answer: `--model FOLDER`."
        raise RegistryError(Problem("--model", f"none, and champions of {names}", "one champion", remedy))
    if not crowned:
        return [], None
    [(registry, champion)] = crowned
    versions = [version for version in (champion, registry.challenger()) if version is not None]
    numbers = " and ".join(str(version.number) for version in versions)
    typer.echo(f"Asked: version {numbers} of {registry.name}.")
    models = [(registry.fetch(version.model), version.model) for version in versions]
    return models, registry.fetch(champion.clean)


def training_rows(path: Path) -> "list[Row]":
    """The questions for training in a file: what is held out is not asked.

    Raises:
        DataError: There are none, or the file cannot be read.
    """
    from pydantic import ValidationError

    from tasks.ml.rows import load_rows
    from tasks.shared.errors import DataError, Problem

    try:
        rows = load_rows(path, "train")
    except (OSError, ValidationError) as error:
        got = str(error.strerror) if isinstance(error, OSError) else str(error).splitlines()[0]
        raise DataError(
            Problem(str(path), got, "rows as stage `clean` writes them", "Check `--rows`.")
        ) from None
    if not rows:
        raise DataError(Problem(str(path), "no row for training", "at least one", "Check `--rows`."))
    return rows
