"""The graph of stages, and what in this very source tree is in the key of which stage."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.load import load_run_config
from configs.schema import RunConfig
from flows.graph import LADDER, NIGHT, PIPELINE, make_spec, route, walk
from tasks.shared import caching
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.caching import ROOT, code_digests
from tasks.shared.errors import StageError
from tasks.stage_spec import StageSpec

SMOKE = ROOT / "configs" / "smoke.yaml"
EXTERNAL = {
    "dataset": "sha256:d",
    "general": "none",
    "teacher": "random:tiny",
    "student": "made here",
    "people": "simulated",
    "warm_start": "none",
    "probes": "sha256:p",
    "judge": "none",
    "harness": "none",
}
STAGES = ("clean", "label", "score", "distill", "feedback", "reward", "ppo", "evaluate", "assess", "report")
JUDGED = ("challenger", "champion", "unrefined")
WITH_ROWS = set(STAGES)

Keys = Callable[..., dict[str, str]]


def ref(stage: str, sha256: str = "") -> ArtifactRef:
    """An artifact of a stage, whatever its key was."""
    return ArtifactRef(
        kind=stage,
        key=f"{stage}/{'0' * 64}",
        uri=f"file:///{stage}",
        sha256=sha256 or stage.encode().hex().ljust(64, "0"),
        schema_version=1,
        parents=(),
        summary={},
    )


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return load_run_config(SMOKE, [])


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of our sources, from which the keys are made."""
    for package in ("configs", "flows", "tasks"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(caching, "ROOT", tmp_path)
    return tmp_path


def keys_of(
    config: RunConfig, external: dict[str, str] | None = None, inputs: dict[str, ArtifactRef] | None = None
) -> dict[str, str]:
    """The key of every stage, each with the same inputs whatever the keys of the others."""
    refs = {stage: ref(stage) for stage in STAGES} | (inputs or {})
    return {stage: make_spec(stage, config, external or EXTERNAL, refs).key for stage in STAGES}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {stage for stage in STAGES if before[stage] != after[stage]}


@pytest.mark.parametrize(
    ("path", "stages"),
    [
        ("tasks/ml/ppo_math.py", {"ppo"}),
        # `teacher_signal` keeps the teacher's share of it, `evaluation` takes its divergence.
        ("tasks/ml/kd_loss.py", {"score", "distill", "evaluate", "assess"}),
        ("tasks/ml/questions.py", {"clean"}),
        # Rankings are made of the rubric's utilities, the teacher's answers are checked by it, and PPO's
        # guard compares the reward with it.
        ("tasks/ml/rubric.py", {"label", "feedback", "ppo", "evaluate", "assess"}),
        ("tasks/ml/reward_loss.py", {"reward"}),
        ("tasks/ml/ranking_loss.py", {"reward"}),
        # What a reward model says of answers is asked after training too, by PPO and by the evaluation.
        ("tasks/ml/reward_scores.py", {"reward", "ppo", "evaluate"}),
        ("tasks/ml/comparing.py", {"evaluate"}),
        ("tasks/ml/harness.py", {"evaluate"}),
        ("tasks/feedback/win_judge.py", {"evaluate"}),
        ("tasks/ml/reward_scale.py", {"reward"}),
        ("tasks/ml/reward_start.py", {"reward"}),
        ("tasks/feedback/rankings.py", {"reward"}),
        ("tasks/ml/teacher.py", {"label", "score", "distill", "feedback", "evaluate", "assess"}),
        ("tasks/ml/decode.py", {"label", "distill", "feedback", "ppo", "evaluate", "assess"}),
        ("tasks/ml/trainer.py", {"distill", "reward", "ppo"}),
        ("tasks/ml/trl_trainer.py", {"ppo"}),
        ("tasks/ml/records.py", {"label", "score"}),
        ("tasks/ml/answer_filters.py", {"label"}),
        ("tasks/ml/beam.py", {"label"}),
        # The filters and the evaluation count repetitions as the guard does.
        ("tasks/ml/ppo_guard.py", {"label", "ppo", "evaluate"}),
        ("tasks/ml/pruning.py", {"distill"}),
        ("tasks/ml/width.py", {"distill"}),
        ("tasks/ml/student.py", {"distill"}),
        ("tasks/ml/token_mapping.py", {"distill"}),
        ("tasks/ml/tuning.py", {"distill"}),
        ("tasks/ml/soft_prompt.py", {"distill"}),
        ("tasks/ml/lora.py", {"distill", "ppo"}),
        ("tasks/ml/early_stopping.py", {"distill", "reward", "ppo"}),
        ("tasks/ml/closing.py", {"report"}),
        ("tasks/ml/batteries.py", {"assess"}),
        ("tasks/ml/flags.py", {"assess"}),
        ("tasks/ml/personal_data.py", {"clean", "feedback", "assess"}),
        ("tasks/ml/canaries.py", {"clean", "assess"}),
        ("tasks/feedback/redaction.py", {"feedback"}),
        ("tasks/ml/rows.py", WITH_ROWS),
        # PPO reads the card's verdict, the report shows it.
        ("tasks/ml/reward_card.py", {"reward", "ppo", "report"}),
        ("tasks/feedback/reward_report.py", {"reward"}),
        ("tasks/feedback/votes.py", {"reward"}),
        ("tasks/feedback/simulate.py", {"feedback"}),
        ("tasks/feedback/ai_judge.py", {"feedback", "evaluate"}),
        ("tasks/ai_endpoint.py", {"feedback", "evaluate"}),
        ("tasks/ml/chat_model.py", {"feedback", "evaluate"}),
        ("tasks/feedback/checks.py", {"feedback"}),
        ("tasks/feedback/audit_page.py", set()),
        # The report draws a map of what was asked and judged.
        ("tasks/feedback/events.py", {"feedback", "reward", "evaluate", "report"}),
        ("tasks/templates/report.html", {"report"}),
        ("tasks/templates/words.fr.yaml", {"report"}),
        ("tasks/reporting/story.py", {"report"}),
        ("tasks/curve.py", set()),
        ("tasks/align_ppo.py", {"ppo"}),
        ("tasks/report.py", {"report"}),
        ("tasks/assess.py", {"assess"}),
        ("tasks/stage.py", set()),
        ("tasks/warm_start.py", set()),
        ("tasks/place.py", set()),
        ("tasks/shared/store.py", set()),
        ("tasks/shared/record_shards.py", set()),
        ("tasks/shared/endpoint.py", set()),
        ("tasks/shared/sources.py", set()),
        ("flows/graph.py", set()),
        ("configs/schema.py", set()),
        ("configs/base.yaml", set()),
    ],
)
def test_a_line_of_a_file_changes_the_keys_of_the_stages_that_it_decides(
    tree: Path, config: RunConfig, path: str, stages: set[str]
) -> None:
    before = keys_of(config)
    with (tree / path).open("a") as file:
        file.write("\n")
    assert changed(before, keys_of(config)) == stages


def test_every_pure_module_and_every_other_file_is_in_some_key() -> None:
    pure = {f"tasks.ml.{path.stem}" for path in (ROOT / "tasks" / "ml").glob("*.py")}
    # What collects feedback decides no artifact; what is made of the events that it collects is in keys.
    files = [
        path
        for path in (ROOT / "tasks").rglob("*")
        if path.is_file() and not {"__pycache__", "feedback"} & set(path.parts)
    ]
    others = {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".py"}
    stages = [*PIPELINE.values(), *LADDER.values(), *NIGHT.values()]
    counted = {name for stage in stages for name in code_digests(stage.module, stage.files)}
    empty = {"tasks.ml.__init__"}
    assert len(pure) > 20
    assert others
    assert (pure | others) - counted == empty
    assert all(not ROOT.joinpath(*name.split(".")).with_suffix(".py").read_text() for name in empty)


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("seed=8", set(STAGES)),
        ("name=other", {"ppo", "report"}),
        # Nothing reads how the student is aligned: it decides which stages there are.
        ("align=ppo", set()),
        ("dpo.beta=0.3", set()),
        ("data.max_rows=99", {"clean", "feedback", "assess"}),
        ("teacher.revision=other", {"label", "score", "distill", "feedback", "evaluate", "assess"}),
        ("student.layers=2", {"distill", "assess"}),
        ("student.kind=random", {"distill", "assess"}),
        ("label.samples=4", {"label"}),
        ("label.endpoint_model=other", {"label"}),
        ("score.top_k=4", {"score", "distill"}),
        ("distill.epochs=2", {"distill"}),
        ("distill.tuning.way=lora", {"distill"}),
        ("feedback.noise=0.9", {"feedback"}),
        ("reward.epochs=5", {"reward"}),
        ("reward.gate.least_pairs=9", {"reward"}),
        # To go on all the same trains no reward model again.
        ("ppo.reward_gate=stop", {"ppo"}),
        ("ppo.updates=3", {"ppo"}),
        ("evaluate.shots=3", {"evaluate"}),
        ("assess.limits.toxicity=0.1", {"assess"}),
        ("evaluate.judge.questions=5", {"evaluate"}),
        ("report.languages=[fr]", {"report"}),
    ],
)
def test_a_value_changes_the_keys_of_the_stages_that_read_it(
    config: RunConfig, override: str, stages: set[str]
) -> None:
    assert changed(keys_of(config), keys_of(load_run_config(SMOKE, [override]))) == stages


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("dataset", {"clean"}),
        ("general", {"clean"}),
        ("teacher", {"label", "score", "distill", "feedback", "evaluate", "assess"}),
        ("student", {"distill"}),
        ("people", {"feedback"}),
        ("warm_start", {"reward"}),
        ("probes", {"assess"}),
        ("judge", {"evaluate"}),
        ("harness", {"evaluate"}),
    ],
)
def test_what_comes_from_outside_changes_the_keys_of_the_stages_that_read_it(
    config: RunConfig, name: str, stages: set[str]
) -> None:
    assert changed(keys_of(config), keys_of(config, EXTERNAL | {name: "sha256:other"})) == stages


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("clean", set(STAGES) - {"clean", "score"}),
        ("label", {"score", "distill", "report"}),
        ("score", {"distill", "report"}),
        ("distill", {"feedback", "reward", "ppo", "evaluate", "assess", "report"}),
        ("feedback", {"reward", "report"}),
        ("reward", {"ppo", "evaluate", "report"}),
        ("ppo", {"evaluate", "assess", "report"}),
        ("evaluate", {"assess", "report"}),
        ("assess", {"report"}),
        ("report", set()),
    ],
)
def test_an_artifact_changes_the_keys_of_the_stages_that_read_it(
    config: RunConfig, name: str, stages: set[str]
) -> None:
    other = {name: ref(name, "f" * 64)}
    assert changed(keys_of(config), keys_of(config, inputs=other)) == stages


