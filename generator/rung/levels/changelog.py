"""A changelog of the template: its sections, and the releases that titles and versions name."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.version import Version

FILE = "CHANGELOG.md"
HEADING = re.compile(r"^## +(.*)$", re.MULTILINE)
RELEASE = re.compile(r"v?(\d+(?:\.\d+)*)(?![\w.])")


def sections(text: str) -> list[tuple[str, str]]:
    """Return title and body of each section."""
    _, *parts = HEADING.split(text)
    return [
        (title.strip(), body.strip()) for title, body in zip(parts[::2], parts[1::2], strict=True)
    ]


def release(name: str) -> "Version | None":
    """Return the release that a title or a version such as `v0.2.0-3-g1f2e3d4` begins with."""
    from packaging.version import Version

    found = RELEASE.match(name)
    return Version(found[1]) if found else None
