"""Write a version as a signed bundle: `uv run poe release`.

Not one whose approval was withdrawn, nor one that the gate, run again, or its run's record speak
against.
"""

import sys

from rung_ops.gate import rules as gate_rules
from rung_ops.governance import approval, rejudge
from rung_ops.release import make, registry_artifacts
from rung_ops.tracking import registry


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
    try:
        found = rejudge.faults(str(version.version))
    except (registry.MlflowException, gate_rules.BadRules) as error:
        print(f"Nothing was released. {error}", file=sys.stderr)
        return 1
    if found:
        listed = "\n- ".join(found)
        print(f"Nothing was released of version {version.version}:\n- {listed}", file=sys.stderr)
        return 1
    return make.main(arguments)