def test_the_key_of_an_endpoint_does_not_count(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys_of(config)
    monkeypatch.setenv("RETORT_ENDPOINT_KEY", "sesame")
    assert keys_of(config) == before


def test_where_an_artifact_is_does_not_count(config: RunConfig) -> None:
    moved = {stage: ref(stage).model_copy(update={"uri": f"s3://bucket/{stage}"}) for stage in STAGES}
    assert keys_of(config, inputs=moved) == keys_of(config)


def test_the_walk_gives_each_stage_what_it_needs(config: RunConfig) -> None:
    seen: list[StageSpec] = []

    def run(spec: StageSpec) -> ArtifactRef:
        seen.append(spec)
        return ref(spec.stage)

    refs = walk(config, EXTERNAL, run)
    assert [spec.stage for spec in seen] == list(STAGES)
    assert list(refs) == list(STAGES)
    assert [sorted(spec.inputs) for spec in seen] == [
        [],
        ["clean"],
        ["label"],
        ["clean", "label", "score"],
        ["clean", "distill"],
        ["clean", "distill", "feedback"],
        ["clean", "distill", "reward"],
        ["aligned", "clean", "distill", "reward"],
        ["aligned", "clean", "distill", "evaluate"],
        ["aligned", "assess", "clean", "distill", "evaluate", "feedback", "label", "reward", "score"],
    ]
    assert seen[7].inputs["aligned"] == refs["ppo"]
    for spec in seen:
        assert spec.key.startswith(f"{spec.stage}/")
        assert spec.module == PIPELINE[spec.stage].module
        assert spec.config["seed"] == config.seed
        assert spec.external == {name: EXTERNAL[name] for name in PIPELINE[spec.stage].external}
    assert seen[6].config == {
        "ppo": config.ppo.model_dump(mode="json"),
        "name": "smoke",
        "seed": config.seed,
    }


def test_a_spec_survives_the_way_to_another_process(config: RunConfig) -> None:
    spec = make_spec("ppo", config, EXTERNAL, {stage: ref(stage) for stage in STAGES})
    assert StageSpec.model_validate_json(spec.model_dump_json()) == spec
    assert StageSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_a_student_aligned_without_a_reward_model_is_the_one_that_is_evaluated() -> None:
    config = load_run_config(SMOKE, ["align=dpo", "dpo.algorithm=kto"])
    seen: dict[str, StageSpec] = {}

    def run(spec: StageSpec) -> ArtifactRef:
        seen[spec.stage] = spec
        return ref(spec.stage)

    refs = walk(config, EXTERNAL, run)
    stages = ["clean", "label", "score", "distill", "feedback", "dpo", "evaluate", "assess", "report"]
    assert list(seen) == list(refs) == stages
    assert sorted(seen["dpo"].inputs) == ["clean", "distill", "feedback"]
    expected = {"dpo": config.dpo.model_dump(mode="json"), "name": "smoke", "seed": config.seed}
    assert seen["dpo"].config == expected
    assert seen["evaluate"].inputs["aligned"] == seen["report"].inputs["aligned"] == refs["dpo"]
    others = ["assess", "clean", "distill", "evaluate", "feedback", "label", "score"]
    assert sorted(seen["report"].inputs) == ["aligned", *others]


def test_a_route_leaves_out_what_belongs_to_other_ways_to_align() -> None:
    assert route("ppo") == list(STAGES)
    assert set(PIPELINE) - set(route("dpo")) == {"reward", "ppo"}
    assert set(PIPELINE) - set(route("ppo")) == {"dpo"}


def test_the_way_to_align_changes_the_keys_of_what_reads_the_aligned_model(config: RunConfig) -> None:
    refs = {stage: ref(stage) for stage in (*STAGES, "dpo")}
    other = load_run_config(SMOKE, ["align=dpo"])
    walked = set(route("dpo"))
    keys = [{s: make_spec(s, c, EXTERNAL, refs).key for s in walked} for c in (config, other)]
    assert {stage for stage in walked if keys[0][stage] != keys[1][stage]} == {"evaluate", "assess", "report"}


def test_a_stage_of_the_ladder_has_a_key_but_is_not_walked(config: RunConfig) -> None:
    assert not PIPELINE.keys() & LADDER.keys()
    refs = {"clean": ref("clean"), "model": ref("distill")}
    spec = make_spec("examine", config, EXTERNAL, refs)
    assert spec.key.startswith("examine/")
    assert sorted(spec.inputs) == ["clean", "model"]


def test_the_stages_of_a_night_have_keys_but_are_not_walked(config: RunConfig) -> None:
    assert not NIGHT.keys() & {*PIPELINE, *LADDER}
    examined = {name: ref("examine", sha * 64) for name, sha in zip(JUDGED, "abc", strict=True)}
    spec = make_spec("decide", config, EXTERNAL, examined)
    assert {name: one.sha256 for name, one in spec.inputs.items()} == {
        "challenger": "a" * 64,
        "champion": "b" * 64,
        "unrefined": "c" * 64,
    }
    # Who is the champion decides, not only who takes part.
    exchanged = examined | {"challenger": examined["champion"], "champion": examined["challenger"]}
    assert make_spec("decide", config, EXTERNAL, exchanged).key != spec.key
    other = load_run_config(SMOKE, ["promotion.least_gain=0.3"])
    assert make_spec("decide", other, EXTERNAL, examined).key != spec.key
    unrefined = make_spec("examine_unrefined", config, EXTERNAL, {n: ref(n) for n in ("clean", "distill")})
    assert sorted(unrefined.inputs) == ["clean", "distill"]


def test_the_limits_of_drift_are_in_its_key(config: RunConfig) -> None:
    refs = {name: ref(name) for name in ("clean", "distill", "collect")}
    spec = make_spec("drift", config, EXTERNAL, refs)
    assert sorted(spec.inputs) == ["clean", "collect", "distill"]
    stricter = load_run_config(SMOKE, ["drift.limits.tasks.stop=0.3"])
    assert make_spec("drift", stricter, EXTERNAL, refs).key != spec.key


def test_editing_the_source_during_a_run_ends_it(tree: Path, config: RunConfig) -> None:
    # A module loaded before an edit would compute the old result under the new key, and the artifact would be
    # wrong for ever. The copy is edited while the first stage runs, so the second must not start.
    asked: list[str] = []

    def run_stage(spec: StageSpec) -> ArtifactRef:
        asked.append(spec.stage)
        with (tree / "tasks" / "ml" / "optim.py").open("a") as file:
            file.write("# edited\n")
        return ref(spec.stage)

    with pytest.raises(StageError, match="edited during the run"):
        walk(config, EXTERNAL, run_stage)
    assert asked == ["clean"]
