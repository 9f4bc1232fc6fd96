"""The check that all governance records and documents exist and are complete: `rung-ops records`.

The champion of the registry has to be approved as well. A registry that does not answer is no fault
of the records, as `poe check` has to pass offline: that check is then skipped, and says so.
"""

import math
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import yaml

from rung_governance import example_text
from rung_governance.approval import bounds, plan, validation
from rung_governance.documents import inventory
from rung_governance.record_check import (
    ANSWER,
    PLACEHOLDER,
    SCHEMAS,
    Problem,
    asked_for,
    check_record,
    read_schema,
)
from rung_ops.command import verb
from rung_ops.errors import SettingsError, UnreadableFileError
from rung_ops.project import current, documents
from rung_ops.project.paths import params
from rung_ops.tracking.store_address import SQLITE, tracking_uri

# Each document that exists must have a heading with each of these words, and text below it.
HEADINGS = {
    "docs/model_card.md": "use, out of scope, factors, metrics, data, ethic, caveats",
    "docs/datasheet.md": "motivation, composition, collection, preprocessing, uses, distribution, "
    "maintenance",
    "docs/privacy.md": "purpose, personal data, necessity, risks, safeguards, retention, rights",
}


def problems(root: Path) -> list[Problem]:
    """Check every record and document below root; the registry is not asked."""
    return [
        *_record_problems(root),
        *inventory.contradictions(root),
        *_document_problems(root),
        *_privacy_problems(root),
        *_reference_problems(root),
    ]


def _record_problems(root: Path) -> Iterator[Problem]:
    repository = current().repository if root == current().root else root
    for name in asked_for(root, repository):
        schema = read_schema(name, root)
        folder = root / "governance" / name
        if folder.is_dir():  # one record a file, as of validations; there may be none yet
            files = (f for f in folder.iterdir() if f.suffix in {".yaml", ".yml", ".md"})
            for file in sorted(f for f in files if f.name != "README.md"):
                yield from check_record(file, schema, root)
        elif single := list(filter(Path.is_file, map(folder.with_suffix, (".yaml", ".md")))):
            yield from check_record(single[0], schema, root)
        else:
            remedy = str(schema.get("description", "Write it."))
            yield Problem(f"governance/{name}.yaml", "", "is missing", remedy)


def _document_problems(root: Path) -> Iterator[Problem]:
    for file, wanted in HEADINGS.items():
        if not (root / file).is_file():
            continue
        try:
            text = documents.text_of(root / file)
        except UnreadableFileError as error:
            yield Problem(file, "", str(error), "Nothing of it was checked.")
            continue
        sections = documents.sections(text)
        for word in wanted.split(", "):
            about = [title for title in sections if word in title.lower()]
            if not about:
                yield Problem(file, "", f"no heading has `{word}`", "Add the section.")
            elif not any(re.search(r"\w", sections[title]) for title in about):
                yield Problem(file, f"section {about[0]}", "is empty", ANSWER)
        for number, line in enumerate(documents.prose(text).splitlines(), start=1):
            if guess := PLACEHOLDER.search(line):
                wrong = f"`{guess[0].strip()}` is a placeholder"
                yield Problem(file, f"line {number}", wrong, ANSWER)


def _reference_problems(root: Path) -> Iterator[Problem]:
    for name in example_text.FILES:
        for part in example_text.parts_of(root, name) if (root / name).is_file() else []:
            if example_text.names_lost_sample(part, root):
                continue  # it has to be written, which `poe promote` asks for and no check
            for each in documents.broken_references(part.text, root):
                wrong = f"`{each}` names a section that is not there, or empty"
                yield Problem(name, f"line {part.line}", wrong, "Name it as its heading does.")


def _privacy_problems(root: Path) -> Iterator[Problem]:
    file = root / "docs/privacy.md"
    if not file.is_file() or root != current().root:
        return
    from rung_ops import contract

    written = documents.text_of(file)
    for name, column in contract.Row.to_schema().columns.items():
        if (column.metadata or {}).get("personal") and f"`{name}`" not in written:
            wrong = f"dataset.py marks `{name}` as personal, and this record does not mention it"
            yield Problem("docs/privacy.md", "", wrong, f"Say why `{name}` is needed.")


