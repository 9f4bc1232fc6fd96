"""An assessment: answers read, asked and assumed, and every form it is printed in."""

import html
import io
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sensitivity import SECTION, section
from rung.assess import phrases
from rung.assess.answers import Responses, ask_user, assume, decide, form, read, understand
from rung.assess.assessment import Assessment, advised
from rung.assess.strategy import Choice
from rung.errors import RungError
from rung.output_formats import FORMATS, writer
from tests.conftest import QUESTIONS
from tests.test_check_command import Tags
from tests.test_strategy import PERSONAS, WEIGHTS, any_answers, assessed, assessed_file, persona

NO_RESPONSES = Responses({}, Choice())


def render(form: str, made: Assessment, *, explain: bool = True) -> str:
    return writer("assess", form)(made, explain=explain)


def answers_file(folder: Path, text: str) -> Path:
    file = folder / "answers.yml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"harm": "revenue"}, {"harm": ("revenue",)}),
        ({"harm": 1}, {"harm": ("revenue",)}),
        ({"harm": "1"}, {"harm": ("revenue",)}),
        ({"domain": "fraud, ads"}, {"domain": ("fraud", "ads")}),
        ({"domain": ["fraud", "ads", "fraud"]}, {"domain": ("fraud", "ads")}),
        ({"domain": 3}, {"domain": ("regulated",)}),
        ({"domain": "Health care, financial"}, {"domain": ("health", "finance")}),
        ({"domain": "personalized marketing"}, {"domain": ("marketing",)}),
        ({"domain": "HR, real-time bidding"}, {"domain": ("hiring", "ads")}),
        ({"customers": "researchers"}, {"customers": ("data-scientists",)}),
        ({"domain": "0,2"}, {"domain": ("commerce", "fraud")}),
        ({"delivery": "none"}, {"delivery": ("none",)}),
        ({"domain": "health insurance"}, {"domain": ("life-insurance",)}),
        ({"domain": "press, Broadcast, media"}, {"domain": ("media",)}),
    ],
)
def test_an_answer_may_be_a_name_or_a_number(
    given: dict[str, Any], meant: dict[str, tuple[str, ...]]
) -> None:
    assert meant == understand(given, WEIGHTS)


@pytest.mark.parametrize("name", ["use_case", "game"])
def test_a_chosen_use_case_is_known_by_its_earlier_name(tmp_path: Path, name: str) -> None:
    file = answers_file(tmp_path, f"choice: {{{name}: governance}}")

    assert "governance" == read(file, WEIGHTS).choice.game


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "harms: 1",
            "there is no question `harms`. Did you mean `harm`?\nThe questions are: domain",
        ),
        ("harm: 4", "`harm`: 4 is not an answer. Answer with a number or a name: 0 (annoyance)"),
        ("harm: death", "`harm`: 'death' is not an answer"),
        ("harm: [1, 2]", "`harm` takes one answer"),
        ("domain: healthc", "'healthc' is not an answer. Did you mean `health`?"),
        ("domain: zoo", "If none fits, take the closest by who can be harmed"),
        ("harm: 1\nharm: 3", "answers `harm` twice. Remove one of the two"),
        ("choice: {start: 1, start: 2}", "answers `start` twice"),
        ('{"harm": 1, "harm": 1}', "answers `harm` twice"),
        ("harm: &a [*a]", "`harm`: [[...]] is not an answer"),
        ("domain: []", "`domain` has no answer"),
        ("domain: [ads, [fraud]]", "`domain`: ['fraud'] is not an answer"),
        ("delivery: no", "`delivery`: False is not an answer"),
        ("harm: " + "x" * 500, "x... is not an answer"),
        ("- harm", "holds no answers: it must be a mapping"),
        ("harm: [", "is not YAML text"),
        ("3: 1", "holds no answers: it must be a mapping"),
        ("choice: {pace: 1}", "`choice` has no `pace`. It has use_case, start and target"),
        ("choice: {start: 5}", "`start`: 5 is not a rung. Give a number, 0 to 4"),
        ("choice: {use_case: chess}", "`use_case`: 'chess' is not one of governance, velocity"),
        ("choice: 3", "`choice` must be a mapping of names to values"),
        ("answers: 3", "`answers` must be a mapping of names to values"),
    ],
)
def test_a_bad_answers_file_is_named_with_what_is_wrong_and_what_there_is(
    tmp_path: Path, text: str, message: str
) -> None:
    file = answers_file(tmp_path, text)

    with pytest.raises(RungError) as failure:
        read(file, WEIGHTS)

    assert str(file) in str(failure.value)
    assert message in str(failure.value)
    assert len(str(failure.value)) < 600


