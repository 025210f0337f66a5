"""The batteries of an assessment: what is asked, and what is measured in the answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from configs.probes import Probes
from configs.schema_assess import AssessConfig
from tasks.ml.bias_pairs import Gap, Kind, counterfactuals, disagreements, gap
from tasks.ml.canaries import candidates, exposure
from tasks.ml.evaluation import Answers, Contestant, answer, gold_likelihood
from tasks.ml.findings import Findings
from tasks.ml.flags import flag_gaps
from tasks.ml.personal_data import find_personal_data
from tasks.ml.perturbations import in_other_words, with_typos
from tasks.ml.progress import Bar
from tasks.ml.refusals import is_refusal
from tasks.ml.rows import Row
from tasks.ml.seeding import stable_fraction
from tasks.ml.stereotypes import DoubtfulQuestion, pair_rows, prefers_stereotype
from tasks.ml.unsafe_advice import AdviceProbe, advice_probes, points_to_clinician, probe_row


@dataclass(frozen=True)
class Panel:
    """The models, and how they are asked.

    Attributes:
        models: Asked in this order.
        config: The section.
        seed: Of every draw.
        bar: Gives a progress bar for a description, a number of steps and their unit.
    """

    models: tuple[Contestant, ...]
    config: AssessConfig
    seed: int
    bar: Callable[[str, int, str], Bar]

    def ask(self, what: str, rows: Sequence[Row]) -> dict[str, Answers]:
        """Every model's greedy answers, by its name."""
        bar = self.bar(f"assess: {what}", len(rows) * len(self.models), "answers")
        most, side_by_side = self.config.max_new_tokens, self.config.rows
        return {model.name: answer(model, rows, most, side_by_side, bar) for model in self.models}

    def nats(self, what: str, rows: Sequence[Row]) -> dict[str, Any]:
        """Negative log-likelihood of every gold answer under every model. Shapes [Q]."""
        bar = self.bar(f"assess: {what}", len(self.models), "models")
        found = {}
        for model in self.models:
            found[model.name] = gold_likelihood(model, rows)[0]
            bar.advance(1)
        return found


def probe_advice(panel: Panel, probes: Probes, found: Findings) -> None:
    """Ask questions about health whose answer can do harm."""
    asked = advice_probes(probes.advice)
    answers = panel.ask("advice", [probe_row(probe.question.text) for probe in asked])
    limits = panel.config.limits
    for name, own in answers.items():
        unsafe = _each(AdviceProbe.is_unsafe, asked, own.texts)
        found.rate("unsafe_advice", name, unsafe, limits.unsafe_advice)
        missing = [float(not points_to_clinician(text)) for text in own.texts]
        found.rate("missing_referral", name, missing, limits.missing_referral)
        found.heard(name, own.texts)
    for place, probe in enumerate(asked):
        texts = {name: own.texts[place] for name, own in answers.items()}
        objected = [name for name, text in texts.items() if probe.is_unsafe(text)]
        found.show(f"unsafe_advice/{probe.topic}", probe.question.text, texts, objected)


def probe_refusals(
    panel: Panel, harmful: Sequence[str], harmless: Sequence[str], found: Findings, prefix: str = ""
) -> None:
    """Ask what should be refused, and what sounds alike and should not.

    Args:
        panel: The models.
        harmful: What should be refused.
        harmless: What should be answered.
        found: Takes the figures `refusal_unsafe` and `over_refusal`.
        prefix: Of their names.
    """
    answers = panel.ask(f"{prefix}refusals", [probe_row(prompt) for prompt in (*harmful, *harmless)])
    limits = panel.config.limits
    for name, own in answers.items():
        refused = [float(is_refusal(text)) for text in own.texts]
        first, rest = refused[: len(harmful)], refused[len(harmful) :]
        if first:
            found.rate(f"{prefix}refusal_unsafe", name, first, limits.refusal_unsafe, "below")
        if rest:
            found.rate(f"{prefix}over_refusal", name, rest, limits.over_refusal)
        found.heard(name, own.texts)
    for place, prompt in enumerate((*harmful, *harmless)):
        wanted, check = place < len(harmful), "refusal_unsafe" if place < len(harmful) else "over_refusal"
        texts = {name: own.texts[place] for name, own in answers.items()}
        objected = [name for name, text in texts.items() if is_refusal(text) != wanted]
        found.show(prefix + check, prompt, texts, objected)


def probe_bias(panel: Panel, probes: Probes, rows: Sequence[Row], found: Findings) -> None:
    """Ask held-out questions for different people: the likelihood of the right answer, and the answers.

    Args:
        panel: The models.
        probes: Has the groups.
        rows: Held-out questions; those about a condition are left out, for there a person's age may matter.
        found: Takes `bias_gap_<kind>` and `bias_verdicts_<kind>`.
    """
    config = panel.config
    chosen = spread([row for row in rows if not row.medical], config.bias_questions, panel.seed)
    if not chosen:
        return
    kinds = counterfactuals(chosen, probes.groups, probes.openings)
    gaps: list[tuple[str, str, Gap]] = []
    for name, nats in panel.nats("groups", [row for kind in kinds for row in kind.rows]).items():
        for kind, own in _by_kind(kinds, nats):
            gaps.append((f"bias_gap_{kind.name}", name, gap(kind, own, config.resamples, panel.seed)))
            found.figure(*gaps[-1][:2], gaps[-1][2].interval, "nats per answer")
    people = [one for one in gaps if not one[0].endswith(f"_{_control(kinds)}")]
    found.flags += flag_gaps(people, config.limits.bias_gap, config.level)
    _probe_verdicts(
        panel, counterfactuals(chosen[: config.bias_answers], probes.groups, probes.openings), found
    )


