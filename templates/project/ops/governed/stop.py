"""Switch the model off, with a reason: `uv run poe stop --by NAME --reason WHY`.

Rung keeps this file; change it through governance/.
"""

import sys

from ops.governed import kill_switch


def main(arguments: list[str] | None = None) -> int:
    """Do it; return the exit code."""
    return kill_switch.command(
        "stop", "Switch the model off, with a reason.", kill_switch.stop, arguments
    )


if __name__ == "__main__":
    sys.exit(main())
