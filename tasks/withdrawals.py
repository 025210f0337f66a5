"""The lists that `retort feedback withdraw` leaves: which artifacts held an annotator's events."""

import json
from pathlib import Path
from typing import Any

FOLDER = "withdrawals"


def withdrawal_lists(home: Path) -> list[dict[str, Any]]:
    """All lists of a home, the oldest first; each names the annotator and what held events of theirs."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((home / FOLDER).glob("*.json"))]


def held_before(home: Path, annotator: str | None = None) -> set[str]:
    """Digests of artifacts in which withdrawals, of one annotator or of all, found events."""
    lists = [old for old in withdrawal_lists(home) if annotator in (None, old["annotator"])]
    return {digest for old in lists for digest in old["held"]}
