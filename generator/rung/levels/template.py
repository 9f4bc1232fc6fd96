"""Where the template is: the clone Rung runs from, or the copy in the wheel (decision 1)."""

from pathlib import Path

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
