"""An audit that looked up no package does not pass, nor does one that found something."""

import json
from pathlib import Path
from typing import Any

import pytest

from machinery.tests.conftest import Capture, Patch
from rung_ops.checks import audit
from rung_ops.errors import OpsError
from rung_ops.service_image import push

KNOWN = {"name": "polars", "version": "1.30.0", "vulns": []}
BAD = KNOWN | {"vulns": [{"id": "PYSEC-1", "fix_versions": ["1.30.1", "1.31"], "aliases": []}]}
UNKNOWN = {"name": "rung-ops", "skip_reason": "Dependency not found on PyPI"}
OWN = {"name": "flights", "skip_reason": "distribution marked as editable"}
BILL = {"components": [{"name": "polars", "version": "1.30.0", "purl": "pkg:pypi/polars@1.30.0"}]}
# Ends as pip-audit 2.10 does: 1 if it found something, and 0 also where it looked up nothing.
TOOL = """\
import json, sys
packages = json.loads({found!r})
if packages is None:
    sys.exit("could not connect")
if sys.argv[-2:] != ["--format", "json"]:
    sys.exit("not asked for JSON")
print(json.dumps({{"dependencies": packages, "fixes": []}}))
sys.exit(any(each.get("vulns") for each in packages))
"""


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        ([KNOWN], 0, "No known vulnerabilities found in 1 package.\n"),
        ([KNOWN, UNKNOWN], 0, "Not looked up, as the service does not know them: rung-ops.\n"),
        ([KNOWN, OWN, UNKNOWN], 0, "does not know them: rung-ops.\n"),
        ([BAD, UNKNOWN], 1, "polars 1.30.0: PYSEC-1, fixed in 1.30.1, 1.31\n"),
        ([OWN, UNKNOWN], 1, "Nothing was audited: the service knows none of 1 package."),
        (None, 1, "could not connect"),
    ],
    ids=["nothing known", "one not known", "its own", "vulnerable", "none known", "no service"],
)
def test_an_audit_passes_if_something_was_looked_up_and_nothing_found(
    found: Any, code: int, said: str, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    (tmp_path / "pip_audit.py").write_text(TOOL.format(found=json.dumps(found)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    assert audit.main(["--ignore-vuln", "PYSEC-2"]) == code
    assert said in "".join(capsys.readouterr())

    if code == 0:
        push.audit(BILL)
    else:
        with pytest.raises(OpsError, match="pip-audit failed"):
            push.audit(BILL)
