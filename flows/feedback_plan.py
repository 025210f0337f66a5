"""The command `retort feedback plan`: puts what would teach the reward model most before people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from configs.errors import Problem, RetortError

if TYPE_CHECKING:
    from rich.console import Console

    from configs.schema import RunConfig
    from tasks.feedback.plan import Planned
    from tasks.feedback.plan_pool import Candidates, Pool
    from tasks.feedback.store.comparisons import Comparison
    from tasks.ml.rows import Row
    from tasks.place import Place
    from tasks.shared.artifacts import ArtifactRef
    from tasks.shared.progress import ProgressBars

NEEDED = ("clean", "distill", "feedback", "reward")
ALIGNED = ("ppo", "dpo")  # where the run has one of them, it answers as well
SHOWN = 60


class NothingToPlan(RetortError):
    """Raised when there is no reward model, or nothing that it could be unsure of."""


def plan(
    profile: Annotated[
        Path | None, typer.Argument(help="YAML file of the run; default: configs/nutrition.yaml.")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes such as feedback.samples=4.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Most pairs that are put before people.")] = 40,
    questions: Annotated[int, typer.Option(min=2, help="Training questions that are answered for it.")] = 120,
    per_task: Annotated[
        int | None, typer.Option(min=1, help="Most pairs of one family; default: twice an equal share.")
    ] = None,
    wanted: Annotated[int, typer.Option(min=1, help="People who are to judge each pair.")] = 1,
) -> None:
    """Choose what to ask next: pairs of answers of which the last run's reward model would learn most.

    Its models answer questions that nobody has judged. The pairs go into the queue of `retort feedback
    serve`.
    """
    from rich.console import Console

    from configs.load import load_run_config
    from flows.arguments import split_arguments
    from flows.feedback_cli import opened
    from flows.places import choose_platform
    from flows.run import prepare
    from tasks.feedback.plan import draw_targets
    from tasks.feedback.plan import plan as choose
    from tasks.feedback.store.comparisons import Comparisons
    from tasks.feedback.store.event_store import EventStore
    from tasks.shared.env import read_env
    from tasks.shared.progress import ProgressBars

    asked = load_run_config(*split_arguments(profile, overrides))
    env = read_env()
    config, place, _ = prepare(asked, choose_platform("auto", env), env, False)
    refs = last_artifacts(place)
    with opened() as database, ProgressBars(Console(stderr=True)) as bars:
        taken = {event.row for event in EventStore(database).events() if not event.simulated}
        taken |= {comparison.row for comparison in Comparisons(database).open()}
        pool = pool_of(config, place, refs, gather(config, place, refs, (taken, questions), bars))
        most = per_task or -(-2 * count // max(len(set(pool.pairs.tasks)), 1))
        chosen = choose(pool.pairs, pool.covariance, draw_targets(pool.pairs, config.seed), count, most)
        new = Comparisons(database).put(queued(pool, chosen, wanted))
    show(pool, chosen, new, Console())


def last_artifacts(place: "Place") -> dict[str, "ArtifactRef"]:
    """The artifacts of the last run that finished, by stage.

    Raises:
        NothingToPlan: It left no reward model.
    """
    from flows.last_run import find_last

    refs = find_last(place, (*NEEDED, *ALIGNED))
    missing = [name for name in NEEDED if name not in refs]
    if missing:
        raise NothingToPlan(
            Problem(
                "the last run",
                f"no artifact of {', '.join(missing)}",
                "a finished run with a reward model",
                "Start one: `retort run`.",
            )
        )
    return refs


def gather(
    config: "RunConfig",
    place: "Place",
    refs: dict[str, "ArtifactRef"],
    wish: tuple[set[str], int],
    bars: "ProgressBars",
) -> "Candidates":
    """Let the models of the last run answer questions that were neither judged nor queued.

    Args:
        config: How they answer.
        place: Where their artifacts are.
        refs: The artifacts.
        wish: Ids of the questions that are taken, and how many others are wanted.
        bars: Show progress.
    """
    from tasks.feedback.events import load_events
    from tasks.feedback.plan_pool import Candidates
    from tasks.feedback.samples import sample_answers
    from tasks.ml.rows import load_rows

    store = place.store()
    known = {row.id: row for row in load_rows(place.fetch(store, refs["clean"]) / "rows.jsonl")}
    judged = load_events(place.fetch(store, refs["feedback"]) / "events.jsonl")
    rows = draw_questions(
        list(known.values()), wish[0] | {event.row for event in judged}, wish[1], config.seed
    )
    authors = [refs[name] for name in ("distill", *ALIGNED) if name in refs]
    how = config.feedback.model_copy(update={"samples": max(2, config.feedback.samples // len(authors))})
    bar = bars.bar("plan: sample answers", len(rows) * how.samples * len(authors), "answers")
    answers = [
        sample_answers(place.fetch(store, ref) / "model", ref.sha256, rows, how, config.seed, bar)
        for ref in authors
    ]
    joined = [
        list({shown.text: shown for by_author in own for shown in by_author}.values())
        for own in zip(*answers, strict=True)
    ]
    return Candidates(rows, joined, [event for event in judged if event.row in known], known)


def draw_questions(rows: Sequence["Row"], taken: set[str], count: int, seed: int) -> list["Row"]:
    """Training questions with a gold answer that are not taken, those of one context together.

    Raises:
        NothingToPlan: None are left.
    """
    from tasks.ml.batching import draw_whole_groups
    from tasks.ml.seeding import random_for

    free = [row for row in rows if row.split == "train" and row.answer is not None and row.id not in taken]
    if not free:
        raise NothingToPlan(
            Problem("data", "all training questions are judged or queued", "others", "Add data.")
        )
    picked = draw_whole_groups([row.context for row in free], count, random_for("planned", seed, len(taken)))
    return [free[index] for index in picked]


def pool_of(
    config: "RunConfig", place: "Place", refs: dict[str, "ArtifactRef"], candidates: "Candidates"
) -> "Pool":
    """The pairs as the last run's reward model sees them."""
    from tasks.feedback.plan_pool import make_pool
    from tasks.ml.models import ScoredModel, load_tokenizer

    folder = place.fetch(place.store(), refs["reward"]) / "model"
    return make_pool(ScoredModel.load(folder).eval(), load_tokenizer(folder), candidates, config.reward)


