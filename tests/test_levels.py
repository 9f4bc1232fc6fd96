"""The level files: claims, keys, words, and the errors a broken one gives."""

import shutil
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from rung.errors import RungError
from rung.levels import show
from rung.levels.ladder import BLOCKS, Capability, Claim, load
from tests.conftest import (
    COMBINATIONS,
    GAMES,
    PLAIN,
    ROOT,
    VENDORS,
    Render,
    files_of,
    name_of,
)

LEVELS = load(ROOT / "levels")
CAPABILITIES = [each for rung in LEVELS for each in rung.capabilities.values()]
TEMPLATE = ROOT / "templates" / "project"
MADE_BY_COMMANDS = {"uv.lock", "dvc.lock"}  # a project has them, the template does not


every_capability = pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda each: each.id)


def raw(file: str, question: str) -> Any:
    return yaml.safe_load((ROOT / "levels" / file).read_text())[question]["default"]


MODELS = yaml.safe_load((ROOT / "levels" / "sources.yml").read_text())
INFRASTRUCTURE = raw("infrastructure.yml", "infrastructure")
YOURS = raw("yours.yml", "yours")


def claims() -> Iterator[tuple[Claim, str, Capability | None, int]]:
    """Every claim of the levels: the path, whose it is, and the capability and rung behind it."""
    for rung in LEVELS:
        for claim in rung.owns:
            yield claim, f"rung_{rung.level}.owns", None, rung.level
        for capability in rung.capabilities.values():
            for claim in capability.owns:
                yield claim, capability.id, capability, rung.level
            for name, vendor in INFRASTRUCTURE["vendors"].items() if capability.job else ():
                path = vendor["job"].replace("JOB", capability.job)
                yield Claim(path, {"ci": (name,)}), f"job {capability.job}", capability, rung.level
    for name, brought in INFRASTRUCTURE["brings"].items():
        for entry in brought["owns"]:
            needs = brought["when"] | (entry if isinstance(entry, dict) else {"path": entry})
            path, first = needs.pop("path"), needs.pop("from", brought.get("from", 0))
            wanted = {key: (one,) if isinstance(one, str) else one for key, one in needs.items()}
            yield Claim(path, wanted), name, None, first


def claimed() -> list[tuple[str, str]]:
    """Every claimed path with its owner, the user's own among them."""
    of_levels = [(claim.path, owner) for claim, owner, _, _ in claims()]
    return of_levels + [(path, "yours") for paths in YOURS.values() for path in paths]


@cache
def destinations() -> frozenset[str]:
    """The path in a project of each file of the template."""
    paths = {"machinery"}  # a folder that an ejected project gets whole
    for file in TEMPLATE.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts and "_cache" not in str(file):
            path = file.relative_to(TEMPLATE).as_posix().removesuffix(".jinja")
            path = path.replace("{{ _copier_conf.answers_file }}", ".copier-answers.yml")
            paths.add(path.replace("{{ package }}", "package"))
    return frozenset(paths)


def test_an_ejected_project_gets_the_same_files_with_the_library_instead_of_its_wheel() -> None:
    """By links; git follows none to a `.gitignore` or `.gitattributes`, so these are copied."""
    ejected = TEMPLATE.with_name("ejected")
    copied = {name: (ejected / name).read_bytes() for name in (".gitattributes", ".gitignore")}
    links = {path.name: path.readlink() for path in ejected.iterdir() if path.name not in copied}
    shared = {path.name for path in TEMPLATE.iterdir()} - copied.keys() - {"vendor"}
    expected = {name: Path("../project", name) for name in shared}

    assert {**expected, "machinery": Path("../../machinery")} == links
    assert copied == {name: (TEMPLATE / name).read_bytes() for name in copied}


def matches(path: str, pattern: str) -> bool:
    return PurePosixPath("/", path).match(f"/{pattern}")


def test_every_file_of_the_template_is_claimed_once_or_by_several_answers() -> None:
    owners = {
        path: [owner for pattern, owner in claimed() if matches(path, pattern)]
        for path in destinations()
    }

    several = {path: set(names) for path, names in owners.items() if len(names) > 1}
    assert [path for path, names in owners.items() if not names] == []
    assert all(names <= set(INFRASTRUCTURE["brings"]) for names in several.values()), several


