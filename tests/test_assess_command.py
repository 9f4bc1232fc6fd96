"""`rung assess` as a person runs it, and `rung new --from-assessment`."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from rung.assess import page as strategy_page
from rung.check.review.review import review
from rung.errors import RungError
from tests import asking
from tests.command import RUNG, dialogue, rung
from tests.repositories import plant
from tests.test_strategy import PERSONAS, WEIGHTS

Done = subprocess.CompletedProcess[str]


def test_options_answer_every_question() -> None:
    answers = {name: question.answers[-1].name for name, question in WEIGHTS.questions.items()}
    options = [word for name, answer in answers.items() for word in (f"--{name}", answer)]
    done = rung("assess", *options, "--format", "json", expect=0)

    assert (
        answers | {"domain": ["regulated"], "customers": ["ml-engineers"]}
        == json.loads(done.stdout)["answers"]
    )
    assert {} == json.loads(done.stdout)["assumed"]


def test_the_file_of_answers_may_be_named_alone(tmp_path: Path) -> None:
    file = PERSONAS / "doordash.yml"

    assert rung("assess", file).stdout == rung("assess", "--answers", file).stdout != ""
    both = rung("assess", file, "--answers", file)
    assert (2, True) == (both.returncode, "Name one file of answers" in both.stderr)
    folder = rung("assess", tmp_path)
    assert (2, True) == (folder.returncode, f"--scan {tmp_path}" in folder.stderr)


def test_what_the_file_says_holds_until_an_option_overrules_it(tmp_path: Path) -> None:
    file = tmp_path / "answers.yml"
    file.write_text((PERSONAS / "doordash.yml").read_text() + "choice: {start: 0, target: 2}\n")
    options = ("--answers", file, "--start", "1", "--size", "one", "--format", "json")
    data = json.loads(rung("assess", *options).stdout)

    assert (1, 2) == (data["start"]["level"], data["target"]["level"])
    assert {"start": 1, "target": 2} == data["choice"]
    assert ("one", "revenue") == (data["answers"]["size"], data["answers"]["harm"])
    assert "one" == data["project"]["team_size"]


def test_without_a_terminal_what_is_missing_is_named() -> None:
    done = rung("assess", "--harm", "1", expect=2)

    assert "no terminal to ask on" in done.stderr
    assert "domain, timing, models" in done.stderr
    assert "--defaults" in done.stderr
    assert "" == done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "pdf"], "There is no format `pdf`. Give one of text, json, markdown, html."),
        (["--harm", "5"], "`harm`: '5' is not an answer"),
        (["--start", "7"], "`start`: 7 is not a rung"),
        (["--game", "chess"], "`use_case`: 'chess' is not one of"),
        (["--start", "high"], "`--start`: Input should be a valid integer"),
        (["--answers", "none.yml"], "The answers file none.yml cannot be read"),
        (["--write", "nowhere"], "nowhere is not a folder"),
        (["--scan", "none"], "is not a folder. Give `--scan` the folder of a repository."),
    ],
)
def test_what_cannot_be_read_is_refused(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = rung("assess", "--defaults", *arguments, cwd=tmp_path, expect=2)

    assert message in done.stderr


def test_on_a_terminal_it_asks_and_only_the_result_is_output(tmp_path: Path) -> None:
    file = tmp_path / "strategy.json"
    command = (RUNG, "assess", "--format", "json", "--domain", "ads")
    shown = dialogue(*command, keys=[("3\n" * 15 + "Clicks\n", "")], columns=60, output=file)

    data = json.loads(file.read_text())
    assert ["ads"] == data["answers"].pop("domain")
    assert ["ml-engineers"] == data["answers"].pop("customers")
    assert {question.answers[3].name for question in WEIGHTS.questions.values()} >= set(
        data["answers"].values()
    )
    assert "15/15" in shown
    assert max(map(len, drawn(shown).splitlines())) <= 60
    assert "Clicks" == data["impact_metric"]


def test_the_page_is_put_into_a_project_and_renewed(tmp_path: Path) -> None:
    first = rung("assess", "--defaults", "--write", tmp_path)
    page = tmp_path / "docs" / "strategy.md"
    early = page.read_text()
    second = rung("assess", "--answers", PERSONAS / "bank-credit.yml", "--write", tmp_path)

    assert (0, 0) == (first.returncode, second.returncode), second.stderr
    assert "Wrote " in first.stderr
    assert "# MLOps strategy" in early
    assert page.read_text() != early and "banking" in page.read_text()
    assert ["strategy.md"] == [file.name for file in page.parent.iterdir()]


EDITED = b"\nOur own words.\n"


@pytest.mark.parametrize("content", [b"# Ours\n", b"\xff\xfe", b"", EDITED])
def test_a_page_that_somebody_wrote_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "strategy.md"
    if content == EDITED:
        strategy_page.write(tmp_path, "# Old\n")
        content = page.read_bytes() + content
    page.write_bytes(content)

    with pytest.raises(RungError, match=r"has text that Rung did not write|it is not text"):
        strategy_page.write(tmp_path, "# New\n")
    assert content == page.read_bytes()


def test_line_endings_of_another_system_are_not_an_edit(tmp_path: Path) -> None:
    page = strategy_page.write(tmp_path, "# One\n\nTwo\n")
    page.write_bytes(page.read_bytes().replace(b"\n", b"\r\n"))

    strategy_page.write(tmp_path, "# Three\n")

    assert page.read_text().endswith("# Three\n")


@pytest.mark.parametrize("link", ["docs", "docs/strategy.md"])
def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path, link: str) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    (project / link).parent.mkdir(parents=True)
    outside.mkdir()
    (project / link).symlink_to(outside if link == "docs" else outside / "file.md")

    with pytest.raises(RungError, match="is a link that leaves"):
        strategy_page.write(project, "# New\n")
    assert [] == list(outside.iterdir())


def drawn(seen: str) -> str:
    """Return what a terminal was sent without its control sequences, with a line for each drawing of one."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", re.sub(r"\x1b\[\d+D|\r+\n?", "\n", seen))


