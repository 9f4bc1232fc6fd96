"""A new capability is one file of levels/capabilities/ and its name on its rung."""

import json
from collections.abc import Mapping
from pathlib import Path

import copier
import pytest
import yaml

from rung import output_formats
from rung.check.review.review import review
from rung.errors import RungError
from rung.levels import command, ladder, template
from tests import asking
from tests.repositories import plant

NAME = "notebooks-without-output"
FILE = """\
why: Output in a notebook is data in git, and every run of it is a change.
fix: Strip outputs before each commit with nbstripout.
effort: an hour
source: Rung's own
game: both
block: foundation
workflow: not in the workflow
owns: [notebooks/.gitattributes]
applies: {exists: ["**/*.ipynb"]}
evidence:
  declared: {depends: [nbstripout]}
  used: {text: 'nbstripout', in: ["**/.gitattributes", ".pre-commit-config.yaml"]}
earned_by: {.gitattributes: "*.ipynb filter=nbstripout\\n"}
not_earned_by: {look.ipynb: '{"cells": [{"cell_type": "code", "source": ["x = 1"]}]}'}
"""


@pytest.fixture
def levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Add the capability to a copy of the template, which the commands then read."""
    copy = asking.whole(tmp_path / "template")
    (copy / f"levels/capabilities/{NAME}.yml").write_text(FILE, "utf-8")
    rung = copy / "levels/1.yml"
    text = rung.read_text("utf-8")
    assert 1 == text.count("unit-tests, ")
    rung.write_text(text.replace("unit-tests, ", f"unit-tests, {NAME}, "), "utf-8")
    (copy / "templates/project/notebooks/.gitattributes").write_text("*.ipynb filter=nbstripout\n")
    monkeypatch.setattr(template, "folder", lambda: copy)
    return copy / "levels"


def test_fifteen_lines_are_a_capability(levels: Path) -> None:
    known = ladder.load(levels)[1].capabilities[NAME]
    page = command.page(ladder.load(levels), yaml.safe_load((levels / "sources.yml").read_text()))

    assert len(FILE.splitlines()) <= 15
    assert f"|`{NAME}`|both|{known.why}|`notebooks/.gitattributes`|Rung's own|" in page
    assert f"`{NAME}`" in page.partition("|not in the workflow|")[2].splitlines()[0]


@pytest.mark.parametrize(("level", "there"), [(0, False), (1, True)])
def test_a_project_gets_its_files_on_its_rung(
    levels: Path, tmp_path: Path, level: int, there: bool
) -> None:
    answers = {"level": level}
    made = tmp_path / "made"
    copier.run_copy(str(levels.parent), made, data=answers, defaults=True, quiet=True)

    assert (made / "notebooks/.gitattributes").exists() == there


def test_a_review_looks_for_it_where_there_is_something_of_its_kind(
    levels: Path, tmp_path: Path
) -> None:
    known = ladder.load(levels)[1].capabilities[NAME]

    def rung_that_asks(name: str, files: Mapping[str, str]) -> tuple[str | None, int | None]:
        found = review(plant(tmp_path / name, files)).findings[NAME]
        return found.tier, found.rung("velocity")

    assert ("used", 1) == rung_that_asks("earning", known.earned_by)
    assert (None, 1) == rung_that_asks("other", known.not_earned_by)
    assert (None, None) == rung_that_asks("without", {"train.py": "print()\n"})


@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("text", f"  Not applicable: {NAME}"),
        ("markdown", f"| 1 | {NAME} | not applicable |  |"),
        ("html", f'<p class="quiet">Not applicable: {NAME}</p>'),
    ],
)
def test_each_report_names_what_is_not_applicable(form: str, line: str, tmp_path: Path) -> None:
    result = review(plant(tmp_path / "repository", {"train.py": "print()\n"}))

    assert line in output_formats.writer("check", form)(result).splitlines()


@pytest.mark.usefixtures("levels")
def test_json_says_whether_a_capability_is_applicable(tmp_path: Path) -> None:
    result = review(plant(tmp_path / "repository", {"train.py": "print()\n"}))
    findings = json.loads(output_formats.writer("check", "json")(result))["findings"]

    assert [NAME] == [f["capability"] for f in findings if not f["applicable"]]


def test_a_file_that_no_rung_names_is_refused_with_what_to_add(levels: Path) -> None:
    (levels / "capabilities/forgotten.yml").write_text(FILE)

    with pytest.raises(RungError, match="Add `forgotten` to the `capabilities` of one of"):
        ladder.load(levels)
