"""A house's settings: never asked, recorded where they are set, and checked before they reach a file."""

import re
import tomllib
from functools import reduce
from itertools import cycle
from operator import getitem
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

from rung.core.merging import key_merge
from rung.levels.template_answers import is_setting
from tests import asking
from tests.command import commit, init, rung
from tests.conftest import CI, GAMES, HOUSE, QUESTIONS, SYNTAX, VENDORS, Render, files_of
from tests.parsing import AnyTag

ANSWERS = ".copier-answers.yml"
LARGEST = {"level": 4, "compute": "ray_on_kubernetes", "tracking": "server", "features": "redis"}
# What projects had before these could be answered.
TODAY = {
    "image_mirror": "",
    "base_image": "python:3.13-slim-trixie",
    "index_url": "",
    "index_has_dates": True,
    "ca_bundle": "",
    "owners": "",
    "artifacts": "v4",
    "runner": "",
}
# A runner in a job of GitHub, where no variable names another.
OF_GITHUB = "${{{{ vars.CI_RUNNER || {} }}}}"
INJECTED = ["a\n", 'a"b', "a: b", "${{ x }}"]
BAD = {
    "image_mirror": ["https://registry.example.org", "registry/", "../up", *INJECTED],
    "base_image": ["", "python:", "https://registry/python", "Python", "a b", *INJECTED],
    "index_url": [
        "pypi.example.org",
        "http://pypi.example.org",
        "https://me:secret@there/simple",
        "https://there?x=1",
        *INJECTED,
    ],
    "ca_bundle": ["/etc/ssl/ca.pem", "../ca.pem", "a/../ca.pem", "certificates/", "ca", *INJECTED],
    "owners": ["@acme", "acme boss=@acme/boss", "acme risk=acme/risk", *INJECTED],
    "runner": ["group:", ",", "a,", *INJECTED],
}


def test_these_are_the_settings_and_none_is_asked() -> None:
    settings = {name for name, question in QUESTIONS.items() if is_setting(question)}

    others = {"documents", "monitor_every", "service_image"}
    assert settings == TODAY.keys() | others == HOUSE.keys() | others


@pytest.mark.parametrize(("ci", "use_case"), list(zip(VENDORS, cycle(GAMES), strict=False)))
def test_the_defaults_are_what_projects_had_and_are_not_recorded(
    render: Render, ci: str, use_case: str
) -> None:
    plain = files_of(render(ci=ci, use_case=use_case, team_size="team", **LARGEST))
    same = files_of(render(ci=ci, use_case=use_case, team_size="team", **LARGEST, **TODAY))
    recorded = [yaml.safe_load(files.pop(ANSWERS)) for files in (plain, same)]

    assert plain == same
    assert not TODAY.keys() & recorded[0].keys()
    assert TODAY.items() <= recorded[1].items()
    texts = b"".join(text for path, text in plain.items() if not path.endswith(".whl"))
    for text in (b"FROM python:3.13-slim-trixie AS base\n", b'\nexclude-newer = "20'):
        assert text in texts
    image = str(TODAY["base_image"]).replace("-slim", "")
    assert (CI[ci].runner or f"image: {image}\n").encode() in texts


@pytest.mark.parametrize("ci", VENDORS)
def test_a_house_is_obeyed_in_every_file(render: Render, ci: str) -> None:
    house = HOUSE | {"runner": HOUSE["runner"] if "group" in CI[ci].runners else "ml"}
    project = render(ci=ci, use_case="governance", team_size="teams", **LARGEST, **house)
    texts = {
        path: text.decode()
        for path, text in files_of(project).items()
        if not path.endswith((".whl", ".data"))
    }
    lines = [(path, line) for path, text in texts.items() for line in text.splitlines()]
    stages = ("base", "packages")

    images = [(path, line.split()[1]) for path, line in lines if line.startswith("FROM ")]
    assert {image for _, image in images if image not in stages} == {
        "registry.acme.example:5000/hub/python:3.13-slim-trixie"
    }
    assert len({path for path, _ in images}) == 5
    for path, text in texts.items():
        if "compose" in path and path.endswith(".yaml"):
            for service in yaml.safe_load(text)["services"].values():
                assert "build" in service or service.get("image", HOUSE["image_mirror"]).startswith(
                    HOUSE["image_mirror"]
                )
        if path.endswith("Dockerfile"):
            assert "PIP_INDEX_URL=https://pypi.acme.example/simple" in text
            assert "COPY certificates/ca.pem" in text
            ignored = f"{path}.dockerignore" if path != "Dockerfile" else ".dockerignore"
            assert "!certificates/ca.pem" in texts[ignored]
    uv = tomllib.loads(texts["pyproject.toml"])["tool"]["uv"]
    assert uv["index"] == [{"name": "company", "url": house["index_url"], "default": True}]
    assert "exclude-newer" not in "".join(texts.values())
    assert "setup-uv" not in "".join(texts.values()), "it comes from GitHub, as do uv and Python"
    assert "your-organisation" not in "".join(texts.values())
    assert "your-group" not in "".join(texts.values())


