"""What a project was generated with as an example is known again, and is not promoted."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from machinery.governance.tests.conftest import Capture, Patch, Refusal, Releases
from machinery.governance.tests.signing import Desk
from machinery.tests.projects import moved
from rung_governance import example_text
from rung_governance.approval import promote
from rung_governance.documents import records
from rung_governance.example_text import objections, rewrite, untouched
from rung_ops.data.draft.files import USE_CASE
from rung_ops.project import current

INVENTORY = "governance/model_inventory.yaml"
MAKER = Path(__file__).parents[3] / "tests/assets/example_text.py"
# One team has no raci.md, and rung 2 no on_call.md.
FILES = [name for name in example_text.FILES if (current().root / name).is_file()]
OWN = "Officers of our branch in Trento see the figure beside the file and decide."


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The documents of an unedited project."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(current().root / name, tmp_path / name)
    return tmp_path


def places(root: Path, file: str) -> list[str]:
    return [part.place for part in untouched(root) if part.file == file]


def edit(root: Path, file: str, before: str, after: str) -> None:
    text = (root / file).read_text(encoding="utf-8")
    assert before in text
    (root / file).write_text(text.replace(before, after, 1), encoding="utf-8")


@pytest.mark.skipif(not MAKER.is_file(), reason="an ejected project has no templates")
def test_the_hashes_are_those_of_the_templates() -> None:
    made = subprocess.run([sys.executable, MAKER], check=True, capture_output=True, text=True)
    assert example_text.HASHES.read_text() == made.stdout, "run `make docs`"


def test_each_document_of_the_example_is_known_and_what_holds_for_every_project_is_not(
    project: Path,
) -> None:
    assert {part.file for part in untouched(project)} == set(FILES)
    assert '"Personal data"' in places(project, "docs/privacy.md")  # columns of the example
    assert '"Rights of the people concerned"' not in places(project, "docs/privacy.md")
    for general in ('"The audit log"', '"Approve"'):
        assert general not in places(project, "governance/oversight.md")


def test_what_is_to_be_written_is_said_by_file_and_once_for_the_places_that_ask_for_the_same(
    project: Path,
) -> None:
    lines = (project / PLAN).read_text(encoding="utf-8").splitlines()
    first, second, third, *_ = (1 + at for at, line in enumerate(lines) if "    change: " in line)
    by_file = dict(each.split(":\n", 1) for each in objections(project))

    assert list(by_file) == FILES
    assert (
        f"  line {first}, `modifications[0].change`; line {second}, `modifications[1].change`; "
        f"line {third}, `modifications[2].change`: still the text of the example. Say what changes."
    ) in by_file[PLAN].splitlines()
    for said in by_file.values():
        remedies = re.findall(r": ((?:still|not) .*)", said)
        assert len(set(remedies)) == len(remedies) == len(said.splitlines())


LIVED = "how and how long the applicant has lived there"
TABLE = """\
|Columns|What they tell|Why they are held|
|-|-|-|
|`age`|{}|feature|
|`clinic`|where they go|it differs|
"""


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (TABLE.format("age in years"), None),
        (TABLE.format(LIVED), f'"{LIVED}"'),
        (
            f"A column that neither helps the prediction nor serves a comparison is not held. {OWN}",
            None,
        ),
        (
            f"We hold it. The twenty attributes are those of\nthe application and the account. {OWN[:30]}.",
            '"The twenty attributes are those of the application and the account"',
        ),
    ],
    ids=["a table", "a cell of the example", "more is own", "more is the example's"],
)
def test_own_text_counts_and_of_the_examples_the_words_are_quoted(
    project: Path, text: str, quoted: str | None
) -> None:
    privacy = "docs/privacy.md"
    (project / privacy).write_text(f"# Privacy\n\n## Personal data\n\n{text}\n")

    said = [each for each in objections(project) if each.startswith(privacy)]

    place = '  line 5, "Personal data": still the text of the example: '
    assert said == ([f"{privacy}:\n{place}{quoted}. Write what is the case."] if quoted else [])


FUNCTIONS, USE = "`models[0].functioning_properly`", "`models[0].actual_use`"
PLAN = "governance/change_control_plan.yaml"
SAMPLE = """
      On the sample, C from 0.01 to 3 moved the area under the ROC curve from 0.81 to 0.79 only;"""
PROPOSED = " It is trained and judged on public data to set up the process."
CHANGED = f"{OWN} She writes down why each time. At"


@pytest.mark.parametrize(
    ("file", "place", "before", "after", "is_known"),
    [
        (
            INVENTORY,
            FUNCTIONS,
            "Not known for applicants",
            "Not  known for\n      applicants",
            True,
        ),
        (INVENTORY, FUNCTIONS, "Not known for applicants", "NOT KNOWN, for applicants", True),
        (INVENTORY, FUNCTIONS, "in production.", "in production. Aaaa.", True),
        (INVENTORY, FUNCTIONS, "in production.", "in production. We looked at all of this.", True),
        (INVENTORY, FUNCTIONS, "Not known for applicants of today. On", CHANGED, False),
        (INVENTORY, USE, PROPOSED, "", False),
        (PLAN, "`impact[1].mitigation`", SAMPLE, "", False),
    ],
    ids=[
        *("other lines", "case and signs", "a word behind it", "a sentence behind it", "changed"),
        *("an answer that the schema proposes", "a sentence that every model may say"),
    ],
)
def test_the_example_is_known_in_other_clothes_and_an_answer_is_not_it(
    project: Path, file: str, place: str, before: str, after: str, is_known: bool
) -> None:
    assert place in places(project, file)
    edit(project, file, before, after)
    assert (place in places(project, file)) is is_known


def test_a_reference_is_checked_at_its_target(project: Path) -> None:
    assert "`models[0].expected_use`" not in places(project, INVENTORY)
    assert '"Intended use"' not in places(project, "docs/model_card.md")
    assert '"Intended use"' in places(project, "docs/use_case.md")
    assert [str(each) for each in records._reference_problems(project)] == []

    edit(project, "docs/use_case.md", "## Intended use", "## Who uses it")

    problems = [str(each) for each in records._reference_problems(project)]
    assert {"docs/model_card.md", "docs/privacy.md", INVENTORY} == {
        each.partition(",")[0] for each in problems
    }
    assert "`See docs/use_case.md, Intended use.` names a section that is not there" in problems[0]


def test_a_drafted_use_case_has_the_sections_that_records_name(project: Path) -> None:
    page = USE_CASE.format(target="rent", file="flats.csv", metric="mae")
    (project / "docs/use_case.md").write_text(page)

    assert [] == [str(each) for each in records._reference_problems(project)]
    assert page.count("## ") == len([part for part in untouched(project) if part.text in page])


@pytest.mark.parametrize("page", [None, "# Our rows\n\nFrom the warehouse.\n"])
def test_what_refers_to_the_page_of_a_sample_that_was_replaced_has_to_be_written(
    project: Path, page: str | None
) -> None:
    (project / "data/sample/README.md").unlink()
    if page:
        (project / "data/sample/README.md").write_text(page)

    assert '"Composition"' in places(project, "docs/datasheet.md")
    assert [str(each) for each in records._reference_problems(project)] == []


QUESTION = "Not written yet. Who asks for a prediction, when, and what do they do with it?"
PRACTICE = (
    "Officers are trained before they see the figures: what the model knows and does not, that "
    "following it is not safer than overruling it (automation bias), and how to stop it. Twice a "
    "year the stop is practised in staging, once outside of working hours."
)


@pytest.mark.parametrize(
    ("file", "heading", "text"),
    [
        ("docs/model_card.md", "Intended use", QUESTION),
        ("governance/oversight.md", "Training", PRACTICE),
    ],
    ids=["not written yet", "a claim of earlier templates"],
)
def test_what_nobody_wrote_counts_as_the_example(
    project: Path, file: str, heading: str, text: str
) -> None:
    (project / file).write_text(f"# Page\n\n## {heading}\n\n{text}\n")
    assert places(project, file) == [f'"{heading}"']


def test_what_a_person_has_to_say_of_practice_is_not_written_yet(project: Path) -> None:
    said = " ".join(objections(project))

    for file, place in (
        ("governance/oversight.md", '"Training and practice"'),
        ("governance/retention.yaml", "`logs[6].protected_by`"),
        ("docs/runbook.md", '"Whom to call"'),
    ):
        assert place in places(project, file)
    assert "not written yet. Say what keeps it from being changed or deleted." in said
    for claim in ("Twice a year the stop", "every night"):
        assert not any(claim in (project / name).read_text() for name in FILES)


def test_every_place_can_be_written_and_the_records_stay_whole(project: Path) -> None:
    rewrite(project, OWN)

    assert untouched(project) == []
    plans, others = ("change_control_plan", "monitoring_plan"), ("technical_file", "retention")
    for name in ("model_inventory", "risk_register", *plans, *others):
        file = next(each for each in example_text.FILES if name in each)
        problems = records.check_record(project / file, records.read_schema(name, project), project)
        assert [str(each) for each in problems if "does not exist" not in str(each)] == []


def test_a_document_that_is_not_there_or_not_yaml_is_left_to_poe_records(project: Path) -> None:
    (project / "docs/use_case.md").unlink()
    (project / INVENTORY).write_text("models: [\n")
    assert not places(project, "docs/use_case.md") + places(project, INVENTORY)


def test_poe_records_lists_the_places_and_does_not_fail(
    project: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    moved(monkeypatch, records, root=project)
    monkeypatch.setattr(records, "problems", lambda root: [])
    monkeypatch.setattr(records, "champion_problems", lambda: ([], ""))

    assert records.main([]) == 0
    output = capsys.readouterr().out
    assert "`poe promote` refuses" in output and f"{INVENTORY}:" in output
    assert "records: no faults but what is open above" in output

    last = example_text.untouched(project)[-1:]
    monkeypatch.setattr(example_text, "untouched", lambda root: last)
    records.main([])
    assert "refuses until 1 place is written:" in capsys.readouterr().out


@pytest.mark.tried(
    "Approve or promote with the text of the example in a document",
    "refused, with file, line and what to write",
)
def test_a_version_is_not_promoted_with_the_text_of_the_example(
    releases: Releases, refusal: Refusal
) -> None:
    releases.deploy_first()
    (releases.project / "docs").mkdir()
    shutil.copy(current().root / "docs/use_case.md", releases.project / "docs")

    assert "docs/use_case.md:" in refusal(promote.main, "1")
    assert releases.now.serving is None
    rewrite(releases.project, OWN)
    assert promote.main(["1"]) == 0


def test_a_validator_signs_no_text_of_the_example(desk: Desk, capsys: Capture) -> None:
    version = desk.version()
    (desk.folder / "docs").mkdir()
    shutil.copy(current().root / "docs/use_case.md", desk.folder / "docs")

    assert desk.approve(version) == 1

    assert "still the text of the example" in capsys.readouterr().err