def test_every_claim_matches_a_file_of_the_template() -> None:
    paths = destinations()

    assert [
        (pattern, owner)
        for pattern, owner in claimed()
        if not any(matches(path, pattern) for path in paths)
    ] == []


def holds(claim: Claim, capability: Capability | None, rung: int, answers: dict[str, Any]) -> bool:
    answers = PLAIN | {"ejected": "no"} | answers
    first = capability.rung(answers["use_case"]) if capability else rung
    return (
        first is not None
        and first <= answers["level"]
        and all(answers[question] in wanted for question, wanted in claim.needs.items())
    )


@pytest.mark.parametrize("answers", COMBINATIONS, ids=name_of)
def test_a_project_gets_what_is_claimed_for_it_and_nothing_else(
    render: Render, answers: dict[str, Any]
) -> None:
    game = answers["use_case"]
    rungs = range(answers["level"] + 1)
    owners = ["always", game, *(f"{game}-{answers['team_size']}-{rung}" for rung in rungs)]
    patterns = [path for owner in owners for path in YOURS.get(owner, [])]
    patterns += [
        claim.path
        for claim, _, capability, rung in claims()
        if holds(claim, capability, rung, answers)
    ]
    expected = {path for path in destinations() for pattern in patterns if matches(path, pattern)}
    package = yaml.safe_load((render(**answers) / ".copier-answers.yml").read_text())["package"]

    assert {
        path.replace(f"src/{package}/", "src/package/") for path in files_of(render(**answers))
    } == expected


def test_each_capability_is_named_once_and_each_job_comes_with_exactly_one() -> None:
    named = Counter(each.job for each in CAPABILITIES if each.job)

    assert len({each.id for each in CAPABILITIES}) == len(CAPABILITIES)
    assert set(named.values()) == {1}
    assert list(INFRASTRUCTURE["vendors"]) == VENDORS


@pytest.mark.parametrize("number", range(5))
def test_a_level_file_is_plain_data_that_copier_leaves_as_it_is(number: int) -> None:
    text = (ROOT / "levels" / f"{number}.yml").read_text()
    events = list(yaml.parse(text))

    assert not any(isinstance(event, yaml.AliasEvent) for event in events)
    assert not any(getattr(event, "anchor", None) for event in events)
    assert sum(isinstance(event, yaml.DocumentStartEvent) for event in events) == 1
    assert not any(opening in text for opening in ("{{", "{%", "{#"))


@every_capability
def test_why_fix_and_source_are_one_line(capability: Capability) -> None:
    for line in (capability.why, capability.fix):
        assert line.endswith(".") and "\n" not in line and len(line) <= 120
    assert capability.source and "\n" not in capability.source


@every_capability
def test_what_serves_a_capability_exists(capability: Capability) -> None:
    for pattern in capability.uses:
        if pattern.startswith("rung_ops/"):
            assert (ROOT / "machinery" / pattern).exists()
        else:
            exists = any(matches(path, pattern) for path in destinations())
            assert exists or pattern in MADE_BY_COMMANDS


def test_keystones_are_capabilities_their_game_asks_for_by_then() -> None:
    known = {capability.id: capability for capability in CAPABILITIES}
    for rung in LEVELS:
        assert set(rung.keystones) <= {"both", "governance"}
        for game, groups in rung.keystones.items():
            played = ["governance"] if game == "governance" else GAMES
            for group in groups:
                for each in played:
                    request = [known[member].rung(each) for member in group]
                    assert any(first is not None and first <= rung.level for first in request), (
                        group
                    )


