"""A person's word before a model goes live: the night is suspended, and goes on when they have answered.

Its process ends meanwhile. What came before is in the store, so the night that goes on finds it there.
"""

from prefect import suspend_flow_run
from prefect.context import FlowRunContext
from prefect.input import RunInput
from pydantic import Field

from configs.errors import Problem, RetortError
from configs.schema_schedule import LONGEST_NAME, LONGEST_REASON

# A night that nobody answers fails then; what it made stays, and a later night may ask again.
WAIT_SECONDS = 7 * 24 * 3600


class NoApprovalError(RetortError):
    """Raised when nobody can be asked."""


class Approval(RunInput):
    """What a person decided.

    Attributes:
        approved: Whether the challenger shall be the champion.
        by: Who says so.
        reason: Why; it stands in the log for good.
    """

    approved: bool = Field(description="Whether the challenger shall go live.")
    by: str = Field(min_length=1, max_length=LONGEST_NAME, description="Who decides.")
    reason: str = Field(min_length=1, max_length=LONGEST_REASON, description="Why; it is kept for good.")


def ask_approval(text: str, version: int) -> Approval:
    """Ask a person whether to go on; on the first call the run is suspended and this does not return.

    When a person has answered, the flow starts from its beginning in a new process, and this call returns the
    answer there. If it comes by another version then, because more feedback came meanwhile, they are asked
    anew: their answer was about the first. Call it at most once a run, and outside of tasks.

    Args:
        text: What they decide on, in Markdown.
        version: Number of the model that they decide on.

    Raises:
        NoApprovalError: The run is nobody's: it has no deployment, so nothing could start it again.
        prefect.exceptions.Pause: The run is suspended now; let it through.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    if run is None or run.deployment_id is None:
        got = "a night that was started by hand" if run else "no flow run"
        remedy = "Start it with `retort schedule start`, or decide with `retort models promote`."
        raise NoApprovalError(Problem("approval", got, "a night that Prefect can start again", remedy))
    question = Approval.with_initial_data(description=text)
    return suspend_flow_run(wait_for_input=question, timeout=WAIT_SECONDS, key=f"approval-{version}")
