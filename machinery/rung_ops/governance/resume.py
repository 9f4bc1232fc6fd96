"""Switch the model on again, with a reason: `uv run poe resume --by NAME --reason WHY`."""

from rung_ops.governance import kill_switch


def main(arguments: list[str] | None = None) -> int:
    """Do it; return the exit code."""
    return kill_switch.command(
        "resume", "Switch the model on again, with a reason.", kill_switch.resume, arguments
    )
