"""Load-test the service and compare it with its SLO: `uv run poe load [URL]`.

Without a URL, the test starts a service with the serving release of staging and stops it at the end.
The SLO is [slo] in ops/service.toml.
"""

import argparse
import asyncio
import contextlib
import json
import math
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from rung_ops.errors import SettingsError
from rung_ops.load_test import report as load_report
from rung_ops.load_test import rows as load_rows
from rung_ops.load_test import target as load_target
from rung_ops.load_test.client import Load
from rung_ops.load_test.report import Figures
from rung_ops.load_test.target import Target, Unreachable
from rung_ops.model.bundle import BundleError
from rung_ops.project import current, release_folders, service_settings
from rung_ops.project.paths import shown
from rung_ops.project.service_settings import SLO
from rung_ops.release import state


def report_file() -> Path:
    """Return the path of the figures of a load test."""
    return current().reports / "load.json"


def main(arguments: list[str] | None = None) -> int:
    """Run the test; return the exit code: 1 if the SLO was missed or nothing could be tested."""
    options = _options(arguments)
    try:
        limits, most = service_settings.read_slo(), service_settings.limits().max_rows
        if options.rows > most:
            raise SettingsError(
                f"--rows: got {options.rows:,}; [service] max_rows in service.toml allows {most:,}"
            )
        with _target(options) as target:
            measured = _test(target, options)
    except (Unreachable, BundleError, SettingsError, state.BadState) as error:
        print(f"Nothing was tested: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; no report was written.", file=sys.stderr)
        return 1
    missed = load_report.missed(measured, limits, options.rate, options.rows)
    for line in load_report.lines(measured, limits, options.rows):
        print(line)
    _write(target, options, measured, limits, missed)
    if missed:
        print("\nThe SLO was missed:", *(f"- {fault}" for fault in missed), sep="\n")
        return 1
    print("\nThe SLO in ops/service.toml was met.")
    return 0


def _target(options: argparse.Namespace) -> AbstractContextManager[Target]:
    if options.url:
        return nullcontext(load_target.running(options.url))
    return load_target.own(options.environment)


def _test(target: Target, options: argparse.Namespace) -> Figures:
    rows = load_rows.rows_of(target.release, target.contract)
    load = Load(target.url, load_rows.bodies(rows, options.rows), options.rate, target.token)
    size = "one row" if options.rows == 1 else f"{options.rows:,} rows"
    rate = f"{options.rate:g} requests per second" if options.rate else "as fast as it answers"
    print(
        f"{target.release} at {target.url}: {options.seconds:g} s, {options.connections} "
        f"connections, {size} per request, {rate}"
    )
    if len(rows) == 1:
        print("There is no local bundle of it: each row is the example of its contract.")
    if options.url:
        print(f"The ids of these requests start with {load.name}, also in the service's log.")
    print()
    with contextlib.suppress(ImportError):  # uvloop does not support Windows
        import uvloop

        return load_report.figures(
            uvloop.run(load.run(options.connections, options.seconds)), options.rows
        )
    return load_report.figures(
        asyncio.run(load.run(options.connections, options.seconds)), options.rows
    )


def _write(
    target: Target,
    options: argparse.Namespace,
    measured: Figures,
    limits: SLO,
    missed: list[str],
) -> None:
    chosen = {name: getattr(options, name) for name in ("seconds", "connections", "rows", "rate")}
    report = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "url": options.url,
        "environment": None if options.url else options.environment,
        "release": target.release,
        **chosen,
        "found": asdict(measured),
        "promised": {name: getattr(limits, name) for name in limits.__struct_fields__},
        "missed": missed,
    }
    report_file().parent.mkdir(parents=True, exist_ok=True)
    report_file().write_text(json.dumps(_finite(report), indent=2) + "\n", encoding="utf-8")
    print(f"\nWrote {shown(report_file())}.")


def _finite(value: object) -> object:
    """Replace numbers that JSON cannot represent by None."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="poe load", description=__doc__.splitlines()[0])
    parser.add_argument(
        "url",
        nargs="?",
        type=_url,
        help="of a running service, such as http://127.0.0.1:8000; its log gets the requests too",
    )
    parser.add_argument(
        "--environment",
        default=release_folders.STAGING,
        choices=release_folders.ENVIRONMENTS,
        help="without a URL: the environment whose release is tested (staging)",
    )
    for name, kind, default, text in (
        ("seconds", _positive, 10.0, "duration of the test (10)"),
        ("connections", _positive_integer, 16, "number of connections (16)"),
        ("rows", _positive_integer, 1, "rows of each request (1)"),
        ("rate", _positive, None, "requests per second, whether or not the service keeps up"),
    ):
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=text)
    return parser.parse_args(arguments)


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        valid = False
    if not valid:
        raise argparse.ArgumentTypeError(
            f"got `{text}`; expected a URL such as http://127.0.0.1:8000"
        )
    return text


def _number(text: str, kind: Callable[[str], float], expected: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"got `{text}`; expected {expected}")
    return value


def _positive(text: str) -> float:
    return _number(text, float, "a number above 0")


def _positive_integer(text: str) -> int:
    return int(_number(text, int, "a whole number above 0"))
