"""Notes for readers of the timeline on how the replay was run."""

from rung_ops.replay import project_copy
from rung_ops.replay.periods import LASTS, TENTH


def notes(unit: str, begin: int) -> list[str]:
    """List the differences between a replay and real operation.

    Args:
        unit: name of a period: month or tenth.
        begin: number of periods that the first release was trained on.
    """
    lines = [
        "The replay ran in a copy of the project, .replay/, with its own repository, data, registry "
        "and releases. Each row was sent to the service as an HTTP request, and each pass is a real "
        "`poe autopilot`. verbs.log and service.log there hold the output.",
        f"The first release was trained on the first {begin} {unit}s and stays frozen for the "
        "comparison.",
        f"All outcomes of a {unit} become known at its end; then the autopilot makes one pass. "
        f"There is no pass after the last {unit}.",
        "The service logs the time of the machine. The monitor and the autopilot read a copy of "
        "the log in which every prediction has the time of its row.",
        "The intervals assume independent rows. Rows of one day are similar, so true intervals are "
        "somewhat wider.",
    ]
    if is_approved_for():
        lines.append(
            "A person has to approve a release before it is served. The autopilot prepared each one "
            f"and stopped; the replay approved it a {unit} later in place of the person, without a "
            "validation. A person might have refused."
        )
    if unit == TENTH:
        lines.append(
            "The rows have no time, or too few or too many months. So they were cut into tenths in "
            f"their order, each counted as {LASTS.days} days; drift between tenths need not be "
            "drift over time."
        )
    for name, tables in project_copy.replaced().items():
        values = "; ".join(
            f"[{table}] {', '.join(f'{key} = {value}' for key, value in keys.items())}"
            for table, keys in tables.items()
        )
        lines.append(f"In the copy, these settings of {name} were replaced: {values}.")
    return lines


def is_approved_for() -> bool:
    """Return whether the replay approves releases in place of a person."""
    person = project_copy.stand_in()
    return person is not None and bool(person.is_required())