def test_a_misspelt_domain_is_never_taken_for_a_stricter_or_a_laxer_one() -> None:
    question = WEIGHTS.questions["domain"]
    suggested = 0
    for word in [*question.names(), *question.words]:
        (meant,) = understand({"domain": word}, WEIGHTS)["domain"]
        for at in range(len(word)):
            typo = word[:at] + word[at + 1 :]
            if len(word) < 5 or question.named(typo):
                continue
            with pytest.raises(RungError) as failure:
                understand({"domain": typo}, WEIGHTS)
            near = re.search(r"Did you mean `(.*?)`", str(failure.value))
            suggested += bool(near)
            assert not near or question.answer(near[1]) == question.answer(meant), (word, typo)
    assert suggested > 500


@pytest.mark.parametrize("word", ["jury", "routes", "military", "law", "loader"])
def test_a_domain_that_is_not_known_is_not_taken_for_another(word: str) -> None:
    with pytest.raises(RungError, match="If none fits, take the closest by who can be harmed"):
        understand({"domain": word}, WEIGHTS)


def test_an_invalid_answers_file_is_refused(tmp_path: Path) -> None:
    large = answers_file(tmp_path, "#" * 1_000_001)

    with pytest.raises(RungError, match="larger than 1,000,000 bytes"):
        read(large, WEIGHTS)
    with pytest.raises(RungError, match="is not a file"):
        read(tmp_path, WEIGHTS)
    with pytest.raises(RungError, match="cannot be read: No such file"):
        read(tmp_path / "none.yml", WEIGHTS)


@given(
    content=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*WEIGHTS.questions, "choice", "answers", "start"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    )
)
def test_any_file_is_understood_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: Any
) -> None:
    file = tmp_path_factory.mktemp("answers") / "answers.json"
    file.write_text(json.dumps(content))

    try:
        responses = read(file, WEIGHTS)
    except RungError as error:
        assert str(file) in str(error)
    else:
        assert set(responses.answers) <= set(WEIGHTS.questions)


def test_what_is_assumed_depends_on_who_plays_which_game() -> None:
    def delivery(**answers: tuple[str, ...]) -> str:
        return assume(answers, WEIGHTS)["delivery"][0][0]

    assert "none" == delivery()
    assert "none" == delivery(size=("one",))
    assert "ci" == delivery(size=("team",))
    assert "ci" == delivery(domain=("banking",), harm=("legal-or-safety",), size=("one",))


def test_an_answer_that_was_given_is_not_assumed() -> None:
    made = assessed({"harm": ("revenue",)})

    assert ("revenue",) == made.answers["harm"]
    assert set(WEIGHTS.questions) - {"harm"} == set(made.assumed)
    assert all(made.assumed.values())


def test_an_unfilled_form_is_an_answers_file_without_answers(tmp_path: Path) -> None:
    assert NO_RESPONSES == read(answers_file(tmp_path, form(WEIGHTS)), WEIGHTS)


def test_the_form_asks_every_question_with_its_reason_and_its_answers() -> None:
    words = " ".join(form(WEIGHTS).replace("#", " ").split())

    for question in WEIGHTS.questions.values():
        assert question.ask in words and question.why in words
        assert all(name in words for name in question.names())


def test_on_a_terminal_what_is_missing_is_asked_in_plain_words() -> None:
    shown = io.StringIO()
    replies = "9\nfraud, ads\n\n3\n" + "1\n" * 12 + "late trains\n"
    names = [name for name in WEIGHTS.questions if name != "harm"]
    earlier = {"harm": ("revenue",)}
    answers, metric = ask_user(names, earlier, WEIGHTS, io.StringIO(replies), shown, metric="")

    words = " ".join(shown.getvalue().split())
    assert ("fraud", "ads") == answers["domain"]
    assert "timing" not in answers, "Enter leaves it to be assumed"
    assert ("dozens",) == answers["models"]
    assert ("revenue",) == answers["harm"]
    assert (15, "late trains") == (len(answers), metric)
    assert "'9' is not an answer" in words
    assert "0 to 3, or several with commas between [Enter: 0]" in words
    assert WEIGHTS.questions["harm"].ask not in words
    for name, question in WEIGHTS.questions.items():
        if name != "harm":
            assert question.ask in words
            assert all(answer.says in words for answer in question.answers)


