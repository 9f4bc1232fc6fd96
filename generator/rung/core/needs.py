"""What a project or a rung needs of this machine, what of it is missing, and how to get it."""

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rung.core.level_contents import applies, missing
from rung.core.rendering import answers_file, copier_settings
from rung.errors import RungError
from rung.levels import ladder, template
from rung.levels.template_answers import ANSWERS, check_answers, gather_answers
from rung.options import expanded
from rung.system import plain_yaml, process, shortage
from rung.system.printable import printable

FILE = "tools.yml"
VERSION = re.compile(r"\d+(?:\.\d+)+")
SECONDS = 20  # for a program that only prints its version
SECONDS_OF_NETWORK = 60
# Finds the package as `uv sync` would, and installs and builds nothing.
RESOLVE = "pip compile --system --only-binary :all: --no-deps --no-header --no-cache --quiet -"


class Need(msgspec.Struct, frozen=True, kw_only=True, rename={"purpose": "for", "since": "from"}):
    """Something that a machine must have, as levels/tools.yml explains it: `purpose` completes "Needed to ..."."""

    name: str
    purpose: str
    since: int
    fix: str
    when: dict[str, str | list[str]] = {}
    optional: bool = False


class Program(Need, frozen=True, kw_only=True):
    """A program that a machine must have; one of the commands `ways` has to succeed."""

    ways: tuple[str, ...]
    at_least: str = ""
    below: str = ""


class Registry(Need, frozen=True, kw_only=True):
    """The address that packages come from; every project installs `package`."""

    package: str


class Certificates(Need, frozen=True, kw_only=True):
    """The registry's certificates; `fix_system` is for one that the system trusts, and uv does not."""

    fix_system: str


class Needs(msgspec.Struct, frozen=True):
    """Everything that projects need of a machine; programs are in the order of the file."""

    programs: list[Program]
    registry: Registry
    certificates: Certificates


def load_needs(folder: Path) -> Needs:
    """Read levels/tools.yml; raise a RungError if it cannot be read."""
    path = folder / FILE
    data, vendors = ladder.read(path), ladder.load_vendors(folder)
    try:
        programs = [_of_vendors(entry, name, vendors) for name, entry in data["programs"].items()]
        others = {name: data[name] | {"name": name} for name in ("registry", "certificates")}
    except (AttributeError, KeyError, TypeError) as error:
        raise ladder.wrong(path, repr(error)) from error
    return ladder.converted({"programs": programs, **others}, Needs, path)


def _of_vendors(
    entry: dict[str, Any], name: str, vendors: Mapping[str, ladder.Vendor]
) -> dict[str, Any]:
    """Return the entry of a program, which depends on the answer `ci` where vendors name it."""
    named = {ci: vendor.title for ci, vendor in vendors.items() if name in vendor.programs}
    purpose = entry["for"].format(vendors=" and ".join(named.values()))
    when = entry.get("when", {}) | ({"ci": list(named)} if named else {})
    return entry | {"name": name, "for": purpose, "when": when}


BUNDLE = Need(
    name="ca_bundle",
    purpose="reach your company's hosts from images and CI",
    since=1,
    fix="Commit the file, with all trusted certificates in PEM, or copy the layer that has it.",
)


@dataclass(frozen=True)
class Finding:
    """Whether a need is met: found, missing, too old, too new, fails or not checked."""

    need: Need
    status: str
    version: str = ""
    reason: str = ""
    fix: str = ""


def find_program(need: Program, folder: Path) -> Finding:
    """Look for a program; its first command that works counts, or else the last that fails."""
    finding = Finding(need, "missing", reason="it is not on PATH", fix=need.fix)
    for way in need.ways:
        name, *rest = way.split()
        path = process.uv() if name == "uv" else shutil.which(name)
        if path is not None:
            finding = _of_output(need, *_run([path, *rest], folder))
        if finding.status == "found":
            break
    return finding


def _of_output(need: Program, code: int, output: str) -> Finding:
    if code:
        return Finding(need, "fails", reason=_reason(code, output), fix=need.fix)
    match = VERSION.search(output)
    version = match.group() if match else ""
    if need.at_least and (not version or _number(version) < _number(need.at_least)):
        reason = f"{need.at_least} or newer is needed"
        return Finding(need, "too old", version, reason, need.fix)
    if need.below and _number(version) >= _number(need.below):
        return Finding(need, "too new", version, f"it has to be below {need.below}", need.fix)
    return Finding(need, "found", version)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def ask_registry(needs: Needs, folder: Path) -> list[Finding]:
    """Resolve a package by uv with the settings of a folder; if that fails, find the reason."""
    uv = process.uv()
    if uv is None:
        return [Finding(needs.registry, "not checked", reason="uv, which asks it, is missing")]
    code, output = _resolve(uv, needs.registry.package, folder, {})
    if not code:
        return [Finding(needs.registry, "found"), Finding(needs.certificates, "found")]
    reason = _reason(code, output)
    if not shortage.distrusts(output):
        fix = process.NO_DAYS if process.too_new(output) else needs.registry.fix
        return [Finding(needs.registry, "fails", reason=reason, fix=fix)]
    system = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    trusted = not _resolve(uv, needs.registry.package, folder, system)[0]
    fix = needs.certificates.fix_system if trusted else needs.certificates.fix
    return [
        Finding(needs.registry, "fails", reason="its certificate is refused, see `certificates`"),
        Finding(needs.certificates, "missing", reason=reason, fix=fix),
    ]


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


