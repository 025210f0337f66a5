"""Nobody is asked where nobody could start the night again; what they may answer."""

from types import SimpleNamespace
from typing import Any

import pytest

# The import of Prefect takes seconds on a quiet machine.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the code run as if inside a run with, or without, a deployment; or in no run."""
    from flows import approval

    def be(context: Any) -> None:
        monkeypatch.setattr(approval, "FlowRunContext", SimpleNamespace(get=lambda: context))

    return be


def test_without_a_deployment_nobody_is_asked(inside: Any) -> None:
    from flows.approval import NoApprovalError, ask_approval

    inside(None)
    with pytest.raises(NoApprovalError, match="no flow run.*retort schedule start.*retort models promote"):
        ask_approval("Shall it?", 2)
    inside(SimpleNamespace(flow_run=SimpleNamespace(deployment_id=None)))
    with pytest.raises(NoApprovalError, match="started by hand"):
        ask_approval("Shall it?", 2)


def test_an_answer_names_who_and_why() -> None:
    from pydantic import ValidationError

    from flows.approval import Approval

    assert Approval(approved=False, by="anna", reason="too long").by == "anna"
    with pytest.raises(ValidationError) as caught:
        Approval(approved="perhaps", by="", reason="")  # type: ignore[arg-type]
    assert {error["loc"] for error in caught.value.errors()} == {("approved",), ("by",), ("reason",)}
