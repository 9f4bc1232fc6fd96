"""Write the alert rules for the Prometheus operator: `uv run poe kubernetes-alerts`.

The rules are those of ops/prometheus/alerts.yml: run this after a change of that file. With `--check`
nothing is written, and exit code 1 means that the file is out of date.

Exit code 2: alerts.yml is missing or is not valid YAML.
"""

import argparse
import sys
from pathlib import Path

import yaml

from rung_ops.project import current
from rung_ops.project.paths import shown


def prometheus_rules_file() -> Path:
    """Return the path of the rules for Prometheus."""
    return current().repository / "ops/prometheus/alerts.yml"


def operator_rules_file() -> Path:
    """Return the path of the rules for the Prometheus operator."""
    return current().repository / "deploy/kubernetes/components/alerts/rules.yaml"


NOTE = "# Written by `uv run poe kubernetes-alerts`.\n"


def text() -> str:
    """Return the content of the file.

    Raises:
        OSError: the rules cannot be read.
        yaml.YAMLError: they are not valid YAML.
    """
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "prediction", "labels": {"app.kubernetes.io/name": "prediction"}},
        "spec": yaml.safe_load(prometheus_rules_file().read_text(encoding="utf-8")),
    }
    return NOTE + str(yaml.safe_dump(rule, sort_keys=False, allow_unicode=True, width=100))


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or check whether it is out of date; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="poe kubernetes-alerts", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--check", action="store_true", help="only check whether it is up to date")
    options = parser.parse_args(arguments)
    try:
        wanted = text()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        print(f"{shown(prometheus_rules_file())} cannot be read: {error}", file=sys.stderr)
        return 2
    if (
        operator_rules_file().is_file()
        and operator_rules_file().read_text(encoding="utf-8") == wanted
    ):
        print(f"{shown(operator_rules_file())} is up to date")
        return 0
    if options.check:
        print(f"{shown(operator_rules_file())} is out of date: run `uv run poe kubernetes-alerts`.")
        return 1
    operator_rules_file().parent.mkdir(parents=True, exist_ok=True)
    operator_rules_file().write_text(wanted, encoding="utf-8")
    print(f"Wrote {shown(operator_rules_file())}.")
    return 0