def _reason(code: int, output: str) -> str:
    """Return the last line that is not a hint: it says what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("hint:")] or lines
    return telling[-1].removeprefix("cause: ") if telling else shortage.end(code)


@dataclass(frozen=True)
class Report:
    """The findings about a machine: needed by the rung, by single tasks of it, and later.

    `settings` are the defaults of new projects in Copier's settings, with what this project has.
    """

    machine: str
    subject: str
    level: int
    needed: Sequence[Finding]
    optional: Sequence[Finding]
    later: Sequence[Finding]
    settings: Mapping[str, str]

    @property
    def lacks(self) -> list[Finding]:
        """Return what is needed and not found."""
        return [finding for finding in self.needed if finding.status != "found"]


def examine(path: Path, to: int | None, pairs: Sequence[str]) -> Report:
    """Look for what a project or a rung needs on this machine; uv reads its settings in the folder."""
    folder = expanded(path)
    if not folder.is_dir():
        raise RungError(answers_file.NO_FOLDER.format(folder))
    levels = template.folder() / "levels"
    changed = gather_answers(None, pairs, {})
    questions = plain_yaml.load((levels / "questions.yml").read_text("utf-8"))
    check_answers(changed, questions)
    is_project = (folder / ANSWERS).is_file()
    recorded = answers_file.answers(answers_file.recorded(folder)) if is_project else {}
    answers = recorded | changed
    level = to if to is not None else int(answers.get("level", 0))
    subject = f"{printable(str(folder))} on rung {level}"
    if not is_project:
        answered = "".join(f", {name}: {value}" for name, value in sorted(answers.items()))
        more = "`--to N` and `-d QUESTION=ANSWER` ask for more."
        subject = f"Rung {level}{answered}. No project is here: {more}"
    wanted = load_needs(levels)
    findings = [find_program(need, folder) for need in wanted.programs]
    findings += ask_registry(wanted, folder)
    bundle = str(answers.get("ca_bundle", ""))
    present = [bundle] if (folder / bundle).is_file() else []
    lacking = missing({**answers, "level": level}, present) if is_project else []
    findings += [Finding(BUNDLE, "missing", reason=text, fix=BUNDLE.fix) for text in lacking]
    here = [f for f in findings if f.need.since <= level and applies(f.need.when, answers)]
    return Report(
        f"rung {template.tag()[1:]} on {platform.platform()}, Python {platform.python_version()}",
        subject,
        level,
        needed=[finding for finding in here if not finding.need.optional],
        optional=[finding for finding in here if finding.need.optional],
        later=[finding for finding in findings if finding not in here],
        settings={
            name: f"{value}"
            if not is_project or recorded.get(name) == value
            else f"{value} (this project: {recorded.get(name, 'unset')})"
            for name, value in copier_settings.defaults(questions).items()
        },
    )


def text(report: Report) -> str:
    """Return the report for a terminal."""
    titles = ("Needed", "Needed by single tasks", "Not needed here")
    lines = [report.machine, report.subject]
    for title, findings in zip(titles, _groups(report).values(), strict=True):
        if findings:
            lines += ["", title, *(line for finding in findings for line in _lines(finding))]
    if report.settings:
        lines += ["", f"Defaults of new projects, from {printable(str(copier_settings.path()))}"]
        lines += [f"  {printable(f'{name}: {v}')}" for name, v in report.settings.items()]
    names = ", ".join(finding.need.name for finding in report.lacks)
    lines += ["", f"To fix: {names}." if names else "Everything needed was found."]
    return "\n".join(lines)


def as_json(report: Report) -> str:
    """Return the report for machines."""
    groups = {name: [*map(_data, findings)] for name, findings in _groups(report).items()}
    facts = {"machine": report.machine, "level": report.level, "complete": not report.lacks}
    facts["settings"] = dict(report.settings)
    return json.dumps(facts | groups, indent=2)


def _groups(report: Report) -> dict[str, Sequence[Finding]]:
    return {"needed": report.needed, "optional": report.optional, "later": report.later}


def _lines(finding: Finding) -> list[str]:
    need = finding.need
    name = f"{need.name} {finding.version}".rstrip()
    answers = "".join(
        f", {question}: {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
        for question, wanted in need.when.items()
    )
    lines = [
        f"  {finding.status:<11}  {name:<24}  since rung {need.since}{answers}: to {need.purpose}"
    ]
    if finding.reason:
        lines.append(f"{'':15}{printable(finding.reason)}")
    if finding.fix:
        lines.append(f"{'':15}Fix: {finding.fix}")
    return lines


def _data(finding: Finding) -> dict[str, Any]:
    need = finding.need
    return {
        "name": need.name,
        "status": finding.status,
        "version": finding.version or None,
        "since": need.since,
        "when": dict(need.when),
        "for": need.purpose,
        "reason": finding.reason or None,
        "fix": finding.fix or None,
    }
