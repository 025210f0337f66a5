"""Stage `clean`: from a fact table or a dataset to rows that are fit to learn from, cut into splits."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.schema import DataConfig
from tasks.ml.canaries import canary_rows
from tasks.ml.cleaning import Cleaned, clean, split_of, thin
from tasks.ml.facts import Food, load_foods
from tasks.ml.questions import FAMILIES, Style, make_rows, make_sheets
from tasks.ml.rows import GENERAL, GENERAL_FILE, ReferenceCheck, Row, Split, write_rows
from tasks.ml.seeding import stable_hash
from tasks.shared.artifacts import canonical_json
from tasks.shared.errors import DataError, Problem
from tasks.shared.sources import BadRow, read_rows, set_aside
from tasks.stage import StageContext

SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def run(context: StageContext) -> dict[str, Any]:
    """Write `rows.jsonl`, `lexicon.txt` (names that the student must be able to write) and `card.json`.

    With `data.general` also `general.jsonl`: instructions beside the use case, never in its own evaluation.
    """
    config = context.section(DataConfig, "data")
    bad: list[BadRow] = []
    if config.kind == "facts":
        foods = load_foods(Path(config.source))
        raw, lexicon = questions_from_facts(foods, config, context.seed), [food.name for food in foods]
    else:
        raw, bad = questions_from_pairs(config, context.cache, context.data_endpoint)
        lexicon = []
    # After the use case's own rows, so that one that repeats a question of the use case is dropped.
    general, more_bad = general_instructions(config, context.cache, context.data_endpoint)
    bad += more_bad
    cleaned = clean([*raw, *general], config)
    beside = [row for row in cleaned.rows if row.task == GENERAL]
    own = [row for row in cleaned.rows if row.task != GENERAL]
    rows = thin(own, config.max_rows, context.seed)
    check_splits(rows, config)
    # After cleaning, which would take the repeats of a canary for duplicates.
    rows += canary_rows(config.canaries, config.canary_repeats, context.seed)
    write_rows(context.out / "rows.jsonl", rows)
    (context.out / "lexicon.txt").write_text("\n".join(lexicon), encoding="utf-8")
    if bad:
        set_aside(bad, context.out / "set_aside.jsonl")
    if beside:
        write_rows(context.out / GENERAL_FILE, beside)
    card = data_card(config, rows, beside, cleaned, len(bad))
    (context.out / "card.json").write_bytes(canonical_json(card))
    _record(context, card, rows)
    return card


def questions_from_facts(foods: list[Food], config: DataConfig, seed: int) -> list[Row]:
    """The nutrition task mixture: sheets of one and of two foods of the same split, and their questions."""
    unknown = sorted({*config.single_plan, *config.pair_plan} - FAMILIES.keys())
    if unknown:
        known = ", ".join(FAMILIES)
        raise DataError(
            Problem("data.single_plan", ", ".join(unknown), f"families out of {known}", "Mend the plan.")
        )
    style = Style(config.wordy_share, config.clinician_share)
    rows: list[Row] = []
    for split in SPLITS:
        own = [food for food in foods if split_of(food.name, config.valid_share, config.test_share) == split]
        for shown, counts, nutrients, plan in (
            (1, config.single_sheets, config.single_nutrients, config.single_plan),
            (2, config.pair_sheets, config.pair_nutrients, config.pair_plan),
        ):
            for sheet in make_sheets(own, getattr(counts, split), shown, nutrients, seed, split):
                rows += make_rows(sheet, split, plan, style, seed)
    return rows


def questions_from_pairs(
    config: DataConfig, cache: Path, endpoint: str | None
) -> tuple[list[Row], list[BadRow]]:
    """Rows of any dataset with a prompt and an answer; malformed ones are set aside with their line."""
    columns = {"prompt": config.prompt_column, "answer": config.answer_column}
    if config.group_column:
        columns["group"] = config.group_column
    found = read_rows(config.source, columns, cache, optional=("group",), endpoint=endpoint)
    rows = []
    for record in found.rows:
        group = record.get("group") or record["prompt"]
        split = split_of(group, config.valid_share, config.test_share)
        rows.append(row_of_pair(record, "question", group, split))
    return rows, found.bad


def general_instructions(
    config: DataConfig, cache: Path, endpoint: str | None
) -> tuple[list[Row], list[BadRow]]:
    """Instructions that are no part of the use case; none without a source.

    What the use case holds back in two splits, to choose by and to judge by, is one here: `valid`.
    """
    if config.general is None:
        return [], []
    columns = {"prompt": config.general_prompt_column, "answer": config.general_answer_column}
    if config.general_context_column:
        columns["context"] = config.general_context_column
    found = read_rows(config.general, columns, cache, optional=("context",), endpoint=endpoint)
    held_out = config.valid_share + config.test_share
    rows = [
        row_of_pair(record, GENERAL, record["prompt"], split_of(record["prompt"], held_out, 0.0))
        for record in found.rows
    ]
    return rows, found.bad


def row_of_pair(record: Mapping[str, str], task: str, group: str, split: Split) -> Row:
    """The row of a prompt and its answer, which is what answers are held against."""
    context = record.get("context", "")
    parts = [record["prompt"], record["answer"], *([context] if context else [])]
    return Row(
        id=f"row-{stable_hash(*parts):016x}",
        task=task,
        groups=(group,),
        split=split,
        context=context,
        question=record["prompt"],
        answer=record["answer"],
        plain_words=max(1, len(record["answer"].split())),
        medical=False,
        check=ReferenceCheck(text=record["answer"]),
    )


def check_splits(rows: list[Row], config: DataConfig) -> None:
    """Refuse a dataset without questions to learn from or to be judged by.

    Raises:
        DataError: The training or the test split is empty.
    """
    counts = Counter(row.split for row in rows)
    missing = [split for split in ("train", "test") if not counts[split]]
    if missing:
        raise DataError(
            Problem(
                config.source,
                f"{dict(counts)} rows after cleaning",
                f"rows in {' and '.join(missing)}",
                "Give more rows, raise `data.test_share`, or look at the drop counts in the error log.",
            )
        )


def data_card(
    config: DataConfig, rows: list[Row], general: list[Row], cleaned: Cleaned, bad: int
) -> dict[str, Any]:
    """What went in, what came out, and why the rest did not."""
    return {
        "source": config.source,
        "rows": len(rows),
        "splits": dict(Counter(row.split for row in rows)),
        "tasks": dict(Counter(row.task for row in rows)),
        "dropped": dict(cleaned.dropped),
        "dropped_examples": cleaned.examples,
        "thinned": len(cleaned.rows) - len(general) - len(rows),
        "malformed": bad,
        "general": dict(Counter(row.split for row in general)),
        "personal_data": {
            "rule": config.personal_data,
            "redacted": dict(cleaned.redacted),
            "rows": cleaned.redacted_rows,
        },
        "canaries": config.canaries,
    }


def _record(context: StageContext, card: dict[str, Any], rows: list[Row]) -> None:
    context.run.metrics({f"clean/rows_{split}": count for split, count in card["splits"].items()})
    context.run.metrics(
        {
            "clean/dropped": sum(card["dropped"].values()),
            "clean/malformed": card["malformed"],
            "clean/redacted": sum(card["personal_data"]["redacted"].values()),
            "clean/redacted_rows": card["personal_data"]["rows"],
        }
    )
    context.run.table("drops.json", [{"reason": reason, "rows": n} for reason, n in card["dropped"].items()])
    shown = [
        {"task": r.task, "context": r.context, "question": r.question, "answer": r.answer} for r in rows[:20]
    ]
    context.run.table("rows.json", shown)