def test_input_that_ends_early_is_refused() -> None:
    with pytest.raises(RungError, match="ended at the question `harm`"):
        ask_user(
            list(WEIGHTS.questions), {}, WEIGHTS, io.StringIO("ads\n"), io.StringIO(), metric=""
        )


def test_a_start_above_the_target_is_refused() -> None:
    with pytest.raises(RungError, match=r"target you chose, rung 0, is below the start, rung 1"):
        assessed(persona("doordash"), Choice(target=0))


@given(
    answers=any_answers,
    start=st.none() | st.integers(0, 2),
    form=st.sampled_from(list(FORMATS["assess"])),
)
def test_for_any_answers_every_form_names_the_rungs_and_the_warning(
    answers: Any, start: int | None, form: str
) -> None:
    choice = decide({"start": start, "target": None if start is None else 3})
    made = assessed(answers, choice)
    # A reader of Markdown or HTML sees & and quotes through their codes.
    words = html.unescape(" ".join(render(form, made).split())).replace('\\"', '"')

    assert made.strategy.game.name in words
    assert "set by hand" in words
    for step in made.roadmap.steps:
        for text in (*step.tasks, *(item.capability.fix for item in step.to_do)):
            assert all(part in words for part in text.split("`")[::2]), text
        for item in step.to_do:
            each = item.capability
            for part in (each.id, each.effort, each.source, item.with_rung):
                assert part in words, part
    for entry in made.roadmap.not_yet:
        assert entry.what in words


def test_the_json_is_read_back_to_the_same_strategy(tmp_path: Path) -> None:
    answers = {"harm": ("revenue",), "domain": ("ads", "fraud")}
    first = render("json", assessed(answers, Choice("governance", 1, 2)))
    file = tmp_path / "assessment.json"
    file.write_text(first)
    again = json.loads(render("json", assessed_file(file)))

    assert json.loads(first) | {"assumed": {}} == again
    assert {
        "use_case": "governance",
        "team_size": "one",
        "data": "files",
        "compute": "machine",
        "tracking": "local",
        "level": 1,
    } == advised(file)


def test_the_json_has_a_reason_term_by_term_for_each_recommendation() -> None:
    data = json.loads(render("json", assessed(persona("doordash"))))

    assert data["game"]["name"] == "velocity" and len(data["game"]["terms"]) == 2
    for rung in ("start", "target", "north_star"):
        assert data[rung]["because"]
    for step in data["steps"]:
        if step["step"] != "alignment":
            assert step["priority"]["worth"]["terms"] and step["priority"]["gap_because"]
        assert all(item["because"] and item["fix"] for item in step["capabilities"])
    assert any(
        entry["what"] == "the block data" and "below 0.45" in entry["because"]
        for entry in data["not_yet"]
    )
    assert [{"rung": 2, "any_of": ["experiment-tracking", "training-lineage"]}] == data["beside"]


def test_an_assessment_without_its_project_is_refused(tmp_path: Path) -> None:
    file = answers_file(tmp_path, "project: {level: 1}")

    with pytest.raises(RungError, match="must hold use_case, team_size, data"):
        advised(file)


@pytest.mark.parametrize("file", sorted(PERSONAS.glob("*.yml")), ids=lambda file: file.stem)
def test_the_text_begins_with_ten_lines_to_present(file: Path) -> None:
    made = assessed_file(file)
    short = render("text", made, explain=False)
    first, rest = short.split("\n\n", 1)
    lines = first.splitlines()

    assert ["Use", "Success", "Start", "Target"] == [line.split()[0] for line in lines[:4]]
    for step, head, after in zip(made.roadmap.steps, lines[4::2], lines[5::2], strict=False):
        assert f"(Q{step.quarter}, {step.owner}): {step.unlocks}" in head
        assert " by hand; " in after and "with Rung: " in after
    assert 4 + 2 * min(3, len(made.roadmap.steps)) == len(lines) <= 10
    assert all(len(line) <= 96 for line in lines)
    assert "rung new my-project" in rest and "set by hand" in rest
    for line in render("text", made, explain=True).splitlines():
        assert line == line.rstrip()
        assert len(line) <= 96 or line.startswith("  rung new")


def test_the_impact_metric_is_carried_to_what_is_printed_and_to_the_project(tmp_path: Path) -> None:
    file = answers_file(tmp_path, "size: team\nimpact_metric: Late orders, a tenth fewer\n")
    made = assessed_file(file)

    for each in FORMATS["assess"]:
        assert "Late orders, a tenth fewer" in render(each, made)
    assert "Late orders, a tenth fewer" == made.project["impact_metric"]
    assert "-d 'impact_metric=Late orders, a tenth fewer'" in render("text", made)
    file.write_text(render("json", made))
    assert made.project == advised(file)


