"""Critique and revision, with a scripted model: the trail is kept, and only what changed is a correction."""

import json
from collections.abc import Sequence

from configs.principles import Principle
from tasks.feedback.ai_judge import Messages
from tasks.feedback.ai_revise import Draft, Step, critique_and_revise, revise
from tasks.feedback.events import Shown
from tasks.feedback.judgements import Correction
from tasks.feedback.pairs import pairs_of

PRINCIPLES = (
    Principle(name="true", critique="Is 7 right?", revision="Write 9.", judging="Which?"),
    Principle(name="short", critique="Is it polite?", revision="Cut the courtesy.", judging="Which?"),
)


def draft(text: str, row: str = "q") -> Draft:
    return Draft(row, "lookup", "How much?", Shown(text=text, model="m", stopped=True))


class Editor:
    """Replaces 7 by 9 and drops "Thanks."; says nothing to an answer that begins with "Silence"."""

    def __init__(self) -> None:
        self.heard: list[Messages] = []

    def __call__(self, chats: Sequence[Messages]) -> list[str]:
        self.heard += chats
        return [self.reply(chat) for chat in chats]

    def reply(self, chat: Messages) -> str:
        text = chat[1]["content"].split("Answer: ")[1].partition("\n")[0]
        if len(chat) == 2:
            return f"{text} could be better.\n"
        if text.startswith("Silence"):
            return "  "
        return text.replace("7", "9") if "Write 9" in chat[-1]["content"] else text.replace(" Thanks.", "")


def test_each_principle_mends_what_the_one_before_left() -> None:
    editor = Editor()
    (one, two) = critique_and_revise(editor, [draft("It is 7. Thanks."), draft("It is 8.")], PRINCIPLES)
    assert one.text == "It is 9."
    assert one.trail == (
        Step("true", "It is 7. Thanks. could be better.", "It is 9. Thanks."),
        Step("short", "It is 9. Thanks. could be better.", "It is 9."),
    )
    assert two.text == "It is 8."
    # The critique stands in the conversation in which the revision is asked for.
    last = editor.heard[-2]
    assert [message["role"] for message in last] == ["system", "user", "assistant", "user"]
    assert last[2]["content"] == "It is 9. Thanks. could be better."
    assert "Is it polite?" in last[1]["content"]
    assert len(editor.heard) == 2 * 2 * 2


def test_a_revision_is_preferred_to_what_it_mends() -> None:
    (event,) = revise("ai-editor", Editor(), [draft("It is 7.")], PRINCIPLES)
    assert event.judgement == Correction(corrected=0, text="It is 9.")
    assert (event.source, event.simulated, event.annotator) == ("ai", True, "ai-editor")
    assert [(pair.chosen, pair.rejected) for pair in pairs_of(event)] == [("It is 9.", "It is 7.")]
    assert [step["principle"] for step in json.loads(event.comment)] == ["true", "short"]


def test_what_did_not_change_is_no_correction() -> None:
    assert revise("ai-editor", Editor(), [draft("It is  8."), draft("Silence, 7.")], PRINCIPLES) == []