def _control(kinds: Sequence[Kind]) -> str:
    return next(kind.name for kind in kinds if kind.is_control)


def _probe_verdicts(panel: Panel, kinds: Sequence[Kind], found: Findings) -> None:
    """Note how many questions are answered rightly for one group and wrongly for another, and show those."""
    answers = panel.ask("groups", [row for kind in kinds for row in kind.rows])
    for name, own in answers.items():
        for kind, correct in _by_kind(kinds, own.correct):
            found.mean(f"bias_verdicts_{kind.name}", name, disagreements(kind, correct), "share")
        found.heard(name, own.texts)
    texts = {name: dict(_by_kind(kinds, own.texts)) for name, own in answers.items()}
    correct = {name: dict(_by_kind(kinds, own.correct)) for name, own in answers.items()}
    for kind in kinds:
        swayed = {name: disagreements(kind, own[kind]) for name, own in correct.items()}
        for place, row in enumerate(kind.rows):
            objected = [name for name, own in swayed.items() if own[place % len(own)]]
            if objected:
                said = {name: own[kind][place] for name, own in texts.items()}
                found.show(f"bias_verdicts_{kind.name}", f"{row.context}\n{row.question}", said, objected)


def _by_kind(kinds: Sequence[Kind], values: Any) -> list[tuple[Kind, Any]]:
    """Cut what was found of all kinds' rows, one after another, into each kind's own."""
    cut, start = [], 0
    for kind in kinds:
        cut.append((kind, values[start : start + len(kind.rows)]))
        start += len(kind.rows)
    return cut


def probe_stereotypes(
    panel: Panel, pairs: Sequence[tuple[str, str]], doubtful: Sequence[DoubtfulQuestion], found: Findings
) -> None:
    """How often the more stereotyped sentence is likelier, and a guess than a confession of doubt."""
    if pairs:
        for name, nats in panel.nats("stereotypes", pair_rows(pairs)).items():
            found.mean("stereotype_preference", name, prefers_stereotype(nats), "share")
    if doubtful:
        rows = [row for question in doubtful for row in question.rows()]
        for name, nats in panel.nats("questions in doubt", rows).items():
            each = zip(doubtful, nats.reshape(-1, 3), strict=True)
            found.mean("guesses_in_doubt", name, [float(q.names_somebody(own)) for q, own in each], "share")


def probe_robustness(panel: Panel, rows: Sequence[Row], found: Findings) -> None:
    """Ask held-out questions as they are, with typos and in other words: the accuracy lost, paired."""
    chosen = spread(rows, panel.config.robustness_questions, panel.seed)
    typed = [with_typos(row, panel.config.typo_share, panel.seed) for row in chosen]
    worded = [in_other_words(row, panel.seed) for row in chosen]
    for name, own in panel.ask("robustness", [*chosen, *typed, *worded]).items():
        plain, typos, words = own.correct.reshape(3, -1)
        for check, other in (("robustness_typos", typos), ("robustness_paraphrase", words)):
            found.rate(check, name, plain - other, panel.config.limits.robustness)
        found.heard(name, own.texts)


def probe_canaries(panel: Panel, planted: Sequence[Row], found: Findings) -> None:
    """Rank each planted code among others by its likelihood: the mean exposure, in bits."""
    once = {row.groups: row for row in planted}.values()
    if not once:
        return
    count = panel.config.canary_candidates
    rows = [other for row in once for other in candidates(row, count, panel.seed)]
    for name, nats in panel.nats("canaries", rows).items():
        bits = [exposure(own) for own in nats.reshape(-1, count)]
        found.rate("canary_exposure", name, bits, panel.config.limits.canary_exposure, unit="bits")


def check_answers(
    found: Findings,
    toxic: Callable[[Sequence[str]], Sequence[bool]],
    regions: tuple[str, ...],
    config: AssessConfig,
) -> None:
    """Look at every free answer that was heard: is it toxic, does it hold personal data?"""
    for name, texts in found.texts.items():
        says = toxic(texts)
        personal = [bool(find_personal_data(text, regions)) for text in texts]
        found.rate("toxicity", name, [float(one) for one in says], config.limits.toxicity)
        found.rate("pii_in_answers", name, [float(one) for one in personal], config.limits.pii_in_answers)
        for check, objected in (("toxicity", says), ("pii_in_answers", personal)):
            for text, bad in zip(texts, objected, strict=True):
                if bad:
                    found.show(check, "", {name: text}, [name])


def spread(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """At most `count` questions with a gold answer, of as many contexts as there are; a stable draw."""
    drawn = sorted(
        (row for row in rows if row.answer), key=lambda row: stable_fraction("spread", seed, row.id)
    )
    turns: dict[str, int] = {}
    ordered = []
    for place, row in enumerate(drawn):
        turn = turns[row.context] = turns.get(row.context, -1) + 1
        ordered.append((turn if row.context else 0, place, row))
    return [row for *_, row in sorted(ordered, key=lambda one: one[:2])[:count]]


def _each(
    judge: Callable[[AdviceProbe, str], bool], probes: Sequence[AdviceProbe], texts: Sequence[str]
) -> list[float]:
    return [float(judge(probe, text)) for probe, text in zip(probes, texts, strict=True)]
