"""The command `retort feedback judge`: the teacher judges what the feedback store holds, by principles."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from configs.schema import RunConfig
    from tasks.feedback.ai_agreement import Agreement, Conduct
    from tasks.feedback.ai_annotator import AIAnnotator
    from tasks.ml.progress import Bar
    from tasks.place import Place

Some = TypeVar("Some")

# Asked at a time; what is said of a piece is in the store before the next is asked.
PIECE = 16


def judge(
    profile: Annotated[
        Path | None, typer.Argument(help="YAML file of the run; default: configs/nutrition.yaml.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Changes such as feedback.ai.endpoint=http://…")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most pairs of answers that are judged now.")] = 100,
    revise: Annotated[int, typer.Option(min=0, help="Most answers that are criticised and revised now.")] = 0,
) -> None:
    """Let the teacher judge the pairs that people judged, then those that wait; and say how it agrees.

    Its judgements are kept as those of an AI, beside people's and never in their place: what waits for people
    goes on waiting.
    """
    from rich.console import Console

    from configs.load import load_run_config
    from configs.principles import read_principles
    from flows.arguments import split_arguments
    from flows.feedback_cli import opened
    from flows.places import choose_platform
    from flows.run import prepare
    from tasks.feedback.ai_agreement import agree, by_ai, conduct
    from tasks.feedback.ai_judge import judge_pairs
    from tasks.feedback.ai_queue import not_judged, not_revised, pairings_in
    from tasks.feedback.ai_revise import revise as mend
    from tasks.feedback.events import standing
    from tasks.feedback.store.comparisons import Comparisons
    from tasks.feedback.store.event_store import EventStore
    from tasks.shared.env import read_env
    from tasks.shared.progress import ProgressBars

    asked = load_run_config(*split_arguments(profile, overrides))
    env = read_env()
    config, place, _ = prepare(asked, choose_platform("auto", env), env, False)
    principles = read_principles(Path(config.feedback.ai.principles))
    with opened() as database, ProgressBars(Console(stderr=True)) as bars:
        store = EventStore(database)
        events = standing(store.events())
        every = list(pairings_in(events, Comparisons(database).open()))
        most = 2 * limit + 2 * len(principles) * revise
        teacher = annotator(config, place, bars.bar("feedback: ask the teacher", most, "replies"))
        name = teacher.judge.name
        known = {event.id for event in events if event.annotator == name}
        for pairings in pieces(not_judged(every, name, principles, known, limit)):
            store.add(judge_pairs(teacher.judge, pairings, principles))
        for drafts in pieces(not_revised(every, name, principles, known, revise)):
            store.add(mend(name, teacher.ask, drafts, principles))
        events = standing(store.events())
    own = [event for event in events if event.annotator == name]
    people = [event for event in events if not by_ai(event)]
    show(name, conduct(own), agree([*people, *own], config.seed), Console())


def annotator(config: "RunConfig", place: "Place", bar: "Bar") -> "AIAnnotator":
    """The model that the configuration names."""
    from tasks.ai_endpoint import endpoint_annotator
    from tasks.feedback.ai_annotator import local_annotator
    from tasks.shared.record_shards import RecordShards
    from tasks.teacher_digest import teacher_digest

    if config.feedback.ai.endpoint is not None:
        store, tell = place.store(), place.console().print
        return endpoint_annotator(config.feedback.ai, lambda name: RecordShards(store, name, tell), bar)
    source, revision = config.teacher.source, config.teacher.revision
    digest = teacher_digest(source, revision, place.home / "cache" / "digests.json")
    return local_annotator(
        config.feedback.ai, (source, revision, place.home / "cache" / "models"), digest, bar
    )


def pieces(whole: Sequence[Some]) -> Iterator[Sequence[Some]]:
    """What is asked at a time."""
    return (whole[start : start + PIECE] for start in range(0, len(whole), PIECE))


def show(name: str, conduct: "Conduct", agreement: "Agreement | None", console: "Console") -> None:
    """A table of what this judge did in all, and how far it agrees with people."""
    from rich.table import Table

    table = Table(title=f"{name}: judged by AI, not by people", title_justify="left", show_header=False)
    rows = [
        ("pairs judged", str(conduct.judged)),
        ("ties", str(conduct.ties)),
        ("could not be read", str(conduct.unreadable)),
        ("favoured a place, whichever answer stood there", share(conduct.swayed_share)),
        ("… the first place", f"{conduct.swayed_to_first} of {conduct.swayed}"),
    ]
    if agreement is None:
        rows.append(("agreement with people", "too few pairs that both judged"))
    else:
        rows.append(("pairs that people judged too", str(agreement.pairs)))
        rows.append(("the same verdict as people's", with_interval(agreement.raw, agreement.raw_interval)))
    if agreement is not None and agreement.kappa is not None and agreement.kappa_interval is not None:
        low, high = agreement.kappa_interval
        rows.append(("Cohen's kappa", f"{agreement.kappa:.2f} [{low:.2f}, {high:.2f}]"))
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)


def share(value: float) -> str:
    """A share in per cent."""
    return f"{100 * value:.1f} %"


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """A share in per cent with its 95 % interval."""
    return f"{share(value)} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"
