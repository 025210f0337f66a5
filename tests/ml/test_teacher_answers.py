"""What the teacher is asked, the keys of its answers, and which of them become rows."""

import pytest

from tasks.ml.decode import decode
from tasks.ml.progress import NoBar
from tasks.ml.prompts import decode_answer, encode_prompt
from tasks.ml.rows import NumberCheck, Row
from tasks.ml.sampling import Sampling
from tasks.ml.seeding import stable_fraction
from tasks.ml.teacher import byte_tokenizer, load_teacher
from tasks.ml.teacher_answers import Asked, LocalWriter, Reply, keep, rows_to_answer, stream

ENERGY = NumberCheck(value=717, unit="kcal", relative_tolerance=0.01, pick="last")


class Count(NoBar):
    total = 0

    def advance(self, n: int = 1) -> None:
        self.total += n


@pytest.fixture
def label(config):
    """Two sampled answers of at most six tokens to each question; nothing is filtered."""
    return config.label.model_copy(update={"samples": 2, "max_new_tokens": 6, "filters": ()})


@pytest.fixture
def rows(make_row) -> list[Row]:
    """Six questions on three sheets."""
    return [
        make_row(id=f"row-{n}", context=f"Sheet {n // 2}: butter", question=f"Question {n}?")
        for n in range(6)
    ]


@pytest.fixture
def writer_of(tmp_path):
    def make(config, seed: int = 7, teacher: str = "digest") -> LocalWriter:
        loads = []

        def load():
            loads.append(1)
            return load_teacher("random:tiny", "main", tmp_path)[0]

        writer = LocalWriter(teacher, byte_tokenizer(), load, config, seed)
        writer.loads = loads
        return writer

    return make


def asked_of(writer: LocalWriter, rows: list[Row]) -> list[Asked]:
    return [Asked(row, n, key) for row in rows for n, key in enumerate(writer.keys(row))]


def answers_of(writer: LocalWriter, asked: list[Asked]) -> dict[str, bytes]:
    return {key: payload for piece in writer.answer(asked, NoBar()) for key, payload in piece.items()}


def test_open_questions_and_a_share_of_the_contexts_are_asked(make_row, label) -> None:
    train = [
        make_row(id=f"{n}-{kind}", context=f"Sheet {n}", answer=answer)
        for n in range(200)
        for kind, answer in (("a", "yes"), ("b", "no"), ("open", None))
    ]
    none = label.model_copy(update={"open_questions": 3, "answered_share": 0})
    assert [row.id for row in rows_to_answer(train, none)] == ["0-open", "1-open", "2-open"]
    some = none.model_copy(update={"open_questions": 0, "answered_share": 0.25})
    chosen = [row.id for row in rows_to_answer(train, some)]
    drawn = [n for n in range(200) if stable_fraction("answered", f"Sheet {n}") < 0.25]
    assert chosen == [f"{n}-{kind}" for n in drawn for kind in ("a", "b")]
    assert 30 < len(drawn) < 70
    every = none.model_copy(update={"answered_share": 1})
    assert len(rows_to_answer(train, every)) == 3 + 400


def test_a_reply_survives_the_record() -> None:
    reply = Reply("Butter: \u2264 5 \u00b5g\n\u201cyes\u201d", False)
    assert Reply.from_bytes(reply.to_bytes()) == reply


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"temperature": 0.9}, True),
        ({"max_new_tokens": 7}, True),
        ({"precision": "bf16"}, True),
        ({"decoding": "greedy"}, True),
        ({"decoding": "beam"}, True),
        ({"beams": 9}, False),
        ({"keep": "all"}, False),
        ({"filters": ("facts",), "max_words": 5, "answered_share": 1.0, "open_questions": 99}, False),
        ({"timeout": 1.0, "retries": 0, "concurrency": 1}, False),
    ],
)
def test_only_what_decides_an_answer_is_in_its_key(label, rows, writer_of, changes, differs: bool) -> None:
    before = writer_of(label).keys(rows[0])
    after = writer_of(label.model_copy(update=changes)).keys(rows[0])
    assert (before != after) is differs
    assert set(before).isdisjoint(after) is differs


def test_keys_know_the_teacher_the_prompt_the_seed_and_the_sample(label, rows, writer_of) -> None:
    keys = writer_of(label).keys(rows[0])
    assert len(set(keys)) == label.samples
    others = [writer_of(label, teacher="other"), writer_of(label, seed=8)]
    assert all(set(other.keys(rows[0])).isdisjoint(keys) for other in others)
    assert set(writer_of(label).keys(rows[1])).isdisjoint(keys)
    more = label.model_copy(update={"samples": 5})
    assert writer_of(more).keys(rows[0])[:2] == keys
    # What is not drawn does not depend on the seed.
    greedy = label.model_copy(update={"decoding": "greedy", "samples": 1})
    assert writer_of(greedy, seed=7).keys(rows[0]) == writer_of(greedy, seed=8).keys(rows[0])


def test_an_answer_is_the_same_whatever_is_asked_beside_it(label, rows, writer_of) -> None:
    writer = writer_of(label)
    asked = asked_of(writer, rows)
    together = answers_of(writer, asked)
    assert len(set(together.values())) > 6
    for part in (asked[:1], asked[5:3:-1], asked[7:]):
        assert answers_of(writer, part) == {one.key: together[one.key] for one in part}


