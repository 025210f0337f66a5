"""Registered models: a real MLflow on SQLite, and a tiny random model that is loaded and asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.shared import mlflow_client
from tasks.shared.errors import StageError
from tasks.shared.mlflow_tracking import MLflowTracker
from tasks.shared.tracking import MemoryTracker, StageRun, Tracker

WORDS = ["<end>", "<unk>", "be", "brief", "is", "an", "apple", "healthy", "yes"]
CHAT = "{% for message in messages %}{{ message['content'] + ' ' }}{% endfor %}"

# MLflow 3.17 uses a loading strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One SQLite file for the module, because MLflow takes seconds to make it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", *mlflow_client.SETTINGS):
            patch.setenv(name, "true")
        yield f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def tracker(uri: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MLflowTracker]:
    with MLflowTracker(uri, request.node.name, tmp_path / "artifacts") as tracker:
        tracker.open("nightly", {}, {})
        yield tracker


@pytest.fixture
def client(uri: str) -> Any:
    return mlflow_client.MLflowLine(uri).client


@pytest.fixture
def run(tracker: MLflowTracker) -> Iterator[StageRun]:
    with tracker.stage("distill", "distill/" + "a" * 64, {}) as run:
        yield run


@pytest.fixture
def consumer(uri: str) -> Iterator[Any]:
    """MLflow with its process-wide addresses set, as those have it who only use models."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    yield mlflow
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


def save_tiny_model(folder: Path, seed: int = 0) -> Any:
    """A random Llama over nine words, with its tokenizer; gives the model."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    numbers = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(WordLevel(numbers, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", unk_token="<unk>")
    fast.chat_template = CHAT
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(
        vocab_size=len(WORDS), bos_token_id=None, eos_token_id=0, initializer_range=1.0, **shape
    )
    model = LlamaForCausalLM(config).eval()
    model.generation_config.max_new_tokens = 6
    model.save_pretrained(folder)
    return model


def greedy(model: Any, prompt: str, steps: int) -> str:
    """Greedy decoding by a plain loop; the stop token ends it, and special tokens are not shown."""
    import torch

    ids = [WORDS.index(word) if word in WORDS else 1 for word in prompt.split()]
    answer: list[int] = []
    for _ in range(steps):
        with torch.no_grad():
            token = int(model(torch.tensor([ids + answer])).logits[0, -1].argmax())
        if token == 0:
            break
        answer.append(token)
    return " ".join(WORDS[token] for token in answer if token > 1)


def test_model_is_registered_once_and_gets_no_alias(
    tracker: MLflowTracker, run: StageRun, client: Any, uri: str, tmp_path: Path
) -> None:
    save_tiny_model(tmp_path / "student")
    first = tracker.register_model("student", tmp_path / "student", run, {"stage": "distill"}, "be brief")
    assert client.get_run(run.id).info.status == "RUNNING"
    # The store puts its manifest into the folder; that makes no other model of it.
    (tmp_path / "student" / "manifest.json").write_text("{}")
    again = MLflowTracker(uri, "x").register_model("student", tmp_path / "student", run, {}, "be brief")
    assert (first, again) == ("1", "1")
    version = client.get_model_version("student", "1")
    # Each rung of a ladder became the challenger, and MLflow then said something else than the log.
    assert client.get_registered_model("student").aliases == {}
    assert (str(version.version), version.run_id, version.tags["stage"]) == ("1", run.id, "distill")


def test_registered_model_answers_greedily(
    tracker: MLflowTracker, run: StageRun, consumer: Any, tmp_path: Path
) -> None:
    model = save_tiny_model(tmp_path / "answers")
    tracker.register_model("answers", tmp_path / "answers", run, {}, "be brief")
    served = consumer.pyfunc.load_model("models:/answers/1")
    expected = [greedy(model, "be brief is an apple healthy", 6), greedy(model, "be brief pear", 6)]
    assert served.predict(["is an apple healthy", "pear"]) == expected
    assert expected[0] != expected[1]
    assert expected[0] != greedy(model, "is an apple healthy", 6)  # else the system message would not show


def test_registered_model_takes_a_table(
    tracker: MLflowTracker, run: StageRun, consumer: Any, tmp_path: Path
) -> None:
    import pandas

    model = save_tiny_model(tmp_path / "table")
    tracker.register_model("table", tmp_path / "table", run, {})
    served = consumer.pyfunc.load_model("models:/table/1")
    prompts = pandas.DataFrame({"prompt": ["is an apple healthy"]})
    assert list(served.predict(prompts)) == [greedy(model, "is an apple healthy", 6)]


@pytest.mark.parametrize("name", ["mlflow", "memory"])
def test_other_weights_or_words_make_another_version(
    name: str, tracker: MLflowTracker, run: StageRun, tmp_path: Path
) -> None:
    used: Tracker = tracker if name == "mlflow" else MemoryTracker()
    for seed in (0, 1):
        save_tiny_model(tmp_path / str(seed), seed)
    models = [(0, ""), (1, ""), (1, "be brief"), (0, "")]
    versions = [used.register_model("policy", tmp_path / str(seed), run, {}, words) for seed, words in models]
    assert versions == ["1", "2", "3", "1"]


def test_registered_files_hold_no_pickle(
    tracker: MLflowTracker, run: StageRun, consumer: Any, tmp_path: Path
) -> None:
    save_tiny_model(tmp_path / "files")
    tracker.register_model("files", tmp_path / "files", run, {})
    stored = Path(consumer.artifacts.download_artifacts("models:/files/1", dst_path=str(tmp_path / "back")))
    names = {path.name for path in stored.rglob("*")}
    assert {"served_model.py", "model.safetensors", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".bin", ".pt"))]
    required = (stored / "requirements.txt").read_text().split()
    assert any(line.startswith("transformers==") for line in required)
    assert not any("+" in line for line in required)


@pytest.mark.parametrize("name", ["mlflow", "memory"])
def test_unfit_folder_is_refused_with_all_that_is_wrong(
    name: str, tracker: MLflowTracker, run: StageRun, tmp_path: Path
) -> None:
    used: Tracker = tracker if name == "mlflow" else MemoryTracker()
    folder = tmp_path / "unfit"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(StageError) as caught:
        used.register_model("unfit", folder, run, {})
    wrong = [Path(problem.what).name for problem in caught.value.problems]
    assert wrong == ["tokenizer.json", "*.safetensors", "pytorch_model.bin"]