def queued(pool: "Pool", chosen: Sequence["Planned"], wanted: int) -> list["Comparison"]:
    """What goes into the queue; what tells more is asked first."""
    from tasks.feedback.store.comparisons import Comparison
    from tasks.ml.prompts import user_text

    comparisons = []
    for one in chosen:
        row, first, second = pool.shown[one.pair]
        comparisons.append(
            Comparison(
                row=row.id,
                task=row.task,
                prompt=user_text(row),
                answers=(first, second),
                priority=one.gain,
                wanted=wanted,
            )
        )
    return comparisons


def show(pool: "Pool", chosen: Sequence["Planned"], new: int, console: "Console") -> None:
    """A table of what was chosen and why: how the model leans, how unsure it is, what a verdict tells."""
    from rich.table import Table

    table = Table("family", "question", "gap", "unsure by", "tells")
    for one in chosen:
        row, *_ = pool.shown[one.pair]
        question = row.question if len(row.question) <= SHOWN else f"{row.question[:SHOWN]}…"
        gap = pool.pairs.gaps[one.pair]
        table.add_row(
            row.task, question, f"{abs(gap):.2f}", f"{one.deviation:.2f}", f"{1000 * one.gain:.2f} mbit"
        )
    console.print(table, markup=False)
    words = (
        f"{new} of {len(chosen)} pairs are new in the queue, out of {len(pool.shown)}. Gap: difference in "
        "reward, nats; unsure by: its standard deviation before it is asked; tells: what its verdict adds, "
        "after those above it, to what is known of another pair's."
    )
    console.print(words, highlight=False)
