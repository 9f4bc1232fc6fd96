"""Measure a repository for a strategy."""

from pathlib import Path

from rung import project
from rung.assess.strategy import Scan
from rung.errors import RungError
from rung.review.review import review


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
        coverage={block: points for block, (points, _) in read.standing.profile.items()},
        points={name: finding.points for name, finding in read.findings.items()},
        waived=frozenset(name for name, finding in read.findings.items() if finding.waived),
        notes=tuple(read.notes),
        rung=(path / project.ANSWERS).is_file(),
    )