@pytest.mark.parametrize("has_dates", [True, False])
def test_a_new_day_never_conflicts_with_its_absence(render: Render, has_dates: bool) -> None:
    base = (render(level=1, index_has_dates=has_dates) / "pyproject.toml").read_text()
    theirs = re.sub(r'(?m)^(exclude-newer = )".*"', r'\1"2099-01-01T00:00:00Z"', base)

    assert (theirs != base) == has_dates
    ours = re.sub("^exclude-newer.*\n", "", base, flags=re.MULTILINE)

    assert (base == ours) == (not has_dates)
    assert key_merge.merge("pyproject.toml", base, ours, theirs) == ours


def test_a_role_of_its_own_name_owns_its_folders_and_no_other_role(render: Render) -> None:
    owners = "acme/ml data-science=@acme/ml/platform platform=@acme/infra risk=@bank/model-risk"
    project = render(ci="gitlab", use_case="governance", level=1, team_size="team", owners=owners)
    owned = dict(
        line.split()[:2]
        for line in (project / ".gitlab/CODEOWNERS").read_text().splitlines()
        if line and line[0] in "*/"
    )

    assert owned["*"] == "@acme/ml/platform"
    assert owned["/ops/"] == "@acme/ml/data-science-leads"
    assert owned["/governance/"] == "@bank/model-risk"


@pytest.mark.parametrize(
    ("answer", "ci", "expected"),
    [
        ("ml", "github", OF_GITHUB.format("'ml'")),
        (
            "self-hosted, linux",
            "github",
            OF_GITHUB.format('fromJSON(\'["self-hosted","linux"]\')'),
        ),
        ("group:ml pool", "github", OF_GITHUB.format('fromJSON(\'{"group":"ml pool"}\')')),
        ("self-hosted, linux", "gitlab", ["self-hosted", "linux"]),
        ("My pool", "azure", "My pool"),
    ],
)
def test_a_runner_is_a_label_a_list_or_a_group(
    render: Render, answer: str, ci: str, expected: Any
) -> None:
    project = render(ci=ci, level=1, runner=answer)
    file, *keys = SYNTAX[ci]["runner"]
    others = [path for path in files_of(project) if CI[ci].runs(path) and path != file]

    assert expected == reduce(getitem, keys, yaml.load((project / file).read_text(), AnyTag))
    read = [path for path in others if Path(file).name in (project / path).read_text()]
    assert read or file in CI[ci].jobs.values()


@pytest.mark.parametrize("question", BAD)
def test_what_could_break_a_file_is_refused(question: str) -> None:
    for answer in (TODAY[question], HOUSE[question]):
        assert asking.refusal(question, **{question: answer}) == ""
    for answer in BAD[question]:
        assert asking.refusal(question, **{question: answer}), answer


@pytest.mark.parametrize("ci", VENDORS)
def test_what_the_vendor_cannot_do_is_refused(ci: str) -> None:
    for question, answer, accepted in (
        ("runner", "group:ml", "group" in CI[ci].runners),
        ("runner", "a, b", "labels" in CI[ci].runners),
        ("service_image", "ci", "image-in-ci" in CI[ci].owns),
    ):
        assert (asking.refusal(question, **{"ci": ci, question: answer}) == "") == accepted, answer


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set defaults in Copier's settings."""
    file = tmp_path / "settings.yml"
    file.write_text(yaml.safe_dump({"defaults": {"base_image": "acme/python:1", "ci": "gitlab"}}))
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(file))
    return file


def recorded(project: Path) -> Any:
    return yaml.safe_load((project / ANSWERS).read_text())


