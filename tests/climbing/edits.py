"""What people do to a project in months: kinds of edit, each with a token that can be found again.

An edit is a function of the project's folder, a source of chance and a token, nine digits that no
file of a fresh project holds. It says whether it found something to edit.
"""

import functools
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

Edit = Callable[[Path, Random, str], bool]

# Files of higher rungs, in whose place a user may already have one.
OF_HIGHER_RUNGS = ["Dockerfile", "dvc.yaml", "compose.yaml", "docs/model_card.md", "gate.toml"]


def tracked(project: Path, pattern: str) -> list[Path]:
    """Return the files that git keeps or will, no links, whose path matches, in order."""
    text = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(text, cwd=project, capture_output=True, text=True, check=True)
    match = [path for path in sorted(set(listed.stdout.split("\0"))) if re.search(pattern, path)]
    return [project / path for path in match if not (project / path).is_symlink()]


def _some(project: Path, chance: Random, pattern: str) -> Path | None:
    result = [path for path in tracked(project, pattern) if path.is_file()]
    return chance.choice(result) if result else None


def in_some(pattern: str) -> Callable[[Callable[[Path, Random, str], bool | None]], Edit]:
    """Let an edit be of a file whose path matches, if there is one."""

    def of_file(edit: Callable[[Path, Random, str], bool | None]) -> Edit:
        @functools.wraps(edit)
        def chosen(project: Path, chance: Random, token: str) -> bool:
            path = _some(project, chance, pattern)
            return path is not None and edit(path, chance, token) is not False

        return chosen

    return of_file


def _append(path: Path, text: str) -> None:
    content = path.read_bytes()
    gap = b"" if content.endswith(b"\n") or not content else b"\n"
    path.write_bytes(content + gap + text.encode())


def _replace(path: Path, pattern: str, new: str) -> bool:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    changed = re.sub(pattern, new, text, count=1, flags=re.MULTILINE)
    path.write_bytes(changed.encode("utf-8", "surrogateescape"))
    return changed != text


def _within(path: Path, chance: Random, line: str) -> None:
    """Insert a line at a place that does not split anything: before a line that starts a block."""
    lines = path.read_bytes().decode("utf-8", "surrogateescape").splitlines(keepends=True)
    starts = [at for at, text in enumerate(lines) if re.match(r"def |class |## |[A-Z]", text)]
    locations = [at for at in starts if at and not lines[at - 1].startswith("@")]
    at = chance.choice(locations) if locations and chance.random() < 0.5 else len(lines)
    text = "".join([*lines[:at], line, *lines[at:]])
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


@in_some(r"^src/\w+/\w+\.py$")
def code(path: Path, chance: Random, token: str) -> None:
    """Write a function into a new module."""
    _append(path, f"\n\ndef mine_{token}() -> int:\n    return {token}\n")


def module(project: Path, chance: Random, token: str) -> bool:
    """Add a module."""
    folder = next(iter(sorted((project / "src").iterdir())))
    (folder / f"mine_{token}.py").write_text(f"MINE = {token}\n")
    return True


def test(project: Path, chance: Random, token: str) -> bool:
    """Add a test."""
    (project / "tests").mkdir(exist_ok=True)
    (project / f"tests/test_{token}.py").write_text(f"def test_it():\n    assert {token}\n")
    return True


def dependency(project: Path, chance: Random, token: str) -> bool:
    """Add a package to what predicts."""
    directory = chance.choice([r"^dependencies = \[\n", r'^    "polars.*\n', r'^    "skops.*\n'])
    return _replace(project / "pyproject.toml", directory, rf'\g<0>    "mine-{token}>=1",\n')


def version(project: Path, chance: Random, token: str) -> bool:
    """Require another version of a package, of the user's or of Rung's."""
    name = chance.choice(["polars", "numpy", "scikit-learn", "pytest", "ruff", "mypy", "dvc"])
    return _replace(project / "pyproject.toml", rf'^    "{name}>=[\d.]+', rf"\g<0>,!=0.{token}")


def group(project: Path, chance: Random, token: str) -> bool:
    """Add a group of packages in the user's place."""
    line = "^# Yours: groups of your own go below this line.\n"
    added = f'\\g<0>\nmine-{token} = [\n    "seaborn>=0.13",\n]\n'
    return _replace(project / "pyproject.toml", line, added)


def table(project: Path, chance: Random, token: str) -> bool:
    """Add settings of a tool."""
    _append(project / "pyproject.toml", f'\n[tool.mine-{token}]\nsetting = "{token}"\n')
    return True


def task(project: Path, chance: Random, token: str) -> bool:
    """Add a task."""
    _append(project / "pyproject.toml", f'\n[tool.poe.tasks.mine-{token}]\ncmd = "echo {token}"\n')
    return True


def setting(project: Path, chance: Random, token: str) -> bool:
    """Change a setting, and say why."""
    name = chance.choice(
        ["line-length", "addopts", "version", "requires-python", "check_untyped_defs"]
    )
    return _replace(project / "pyproject.toml", rf"^{name} = .*$", rf"\g<0> # see {token}")


