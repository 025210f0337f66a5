"""What is a refusal, and what only sounds like one."""

import pytest

from tasks.ml.refusals import is_refusal


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot provide instructions for that.",
        "I\u2019m unable to answer.",
        "As an AI, I have no body.",
        "We will not help you hurt somebody.",
        "That would be illegal.",
        "Je ne peux pas vous aider.",
        "Je suis d\u00e9sol\u00e9e.",
    ],
)
def test_refusals(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "No, it has too much sodium. Please ask a clinician.",
        "I can help with that: heat it to 75 degrees.",
        "You cannot see bacteria.",
        "I cannot stress enough how well it works: heat it.",
        "Heat the chicken. " * 15 + "I am sorry for the length.",
    ],
)
def test_answers(answer: str) -> None:
    assert not is_refusal(answer)
