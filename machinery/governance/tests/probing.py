"""Code of a candidate that writes down which process imports it, and which keys it could take."""

import json
from pathlib import Path

from rung_ops import contract
from rung_ops.model import bundle
from rung_ops.release import make, signing
from rung_ops.system import key_names

PROBE = """
import json, os
with open({file!r}, "a") as file:
    known = sorted(set(os.environ) & set({names!r}))
    file.write(json.dumps([os.getpid(), known]) + "\\n")
"""


def probe(file: Path) -> str:
    """Return the code, which writes into a file."""
    return PROBE.format(file=str(file), names=sorted(key_names.ALL))


def observations(file: Path) -> list[tuple[int, list[str]]]:
    """Read what it wrote: number of the process, names of keys."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [(process, data) for process, data in map(json.loads, lines)]


def make_curious(release: Path, file: Path, private_key: bytes) -> None:
    """Put the code into the features of a release, and sign it again."""
    (release / bundle.SIGNATURE).unlink()
    with (release / bundle.SOURCE / contract.package() / "features.py").open("a") as features:
        features.write(probe(file))
    manifest = bundle.read_manifest(release) | {"files": bundle.files_of(release)}
    make.write_json(release / bundle.MANIFEST, manifest)
    signing.sign(release, private_key)
