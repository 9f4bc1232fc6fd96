"""Put the service under load and hold it against its promises: `uv run poe load [URL]`.

Without a URL a service is started for the test, with the release that answers in staging, and
ended after it. The promises stand in ops/service.toml under [slo].
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
from urllib.parse import urlsplit

from rung_ops.load_test import report as load_report
from rung_ops.load_test import rows as load_rows
from rung_ops.load_test import target as load_target
from rung_ops.load_test.client import Load
from rung_ops.load_test.report import Figures
from rung_ops.load_test.target import Target, Unreachable
from rung_ops.project.paths import REPORTS, shown
from rung_ops.release import paths, state
from rung_ops.release.bundle import BadBundle
from rung_ops.serving import settings, slo
from rung_ops.serving.settings import BadSettings
from rung_ops.serving.slo import SLO

REPORT = REPORTS / "load.json"


def main(arguments: list[str] | None = None) -> int:
    """Test; return the exit code: 1 where a promise was not kept, or nothing could be tested."""
    options = _options(arguments)
    try:
        promise, most = slo.read_slo(), settings.limits().max_rows
        if options.rows > most:
            raise BadSettings(f"service.toml: max_rows of [service] allows {most:,} rows a request")
        with _target(options) as target:
            found = _test(target, options)
    except (Unreachable, BadBundle, BadSettings, state.BadState) as error:
        print(f"Nothing was tested: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; nothing was written.", file=sys.stderr)
        return 1
    missed = load_report.missed(found, promise, options.rate, options.rows)
    for line in load_report.lines(found, promise, options.rows):
        print(line)
    _write(target, options, found, promise, missed)
    if missed:
        print("\nservice.toml promises more:", *(f"- {fault}" for fault in missed), sep="\n")
        return 1
    print("\nAll promises of ops/service.toml were kept.")
    return 0


def _target(options: argparse.Namespace) -> AbstractContextManager[Target]:
    if options.url:
        return nullcontext(load_target.running(options.url))
    return load_target.own(options.environment)


def _test(target: Target, options: argparse.Namespace) -> Figures:
    rows = load_rows.rows_of(target.release, target.contract)
    load = Load(target.url, load_rows.bodies(rows, options.rows), options.rate)
    what = "one row" if options.rows == 1 else f"{options.rows:,} rows"
    pace = f"{options.rate:g} requests a second" if options.rate else "as fast as it answers"
    print(
        f"{target.release} at {target.url}: {options.seconds:g} s, {options.connections} "
        f"connections, {what} a request, {pace}"
    )
    if len(rows) == 1:
        print("Its bundle is not here: each row is the example of its contract.")
    if options.url:
        print(f"In the service's log the ids of these requests begin with {load.name}.")
    print()
    with contextlib.suppress(ImportError):  # it does not exist for Windows
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
    found: Figures,
    promise: SLO,
    missed: list[str],
) -> None:
    asked = {name: getattr(options, name) for name in ("seconds", "connections", "rows", "rate")}
    report = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "url": options.url,
        "environment": None if options.url else options.environment,
        "release": target.release,
        **asked,
        "found": asdict(found),
        "promised": {name: getattr(promise, name) for name in promise.__struct_fields__},
        "missed": missed,
    }
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(_finite(report), indent=2) + "\n", encoding="utf-8")
    print(f"\n{shown(REPORT)} has the figures.")


def _finite(value: object) -> object:
    """Put null in the place of what JSON has no form for."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="poe load", description=__doc__.splitlines()[0])
    parser.add_argument(
        "url",
        nargs="?",
        type=_url,
        help="of a service that runs, as in http://127.0.0.1:8000; its log gets these requests too",
    )
    parser.add_argument(
        "--environment",
        default=paths.STAGING,
        choices=paths.ENVIRONMENTS,
        help="without a URL: whose release is tested (staging)",
    )
    for name, kind, default, text in (
        ("seconds", _amount, 10.0, "how long (10)"),
        ("connections", _whole, 16, "that are open at once (16)"),
        ("rows", _whole, 1, "in each request (1)"),
        ("rate", _amount, None, "requests a second, whether or not the service keeps up"),
    ):
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=text)
    return parser.parse_args(arguments)


def _url(text: str) -> str:
    try:
        found = urlsplit(text)
        named = found.scheme in ("http", "https") and found.hostname and (found.port or True)
    except ValueError:
        named = False
    if not named:
        raise argparse.ArgumentTypeError(f"`{text}` is no URL as http://127.0.0.1:8000")
    return text


def _number(text: str, kind: Callable[[str], float], what: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"`{text}` is {what}")
    return value


def _amount(text: str) -> float:
    return _number(text, float, "no number above 0")


def _whole(text: str) -> int:
    return int(_number(text, int, "no whole number above 0"))
