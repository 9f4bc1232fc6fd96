"""Hooks of the project: a veto before training and releasing, and notifications.

Both are set in `[tool.rung.hooks]` of pyproject.toml.
"""

from collections.abc import Iterator
from typing import Any

from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.step_runner import StepFailed
from rung_ops.errors import StageError
from rung_ops.project import hooks, keyless

VETO, NOTIFY = "autopilot_veto", "notify"
TRAIN, RELEASE = "train", "release"  # the actions that a veto is asked about
VETOED = "vetoed"  # the outcome of a pass that a veto ended


def veto(action: str, facts: dict[str, Any]) -> str | None:
    """Ask the project's autopilot_veto.

    Args:
        action: TRAIN or RELEASE.
        facts: what the decision rests on, as the journal keeps it; a copy, the hook may change it.

    Returns:
        The reason against the action; None if there is none, or no hook.

    Raises:
        StepFailed: the hook cannot be loaded, raised, or returned a wrong type. The action does
            not take place.
    """
    try:
        function = hooks.load(VETO)
        if function is None:
            return None
        reason = function(action, dict(facts))
    except StageError as error:
        raise StepFailed(str(error)) from error
    except Exception as error:  # the user's hook may raise anything
        raise StepFailed(
            f"The hook {VETO} raised {type(error).__name__}: {error}. Without its answer the "
            f"autopilot does not {action}: repair the hook, or remove its line from pyproject.toml."
        ) from error
    if reason is None or (isinstance(reason, str) and reason.strip()):
        return reason
    raise StepFailed(
        f"The hook {VETO} returned {reason!r}; it must return the reason as text, or None to let "
        f"the autopilot {action}."
    )


def notify_of_step(step: Record) -> None:
    """Notify of a step that ended with a promotion or a rollback.

    Args:
        step: its entry in the journal, already saved: a pass that is stopped here does not notify
            twice.
    """
    for subject, message in notifications(step):
        notify(subject, message)


def notify(subject: str, message: str) -> None:
    """Call the project's notify, without the keys of this process."""
    keyless.guarded("rung_ops.project.hooks:notify", subject, message)


def notifications(step: Record) -> Iterator[tuple[str, str]]:
    """Yield subject and message for what a step promoted or rolled back."""
    detail = step["detail"]
    if detail.get("promoted"):
        yield f"{detail['promoted']} was promoted", f"{detail['promoted']} {detail['says']}."
    elif step["outcome"] == "deployed":
        yield f"{detail['release']} was promoted", f"{step['summary']}."
    elif detail.get("taken back"):
        message = detail.get("says") or step["summary"]
        yield f"{detail['taken back']} was rolled back", message
