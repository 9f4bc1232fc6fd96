"""Look for what a machine needs: programs on PATH, and the package registry by way of uv."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rung.core.doctor.needs import Need, Needs, Program
from rung.system import process, shortage

VERSION = re.compile(r"\d+(?:\.\d+)+")
SECONDS = 20  # for a program that only prints its version
SECONDS_OF_NETWORK = 60
# Finds the package as `uv sync` would, and installs and builds nothing.
RESOLVE = "pip compile --system --only-binary :all: --no-deps --no-header --no-cache --quiet -"


@dataclass(frozen=True)
class Finding:
    """What was found of a need.

    Attributes:
        need: what was looked for.
        status: found, missing, too old, too new, fails or not checked.
        version: of the program, or nothing.
        reason: why it is not found, or nothing.
        fix: what to do, or nothing.
    """

    need: Need
    status: str
    version: str = ""
    reason: str = ""
    fix: str = ""


def program(need: Program, folder: Path) -> Finding:
    """Look for a program; of several ways, the first that is found counts, else the last that is not."""
    finding = Finding(need, "missing", reason="it is not on PATH", fix=need.fix)
    for way in need.ways:
        name, *rest = way.split()
        path = process.uv() if name == "uv" else shutil.which(name)
        if path is None:
            continue
        code, output = _run([path, *rest], folder)
        finding = _of_output(need, code, output)
        if finding.status == "found":
            break
    return finding


def _of_output(need: Program, code: int, output: str) -> Finding:
    if code:
        reason = _last(output) or shortage.end(code)
        return Finding(need, "fails", reason=reason, fix=need.fix)
    match = VERSION.search(output)
    version = match.group() if match else ""
    if need.at_least and (not version or _number(version) < _number(need.at_least)):
        reason = f"{need.at_least} or newer is needed"
        return Finding(need, "too old", version, reason, need.fix)
    if need.below and _number(version) >= _number(need.below):
        return Finding(need, "too new", version, f"it has to be below {need.below}", need.fix)
    return Finding(need, "found", version)


def registry(needs: Needs, folder: Path) -> list[Finding]:
    """Ask uv for a package with the settings of a folder; if it fails, look for the reason."""
    uv = process.uv()
    if uv is None:
        return [Finding(needs.registry, "not checked", reason="uv, which asks it, is missing")]
    code, output = _resolve(uv, needs.package, folder, {})
    if not code:
        return [Finding(needs.registry, "found"), Finding(needs.certificates, "found")]
    reason = _last(output) or shortage.end(code)
    if not shortage.distrusts(output):
        return [Finding(needs.registry, "fails", reason=reason, fix=_fix(needs, output))]
    system = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    trusted = not _resolve(uv, needs.package, folder, system)[0]
    fix = needs.fix_system if trusted else needs.certificates.fix
    return [
        Finding(needs.registry, "fails", reason="its certificate is refused, see `certificates`"),
        Finding(needs.certificates, "missing", reason=reason, fix=fix),
    ]


def _fix(needs: Needs, output: str) -> str:
    return process.NO_DAYS if process.too_new(output) else needs.registry.fix


def _resolve(uv: str, package: str, folder: Path, extra: Mapping[str, str]) -> tuple[int, str]:
    quick = {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "15", "UV_HTTP_CONNECT_TIMEOUT": "15"}
    command = [uv, *RESOLVE.split()]
    return _run(command, folder, {**quick, **extra}, stdin=package, seconds=SECONDS_OF_NETWORK)


def _run(
    command: Sequence[str],
    folder: Path,
    extra: Mapping[str, str] | None = None,
    *,
    stdin: str = "",
    seconds: float = SECONDS,
) -> tuple[int, str]:
    """Run a program to its end; return its exit code and what it printed."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=process.environment(extra),
            input=stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer within {seconds:g} seconds"
    except OSError as error:
        return 1, os.strerror(error.errno or 0)
    return done.returncode, done.stdout.decode(errors="replace")


def _last(output: str) -> str:
    """Return the last line that says what went wrong: hints come after it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("hint:")] or lines
    return telling[-1].removeprefix("cause: ") if telling else ""


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
