"""`rung check` answers by its words, its formats and its exit code, and runs nothing it reads."""

import json
import re
from datetime import date
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema_rs
import pytest

from rung import output_formats
from rung.check.report import facts
from rung.check.report.text import explain
from rung.check.review.review import Review, review
from rung.errors import RungError
from tests.command import git, init, rung
from tests.conftest import ROOT
from tests.repositories import LADDER, ML, PLENTY, plant

CAPABILITIES = {name for rung_ in LADDER for name in rung_.capabilities}
TESTED = ML | {
    "README.md": "A model of late flights.\n",
    ".gitignore": "*.pyc\n",
    ".github/workflows/ci.yml": "jobs:\n  a:\n    steps:\n      - run: pytest\n      - run: ruff check\n",
    "tests/test_a.py": "def test_a():\n    assert score(1) == 1\n",
    "train.py": "import argparse\nfrom sklearn.linear_model import Ridge\nRidge().fit(x, y)\n",
    "predict.py": "model.predict(rows)\n",
    "ingest_rows.py": "rows = open('a.csv')\n",
    "Dockerfile": "FROM python:3.13\nCMD python predict.py\n",
}
TODAY = date(2026, 11, 20)
HOUSE = ROOT / "tests/house/capabilities"
SCHEMA = jsonschema_rs.validator_for(json.loads((ROOT / "docs/check.schema.json").read_text()))


def look(folder: Path) -> Review:
    return review(folder, limits=PLENTY, today=TODAY)


def shown(form: str, result: Review) -> str:
    return output_formats.writer("check", form)(result)


def test_json_has_what_a_machine_asks_for(tmp_path: Path) -> None:
    done = rung("check", plant(tmp_path, TESTED), "--format", "json", "--seconds", "60")
    data = json.loads(done.stdout)

    assert 1 == data["level"]
    assert ("velocity", True, False) == (data["game"], data["machine_learning"], data["partial"])
    assert CAPABILITIES == {finding["capability"] for finding in data["findings"]}
    assert {"serving", "data"} < set(data["profile"])
    assert {"Data", "Model", "Infra", "Monitor"} == set(data["ml_test_score"]["sections"])
    assert "orchestrated-pipeline" in {blocker["capability"] for blocker in data["blockers"]}
    assert all(blocker["fix"] and blocker["effort"] for blocker in data["blockers"])
    (tests,) = (one for one in data["findings"] if one["capability"] == "unit-tests")
    assert "automated" == tests["tier"]
    assert {"tier": "used", "file": "tests/test_a.py", "line": 1, "text": "def test_a():"} in tests[
        "evidence"
    ]


def test_the_text_says_rung_evidence_and_next_steps(tmp_path: Path) -> None:
    done = rung("check", plant(tmp_path / "late", TESTED), expect=0)

    assert "late: rung 1, Tested" in done.stdout
    assert "Read, not run: every finding is static." in done.stdout
    assert "Microsoft part of 1, DevOps, no MLOps; Google 0, Manual process" in done.stdout
    assert "predict.py:1  model.predict(rows)" in done.stdout
    assert "orchestrated-pipeline (a week by hand; Rung brings it, 1 point)" in done.stdout