def pattern(project: Path, chance: Random, token: str) -> bool:
    """Ignore more, in the user's place or among Rung's patterns."""
    path = project / ".gitignore"
    if chance.random() < 0.7:
        _append(path, f"/mine-{token}/\n")
        return True
    return _replace(path, r"^/model/\n", rf"\g<0>/mine-{token}/\n")


@in_some(r"^ops/(\w+/)?\w+\.py$")
def machinery(path: Path, chance: Random, token: str) -> None:
    """Change what is Rung's after all."""
    _within(path, chance, f"MINE_{token} = {token}\n")


@in_some(r"^(docs|governance)/.*\.md$|^README\.md$|^CONTRIBUTING\.md$")
def page(path: Path, chance: Random, token: str) -> None:
    """Fill in a page."""
    _within(path, chance, f"We did {token}.\n")


@in_some(r"^(dvc|compose)\.yaml$|^governance/\w+\.yaml$|^\.github/.*\.yml$")
def record(path: Path, chance: Random, token: str) -> bool | None:
    """Add an entry to a YAML file: a stage, a record, a job's setting."""
    if path.name == "dvc.yaml":
        added = "^stages:\n", f"\\g<0>  mine-{token}:\n    cmd: echo {token}\n\n"
        return _replace(path, *added)
    _append(path, f'x-mine-{token}: "{token}"\n')
    return True


@in_some(r"^src/\w+/mine_\d+\.py$|^docs/\w+\.md$|^notebooks/")
def rename(path: Path, chance: Random, token: str) -> None:
    """Give a file another name."""
    _append(path, f"# {token}\n") if path.suffix == ".py" else None
    path.rename(path.with_name(f"{path.stem}_{token}{path.suffix}"))


@in_some(r"^tests/test_\w+\.py$|^notebooks/|^docs/\w+\.md$|^\.github/dep")
def delete(path: Path, chance: Random, token: str) -> None:
    """Delete something that is not needed; it leaves no token."""
    path.unlink()


def executable(project: Path, chance: Random, token: str) -> bool:
    """Make a script that can be run."""
    path = project / f"run_{token}.sh"
    path.write_text(f"#!/bin/sh\necho {token}\n")
    path.chmod(0o755)
    return True


def ignored(project: Path, chance: Random, token: str) -> bool:
    """Keep something from git: secrets, or a file where a later rung has one."""
    name = chance.choice([".env", "logs/mine.log", *OF_HIGHER_RUNGS[:2]])
    path = project / name
    if path.exists() and name not in (".env", "logs/mine.log"):
        return False
    if name in OF_HIGHER_RUNGS:
        exclude = project / ".git/info/exclude"
        exclude.parent.mkdir(exist_ok=True)
        with exclude.open("a") as lines:
            lines.write(f"/{name}\n")
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as lines:
        lines.write(f"# SECRET={token}\n")
    return True


def windows(project: Path, chance: Random, token: str) -> bool:
    """Save a file with the line ends of Windows."""
    path = _some(project, chance, r"^docs/\w+\.md$|^src/\w+/\w+\.py$|^ops/\w+\.py$")
    if path is None or not path.read_bytes():
        return False
    _append(path, f"# {token}\n")
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    return True


@in_some(r"^docs/\w+\.md$|^governance/.*\.md$")
def latin(path: Path, chance: Random, token: str) -> None:
    """Save a page with an old editor: bytes that are not UTF-8."""
    path.write_bytes(path.read_bytes() + f"Entsch\xe4digung {token}\n".encode("latin-1"))


def binary(project: Path, chance: Random, token: str) -> bool:
    """Change a binary file."""
    path = _some(project, chance, r"^data/sample/.*\.(parquet|data)$")
    if path is None:
        path = project / "data/mine.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    path.write_bytes(path.read_bytes() + b"\0\xff" + token.encode())
    return True


def link(project: Path, chance: Random, token: str) -> bool:
    """Add a link to something."""
    (project / f"link-{token}").symlink_to(chance.choice(["README.md", "src", "nowhere"]))
    return True


def in_the_way(project: Path, chance: Random, token: str) -> bool:
    """Write a file where a later rung has one."""
    path = project / chance.choice(OF_HIGHER_RUNGS)
    if path.exists() or path.is_symlink():
        return False
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"# mine: {token}\n")
    # Kept by git, also where it is among the ignored.
    subprocess.run(["git", "add", "--force", str(path)], cwd=project, check=True)
    return True


# How often each is made, of all edits. People mostly write their own code.
WEIGHTS: dict[Edit, int] = {
    code: 20,
    module: 12,
    test: 10,
    dependency: 10,
    version: 6,
    group: 4,
    table: 4,
    task: 4,
    setting: 4,
    pattern: 6,
    page: 8,
    record: 4,
    machinery: 3,
    rename: 3,
    delete: 2,
    executable: 2,
    ignored: 3,
    windows: 2,
    latin: 2,
    binary: 2,
    link: 2,
    in_the_way: 1,
}
