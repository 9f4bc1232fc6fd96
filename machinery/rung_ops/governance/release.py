"""Write a version as a signed bundle, unless its approval was withdrawn: `uv run poe release`."""

import sys

from rung_ops.governance import approval
from rung_ops.release import make, registry_artifacts


def main(arguments: list[str] | None = None) -> int:
    """Release a version; return the exit code."""
    options = make.options_of(arguments)
    try:
        version = registry_artifacts.version(options.version)
    except registry_artifacts.NotReleasable as error:
        print(f"Nothing was released. {error}", file=sys.stderr)
        return 1
    if found := approval.withdrawal_objections(version):
        print(f"Nothing was released of version {version.version}: {found[0]}.", file=sys.stderr)
        return 1
    return make.main(arguments)