@pytest.mark.parametrize("text", ["'{{ 1 }}'", "3", '"a\\nb"', "x" * 201, "[a]"])
def test_an_impact_metric_that_no_project_takes_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RungError, match="`impact_metric` takes one line of at most 200 characters"):
        read(answers_file(tmp_path, f"impact_metric: {text}\n"), WEIGHTS)


def test_the_markdown_has_whole_tables() -> None:
    lines = render("markdown", assessed({})).splitlines()

    for above, line in pairwise(lines):
        assert above or line, "two blank lines"
        if line.startswith("|") and above.startswith("|"):
            assert line.count("|") == above.count("|"), line


def test_the_page_loads_nothing_and_closes_what_it_opens() -> None:
    text = render("html", assessed(persona("hospital-triage")))
    page = Tags()
    page.feed(text)

    assert [] == page.open
    assert not {"script", "link", "img", "iframe"} & page.tags
    assert not re.search(r"href=|src=|url\(|@import", text)
    assert "`" not in text and "overflow: hidden" not in text
    assert 1 == text.count("<h1")
    assert '<meta name="color-scheme" content="light dark">' in text and "@media print" in text


def test_the_docs_have_the_sensitivity_as_it_is_computed() -> None:
    page = (PERSONAS.parent / "benchmarks.md").read_text()
    personas = {file.stem: read(file, WEIGHTS).answers for file in sorted(PERSONAS.glob("*.yml"))}
    match = SECTION.search(page)

    assert match is not None
    assert section(personas, WEIGHTS) == match[0], (
        "run `uv run python benchmarks/sensitivity.py --write docs/benchmarks.md`"
    )


def test_the_docs_name_every_answer() -> None:
    page = (PERSONAS.parent / "assess.md").read_text()

    for name, question in WEIGHTS.questions.items():
        assert f"|`{name}`|" in page
        assert all(f"`{answer}`" in page for answer in question.names()), name


def test_the_docs_show_what_is_printed() -> None:
    page = (PERSONAS.parent / "assess.md").read_text()
    made = assessed_file(PERSONAS / "doordash.yml")

    assert f"doordash.yml\n{render('text', made, explain=False)}```" in page


def test_whoever_chooses_velocity_is_told_that_the_project_plays_governance() -> None:
    given = {"domain": ("hiring", "search"), "harm": ("revenue",)}
    made = assessed(given, Choice("velocity", target=4))
    words = " ".join(render("text", made, explain=False).split())

    assert "you chose it; the duties below ask for risk-register, human-oversight" in words
    assert ("velocity", "governance") == (made.strategy.game.name, made.project["use_case"])
    assert "The project is for governance: you chose it; the answers say governance" in words
    assert "rung 4, is above the north star, rung 3" in words


def test_the_summary_says_what_is_owed_before_use_and_why() -> None:
    made = assessed(persona("hospital-triage"))
    words = " ".join(render("text", made, explain=False).split())

    assert "risk-register, human-oversight, fairness-assessment" in words
    assert "ask a lawyer" in words
    assert "Law covered: of the EU and the US, and some of" in words
    assert (
        "GDPR, Art. 22 and 35, from 25 May 2018" in words and "required of the controller" in words
    )


RUNG_THAT_ASKS = {
    name: int("".join(re.findall(r"level >= (\d)", str(QUESTIONS[name].get("when")))) or 0)
    for name in phrases.INFRASTRUCTURE
}


@pytest.mark.parametrize("team", sorted(path.stem for path in PERSONAS.glob("*.yml")))
def test_infrastructure_is_named_on_the_rung_that_first_asks_for_it(team: str) -> None:
    commands = [command for command, _ in phrases.commands(assessed_file(PERSONAS / f"{team}.yml"))]
    start = int(re.findall(r"--level (\d)", commands[0])[0])
    named: dict[str, int] = {}
    for command in commands:
        level = int((re.findall(r"--to (\d)", command) or [start])[0])
        named |= dict.fromkeys(re.findall(r"-d (?!documents)(\w+)=\w", command), level)

    assert {option: max(start, RUNG_THAT_ASKS[option]) for option in named} == named


def test_the_usual_infrastructure_is_what_the_questions_say() -> None:
    usual = {name: str(QUESTIONS[name]["default"]) for name in RUNG_THAT_ASKS}
    asked = {name: (usual[name], rung) for name, rung in RUNG_THAT_ASKS.items()}

    assert asked == phrases.INFRASTRUCTURE
