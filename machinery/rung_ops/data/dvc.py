"""DVC: run it, and what its stages read and write by dvc.yaml and dvc.lock."""

import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from posixpath import normpath
from typing import Any, NamedTuple

import yaml

from rung_ops.project import current, stage_process
from rung_ops.project.paths import others
from rung_ops.system import git
from rung_ops.system.files import write

KINDS = ("outs", "metrics", "plots")  # what stages write
# A run of the pipeline reads dvc.lock a dozen times, and libyaml takes a quarter of PyYAML's time for it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SECONDS = ".cache/stage_seconds.json"  # how long each stage ran the last time, on this machine


def main(arguments: list[str] | None = None) -> int:
    """Run DVC as its own command does; a lock file is named once, and each stage that runs is timed."""
    from dvc.cli import main as dvc

    named = set()
    began: list[tuple[str, float]] = []

    def is_new(record: logging.LogRecord) -> bool:
        lock = record.getMessage().partition(" lock file ")[2]
        known = lock in named
        named.add(lock)
        return not (lock and known)

    def note_begin(record: logging.LogRecord) -> bool:
        if found := re.match("Running stage '(.+)'", record.getMessage()):
            began.append((found[1], time.monotonic()))
        return True

    logging.getLogger("dvc.dvcfile").addFilter(is_new)
    logging.getLogger("dvc.stage.run").addFilter(note_begin)
    words = sys.argv[1:] if arguments is None else arguments
    has_stages = words[:1] in (["repro"], ["exp"])
    with stage_process.shared() if has_stages else nullcontext():
        code = int(dvc(words))
        ended = time.monotonic()  # the shared process takes time to end
    ends = [at for _, at in began[1:]] + [ended] * (code == 0)  # a failed stage has none
    seconds = {name: end - at for (name, at), end in zip(began, ends, strict=False)}
    # Typed elsewhere, the same stages have other addresses.
    if seconds and "--dry" not in words and Path("dvc.yaml").is_file():
        with suppress(OSError):  # the stages are done, whether their times can be kept or not
            Path(SECONDS).parent.mkdir(exist_ok=True)
            known = stage_seconds(Path()) | seconds
            write(Path(SECONDS), json.dumps(known, indent=2).encode())
    return code


def stage_seconds(root: Path) -> dict[str, float]:
    """Read how long the stages ran the last time, by address; a time includes DVC's own hashing."""
    try:
        return dict(json.loads((root / SECONDS).read_bytes()))
    except (OSError, ValueError):
        return {}


def target(path: Path) -> Path:
    """Return what DVC versions: a folder in data/incoming that has a record and the file, or the file."""
    folders = (folder for folder in path.parents if current().incoming in folder.parents)
    return next((folder for folder in folders if Path(f"{folder}.dvc").is_file()), path)


def targets(paths: Iterable[Path]) -> list[Path]:
    """Return what DVC versions of these files, each once."""
    return list(dict.fromkeys(map(target, paths)))


def record(path: Path) -> Path:
    """Return the .dvc file of a file, or of the folder that DVC versions with it."""
    return Path(f"{target(path)}.dvc")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run DVC in a folder, and keep its output and errors apart for the caller."""
    return subprocess.run(
        # The one beside this Python: PATH has another one, or none, where no task runs.
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


class Stage(NamedTuple):
    """A stage of a dvc.yaml; its paths are those that the model's folder has for them.

    Attributes:
        address: as DVC prints it: `train`, or `governance/dvc.yaml:fairness`.
        sizes: bytes of each output; None where dvc.lock does not know it.
    """

    address: str
    name: str
    description: str
    reads: list[str]
    sizes: dict[str, int | None]


def stages(root: Path) -> Iterator[Stage]:
    """Read the stages of every dvc.yaml of this model."""
    for folder in sorted(_pipelines(root)):
        locked = dict(entries(root / folder / "dvc.lock"))
        for name, stage in entries(root / folder / "dvc.yaml"):
            base = _joined(folder, str(stage.get("wdir", ".")))
            sizes = {
                _joined(base, each["path"]): each.get("size")
                for kind in KINDS
                for each in locked.get(name, {}).get(kind) or []
            }
            yield Stage(
                name if folder == "." else f"{folder}/dvc.yaml:{name}",
                name,
                str(stage.get("desc", "")).strip(),
                [_joined(base, path) for path in _paths(stage.get("deps"))],
                {path: sizes.get(path) for path in _written(stage, base)},
            )


def stage_outputs(root: Path) -> set[str]:
    """Name what stages declare as written, the dvc.lock files, and the .gitignore files of DVC."""
    outputs = set()
    for folder in _pipelines(root):
        outputs.add(_joined(folder, "dvc.lock"))
        for name in ("dvc.yaml", "dvc.lock"):
            for output in _outputs(root / folder / name):
                path = _joined(folder, output)
                outputs |= {path, _joined(path, "../.gitignore")}
    # The root's .gitignore is a person's.
    return {path for path in outputs if path not in (".", ".gitignore") and path[:2] != ".."}


def checkout(root: Path) -> tuple[str, bool]:
    """Return the commit, 40 hex digits, and whether files that no stage writes differ from it.

    Raises:
        GitError: there is no commit.
    """
    commit = git.output(root, "rev-parse", "HEAD")
    # Without the lock git does not rewrite the index, for which a full disk has no room.
    options = ("--porcelain", "--no-renames", "-z", "--", ".")
    changed = git.output(root, "--no-optional-locks", "status", *options)
    above = git.output(root, "rev-parse", "--show-prefix")
    files = [entry[3:].removeprefix(above) for entry in changed.split("\0") if entry]
    outputs = stage_outputs(root)
    return commit, not all(is_stage_output(path, outputs) for path in files)


def is_stage_output(path: str, known: set[str]) -> bool:
    """Tell whether a file is one of those that stage_outputs() names, or is in a folder of them."""
    return any(str(part) in known for part in (Path(path), *Path(path).parents))


def _pipelines(root: Path) -> set[str]:
    """Name the folders with stages, of this model and not of others."""
    files = (":(glob)**/dvc.yaml", ":(glob)**/dvc.lock")
    theirs = [f":(exclude){folder}" for folder in others()]
    options = ("-z", "--cached", "--others", "--exclude-standard")
    listed = git.run(root, "ls-files", *options, "--", *files, *theirs)
    return {Path(name).parent.as_posix() for name in listed.stdout.split("\0") if name}


def _outputs(file: Path) -> Iterator[str]:
    for _, stage in entries(file):
        yield from _written(stage, str(stage.get("wdir", ".")))


def entries(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the stages of a dvc.yaml or dvc.lock as it has them; none if it is not there."""
    content = yaml.load(file.read_bytes(), Loader=_LOADER) if file.is_file() else None
    stages = content.get("stages") if isinstance(content, dict) else None
    for name, stage in (stages or {}).items():
        if isinstance(stage, dict):
            yield str(name), stage


def _written(stage: dict[str, Any], base: str) -> Iterator[str]:
    yield from (_joined(base, path) for kind in KINDS for path in _paths(stage.get(kind)))


def _paths(entries: Any) -> Iterator[str]:
    """Name the paths in a list of outputs: texts, or mappings; dvc.lock writes `path: ...`."""
    for entry in entries if isinstance(entries, list) else []:
        path = entry.get("path", next(iter(entry))) if isinstance(entry, dict) else entry
        if isinstance(path, str) and "${" not in path:  # a variable; dvc.lock has its value
            yield path


def _joined(*parts: str) -> str:
    return normpath("/".join(parts))
