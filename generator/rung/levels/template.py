"""Where the template is, in the clone Rung runs from or the wheel (decision 1), and its changelog."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.version import Version

CHANGELOG = "CHANGELOG.md"
HEADING = re.compile(r"^## +(.*)$", re.MULTILINE)
RELEASE = re.compile(r"v?(\d+(?:\.\d+)*)(?![\w.])")
PACKAGE = Path(__file__).resolve().parents[1]


def clone() -> Path | None:
    """Return the git clone Rung runs from, or None when it runs as an installed package."""
    repository = PACKAGE.parents[1]
    is_clone = (repository / "copier.yml").is_file() and (repository / ".git").exists()
    return repository if is_clone else None


def folder() -> Path:
    """Return the folder that holds copier.yml, levels/ and templates/."""
    inside = PACKAGE / "template"
    return inside if inside.is_dir() else PACKAGE.parents[1]


def url() -> str:
    """Return the template's address: `Repository` in pyproject.toml."""
    from importlib.metadata import metadata  # slow: a third of a command's start-up time

    for entry in metadata("rung").get_all("Project-URL") or []:
        label, _, address = entry.partition(", ")
        if label == "Repository":
            return str(address)
    raise LookupError("the package `rung` states no Repository address")


def tag() -> str:
    """Return the template version that belongs to this Rung, as a git tag."""
    from importlib.metadata import version

    return f"v{version('rung')}"


def sections(text: str) -> list[tuple[str, str]]:
    """Return title and body of each section of a changelog."""
    _, *parts = HEADING.split(text)
    return [
        (title.strip(), body.strip()) for title, body in zip(parts[::2], parts[1::2], strict=True)
    ]


def release(name: str) -> "Version | None":
    """Return the release that a title or a version such as `v0.2.0-3-g1f2e3d4` begins with."""
    from packaging.version import Version

    found = RELEASE.match(name)
    return Version(found[1]) if found else None
