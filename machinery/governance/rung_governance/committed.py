"""Whether what a version is judged by is committed, so that it can be looked up later."""

from collections.abc import Iterator
from pathlib import Path

from rung_governance import plan, signatures
from rung_ops.gate import rules
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import git

# A job of CI takes the records of today out of FETCH_HEAD, beside the commit that it runs for.
COMMITS = ("HEAD", "FETCH_HEAD", "@{upstream}")


def uncommitted(*further: Path, root: Path | None = None) -> Iterator[str]:
    """Say which of the files that judge a version are not as a commit has them.

    Args:
        further: files beside params.toml, rules, plan and allowed signers.
        root: the model's folder.
    """
    root = current().root if root is None else root
    judging = (
        root / "params.toml",
        rules.rules_file(),
        plan.path(root),
        signatures.signers_file(root),
    )
    for path in filter(Path.is_file, (*judging, *further)):
        now = _git(path.parent, "hash-object", "--", path.name)
        if now not in {_git(path.parent, "rev-parse", f"{each}:./{path.name}") for each in COMMITS}:
            yield f"{shown(path)} is not as it is committed: what judges a version is committed first"


def _git(folder: Path, *arguments: str) -> str:
    done = git.run(folder, *arguments)
    return done.stdout.strip() if done.returncode == 0 else ""
