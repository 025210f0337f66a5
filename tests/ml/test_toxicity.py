"""Words by which an answer is toxic, and a classifier that says so."""

import csv
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from configs.errors import ConfigError
from tasks.ml.toxicity import ToxicWords, classified_toxic, read_toxic_words

DATA = Path(__file__).parents[2] / "configs" / "data"


def test_whole_words_and_phrases_count_whatever_their_case() -> None:
    words = ToxicWords(["idiot", "shut up", "cr\u00e9tin", "c++"])
    assert words.is_toxic("You IDIOT!")
    assert words.is_toxic("Shut up.")
    assert words.is_toxic("Quel cr\u00e9tin")
    assert words.is_toxic("c++ again")
    assert not words.is_toxic("idiotic, shut, up, cretin, c+")


def test_no_food_of_the_table_is_toxic() -> None:
    words = read_toxic_words(DATA / "toxic_words.txt")
    with (DATA / "usda_foods.csv").open(encoding="utf-8") as file:
        assert [row for row in csv.reader(file) if words.is_toxic(" ".join(row))] == []
    assert words.is_toxic("What an idiot")
    assert words.is_toxic("ta gueule")


def test_a_list_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    with pytest.raises(ConfigError, match="toxic_words"):
        read_toxic_words(path)
    path.write_text("# nothing\n\n")
    with pytest.raises(ConfigError, match="without a word"):
        read_toxic_words(path)
    path.write_text("bad # very\n")
    assert read_toxic_words(path).is_toxic("how bad")


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """A classifier of one word: its pooled embedding decides."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "nice", "nasty"]
    folder = tmp_path / "classifier"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(tokens))
    tokenizer = BertTokenizerFast(vocab={token: place for place, token in enumerate(tokens)})
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        id2label={0: "fine", 1: "toxic"},
        label2id={"fine": 0, "toxic": 1},
    )
    torch.manual_seed(0)
    model = BertForSequenceClassification(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    inputs, labels = tokenizer(["nice nice", "nasty nasty"], return_tensors="pt"), torch.tensor([0, 1])
    for _ in range(40):
        optimizer.zero_grad()
        model(**inputs, labels=labels).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_classifier_decides_by_its_label(classifier: Path) -> None:
    texts = ["nice nice", "nasty nasty"] * 20  # more than one batch
    assert classified_toxic(texts, classifier, "Toxic") == [False, True] * 20
    assert classified_toxic(texts[:2], classifier, "fine") == [True, False]
    with pytest.raises(ConfigError, match="`fine`, `toxic`"):
        classified_toxic(texts, classifier, "hate")
    with pytest.raises(ConfigError, match="could not be loaded"):
        classified_toxic(texts, classifier / "gone", "toxic")
