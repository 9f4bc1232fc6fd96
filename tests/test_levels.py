"""The level files: claims, keys, words, and the errors a broken one gives."""

import shutil
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from rung.errors import RungError
from rung.levels.ladder import BLOCKS, UNANSWERED, Capability, Claim, load, load_vendors
from tests.conftest import DEFAULTS_ABOVE, GAMES, ROOT, VENDORS

LEVELS = load(ROOT / "levels")
CAPABILITIES = [each for rung in LEVELS for each in rung.capabilities.values()]
TEMPLATE = ROOT / "templates" / "project"
MADE_BY_COMMANDS = {"uv.lock", "dvc.lock"}  # a project has them, the template does not

VENDOR_FILES = sorted((ROOT / "levels" / "ci").glob("*.yml"))
CAPABILITY_FILES = sorted((ROOT / "levels" / "capabilities").glob("*.yml"))
FILES = [ROOT / "levels" / f"{number}.yml" for number in range(5)] + VENDOR_FILES + CAPABILITY_FILES


every_capability = pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda each: each.id)


def raw(file: str, question: str) -> Any:
    return yaml.safe_load((ROOT / "levels" / file).read_text())[question]["default"]


MODELS = yaml.safe_load((ROOT / "levels" / "sources.yml").read_text())
INFRASTRUCTURE = raw("infrastructure.yml", "infrastructure")
CI = load_vendors(ROOT / "levels")
YOURS = raw("yours.yml", "yours")


def claims() -> Iterator[tuple[Claim, str, Capability | None, int]]:
    """Every claim of the levels: the path, whose it is, and the capability and rung behind it."""
    for rung in LEVELS:
        for claim in rung.owns:
            yield claim, f"rung_{rung.level}.owns", None, rung.level
        for capability in rung.capabilities.values():
            for claim in capability.owns:
                (ci,) = claim.needs.get("ci", ("",))
                yield claim, f"ci {ci}" if ci else capability.id, capability, rung.level
            for name, vendor in CI.items():
                if capability.job in vendor.jobs:
                    claim = Claim(vendor.jobs[capability.job], {"ci": (name,)})
                    yield claim, f"ci {name}", capability, rung.level
    for name, brought in INFRASTRUCTURE["brings"].items():
        for entry in brought["owns"]:
            needs = brought["when"] | (entry if isinstance(entry, dict) else {"path": entry})
            path, first = needs.pop("path"), needs.pop("from", brought.get("from", 0))
            yield Claim(path, listed(needs)), name, None, first
        for vendor_name, vendor in CI.items():
            for claim in vendor.owns.get(name, ()):
                needs = claim.needs | listed(brought["when"] | {"ci": vendor_name})
                first = brought.get("from", 0) if claim.since is None else claim.since
                yield Claim(claim.path, needs), f"ci {vendor_name}", None, first


