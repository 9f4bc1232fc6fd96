"""What whoever reads a timeline has to know of how it was made."""

from rung_ops.project.paths import ROOT
from rung_ops.replay import approver, project_copy
from rung_ops.replay.periods import LASTS, TENTH


def notes(unit: str, begin: int) -> list[str]:
    """List what a replay does otherwise than a year would.

    Args:
        unit: what a period is called.
        begin: how many of them made the first release.
    """
    found = [
        "All of it ran in a copy of the project, .replay/, with its own repository, data, registry "
        "and releases: each request went to the service over HTTP, one row at a time, and each "
        "pass is a real `poe autopilot`. verbs.log and service.log there hold every word.",
        f"The first {begin} {unit}s stand for the sample that a project begins with. The release "
        "made from them is the one that stays frozen.",
        f"The outcomes of a {unit} are known at its end, all of them; then the autopilot makes "
        f"one pass. The last {unit} has none, as nothing that it decided would show.",
        "The service stamps its log with the machine's clock. The monitor and the autopilot read "
        "a copy of that log in which every answer has the time of its row.",
        "The intervals take rows as independent of each other. Rows of one day are alike, so true "
        "intervals are somewhat wider.",
    ]
    if approver.is_asked():
        found.append(
            "A release has to be approved of by a person before it answers. The autopilot prepared "
            f"each one and stopped there; the replay approved of it a {unit} later, in that "
            "person's place. Nobody validated anything, and a person may well have refused."
        )
    if unit == TENTH:
        found.append(
            f"The rows were cut into tenths in their order, each taken to last {LASTS.days} days: "
            "they have no time, or too few or too many months. What drifts between them need not "
            "have anything to do with time."
        )
    for name, tables in project_copy.INSTEAD.items():
        if (ROOT / name).is_file():
            values = "; ".join(
                f"[{table}] {', '.join(f'{key} = {value}' for key, value in keys.items())}"
                for table, keys in tables.items()
            )
            found.append(f"In the copy's {name} other values stand than in yours: {values}.")
    return found
