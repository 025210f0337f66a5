"""What `retort models` shows, as values for scripts and as tables for people."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from configs.errors import Problem, RetortError
from tasks.model_records import CROWNING, Entry, ModelVersion, RegistryError, challenger_of, crowning_of
from tasks.shared.store_log import BrokenLogError

if TYPE_CHECKING:
    from tasks.model_registry import ModelRegistry
    from tasks.place import Place

Values = dict[str, Any]
DAY = len("2026-11-24")


def listed(registry: "ModelRegistry") -> Values:
    """The versions of a use case, who is what, and which aliases of MLflow had to be set right."""
    problem: str | None = None
    changed: list[str] = []
    try:
        changed = registry.set_aliases()
    except BrokenLogError:
        raise
    except RetortError as error:
        # MLflow is away, or a model that it lost is gone from the store as well.
        problem = str(error)
    entries = registry.entries()
    crowned, challenger = crowning_of(entries), challenger_of(entries)
    versions = []
    for entry in entries:
        if entry.act == "entered":
            acts = [other for other in entries if other.version.number == entry.version.number]
            last = acts[-1]
            told = {"act": last.act, "at": last.at, "by": last.by, "reason": last.reason}
            versions.append(entry.version.model_dump(mode="json") | {"entered": entry.at, "last": told})
    return {
        "name": registry.name,
        "champion": crowned.version.number if crowned else None,
        "challenger": challenger.number if challenger else None,
        "versions": versions,
        "aliases_set": changed,
        "mlflow_problem": problem,
    }


def print_versions(use_case: Values) -> None:
    """One line a version; then what MLflow said otherwise."""
    roles = {use_case["challenger"]: "challenger", use_case["champion"]: "champion"}
    table = _table(use_case["name"], "version", "", "aligned by", "entered, UTC", "feedback", "last act")
    for version in use_case["versions"]:
        last = version["last"]
        table.add_row(
            str(version["number"]),
            roles.get(version["number"], ""),
            version["model"]["kind"],
            _moment(version["entered"]),
            feedback_name(version["feedback"]),
            f"{_act(last['act'])} by {last['by']}: {last['reason']}",
        )
    Console().print(table, markup=False)
    _say(*use_case["aliases_set"])
    if use_case["mlflow_problem"]:
        _say(f"MLflow's aliases could not be set right: {use_case['mlflow_problem']}")
    if use_case["champion"] is None:
        _say("None of them serves yet: `retort models promote NUMBER --reason WHY`.")


def print_history(name: str, entries: Sequence[Entry]) -> None:
    """One line an act."""
    table = _table(name, "", "at, UTC", "act", "version", "by", "reason", "evidence")
    for entry in entries:
        evidence = entry.evidence or ""
        shown = (str(entry.sequence), _moment(entry.at), _act(entry.act), str(entry.version.number))
        table.add_row(*shown, entry.by, entry.reason, _short(evidence))
    Console().print(table, markup=False)


def span(text: str) -> tuple[datetime, datetime]:
    """The first and the last second that a day or a moment means; UTC unless it says another time zone.

    Raises:
        RegistryError: It is neither.
    """
    try:
        begin = datetime.fromisoformat(text)
    except ValueError:
        expected = "a day or a moment, such as 2026-11-24 or 2026-11-24T13:05+01:00"
        problem = Problem("--at", f"`{text}`", expected, "Write year, month and day in this order.")
        raise RegistryError(problem) from None
    if begin.tzinfo is None:
        begin = begin.replace(tzinfo=UTC)
    is_day = len(text) <= DAY
    return begin, datetime.combine(begin, time(23, 59, 59), UTC) if is_day else begin


def live(place: "Place", registry: "ModelRegistry", begin: datetime, end: datetime) -> list[Values]:
    """Each champion between two moments: since when, until when, why, and what it learnt from."""
    from tasks.model_facts import FactFinder

    entries = registry.entries()
    crownings = [entry for entry in entries if entry.act in CROWNING]
    first = crowning_of(entries, begin)
    found = [first] if first else []
    found += [entry for entry in crownings if begin < datetime.fromisoformat(entry.at) <= end]
    finder = FactFinder(place) if found else None
    shown = []
    for entry in found:
        following = crownings[crownings.index(entry) + 1 :]
        facts = finder.facts(entry.version) if finder else None
        shown.append(
            {
                "since": entry.at,
                "until": following[0].at if following else None,
                "entry": entry.model_dump(mode="json"),
                "learnt": [learnt.model_dump() for learnt in facts.learnt] if facts else [],
                "gone": facts.gone if facts else 0,
            }
        )
    return shown


def print_live(name: str, at: str, found: Sequence[Values]) -> None:
    """A paragraph for each champion of that time."""
    if not found:
        _say(f"No model of {name} was live then ({at}, UTC).")
    for one in found:
        entry, version = one["entry"], one["entry"]["version"]
        until = f"until {_moment(one['until'])}" if one["until"] else "and still is"
        _say(f"Version {version['number']} of {name} was live since {_moment(one['since'])} UTC, {until}.")
        _say(f"  Why: {_act(entry['act'])} by {entry['by']}: {entry['reason']}")
        if entry["evidence"]:
            _say(f"  Evidence: {entry['evidence']}")
        _say(f"  Model: {version['model']['key']}")
        _say(f"  Feedback: {version['feedback']}")
        for learnt in one["learnt"]:
            _say(f"    {'learnt before: ' if learnt['inherited'] else ''}{_learnt(learnt)}")
        if one["gone"]:
            _say(f"  {_gone(one['gone'])}")


def differences(place: "Place", first: ModelVersion, second: ModelVersion) -> Values:
    """What differs between two versions, each as a pair; None is for what one of them does not have."""
    from tasks.model_facts import FactFinder

    finder = FactFinder(place)
    one, other = finder.facts(first), finder.facts(second)
    alike = sorted(one.figures.keys() & other.figures.keys())
    return {
        "name": first.name,
        "versions": [first.number, second.number],
        "config": _unlike(one.config, other.config),
        "feedback": _unlike(_feedback(first), _feedback(second)),
        "learnt": [[learnt.model_dump() for learnt in facts.learnt] for facts in (one, other)],
        "figures": {how: _unlike(one.figures[how], other.figures[how]) for how in alike},
        "gone": [one.gone, other.gone],
    }


def print_differences(found: Values) -> None:
    """One line for each thing that differs."""
    numbers = [f"version {number}" for number in found["versions"]]
    table = _table(found["name"], "", *numbers)
    for name, pair in (found["feedback"] | found["config"]).items():
        table.add_row(name, *("-" if value is None else str(value) for value in pair))
    own = [[_learnt(learnt) for learnt in side if not learnt["inherited"]] for side in found["learnt"]]
    if own[0] != own[1]:
        table.add_row("learnt from", *("\n".join(lines) or "-" for lines in own))
    for how, figures in found["figures"].items():
        for name, pair in figures.items():
            table.add_row(f"{how.split()[0]}: {name}", *map(_figure, pair))
    Console().print(table, markup=False)
    if not found["figures"]:
        _say("They were never measured alike: on the same questions with the same settings.")
    for number, gone in zip(numbers, found["gone"], strict=True):
        if gone:
            _say(f"{number.capitalize()}: {_gone(gone)}")


def feedback_name(feedback: str) -> str:
    """The name of feedback as short as it says something: how far it goes, or which file it is."""
    digest, _, reach = feedback.partition("@")
    return f"store, events {reach if '-' in reach else f'to {reach}'}" if reach else _short(digest)


def _feedback(version: ModelVersion) -> dict[str, Any]:
    return {
        "feedback": version.feedback,
        "watermark": version.watermark,
        "aligned by": version.model.kind,
        "distilled": version.distill.key,
    }


def _unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = dict.fromkeys([*first, *second])
    pairs = {name: [first.get(name), second.get(name)] for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _learnt(learnt: Mapping[str, Any]) -> str:
    people = f"{learnt['events']} judgements by {learnt['annotators']} annotators"
    made = f", {learnt['simulated']} of them not by people" if learnt["simulated"] else ""
    return f"{people}{made} ({_short(learnt['key'])})"


def _gone(count: int) -> str:
    return f"{count} of the artifacts that it was made from are not there any more; nothing is told of them."


def _figure(value: Sequence[float] | None) -> str:
    if value is None:
        return "-"
    middle, *ends = (f"{number:.4g}" for number in value)
    return f"{middle} [{', '.join(ends)}]" if ends else middle


def _short(name: str) -> str:
    """A digest, also within a key, with its first twelve digits; anything else as it is."""
    kind, slash, digest = name.rpartition("/")
    is_digest = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    return f"{kind}{slash}{digest[:12]}" if is_digest else name


def _moment(at: str) -> str:
    return at.removesuffix("+00:00").replace("T", " ")


def _act(act: str) -> str:
    return act.replace("_", " ")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _say(*lines: str) -> None:
    for line in lines:
        Console().print(line, markup=False, highlight=False, soft_wrap=True)
