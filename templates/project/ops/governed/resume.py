"""Switch the model on again, with a reason: `uv run poe resume --by NAME --reason WHY`.

Rung keeps this file; change it through governance/.
"""

import sys

from ops.governed import kill_switch


def main(arguments: list[str] | None = None) -> int:
    """Do it; return the exit code."""
    return kill_switch.command(
        "resume", "Switch the model on again, with a reason.", kill_switch.resume, arguments
    )


if __name__ == "__main__":
    sys.exit(main())