def commands_for(answers: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The commands that the rungs up to a level and the answers about infrastructure bring."""
    for rung in LEVELS[: answers["level"] + 1]:
        yield from raw(f"{rung.level}.yml", f"rung_{rung.level}")["commands"]
    for brought in INFRASTRUCTURE["brings"].values():
        for command in brought["commands"]:
            first = command.get("from", brought.get("from", 0))
            given = [(PLAIN | answers)[question] for question in brought["when"]]
            wanted = [[one] if isinstance(one, str) else one for one in brought["when"].values()]
            if first <= answers["level"] and all(
                one in some for one, some in zip(given, wanted, strict=True)
            ):
                yield command


@pytest.mark.parametrize("answers", COMBINATIONS, ids=name_of)
def test_the_commands_of_a_rung_are_the_tasks_of_its_projects(
    render: Render, answers: dict[str, Any]
) -> None:
    tasks = (render(**answers) / "ops" / "tasks.toml").read_text()
    commands = {
        command["run"].removeprefix("uv run poe ").split()[0]
        for command in commands_for(answers)
        if command.get("game", answers["use_case"]) == answers["use_case"]
    }

    assert set(tomllib.loads(tasks)["tool"]["poe"]["tasks"]) == commands


@pytest.mark.parametrize("answers", COMBINATIONS, ids=name_of)
def test_the_page_of_a_project_is_tidy_markdown(render: Render, answers: dict[str, Any]) -> None:
    lines = (render(**answers) / "RUNG.md").read_text().splitlines()

    assert lines[0] == f"# Rung {answers['level']}: {LEVELS[answers['level']].title}"
    for above, line in pairwise(lines):
        assert line == line.rstrip()
        assert above or line, "two blank lines"
        if line.startswith("|") and above.startswith("|"):
            assert line.count("|") == above.count("|"), line
        starts_a_block = line.startswith(("#", "|", "- ", "```"))
        same_block = above[:1] == line[:1] or above.startswith("  ")
        assert not starts_a_block or not above or same_block or "```" in lines, line


def test_the_docs_say_what_the_levels_say() -> None:
    page = ROOT / "docs" / "levels.md"

    assert page.read_text() == show.markdown(LEVELS, MODELS), (
        "docs/levels.md is out of date: run `uv run rung levels --markdown > docs/levels.md`"
    )


def test_each_capability_serves_one_stage_of_the_workflow() -> None:
    placed = [name for names in MODELS["workflow"].values() for name in names]

    assert sorted(placed) == sorted(each.id for each in CAPABILITIES)
    empty = {stage for stage, names in MODELS["workflow"].items() if not names}
    assert empty == set(MODELS["workflow_notes"])


def test_each_answer_about_infrastructure_fills_a_layer_of_the_stack() -> None:
    text = " ".join(MODELS["stack"].values())
    questions = yaml.safe_load((ROOT / "levels" / "questions.yml").read_text())

    for question in ("data", "tracking", "ci", "compute", "orchestrator", "features"):
        assert f"`{question}`" in text
        choices = VENDORS if question == "ci" else questions[question]["choices"].values()
        for answer in choices:
            assert f"`{answer}`" in text, answer


def test_each_block_belongs_to_a_stage_of_the_roadmap() -> None:
    placed = [block for blocks in MODELS["roadmap"].values() for block in blocks]

    assert sorted(BLOCKS) == sorted(placed)


def test_the_text_of_the_ladder_fits_a_terminal() -> None:
    lines = show.text(LEVELS).splitlines()

    assert all(len(line) <= 100 for line in lines)
    for rung in LEVELS:
        assert any(line.startswith(f"{rung.level} ") and rung.title in line for line in lines)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("rung_1:", "rung_9:", "rung_1 must be a mapping"),
        ("    level: 1\n", "    level: 7\n", "level must be 1"),
        ("    title: Tested\n", "", "the key `title` is missing"),
        ("    title: Tested\n", "    title: [Tested]\n", "is not of type str"),
        ("    title: Tested\n", "    titel: Tested\n", "`titel` is not a key"),
        ("      unit-tests:\n", "      Unit_Tests:\n", "lower-case words joined by hyphens"),
        ("        block: foundation\n", "        block: cellar\n", "'cellar' is not one of"),
        ("        game: governance\n", "        game: chess\n", "'chess' is not one of"),
        ("          declared: ", "          guessed: ", "'guessed' is not one of"),
        ("    owns: []\n", "    owns: README.md\n", "owns must be a list"),
        ("- {path: renovate.json, ", "- {", "names no `path`"),
        ("    asks:\n", "    asks: [\n", "cannot be read as YAML"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    shutil.copytree(ROOT / "levels", tmp_path / "levels")
    file = tmp_path / "levels" / "1.yml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after, 1))

    with pytest.raises(RungError) as failure:
        load(tmp_path / "levels")

    assert str(file) in str(failure.value)
    assert message in str(failure.value)
    assert failure.value.code == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RungError, match=r"0\.yml is missing"):
        load(tmp_path)