def listed(needs: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {key: (of,) if isinstance(of, str) else tuple(of) for key, of in needs.items()}


def claimed() -> list[tuple[str, str]]:
    of_levels = [(claim.path, owner) for claim, owner, _, _ in claims()]
    return of_levels + [(path, "yours") for paths in YOURS.values() for path in paths]


@cache
def destinations() -> frozenset[str]:
    """The path in a project of each file of the template."""
    paths = {"machinery", "machinery/governance"}  # folders that an ejected project gets whole
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
    shared = {path.name for path in TEMPLATE.iterdir()} - copied.keys() - {"vendor"}
    expected = {name: Path("../project", name) for name in shared}
    expected["machinery"] = Path("../../machinery")

    assert [] == [
        f"templates/ejected/{name} must be a link to {target}"
        for name, target in expected.items()
        if not (ejected / name).is_symlink() or (ejected / name).readlink() != target
    ]
    assert expected.keys() | copied.keys() == {path.name for path in ejected.iterdir()}
    assert copied == {name: (TEMPLATE / name).read_bytes() for name in copied}


@cache
def matching(pattern: str) -> frozenset[str]:
    """The paths of the template that a claim names."""
    wanted = f"/{pattern}"
    return frozenset(path for path in destinations() if PurePosixPath("/", path).match(wanted))


def test_every_file_of_the_template_is_claimed_once_or_by_several_answers() -> None:
    every = claimed()
    owners = {
        path: [owner for pattern, owner in every if path in matching(pattern)]
        for path in destinations()
    }

    early = {"early-documents"}  # of capabilities, on the rungs below their own
    several = {path: {*names} - early for path, names in owners.items() if len(names) > 1}
    assert [path for path, names in owners.items() if not names] == []
    answers = {*INFRASTRUCTURE["brings"], *(f"ci {name}" for name in CI)}
    assert all(names <= answers or len(names) == 1 for names in several.values()), several


def test_every_claim_matches_a_file_of_the_template() -> None:
    assert [] == [claim for claim in claimed() if not matching(claim[0])]


LIBRARIES = {"rung_ops": "machinery", "rung_governance": "machinery/governance"}


def test_each_capability_is_named_once_and_each_job_comes_with_exactly_one() -> None:
    named = Counter(each.job for each in CAPABILITIES if each.job)

    assert len({each.id for each in CAPABILITIES}) == len(CAPABILITIES)
    assert set(named.values()) == {1}


@every_capability
def test_what_serves_a_capability_exists(capability: Capability) -> None:
    for pattern in capability.uses:
        if source := LIBRARIES.get(pattern.partition("/")[0]):
            assert (ROOT / source / pattern).exists()
        else:
            assert matching(pattern) or pattern in MADE_BY_COMMANDS


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_copier_leaves_a_file_as_it_is(file: Path) -> None:
    assert not any(opening in file.read_text() for opening in ("{{", "{%", "{#"))


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


def test_a_stage_of_the_workflow_has_capabilities_or_says_what_fills_it() -> None:
    filled = {each.workflow for each in CAPABILITIES}

    assert filled <= set(MODELS["workflow"])
    assert {stage for stage, note in MODELS["workflow"].items() if note} == (
        set(MODELS["workflow"]) - filled
    )


def test_each_block_belongs_to_a_stage_of_the_roadmap() -> None:
    placed = [block for blocks in MODELS["roadmap"].values() for block in blocks]

    assert sorted(BLOCKS) == sorted(placed)


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        ("1", "rung_1:", "rung_9:", "there is no list `rung_1.default.capabilities`"),
        (
            "1",
            "capabilities: [",
            "capabilities: docs\n    more: [",
            "`rung_1.default.capabilities`",
        ),
        ("1", "    level: 1\n", "    level: 7\n", "`level` must be 1"),
        ("1", "owns: []", "owns: README.md", "`owns`: Expected `array`, got `str`"),
        ("1", "    asks:\n", "    asks: [\n", "cannot be read as YAML"),
        ("1", "unit-tests,", "Unit_Tests,", "capabilities/Unit_Tests.yml is missing"),
        ("1", "unit-tests,", "", "unit-tests.yml is a capability of no rung"),
        ("ci/names", "vendor_names:", "vendors:", "no list `vendor_names.default`"),
        ("ci/gitlab", "title:", "titel:", "missing required field `title`"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(
    tmp_path: Path, name: str, before: str, after: str, message: str
) -> None:
    shutil.copytree(ROOT / "levels", tmp_path / "levels")
    file = tmp_path / "levels" / f"{name}.yml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after, 1))

    with pytest.raises(RungError) as failure:
        load(tmp_path / "levels")

    assert message in str(failure.value)
    assert str(file) in str(failure.value) or "capabilities" in message or "no rung" in message
    assert failure.value.code == 2


@pytest.mark.parametrize("name", ["0.yml", "ci/names.yml", f"ci/{VENDORS[-1]}.yml"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    shutil.copytree(ROOT / "levels", tmp_path / "levels")
    (tmp_path / "levels" / name).unlink()

    with pytest.raises(RungError, match=f"{name} is missing"):
        load(tmp_path / "levels")


def test_what_was_not_answered_counts_as_the_default() -> None:
    assert UNANSWERED.items() <= DEFAULTS_ABOVE.items()
