"""Look up the installed packages for known vulnerabilities: pip-audit, which may have looked up none.

Where its service knows no package, as a mirror of PyPI that answers 404, pip-audit ends with 0.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import click

from rung_ops.command import verb
from rung_ops.system.printable import counted

OWN = "distribution marked as editable"  # why --skip-editable leaves out the project itself
FIXED = ("--progress-spinner", "off", "--format", "json")


@verb("poe audit", context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[OPTION]...")
def main(options: tuple[str, ...]) -> int:
    """Check the installed packages for known vulnerabilities. OPTION: of pip-audit."""
    return audit("--skip-editable", *options)


def audit(*words: str) -> int:
    """Run pip-audit and print what it found; return its exit code, or 1 if it looked up nothing."""
    command = [sys.executable, "-m", "pip_audit", *words, *FIXED]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:  # it reached no service, or was called in a wrong way
        print(done.stdout + done.stderr, file=sys.stderr)
        return done.returncode or 1
    packages = [each for each in packages if each.get("skip_reason") != OWN]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if len(skipped) == len(packages):
        print(
            f"Nothing was audited: the service knows none of {counted(len(packages), 'package')}. "
            "PIP_AUDIT_VULNERABILITY_SERVICE=osv asks osv.dev, and PIP_AUDIT_OSV_URL names a mirror.",
            file=sys.stderr,
        )
        return 1
    if skipped:
        print(f"Not looked up, as the service does not know them: {', '.join(skipped)}.")
    if found := [line for each in packages for line in _lines(each)]:
        print(*found, sep="\n")
    else:
        looked_up = counted(len(packages) - len(skipped), "package")
        print(f"No known vulnerabilities found in {looked_up}.")
    return done.returncode


def _lines(package: Mapping[str, Any]) -> list[str]:
    return [
        f"{package['name']} {package['version']}: {each['id']}, "
        f"fixed in {', '.join(each['fix_versions']) or 'no version yet'}"
        for each in package.get("vulns", ())
    ]