@pytest.mark.parametrize("columns", [60, 100])
def test_on_a_terminal_a_question_is_explained_and_one_can_go_back(columns: int) -> None:
    known = [f"--{name}=1" for name in WEIGHTS.questions if name not in ("pace", "size")]
    keys = (
        ("", "[Enter: 1]"),
        ("<", "[Enter: 1]"),  # nothing is before the first question
        ("?", "[Enter: 1]"),
        ("3\r", "[Enter: 0]"),
        ("<", "[Enter: 3]"),  # what was typed is offered
        ("2\r", "[Enter: 0]"),
        ("1\r", "not known yet]"),
        ("?", "not known yet]"),
        ("<", "[Enter: 1]"),
        ("\r", "not known yet]"),
        ("late trains\r", ""),
    )
    seen = dialogue(RUNG, "assess", *known, "--format", "json", keys=keys, columns=columns)

    shown, _, answers = drawn(seen).partition("\n{")
    assert max(map(len, shown.splitlines())) <= columns
    assert WEIGHTS.questions["pace"].why in " ".join(shown.split())
    result = json.loads("{" + answers)
    assert "late trains" == result["impact_metric"]
    pace, size = WEIGHTS.questions["pace"], WEIGHTS.questions["size"]
    assert pace.answers[2].name == result["answers"]["pace"]
    assert size.answers[1].name == result["answers"]["size"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a template of few files, for what does not depend on them."""
    return asking.repository(tmp_path_factory.mktemp("small") / "template")


def new(folder: Path, assessment: Path, template: Path, *options: str, expect: int = 0) -> Done:
    """Start a project from an assessment."""
    words = ("new", folder, "--defaults", "--from-assessment", assessment, "--template", template)
    return rung(*words, *options, expect=expect)


@pytest.mark.parametrize("name", ["doordash", "hospital-readmission"])
def test_a_scan_of_the_project_that_was_advised_gives_the_same_steps(
    tmp_path: Path, copier_template: Path, name: str
) -> None:
    file, made = PERSONAS / f"{name}.yml", tmp_path / "made"
    new(made, file, copier_template)
    scans: tuple[list[str | Path], ...] = ([], ["--scan", made])
    before, after = (
        json.loads(rung("assess", "--answers", file, "--format", "json", *scan).stdout)
        for scan in scans
    )

    for what in ("game", "start", "target", "north_star"):
        assert before[what].get("level") == after[what].get("level")
    assert [step["step"] for step in before["steps"]] == [step["step"] for step in after["steps"]]
    assert before["commands"][1:] == [
        each | {"run": each["run"].replace("climb .", "climb my-project")}
        for each in after["commands"]
    ]


def test_an_option_of_new_overrules_the_assessment(tmp_path: Path, copier_template: Path) -> None:
    options = ("--level", "0", "--dry-run")
    done = new(tmp_path / "made", PERSONAS / "bank-credit.yml", copier_template, *options)

    files = done.stdout.splitlines()
    assert "data/sample/german.data" in files, "the game is the assessment's"
    assert ".github/workflows/check.yml" not in files, "the level is the option's"


def test_the_printed_command_starts_the_same_project(tmp_path: Path, small: Path) -> None:
    words = rung("assess", "--answers", PERSONAS / "payments-fraud.yml").stdout.splitlines()
    command = next(line for line in words if "rung new" in line).split()

    assert ["rung", "new", "my-project"] == command[:3]
    rung(*command[1:], "--defaults", "--dry-run", "--template", small, cwd=tmp_path, expect=0)


def test_a_bad_assessment_is_refused_before_anything_is_made(tmp_path: Path, small: Path) -> None:
    file = tmp_path / "assessment.yml"
    file.write_text("harm: death\n")
    done = new(tmp_path / "made", file, small, expect=2)

    assert f"{file}: `harm`: 'death' is not an answer" in done.stderr
    assert not (tmp_path / "made").exists()


def test_the_form_is_printed_to_be_filled_in(tmp_path: Path) -> None:
    file = tmp_path / "answers.yml"
    file.write_text(rung("assess", "--questions").stdout.replace("\nsize:", "\nsize: 3"))
    done = rung("assess", "--answers", file, "--defaults", "--format", "json", expect=0)

    assert "teams" == json.loads(done.stdout)["answers"]["size"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository: tests in CI, and a script that trains."""
    files = {
        "README.md": "# Churn\n\nWho leaves?\n",
        ".gitignore": "data/\n",
        "requirements.txt": "scikit-learn==1.5.0\n",
        "train.py": "from sklearn.linear_model import Ridge\n\nRidge().fit([[1]], [1])\n",
        "tests/test_train.py": "def test_one() -> None:\n    assert score(1)\n",
        ".github/workflows/check.yml": (
            "on: push\njobs:\n  check:\n    runs-on: ubuntu-latest\n    steps:\n"
            "      - run: pip install pytest ruff\n      - run: ruff check .\n      - run: pytest\n"
        ),
    }
    return plant(tmp_path / "repository", files)


def test_a_scan_reads_a_project_whose_answers_are_damaged(tmp_path: Path) -> None:
    (tmp_path / ".copier-answers.yml").write_text("a: [", "utf-8")

    rung("assess", "--defaults", "--scan", tmp_path, expect=0)


def test_a_scan_measures_what_is_missing(repository: Path) -> None:
    done = rung("assess", "--defaults", "--scan", repository, "--format", "json")
    data = json.loads(done.stdout)
    result = review(repository, "velocity")
    blocks = [step["priority"] for step in data["steps"] if step["priority"]] + data["left"]
    gaps = {block["block"]: block["gap"] for block in blocks}
    states = {item["id"]: item["state"] for step in data["steps"] for item in step["capabilities"]}

    assert result.level == data["scan"]["level"] == data["start"]["level"]
    for block, (covered, _) in result.rating.profile.items():
        assert gaps[block] == pytest.approx(1 - covered)
    assert 0 < gaps["foundation"] < 1
    assert {"there", "to build"} == set(states.values())
    assert ("there", "to build") == (states["unit-tests"], states["container-image"])


def test_a_scan_knows_the_capabilities_and_the_policy_of_a_house(tmp_path: Path) -> None:
    waiver = '[waivers.catalogue-entry]\nreason = "none yet"\nuntil = 2999-01-01\n'
    (tmp_path / "rung.toml").write_text(waiver)
    scan = ("assess", "--defaults", "--scan", tmp_path)

    assert "`--capabilities`" in rung(*scan, expect=2).stderr
    house = Path(__file__).parent / "house/capabilities"
    assert "policy allows none" in rung(*scan, "--capabilities", house, expect=0).stderr


def test_a_scan_judges_by_the_game_that_the_answers_say(repository: Path) -> None:
    options = ["--domain", "banking", "--harm", "legal-or-safety", "--scan", str(repository)]
    data = json.loads(rung("assess", "--defaults", "--format", "json", *options).stdout)

    assert "governance" == data["game"]["played"]
    assert review(repository, "governance").level == data["scan"]["level"]


def test_what_a_scan_measures_is_not_asked(repository: Path) -> None:
    done = rung("assess", "--scan", repository, expect=2)

    assert "no answer: domain, harm, timing, models, risk, pace, decisions, collaboration, " in (
        done.stderr
    )
    text = rung("assess", "--scan", repository, "--defaults", "--explain").stdout
    assert "Where does the data come from? measured in the repository" in text
    assert "rung adopt . --level" in text


def test_what_is_waived_is_not_to_be_built(repository: Path) -> None:
    (repository / "rung.toml").write_text(
        '[waivers.container-image]\nreason = "scored in a notebook service"\nuntil = 2999-01-01\n'
    )
    data = json.loads(rung("assess", "--defaults", "--scan", repository, "--format", "json").stdout)
    states = {item["id"]: item["state"] for step in data["steps"] for item in step["capabilities"]}

    assert "waived" == states["container-image"]
