"""Small repositories as data: paths and texts, written out and reviewed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rung.check.review.content import Content
from rung.check.review.evidence import Evidence
from rung.check.review.files import Files, Limits, load_reading
from rung.levels import ladder
from tests.conftest import ROOT

LADDER = ladder.load(ROOT / "levels")
READING = load_reading(ROOT / "levels")
PLENTY = Limits(seconds=60)  # a busy machine must not make a result partial
ML = {"requirements.txt": "scikit-learn==1.7.0\n"}


def plant(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def called(files: Mapping[str, str]) -> dict[str, str]:
    """Return files of a repository, and settings that name each of their functions."""
    names = re.findall(r"^def (\w+)", "\n".join(files.values()), re.MULTILINE)
    return {**files, "called.ini": f"[functions]\n{' '.join(names)} =\n"} if names else dict(files)


def evidence(folder: Path, *predicates: Any) -> Evidence:
    return Evidence(Content(Files(folder, READING, PLENTY)), predicates)
