"""Templates that the person trusts beside Rung's own: named once with `--template`, then remembered.

They stand in a file of the person's, never in a project, which can come from anywhere.
"""

import os
import sys
from pathlib import Path

from platformdirs import user_config_path


def file() -> Path:
    """Return the file of trusted templates: an address a line."""
    named = os.environ.get("RUNG_CONFIG_DIR")
    return Path(named or user_config_path("rung", appauthor=False)).absolute() / "templates.txt"


def remembered() -> list[str]:
    """Return the addresses; none where the file is another user's, or cannot be read."""
    path = file()
    try:
        if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
            return []
        return path.read_text("utf-8").split("\n")[:-1]
    except (OSError, UnicodeDecodeError):
        return []


def remember(address: str) -> None:
    """Trust a template from now on, and say so; a file that cannot be written is said, too."""
    if address in remembered() or not address.isprintable():
        return
    path = file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as kept:
            kept.write(f"{address}\n")
        path.chmod(0o600)
    except OSError as error:
        print(f"{path} cannot be written ({error.strerror}): name it again.", file=sys.stderr)
        return
    print(f"Trusted from now on, as {path} says: {address}", file=sys.stderr)