@pytest.mark.parametrize(("least", "code"), [("0", 0), ("1", 0), ("2", 1), ("4", 1)])
def test_the_exit_code_says_whether_the_rung_is_high_enough(
    tmp_path: Path, least: str, code: int
) -> None:
    assert code == rung("check", plant(tmp_path, TESTED), "--min-level", least).returncode


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "pdf"], "There is no format `pdf`"),
        (["--game", "chess"], "There is no use case `chess`"),
        (["--explain", "magic"], "There is no capability `magic`"),
        (["--min-level", "9"], "less than or equal to 4"),
        (["--base", "main"], "in a git repository"),
    ],
)
def test_what_cannot_be_answered_ends_with_2(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = rung("check", plant(tmp_path, TESTED), *arguments, expect=2)

    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = rung("check", tmp_path / "nowhere", expect=2)

    assert "nowhere is not a folder" in done.stderr


def test_explain_says_what_was_looked_for_found_and_is_to_do(tmp_path: Path) -> None:
    done = rung("check", plant(tmp_path, TESTED), "--explain", "model-registry", expect=0)

    assert "model-registry: not found" in done.stdout
    assert "register_model" in done.stdout
    assert "found nothing" in done.stdout
    assert "To do (a day): Register each trained model" in done.stdout


def test_the_other_game_asks_for_more(tmp_path: Path) -> None:
    folder = plant(tmp_path, TESTED)

    assert 1 == look(folder).level
    assert 0 == review(folder, "governance", PLENTY).level


def test_git_is_not_needed_and_nothing_is_run(tmp_path: Path) -> None:
    trap = f"import pathlib\npathlib.Path({str(tmp_path / 'sprung')!r}).touch()\n"
    files = TESTED | {"setup.py": trap, "conftest.py": trap, "sitecustomize.py": trap}
    folder = plant(tmp_path / "trap", files | {"Makefile": f"$(shell touch {tmp_path}/sprung)\n"})

    rung("check", ".", cwd=folder, environment={"PATH": "/nowhere"}, expect=0)

    assert not (tmp_path / "sprung").exists()


def test_the_base_shows_what_changed(tmp_path: Path) -> None:
    folder = plant(tmp_path, {path: text for path, text in TESTED.items() if "ci.yml" not in path})
    plant(init(folder), TESTED)

    done = rung(
        "check", folder, "--format", "markdown", "--base", "main", "--seconds", "60", expect=0
    )

    assert "Against the base: rung 0 to 1" in done.stdout
    assert "| ci-build-test | none | automated |" in done.stdout
    assert "| unit-tests | used | automated |" in done.stdout


def test_a_base_that_is_not_a_commit_is_named(tmp_path: Path) -> None:
    folder = plant(tmp_path, TESTED)
    git(folder, "init", "--quiet")
    done = rung("check", folder, "--base", "nowhere", expect=2)

    assert "There is no commit `nowhere`" in done.stderr


def test_sarif_names_rules_places_and_levels(tmp_path: Path) -> None:
    reviewed = look(plant(tmp_path, TESTED))
    data = json.loads(shown("sarif", reviewed))
    (run,) = data["runs"]
    rules = run["tool"]["driver"]["rules"]

    assert "2.1.0" == data["version"]
    assert run["results"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("warning", "note")
        place = result["locations"][0]["physicalLocation"]
        assert re.fullmatch(r"[\w./%-]+", place["artifactLocation"]["uri"])
        assert place["region"]["startLine"] >= 1
    assert "orchestrated-pipeline" in {
        result["ruleId"] for result in run["results"] if result["level"] == "warning"
    }


def test_the_badge_is_svg_with_its_words_for_all(tmp_path: Path) -> None:
    badge = ElementTree.fromstring(shown("badge", look(plant(tmp_path, TESTED))))

    assert "MLOps rung: 1 Tested" == badge.attrib["aria-label"]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name in ("src", "onclick", "onload") for name, _ in attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()


def test_the_page_is_self_contained_and_escapes_text(tmp_path: Path) -> None:
    files = TESTED | {"predict.py": "model.predict('<script>alert(1)</script>')\n"}
    page = shown("html", look(plant(tmp_path, files)))
    tags = Tags()
    tags.feed(page)

    assert not tags.open
    assert "script" not in tags.tags and "link" not in tags.tags
    assert "&lt;script&gt;" in page
    assert not re.search(r"(?:src|href)=.https?:|@import|url\(", page)


def test_a_waiver_lifts_a_demand_until_its_day(tmp_path: Path) -> None:
    waiver = '[waivers.ci-build-test]\nreason = "A frozen archive"\nuntil = 2026-12-31\n'
    files = {path: text for path, text in TESTED.items() if "ci.yml" not in path}
    folder = plant(tmp_path, files | {"rung.toml": waiver})
    result = look(folder)

    assert 1 == result.level
    assert "waiver until 2026-12-31: A frozen archive" in shown("text", result)
    late = review(folder, limits=PLENTY, today=date(2027, 1, 1))
    assert 0 == late.level
    assert "The waiver of `ci-build-test` in rung.toml expired on 2026-12-31." in late.notes
    assert "The waiver of <code>ci-build-test</code> in rung.toml" in shown("html", late)


def test_an_attestation_counts_as_used_and_is_printed(tmp_path: Path) -> None:
    settings = (
        'game = "governance"\n[attestations.human-approval-gate]\nreason = "Environment reviewers"\n'
        'link = "https://example.org/environments"\nuntil = "2027-01-01"\n'
    )
    result = look(plant(tmp_path, TESTED | {"rung.toml": settings}))

    assert ("governance", "rung.toml") == (result.game, result.game_from)
    assert "used" == result.findings["human-approval-gate"].tier
    for form in ("text", "markdown", "html"):
        assert "https://example.org/environments" in shown(form, result)
    (one,) = (
        each
        for each in facts.facts(result)["findings"]
        if each["capability"] == "human-approval-gate"
    )
    assert "https://example.org/environments" == one["attestation"]["link"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('game = "chess"', "`game` is 'chess'"),
        ('use_case = "chess"', "`use_case` is 'chess'"),
        ("[waivers.magic]\n", "those of your organisation need `--capabilities`"),
        ('[waivers.unit-tests]\nreason = "x"\n', "`until` is missing"),
        ('[waivers.unit-tests]\nreason = " "\nuntil = 2027-01-01\n', "`reason` is missing"),
        ('[waivers.unit-tests]\nreason = "x"\nuntil = "soon"\n', "is not a day"),
        ('[attestations.unit-tests]\nreason = "x"\nuntil = 2027-01-01\n', "`link` is missing"),
        ("game = [", "does not parse as TOML"),
    ],
)
def test_what_is_wrong_in_rung_toml_is_named(tmp_path: Path, settings: str, words: str) -> None:
    with pytest.raises(RungError, match=re.escape(words)):
        look(plant(tmp_path, TESTED | {"rung.toml": settings}))


STATED = """
[waivers.unit-tests]
reason = "None yet"
until = 2026-12-01
[waivers.ci-build-test]
reason = "A frozen archive"
until = 2027-05-20
[waivers.container-image]
reason = "Scored in a notebook service"
until = 2027-05-19
[attestations.unit-tests]
reason = "In another repository"
link = "https://example.org/tests"
until = 2026-12-01
"""


WAIVED = ("unit-tests", "ci-build-test", "container-image")


def test_a_statement_against_the_policy_does_not_count_and_every_report_says_why(
    tmp_path: Path,
) -> None:
    files = {path: text for path, text in TESTED.items() if "ci.yml" not in path}
    folder = plant(tmp_path / "repository", files | {"rung.toml": STATED})
    result = review(folder, limits=PLENTY, today=TODAY, capabilities_of=HOUSE)

    assert (look(folder).level, result.level) == (1, 0)
    assert not [note for note in look(folder).notes if "does not count" in note]
    never = "does not count: your organisation's policy allows none. Remove it, and bring"
    longer = (
        "does not count: your organisation's policy allows 180 days. Let it end by 2027-05-19, "
        "and renew it then."
    )
    assert result.notes[:3] == [
        f"The waiver of `unit-tests` in rung.toml {never} `unit-tests`.",
        f"The waiver of `ci-build-test` in rung.toml {longer}",
        f"The attestation of `unit-tests` in rung.toml {never} `unit-tests`.",
    ]
    for form in ("text", "markdown", "html"):
        text = unescape(shown(form, result))
        assert f"waiver until 2027-05-20 {longer}" in text, form
        assert "waiver until 2027-05-19: Scored in a notebook service" in text, form
    assert longer in explain(result, "ci-build-test")
    data = facts.facts(result)
    SCHEMA.validate(data)
    stated = {found["capability"]: found.get("waiver") for found in data["findings"]}
    assert stated["ci-build-test"]["refused"].endswith("renew it then")
    assert "refused" not in stated["container-image"]

    none = plant(tmp_path / "none", {"policy.yml": "waivers: {never: ['*']}\n"})
    result = review(folder, limits=PLENTY, today=TODAY, capabilities_of=none)
    assert [f"The waiver of `{name}` in rung.toml {never} `{name}`." for name in WAIVED] == [
        note for note in result.notes if "does not count" in note
    ]


def test_a_house_adds_capabilities_of_its_own(tmp_path: Path) -> None:
    more = HOUSE
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository/catalog-info.yaml").write_text("owner: a\nkind: b\nlifecycle: c\n")

    def tier(*options: str | Path) -> str | None:
        done = rung("check", tmp_path / "repository", "--format", "json", *options, expect=0)
        found = json.loads(done.stdout)["findings"]
        return next((f["tier"] for f in found if f["capability"] == "catalogue-entry"), None)

    assert (tier(), tier("--capabilities", more)) == (None, "used")
    (tmp_path / "more").mkdir()
    entry = (more / "catalogue-entry.yml").read_text()
    for name, text, problem in (
        ("prediction-service", entry, "Rung has a capability of this name"),
        ("other", entry.replace("level: 1", "level: 7"), "`level` must be a rung"),
        ("other", "level: 1", "missing required field"),
        ("other", entry.replace("an hour", "3 days"), "`effort`: "),
        ("other", entry + "change: Write {catalog}.\n", "unknown word `{catalog}`"),
        ("other", entry.replace("{keys: [", "{txt: ["), "`evidence.used` is not a predicate"),
        ("other", entry.replace("{keys", "{text: '(', keys"), "`evidence.used` is not a predicate"),
        ("other", entry.partition("{keys")[0] + "reached\n", "`evidence.used` is not a predicate"),
        (
            "other",
            entry.replace("{keys", "{any: {a: 1}, keys"),
            "`evidence.used` is not a predicate",
        ),
        ("policy", "waivers: {never: [unit-test]}", "`never` names `unit-test`"),
        ("policy", "waivers: {longest: 9}", "unknown field `longest`"),
        ("policy", "", "Expected `object`"),
        ("policy", "waivers: {longest_days: 9}\nwaivers: {}", "`waivers` is written twice"),
        ("POLICY", "waivers: {longest_days: 9}", "Name it policy.yml"),
    ):
        (tmp_path / f"more/{name}.yml").write_text(text)
        done = rung("check", tmp_path / "repository", "--capabilities", tmp_path / "more")
        assert (done.returncode, problem in done.stderr) == (2, True), done.stderr
        (tmp_path / f"more/{name}.yml").unlink()
    (tmp_path / "more/policy.yml").symlink_to("nowhere")
    done = rung("check", tmp_path / "repository", "--capabilities", tmp_path / "more", expect=2)
    assert "policy.yml is missing" in done.stderr
    assert "it is empty" in rung("check", "--capabilities", "", expect=2).stderr
    (tmp_path / "more/policy.yml").unlink()
    (tmp_path / "more/policy.yml").write_text("waivers: {longest_days: 9}")
    (tmp_path / "more/entry.yaml").write_text(entry)
    done = rung("fleet", tmp_path, "--capabilities", tmp_path / "more", expect=2)
    assert "Name it entry.yml." in done.stderr, "once, and not in each row"