def test_sampled_answers_follow_the_noise_of_their_keys(label, rows, writer_of, tmp_path) -> None:
    writer, tokenizer = writer_of(label), byte_tokenizer()
    [one] = asked_of(writer, rows)[3:4]
    model, _ = load_teacher("random:tiny", "main", tmp_path)
    assert stream("00000000000000ff" + "9" * 48) == 255
    # Written out by a plain loop over whole prompts.
    import numpy as np
    import torch

    from tasks.ml.seeding import stable_hash

    key = np.array([stable_hash("noise", 7), int(one.key[:16], 16)], dtype=np.uint64)
    uniform = np.random.Generator(np.random.Philox(key=key)).random(6, dtype=np.float32)
    tokens = list(encode_prompt(tokenizer, one.row))
    start = len(tokens)
    for number in uniform:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([tokens])).logits[0, -1].double()
        mass = (logits / label.temperature).softmax(-1).cumsum(-1)
        tokens.append(int((mass <= float(number)).sum()))
        if tokens[-1] == tokenizer.eos_token_id:
            break
    reply = Reply.from_bytes(answers_of(writer, [one])[one.key])
    assert reply.text == decode_answer(tokenizer, tokens[start:])
    assert reply.stopped is (tokens[-1] == tokenizer.eos_token_id)


def test_greedy_and_beam_answers_are_those_of_their_decoders(label, rows, writer_of, tmp_path) -> None:
    one_each = {"samples": 1, "decoding": "greedy"}
    writer, tokenizer = writer_of(label.model_copy(update=one_each)), byte_tokenizer()
    asked = asked_of(writer, rows)
    model, _ = load_teacher("random:tiny", "main", tmp_path)
    sampling = Sampling(6, tokenizer.eos_token_id, tokenizer.pad_token_id)
    prompts = [encode_prompt(tokenizer, row) for row in rows]
    responses = decode(model, prompts, [row.context for row in rows], sampling)
    found = answers_of(writer, asked)
    texts = [decode_answer(tokenizer, response) for response in responses]
    assert [Reply.from_bytes(found[one.key]).text for one in asked] == texts
    beam = writer_of(label.model_copy(update=one_each | {"decoding": "beam"}))
    searched = asked_of(beam, rows)
    first, second = answers_of(beam, searched), answers_of(beam, searched)
    assert first == second
    assert sorted(first) == sorted(one.key for one in searched)


def test_answers_come_in_shards_and_the_model_is_loaded_once(label, make_row, writer_of) -> None:
    writer = writer_of(label.model_copy(update={"max_new_tokens": 1}))
    asked = asked_of(writer, [make_row(question=f"{n}?", context="") for n in range(150)])
    bar = Count()
    answering = writer.answer(asked, bar)
    assert writer.loads == []
    assert [len(piece) for piece in answering] == [256, 44]
    assert bar.total == 300
    assert writer.loads == [1]


GOOD, RIGHT, WRONG = "It has 717 kcal.", "Butter: 717 kcal!", "It has 9 kcal."


def kept_of(label, row: Row, texts: list[str], **changes):
    asked = [Asked(row, n, str(n)) for n in range(len(texts))]
    config = label.model_copy(update={"filters": ("length", "facts", "stopped"), **changes})
    return keep(asked, [Reply(text, True) for text in texts], config)


def test_the_first_answer_that_survives_becomes_a_row(label, make_row) -> None:
    row = make_row(check=ENERGY, answer=None)
    kept = kept_of(label, row, ["", WRONG, GOOD, WRONG, RIGHT])
    assert kept.rows == [row.model_copy(update={"answer": GOOD, "source": "teacher"})]
    assert kept.dropped == {"length": 1, "facts": 2, "stopped": 0}
    assert [entry["dropped"] for entry in kept.table] == ["length", "facts", "", "facts", ""]
    assert kept.table[1] == {"question": row.question, "answer": WRONG, "dropped": "facts"}


def test_an_answer_beside_gold_has_an_id_of_its_own(label, make_row) -> None:
    row = make_row(check=ENERGY)
    [taught] = kept_of(label, row, [WRONG, GOOD]).rows
    assert (taught.id, taught.answer, taught.source) == ("row-1/teacher-1", GOOD, "teacher")
    assert (row.source, taught.check, taught.context) == ("gold", row.check, row.context)


def test_all_that_differ_are_kept_on_demand(label, make_row) -> None:
    row = make_row(check=ENERGY, answer=None)
    kept = kept_of(label, row, [GOOD, WRONG, GOOD, RIGHT], keep="all")
    assert [(one.id, one.answer) for one in kept.rows] == [("row-1", GOOD), ("row-1/teacher-3", RIGHT)]
    beside = kept_of(label, make_row(check=ENERGY), [GOOD, RIGHT], keep="all")
    assert [one.id for one in beside.rows] == ["row-1/teacher-0", "row-1/teacher-1"]


def test_nothing_is_kept_of_a_question_whose_answers_all_fail(label, make_row) -> None:
    kept = kept_of(label, make_row(check=ENERGY), [WRONG, ""])
    assert kept.rows == []
    assert sum(kept.dropped.values()) == 2