def test_plain_copier_records_a_default_of_a_new_project_alone(
    tmp_path: Path, settings: Path
) -> None:
    def made(name: str) -> Path:
        copier.run_copy(str(template), tmp_path / name, defaults=True, quiet=True)
        project = tmp_path / name
        return init(project)

    template = asking.repository(tmp_path / "template")
    before = settings.read_text()
    settings.write_text("{}")
    earlier = made("earlier")
    settings.write_text(before)
    new = made("new")
    settings.write_text("{}")
    copier.run_update(new, data={"level": 1}, defaults=True, overwrite=True, quiet=True)
    settings.write_text(before)
    copier.run_update(earlier, data={"level": 1}, defaults=True, overwrite=True, quiet=True)

    assert recorded(new)["base_image"] == "acme/python:1"
    assert "base_image" not in recorded(earlier)
    assert recorded(earlier)["ci"] == "gitlab", "a question that is asked for the first time"


def test_rung_keeps_what_a_house_had_set_when_the_project_was_made(
    copier_template: Path, tmp_path: Path, settings: Path
) -> None:
    def run(verb: str, project: Path, *options: str) -> str:
        done = rung(verb, project, *options, "--template", copier_template, expect=0)
        return done.stdout

    def image(project: Path) -> str:
        return next(
            line for line in (project / "Dockerfile").read_text().splitlines() if "FROM" in line
        )

    before = settings.read_text()
    new, earlier = tmp_path / "new", tmp_path / "earlier"
    run("new", new, "--defaults", "--level", "0")
    settings.write_text("{}")
    run("new", earlier, "--defaults", "--level", "0")
    run("climb", new, "--to", "1", "--no-verify")
    settings.write_text(before)
    run("climb", earlier, "--to", "1", "--no-verify")
    for name, options in {"theirs": (), "given": ("--ci", "azure")}.items():
        run("new", tmp_path / name, "--defaults", "--level", "1", *options)

    found = [recorded(tmp_path / name)["ci"] for name in ("theirs", "given")]
    assert ["gitlab", "azure"] == found, "what is answered counts"
    assert (image(new), recorded(new)["base_image"]) == (
        "FROM acme/python:1 AS base",
        "acme/python:1",
    )
    assert image(earlier) == "FROM python:3.13-slim-trixie AS base"
    assert "base_image" not in recorded(earlier)
    run("climb", earlier, "-d", "base_image=acme/python:2", "--no-verify")
    assert image(earlier) == "FROM acme/python:2 AS base"


def test_certificates_that_are_not_there_are_named_until_they_are(
    copier_template: Path, tmp_path: Path
) -> None:
    project, bundle = tmp_path / "made", "certificates/ca.pem"
    options = ("--template", copier_template)
    missing = f"{bundle}, which `ca_bundle` names: images and CI need it"

    def said(verb: str, *more: str) -> bool:
        done = rung(verb, project, *options, *more, expect=0)
        return missing in " ".join(done.stdout.split())

    assert not said("new", "--defaults", "--level", "0", "-d", f"ca_bundle={bundle}")
    assert said("plan", "--to", "1"), "rung 0 has neither images nor CI"
    assert said("climb", "--to", "1", "--no-verify")
    assert said("climb", "--to", "2", "--no-verify", "--branch", "up")
    (project / bundle).parent.mkdir()
    (project / bundle).write_text("PEM\n")
    commit(project, "Bring the certificates")
    assert not said("plan", "--to", "2")
    assert not said("climb", "--to", "2", "--no-verify")
    project = tmp_path / "other"
    assert said("new", "--defaults", "--level", "1", "-d", f"ca_bundle={bundle}")


@pytest.mark.parametrize(
    ("name", "value"),
    [("base_image", "a b"), ("artifacts", "v3"), ("index_has_dates", "perhaps")],
)
def test_a_setting_that_is_not_accepted_is_named_with_its_file(
    copier_template: Path, tmp_path: Path, settings: Path, name: str, value: Any
) -> None:
    settings.write_text(yaml.safe_dump({"defaults": {name: value}}))
    done = rung("new", tmp_path / "made", "--defaults", "--template", copier_template, expect=2)

    assert f"The answer to `{name}` is" in done.stderr
    assert str(settings) in done.stderr
    assert not (tmp_path / "made").exists()
