"""The student answers, the teacher judges: in whose ids, at which steps, and that it brings them together."""

import pytest
import torch

from configs.schema_distill import OnPolicyConfig
from tasks.ml.batching import Branch, Group, pack
from tasks.ml.decode import decode
from tasks.ml.on_policy import OnlineTeacher, OnPolicyPlan, answer_groups, invert
from tasks.ml.sampling import Sampling
from tasks.ml.teacher_signal import TeacherSignal, score_batch
from tasks.ml.train_distill import train_distill
from tasks.ml.trainer import Watch

GROUPS = [
    Group((5, 6), (Branch((7,), (8, 9), 0), Branch((10,), (12,), 1))),
    Group((11,), (Branch((3,), (4, 1), 2),)),
]
GREEDY = Sampling(6, stop=1, pad=0)


def online(teacher, teacher_id: torch.Tensor | None = None) -> OnlineTeacher:
    ids = torch.arange(40) if teacher_id is None else teacher_id
    return OnlineTeacher(teacher, ids, pad=0, top_k=5, temperature=1.0)


def test_the_students_own_answers_replace_those_given(make_llama) -> None:
    student = make_llama()
    answered = answer_groups(student, GROUPS, GREEDY)
    assert [group.prefix for group in answered] == [(5, 6), (11,)]
    assert [branch.index for group in answered for branch in group.branches] == [0, 1, 2]
    for group, old in zip(answered, GROUPS, strict=True):
        for branch, before in zip(group.branches, old.branches, strict=True):
            assert branch.tail == before.tail
            [alone] = decode(student, [group.prefix + branch.tail], ["x"], GREEDY)
            assert branch.response == alone


def test_the_teacher_reads_them_in_its_own_ids(make_llama) -> None:
    teacher = make_llama(seed=1)
    # The student's token n is the teacher's 39 - n.
    mirrored = online(teacher, 39 - torch.arange(40))
    signal = mirrored.signal(GROUPS, examples=4)
    theirs = [
        Group((34, 33), (Branch((32,), (31, 30), 0), Branch((29,), (27,), 1))),
        Group((28,), (Branch((36,), (35, 38), 2),)),
    ]
    expected = score_batch(teacher, theirs, 5, 1.0, 0)
    assert signal.spans.tolist() == [[0, 2], [2, 3], [3, 5], [5, 5]]
    assert signal.ids.tolist() == [row for index in range(3) for row in expected[index].ids.tolist()]


def test_a_mapping_is_inverted_and_a_student_that_knows_more_is_refused() -> None:
    assert invert(torch.tensor([-1, 1, -1, 0]), 2).tolist() == [3, 1]
    with pytest.raises(ValueError, match="1 of the student's tokens"):
        invert(torch.tensor([-1, 1, -1, 0]), 3)


@pytest.mark.parametrize(("share", "steps"), [(0.0, 0), (1.0, 30)])
def test_no_step_or_every_step(make_llama, share: float, steps: int) -> None:
    plan = make_plan(make_llama(), online(make_llama(seed=1)), share)
    taken = [plan[step] and plan.is_on_policy for step in range(30)]
    assert sum(taken) == steps


def make_plan(student, teacher: OnlineTeacher, share: float) -> OnPolicyPlan:
    config = OnPolicyConfig(share=share, temperature=1.0, max_new_tokens=5)
    return OnPolicyPlan([GROUPS] * 30, TeacherSignal.none(3), student, teacher, config, "fp32", seed=3)


def test_a_step_is_the_same_whenever_it_is_looked_up(make_llama) -> None:
    student, teacher = make_llama(), online(make_llama(seed=1))
    first, second = make_plan(student, teacher, 0.5), make_plan(student, teacher, 0.5)
    forwards = [first[step] for step in range(30)]
    backwards = [second[step] for step in reversed(range(30))][::-1]
    assert forwards == backwards
    own = [groups != GROUPS for groups in forwards]
    assert 8 <= sum(own) <= 22
    assert len({str(groups) for groups, mine in zip(forwards, own, strict=True) if mine}) > 5


def test_given_answers_keep_the_stored_signal(make_llama) -> None:
    plan = make_plan(make_llama(), online(make_llama(seed=1)), 0.0)
    assert plan[0] == GROUPS
    assert not plan.signal.known(pack(plan[0], 0)).any()


def test_the_student_comes_nearer_to_the_teacher_on_its_own_answers(make_llama, config) -> None:
    student, teacher = make_llama(), make_llama(seed=1)
    section = config.distill.model_copy(
        update={
            "epochs": 80,
            "learning_rate": 0.01,
            "warmup_steps": 2,
            "divergence": "reverse_kl",
            "on_policy": OnPolicyConfig(share=1.0, temperature=1.0, max_new_tokens=6),
        }
    )
    points: list[dict[str, float]] = []
    watch = Watch(log=lambda metrics, step: points.append(metrics))
    ids = torch.arange(40)
    train_distill(student, [GROUPS] * 80, [], TeacherSignal.none(3), ids, section, 0, watch, online(teacher))
    values = [point["on_policy_divergence"] for point in points]
    assert len(values) == 80
    assert all("gold_nll" not in point for point in points)
    assert sum(values[-8:]) < 0.55 * sum(values[:8])


def test_a_question_that_is_drawn_twice_has_a_signal_for_each_of_its_answers(make_llama) -> None:
    # The second answer was once held against what the teacher thinks of the first.
    student, teacher = make_llama(), online(make_llama(seed=1))
    twice = [Group((5, 6), (Branch((7,), (8,), 0), Branch((7,), (8,), 0)))]
    sampled = Sampling(6, stop=1, pad=0, temperature=1.5, seed=4)
    [group] = answer_groups(student, twice, sampled)
    first, second = group.branches
    assert first.response != second.response
    both = teacher.signal([group], 2)
    for branch in group.branches:
        alone = Group(group.prefix, (Branch(branch.tail, branch.response, 0),))
        start, end = both.spans[branch.index]
        assert both.ids[start:end].tolist() == teacher.signal([alone], 1).ids.tolist()
