"""Load the estimator of a release in skops format, trusting the types that its source lists."""

from pathlib import Path
from typing import Any

import skops.io

from rung_ops.release import source_import
from rung_ops.release.bundle import SKOPS, BadBundle


def load(folder: Path, package: str) -> Any:
    """Load the estimator of a verified release.

    Args:
        folder: the release.
        package: the name of the user's package.

    Raises:
        BadBundle: it holds a type that neither skops nor TRUSTED in the release's model.py trusts.
    """
    # People wrote and reviewed TRUSTED; never trust the types that the file itself lists.
    trusted = list(getattr(source_import.module_of(folder, package, "model"), "TRUSTED", []))
    unknown = sorted(set(skops.io.get_untrusted_types(file=folder / SKOPS)) - set(trusted))
    if unknown:
        raise BadBundle(
            f"{folder.name}: the model holds types that TRUSTED in model.py does not list: "
            f"{', '.join(unknown)}. If you know them, add them."
        )
    modules = {name.rpartition(".")[0] for name in trusted}
    with source_import.importable_by_name(folder, package, modules):
        return skops.io.load(folder / SKOPS, trusted=trusted)
