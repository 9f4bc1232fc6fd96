"""Write alert rules and dashboard anew from the contract: `uv run poe alerts`.

ops/prometheus gets alerts.yml and alerts_test.yml (`promtool test rules` runs it) and
dashboard.json for Grafana. They come from the features in src/, [score] in params.toml and [slo] in
service.toml, so they are made by this command and not shipped: commit them, and run it again when
one of these changes; a test says when. Limits of the monitor are no part of them, as the monitor
tells its own. prometheus.yml and alertmanager.yml beside them are written by hand.

Exit code 0: written. 1: with `--check`, a file is out of date or missing. 2: a setting is broken.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from rung_ops import contract
from rung_ops.monitoring import feature_labels, rules
from rung_ops.monitoring.dashboard import dashboard
from rung_ops.monitoring.monitor_rules import monitor_rules
from rung_ops.monitoring.rule_tests import rule_tests
from rung_ops.monitoring.service_rules import service_rules
from rung_ops.project.paths import REPOSITORY, ROOT, params, project_name, shown
from rung_ops.serving import slo
from rung_ops.serving.settings import BadSettings

FOLDER = ROOT / ("ops/prometheus" if ROOT == REPOSITORY else "prometheus")
RULES, TESTS, DASHBOARD = "alerts.yml", "alerts_test.yml", "dashboard.json"
NOTE = "# Written by `uv run poe alerts`: change the contract or service.toml, and run it again.\n"


def files() -> dict[str, str]:
    """Make the text of each file, by its name.

    Raises:
        BadSettings: service.toml cannot be used.
    """
    promise, features = slo.promise(), feature_labels.features()
    of_service = service_rules(promise)
    of_monitor = monitor_rules(features, contract.TIME is not None)
    groups = [rules.group("service", of_service), rules.group("model", of_monitor)]
    board = dashboard(project_name(), features, params()["score"]["metric"], promise)
    return {
        RULES: _yaml({"groups": groups}),
        TESTS: _yaml(rule_tests(RULES, of_service + of_monitor)),
        DASHBOARD: json.dumps(board, indent=2, ensure_ascii=False) + "\n",
    }


def out_of_date(folder: Path | None = None) -> list[Path]:
    """List the files that are missing, or differ from what the command would write."""
    folder = folder or FOLDER
    return [
        folder / name
        for name, text in files().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or tell which are out of date; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe alerts", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, say what would change")
    options = parser.parse_args(arguments)
    try:
        stale = out_of_date()
        if options.check:
            for path in stale:
                print(f"{shown(path)} is out of date: `uv run poe alerts` writes it anew.")
            return 1 if stale else 0
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files()[path.name], encoding="utf-8")
            print(f"{shown(path)} is written")
    except BadSettings as error:
        print(error, file=sys.stderr)
        return 2
    if not stale:
        print("alert rules and dashboard are up to date")
    return 0


def _yaml(document: dict[str, Any]) -> str:
    written: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return NOTE + written
