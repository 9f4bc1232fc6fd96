"""Load the estimator of a release in skops format, trusting the types that its source lists."""

from pathlib import Path
from typing import Any

import skops.io

from rung_ops.model import source_import
from rung_ops.model.bundle import SKOPS, BadBundle
from rung_ops.model.release_files import ReleaseFiles
from rung_ops.model.trusted_types import refusal, trusted


def load(release: Path | ReleaseFiles, package: str) -> Any:
    """Load the estimator of a release.

    Args:
        release: its files; a folder while it is being made.
        package: the name of the user's package.

    Raises:
        BadBundle: it holds a type that neither skops nor TRUSTED in the release's model.py trusts.
    """
    # People wrote and reviewed TRUSTED; never trust the types that the file itself lists.
    files = ReleaseFiles.of(release)
    content = files.read(SKOPS)
    listed = list(getattr(source_import.module_of(files, package, "model"), "TRUSTED", []))
    if reason := refusal(content, listed, files.name):
        raise BadBundle(reason)
    modules = {name.rpartition(".")[0] for name in listed}
    with source_import.importable_by_name(files, package, modules):
        return skops.io.loads(content, trusted=trusted(listed))
