"""Hash what the templates say of their example, for rung_governance.example_text.

Prints a hash a line: python tests/assets/example_text.py
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rung_governance import example_text
from rung_ops.project import documents

TEMPLATES = Path(__file__).parents[2] / "templates"
EVERYTHING = ""
# By document: where its text is, and the fields and headings that speak of the example. The rest is
# true of every project: how a version is approved, what the audit log is.
SOURCES = {
    "docs/use_case.md": {
        "examples/credit/use_case.md": EVERYTHING,
        "project/models/household_credits/docs/use_case.md": EVERYTHING,
    },
    "docs/model_card.md": {
        "examples/credit/model_card.md": EVERYTHING,
        "examples/own/model_card.md": EVERYTHING,
    },
    "docs/datasheet.md": {
        "examples/credit/datasheet.md": EVERYTHING,
        "examples/own/datasheet.md": EVERYTHING,
    },
    "docs/privacy.md": {
        "project/docs/privacy.md": "Purpose|Personal data|Necessity|Retention|Review"
    },
    "governance/model_inventory.yaml": {"project/governance/model_inventory.yaml.jinja": EVERYTHING},
    "governance/risk_register.yaml": {"project/governance/risk_register.yaml": r"risks\[[0-3]\]"},
    "governance/retention.yaml": {
        "project/governance/retention.yaml": (
            r"logs\[[01236]\]\.(protected_by|erased_by)|logs\[5\]"
        )
    },
    "governance/change_control_plan.yaml": {
        "project/governance/change_control_plan.yaml": (
            r"scope|approved_by|modifications\[[0-2]\]|impact\[[0-2]\]\.risk|impact\[1\]"
        )
    },
    "governance/monitoring_plan.yaml": {
        "project/governance/monitoring_plan.yaml": (
            r"metrics\[[013678]\]\.action|metrics\[8\]\.cadence|incidents"
        )
    },
    "governance/oversight.md": {"project/governance/oversight.md": "Who|What the person sees|Training"},
    "governance/technical_file/annex_iv.md": {
        "project/governance/technical_file/annex_iv.md": r"provider|[1-578]\. "
    },
    "data/sample/README.md": {
        "examples/credit/sample_README.md": EVERYTHING,
        "project/models/household_credits/data/sample/README.md": EVERYTHING,
    },
}
# Said in a part that speaks of the example, and may be said of every model.
OF_EVERY_MODEL = """\
The figures of the test decide.
A chain of hashes with signed anchors, which `poe audit-log` verifies.
Files are named by the hash of their content.
Reasons must name no applicant (governance/oversight.md).
Worth teaching: where the model is wrong, that following it is no safer than overruling it
(automation bias), how it is stopped.
"""


def hashes() -> list[str]:
    """Hash the sentences of every part that speaks of the example; those of old templates stay."""
    now = {each for part in parts() for each in example_text.sentences_of(part.text)}
    before = set(example_text.HASHES.read_text().split())
    return sorted((now | before) - example_text.sentences_of(OF_EVERY_MODEL).keys())


def parts() -> Iterator[example_text.TextPart]:
    """List the parts that speak of the example, by the name of the document in a project."""
    with tempfile.TemporaryDirectory() as folder:
        for name, sources in SOURCES.items():
            for source, locations in sources.items():
                file = Path(folder) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(TEMPLATES / source, file)
                # What an answer fills in is the project's own.
                file.write_text(re.sub(r"\{\{.*?\}\}", '"x"', file.read_text("utf-8")), "utf-8")
                result = example_text.parts_of(Path(folder), name)
                assert any(re.search(locations, part.place) for part in result), source
                yield from (part for part in result if _is_wanted(part, locations))


def _is_wanted(part: example_text.TextPart, locations: str) -> bool:
    """Leave out the text below the title: how the document is used, in every project."""
    below_title = part.file.endswith(".md") and part.line <= 3 and part.place[0] == '"'
    refers = documents.REFERENCE.fullmatch(part.text.strip())
    return not below_title and not refers and bool(re.search(locations, part.place))


if __name__ == "__main__":
    print("\n".join(hashes()))
