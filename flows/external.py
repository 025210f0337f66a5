"""What names all that a run reads from outside of the store: data, models, feedback, probes, tasks."""

from collections.abc import Callable
from pathlib import Path

from configs.principles import read_principles
from configs.probes import read_probes
from configs.scenarios import read_scenarios
from configs.schema import FEEDBACK_AI, FEEDBACK_STORE, FeedbackConfig, RunConfig
from configs.schema_assess import AssessConfig
from configs.schema_evaluate import HarnessConfig
from tasks.ml.footprint import grid
from tasks.place import Place
from tasks.shared.artifacts import canonical_json, sha256_bytes
from tasks.shared.env import feedback_url
from tasks.shared.errors import DataError, Problem, RetortError
from tasks.shared.source_digest import source_digest


def external_digests(config: RunConfig, place: Place) -> dict[str, str]:
    """Digests of what comes from outside: data, models, feedback, warm start, principles, tasks, probes.

    Raises:
        DataError: Naming all that are missing.
    """
    from tasks.teacher_digest import student_digest, teacher_digest
    from tasks.warm_start import warm_start_digest

    memo = place.home / "cache" / "digests.json"
    general, judge = config.data.general, config.evaluate.judge
    digesting: dict[str, Callable[[], str]] = {
        "dataset": lambda: source_digest(config.data.source, memo, place.data_endpoint),
        "general": lambda: source_digest(general, memo, place.data_endpoint) if general else "none",
        "teacher": lambda: teacher_digest(config.teacher.source, config.teacher.revision, memo),
        "student": lambda: student_digest(config.student.source, config.student.revision, memo),
        "people": lambda: people_digest(config.feedback, memo, place.home),
        "warm_start": lambda: warm_start_digest(config.reward.warm_start, place, memo),
        "probes": lambda: probes_digest(config.assess, memo, place.data_endpoint),
        "judge": lambda: principles_digest(judge.principles) if judge.questions else "none",
        "harness": lambda: harness_digest(config.evaluate.harness, memo),
    }
    digests: dict[str, str] = {}
    problems: list[Problem] = []
    for name, digest in digesting.items():
        try:
            digests[name] = digest()
        except RetortError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return digests


def people_digest(config: FeedbackConfig, memo: Path, home: Path) -> str:
    """What names the feedback of a run: people's in the store or a file, principles, or simulated."""
    people = config.events
    if people is None:
        return "simulated"
    if people == FEEDBACK_AI:
        return f"ai:{principles_digest(config.ai.principles)}"
    if people == FEEDBACK_STORE:
        from tasks.feedback.store.snapshot import name_snapshot

        return name_snapshot(feedback_url(home))
    return source_digest(people, memo)


def probes_digest(config: AssessConfig, memo: Path, endpoint: str | None) -> str:
    """What names all that models are probed with: files of ours and others', and the electricity's intensity.

    Raises:
        RetortError: A file is missing or malformed, or there is no such country.
    """
    files = (
        config.toxic_words,
        config.toxicity_classifier,
        config.xstest,
        config.stereotypes,
        config.doubtful,
    )
    content = {
        "probes": read_probes(Path(config.probes)).model_dump(mode="json"),
        "scenarios": read_scenarios(Path(config.scenarios)).model_dump(mode="json"),
        "files": [source_digest(file, memo, endpoint) if file else None for file in files],
        "grid": grid(config.country).grams_per_kwh,
    }
    return f"sha256:{sha256_bytes(canonical_json(content))}"


def principles_digest(path: str) -> str:
    """Digest of the principles in a file, whatever its spacing."""
    principles = [principle.model_dump() for principle in read_principles(Path(path))]
    return sha256_bytes(canonical_json(principles))


def harness_digest(config: HarnessConfig, memo: Path) -> str:
    """What names the tasks of lm-evaluation-harness of a run; `none` without any."""
    if not config.tasks or config.include_path is None:
        return "none"
    return source_digest(config.include_path, memo)
