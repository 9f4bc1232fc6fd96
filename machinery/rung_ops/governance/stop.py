"""Switch the model off, with a reason: `uv run poe stop --by NAME --reason WHY`."""

from rung_ops.governance import kill_switch


def main(arguments: list[str] | None = None) -> int:
    """Do it; return the exit code."""
    return kill_switch.command(
        "stop", "Switch the model off, with a reason.", kill_switch.stop, arguments
    )