def plan_mismatches() -> list[str]:
    """Say where the change control plan is about other features or groups than this project's.

    The gate refuses these; before it, the plan may still be the example's.
    """
    try:
        limits = plan.bounds()
    except SettingsError:
        return []  # which problems() says
    from rung_ops import contract

    names = [each.meta.output_name() for each in contract.FEATURES]
    columns = frozenset(name for each in contract.FEATURES for name in each.meta.root_names())
    groups = {each["group"] for each in limits.fairness}
    others = list(bounds.of_features(limits, bounds.Facts({}, frozenset(names), columns)))
    allowed = [
        each.meta.output_name()
        for each in contract.FEATURES
        if limits.never_read.isdisjoint(each.meta.root_names())
    ]
    if others and allowed:
        line = yaml.safe_dump({"approved": allowed}, default_flow_style=None, width=math.inf)
        others.append(
            f"if the features here are what the plan is to approve, its line is `{line.strip()}`"
        )
    return [
        *others,
        *bounds.before_training(),
        *(
            f"fairness is bounded by {group}, which [fairness.groups] in params.toml does not have"
            for group in sorted(groups - params().get("fairness", {}).get("groups", {}).keys())
        ),
    ]


def champion_problems() -> tuple[list[Problem], str]:
    """Check the registry's champion."""
    if not (current().repository / "ops/gate.toml").is_file():  # which comes with a later rung
        return [], ""
    objections, unchecked = champion_objections()
    remedy = f"Bring the record ({validation.RECORDS}/README.md), or take the alias champion away."
    place = ("the registry", "alias champion")
    return [Problem(*place, each, remedy) for each in objections], unchecked


def of_a_model() -> list[str]:
    """Name the records and plans that each of several models has for itself."""
    repository = current().repository
    return [
        path.relative_to(repository).as_posix()
        for path in sorted((repository / "governance").rglob("*"))
        # All models share the keys.
        if path.suffix != ".pub" and path.name not in ("dvc.yaml", "allowed_signers")
        if path.parent.name != "validation" or path.name == "README.md"
    ]


NAMES = sorted(path.stem for path in SCHEMAS.glob("*.json"))


@verb("poe records")
@click.option(
    "--schema",
    type=click.Choice(NAMES),
    metavar="NAME",
    help="print the JSON schema of a record; a copy in governance/schemas/NAME.json replaces it; "
    f"one of {', '.join(NAMES)}",
)
def main(schema: str | None) -> int:
    """Check that all governance records and documents exist and are complete."""
    if schema:
        print((SCHEMAS / f"{schema}.json").read_text(encoding="utf-8"), end="")
        return 0
    of_champion, unchecked = champion_problems()
    all_problems = problems(current().root) + of_champion
    for problem in all_problems:
        print(problem, file=sys.stderr)
    if unchecked:
        print(unchecked, file=sys.stderr)
    if number := len(example_text.untouched(current().root)):
        places = "1 place is" if number == 1 else f"{number} places are"
        examples = example_text.objections(current().root)
        print(f"`poe promote` refuses until {places} written:", *examples, sep="\n")
    if mismatches := plan_mismatches():
        print("`poe gate` refuses by governance/change_control_plan.yaml:", *mismatches, sep="\n")
    if not all_problems:
        is_open = number or mismatches
        print(f"records: {'no faults but what is open above' if is_open else 'complete'}")
    return 1 if all_problems else 0


PATIENCE = 2.0  # seconds for a server to answer; `poe check` waits for it


def champion_objections() -> tuple[list[str], str]:
    """List why the champion is not approved."""
    uri = tracking_uri()
    # MLflow takes seconds to import: not where there is no registry.
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():
        return [], ""
    if uri.startswith("http") and (error := _connection_error(uri)):
        return [], _skipped(f"The MLflow server at {uri} does not answer: {error}.")
    from rung_governance.approval import registry_champion
    from rung_ops.tracking import registry

    if registry.is_server(uri) and (wrong := registry.server_problem(uri, PATIENCE)):
        return [], _skipped(wrong)
    try:
        with registry.server_errors(lambda: uri, ""):
            number = registry_champion.champion()
            version = registry.version(number) if number else None
            return validation.objections(version, answered=True) if version else [], ""
    except registry.ServerDownError as down:
        return [], _skipped(str(down))


def _connection_error(uri: str) -> str:
    """Say why a server cannot be reached at an address; empty if it can."""
    address = urlsplit(uri)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=PATIENCE).close()
    except OSError as error:
        return str(error.strerror or error).lower()
    return ""


def _skipped(why: str) -> str:
    later = "Run `uv run poe records` where it can be reached."
    return f"The champion's approval was not checked. {why.strip()} {later}"
