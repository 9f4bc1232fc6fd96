"""Measure a repository for a strategy."""

from pathlib import Path

from rung.assess.strategy import Scan
from rung.check.review.review import review
from rung.errors import RungError
from rung.levels.answers import ANSWERS


def scan(path: Path, game: str) -> Scan:
    """Read the repository in a folder, without running it, and return what a strategy needs.

    Args:
        path: The repository's folder.
        game: The game to judge it by, governance or velocity.

    Raises:
        RungError: There is no such folder, or its rung.toml cannot be read.
    """
    if not path.is_dir():
        raise RungError(f"{path} is not a folder. Give `--scan` the folder of a repository.")
    read = review(path, game)
    return Scan(
        level=read.level,
        coverage={block: points for block, (points, _) in read.rating.profile.items()},
        points={name: finding.points for name, finding in read.findings.items()},
        waived=frozenset(name for name, finding in read.findings.items() if finding.waived),
        notes=tuple(read.notes),
        rung=(path / ANSWERS).is_file(),
    )
