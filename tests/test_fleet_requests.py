"""`rung fleet update` and `climb` open a branch and a request for each repository, and do it once."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from rung.check.fleet import clones, upkeep
from tests import fleet as six
from tests.climbing.tiny import commit, git, write
from tests.command import init, rung
from tests.conftest import ROOT
from tests.fleet import BROKEN, GITHUB, Fleet
from tests.repositories import ML, plant

First = tuple[Fleet, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return six.made(tmp_path_factory.mktemp("original") / "acme")


@pytest.fixture(scope="module")
def first(original: Fleet, tmp_path_factory: pytest.TempPathFactory) -> First:
    """Return a fleet that was updated once, and what the command did."""
    copy = six.settled(copied(original, tmp_path_factory.mktemp("first")))
    done = update(copy, "fleet.txt")
    assert "Trusted from now on" not in done.stderr, "a worker says nothing but by its line"
    return copy, done


@pytest.fixture
def fleet(original: Fleet, tmp_path: Path) -> Fleet:
    return six.settled(copied(original, tmp_path))


@pytest.fixture
def updated(first: First, tmp_path: Path) -> Fleet:
    copy = six.settled(copied(first[0], tmp_path))
    copy.calls()
    return copy


def copied(fleet: Fleet, to: Path) -> Path:
    return shutil.copytree(fleet.folder, to / "acme", symlinks=True)


def update(fleet: Fleet, *where: str) -> subprocess.CompletedProcess[str]:
    return fleet.rung("update", *where, "--template", fleet.template)


def url(name: str) -> str:
    return f"https://{six.HOSTS[name]}/ml/{name}.git"


def test_each_repository_has_a_line_a_branch_and_a_request(first: First, original: Fleet) -> None:
    fleet, done = first
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())

    assert 1 == done.returncode, "one of them failed"
    assert ["1 failed", "1 up to date", "4 opened"] == sorted(done.stderr.strip().split(", "))
    assert "up to date: template v0.2.0" == lines["ml/churn"]
    assert f"opened: https://{GITHUB}/ml/flights/pull/1" == lines["ml/flights"]
    assert lines["ml/fraud"].endswith("/ml/fraud/pull/1 (draft: conflicting)")
    assert lines["ml/pricing"].endswith("/ml/pricing/pull/1 (draft: failing)")
    assert f"opened: https://{six.GITLAB}/ml/returns/pull/1" == lines["ml/returns"]
    assert lines["ml/routes"].startswith(f"failed: `git clone` of {BROKEN}: ")

    assert [original.tip(name, "main") for name in six.HOSTS] == [
        fleet.tip(name, "main") for name in six.HOSTS
    ]
    assert "" == fleet.tip("churn")
    assert "MODEL = 2" == fleet.show("flights", "src/flights/model.py")
    assert "return 100" in fleet.show("flights", "ops/zero.py")
    assert re.fullmatch("locked for .* without a token", fleet.show("flights", "uv.lock"))
    assert fleet.tip("flights", "main") == git(fleet.bare("flights"), "rev-parse", "rung/update^")
    signers = f"gpg.ssh.allowedSignersFile={fleet.folder}/signers"
    git(fleet.bare("flights"), "-c", signers, "verify-commit", "rung/update")


def test_a_request_has_the_plan_and_is_a_draft_where_something_is_left(
    first: First,
) -> None:
    bodies = {}
    for name, draft in {"flights": False, "fraud": True, "pricing": True, "returns": False}.items():
        request = first[0].request(name)
        bodies[name] = request.get("body") or request["description"]
        assert "Update Rung's files to v0.2.0" == request["title"]
        assert draft is request["draft"], name
        assert "  ~ .copier-answers.yml" in bodies[name]
        assert "- The first function returns 100." in bodies[name]

    assert "`poe check` passed" in bodies["flights"]
    assert "To decide: you and Rung changed the same in `ops/zero.py`" in bodies["fraud"]
    assert "yours |     return 7\n      rung  |     return 100" in bodies["fraud"]
    assert "<<<<<<< yours" in first[0].show("fraud", "ops/zero.py")
    assert "FAILED tests/test_model.py" in bodies["pricing"]


def test_a_second_run_checks_and_changes_nothing(updated: Fleet) -> None:
    tips = [updated.tip(name) for name in six.HOSTS]
    (updated.folder / "bin/uv").write_text("#!/bin/sh\nexit 1\n")
    done = update(updated, *map(url, ("flights", "fraud", "returns")))

    assert 0 == done.returncode
    assert 3 == done.stdout.count("as before: https://")
    assert tips == [updated.tip(name) for name in six.HOSTS]
    assert {"list", "status"} == {call[2] for call in updated.calls()}


def test_a_branch_is_renewed_on_a_new_main_unless_others_have_committed_to_it(
    updated: Fleet,
) -> None:
    ours = {name: updated.tip(name) for name in ("flights", "fraud", "returns")}
    for name, branch in {"flights": "rung/update", "fraud": "main", "returns": "main"}.items():
        clone = updated.clone(name)
        git(clone, "switch", "--quiet", branch)
        write(clone, {"ops/zero.py": (clone / "ops/zero.py").read_text().replace("7\n", "1\n")})
        write(clone, {"notes.md": "By the team.\n"})
        commit(clone, "Edit")
        git(updated.bare(name), "fetch", "--quiet", str(clone), f"+{branch}:{branch}")
    theirs = updated.tip("flights")
    done = update(updated, *map(url, ours))
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())

    assert (
        "left alone: others have committed to rung/update; merge or delete it"
        == (lines["ml/flights"])
    )
    assert theirs == updated.tip("flights")
    for name in ("fraud", "returns"):
        assert lines[f"ml/{name}"].startswith("renewed: https://")
        assert updated.tip(name, "main") == git(updated.bare(name), "rev-parse", "rung/update^")
        assert not updated.request(name)["draft"]
    assert "return 100" in updated.show("fraud", "ops/zero.py"), "the conflict is gone"
    assert [] == [call for call in updated.calls() if "create" in call]


@pytest.mark.parametrize("name", ["flights", "returns"])
def test_a_request_that_was_closed_is_not_opened_again(updated: Fleet, name: str) -> None:
    file = updated.folder / f"bin/{name}-rung-update.json"
    known = updated.request(name)
    file.write_text(json.dumps(known | {"state": "closed", "title": f"Draft: {known['title']}"}))
    git(updated.bare(name), "branch", "--delete", "--force", "rung/update")
    clone = updated.clone(name)
    write(clone, {"notes.md": "By the team.\n"})
    commit(clone, "Edit")
    git(updated.bare(name), "fetch", "--quiet", str(clone), "+main:main")

    assert f"left alone: {url(name).removesuffix('.git')}/pull/1 was closed" in (
        update(updated, url(name)).stdout
    )
    assert "" == updated.tip(name)
    file.write_text(json.dumps(known | {"state": "closed", "title": "Update Rung's files to v0"}))
    assert "opened: https://" in update(updated, url(name)).stdout


def test_a_run_that_failed_half_way_is_taken_up(fleet: Fleet) -> None:
    (fleet.folder / "bin/down").touch()
    done = update(fleet, url("flights"))
    tip = fleet.tip("flights")
    (fleet.folder / "bin/down").unlink()

    assert (1, True) == (done.returncode, bool(tip))
    assert "failed: `gh pr create` failed: HTTP 503" in done.stdout
    assert "opened: https://" in update(fleet, url("flights")).stdout
    assert tip == fleet.tip("flights")


def test_without_gh_and_glab_the_servers_link_is_printed(fleet: Fleet) -> None:
    for program in ("gh", "glab"):
        (fleet.folder / "bin" / program).unlink()
    link = f"https://{GITHUB}/ml/flights/compare"
    hook = fleet.bare("flights") / "hooks/post-receive"
    hook.write_text(f"#!/bin/sh\necho 'Create a pull request: {link}'\n")
    hook.chmod(0o755)

    assert f"pushed: rung/update; {link}\n" in update(fleet, url("flights")).stdout
    assert "as before: rung/update\n" in update(fleet, url("flights")).stdout


def test_a_climb_goes_up_alone_from_a_shallow_clone_of_somebodys(fleet: Fleet) -> None:
    shallow = fleet.folder / "mine/flights"
    address = f"file://{fleet.bare('flights')}"
    git(fleet.folder, "clone", "--quiet", "--depth", "1", address, str(shallow))
    git(shallow, "remote", "set-url", "origin", url("flights"))
    trusted = ("--template", fleet.template, "--no-verify")
    up = fleet.rung("climb", "mine", "--to", "2", *trusted)
    down = fleet.rung("climb", "mine", "--to", "0", *trusted)

    assert "flights  up to date: on rung 1\n" == down.stdout
    assert "flights  opened: https://" in up.stdout
    assert "level: 2" in fleet.show("flights", ".copier-answers.yml", "rung/climb-2")
    assert "old" == fleet.show("flights", "uv.lock", "rung/climb-2")
    assert "Not checked" in fleet.request("flights", "rung-climb-2")["body"]
    assert "" == git(shallow, "status", "--porcelain")


def test_what_cannot_be_done_is_a_sentence_and_pushes_nothing(fleet: Fleet) -> None:
    hook = fleet.bare("returns") / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'Branches are named feature/*.'\nexit 1\n")
    (fleet.folder / "key").unlink()
    refused = "https://127.0.0.1:1/ml/a.git"
    done = update(fleet, url("flights"), refused)
    (fleet.folder / "gitconfig").write_text(
        (fleet.folder / "gitconfig").read_text().replace("gpgSign = true", "gpgSign = false")
    )
    protected = update(fleet, url("returns"))

    assert (1, 1) == (done.returncode, protected.returncode)
    assert re.search("ml/flights .*failed: .*commit-tree.* failed", done.stdout)
    assert re.search(f"ml/a .*failed: `git clone` of {refused}: .*onnect", done.stdout)
    assert "remote: Branches are named feature/*." in protected.stdout
    assert "" == fleet.tip("flights") + fleet.tip("returns")


def test_an_origin_by_an_alias_is_reached_and_a_folder_that_is_none_is_named(fleet: Fleet) -> None:
    git(fleet.folder, "init", "--quiet", "mine/flights")
    git(fleet.folder / "mine/flights", "remote", "add", "origin", "acme:ml/flights.git")
    alias = f'[url "https://{GITHUB}/"]\n  insteadOf = acme:\n'
    with (fleet.folder / "gitconfig").open("a") as config:
        config.write(alias)
    (fleet.folder / "list.txt").write_text("mine/flights\nnowhere\n")
    done = fleet.rung("climb", "list.txt", "--to", "0", "--template", fleet.template)

    assert "mine/flights  up to date: on rung 1\n" in done.stdout
    assert f"nowhere       failed: {fleet.folder}/nowhere is not a folder.\n" in done.stdout


def test_a_history_that_git_waits_for_is_not_shown(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SECONDS", 0.1)
    os.mkfifo(fleet.bare("flights") / "shallow")

    assert "" == upkeep.last_climb(fleet.bare("flights"))


def test_a_list_of_urls_is_read_from_shallow_clones(fleet: Fleet) -> None:
    done = fleet.rung("fleet.txt", "--behind", "v0.2.0", "--format", "json", "--seconds", "60")
    rows = {row["repository"]: row for row in json.loads(done.stdout)["repositories"]}

    names = ("template_version", "behind", "owner", "waivers")
    waived = {"unit-tests": "2099-06-30"}
    assert ["v0.1.0", "1", "@acme/ml", waived] == [rows["ml/flights"][name] for name in names]
    assert ["v0.2.0", "0", "", {}] == [rows["ml/churn"][name] for name in names]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", rows["ml/flights"]["last_climb"])
    assert "does not appear to be a git repository" in rows["ml/routes"]["error"]
    shallow = fleet.folder / "shallow"
    address = f"file://{fleet.bare('flights')}"
    git(fleet.folder, "clone", "--quiet", "--depth", "1", address, str(shallow))
    assert f"before {rows['ml/flights']['last_climb']}" == upkeep.last_climb(shallow)


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://ada:secret@github.com:8443/ml/flights.git", "github.com", "ml/flights"),
        ("HTTPS://ada:secret@at@github.com/ml/flights", "github.com", "ml/flights"),
        ("git@github.com:ml/flights.git", "github.com", "ml/flights"),
        ("ssh://git@gitlab.acme.example/a/b/flights", "gitlab.acme.example", "a/b/flights"),
        ("file:///srv/git/flights.git", "", "srv/git/flights"),
    ],
)
def test_a_url_is_known_by_its_parts_and_shown_without_a_password(
    url: str, host: str, path: str
) -> None:
    assert clones.is_url(url) and (host, path) == clones.parts(url)
    assert "secret" not in clones.shown(url)


@pytest.mark.parametrize(
    "path", ["models", "./a@b", "me@home/models", "C:\\models", "~/models", "ours.txt"]
)
def test_a_path_is_no_url(path: str) -> None:
    assert not clones.is_url(path)


def test_a_repository_without_a_default_branch_is_not_read(tmp_path: Path) -> None:
    repositories = {"empty": [], "one": ["main"], "two": ["dev", "main"]}
    work = init(plant(tmp_path / "work", ML))
    for name, branches in repositories.items():
        git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=master", name)
        for branch in branches:
            git(work, "push", "--quiet", str(tmp_path / name), f"main:{branch}")
    urls = [f"file://{tmp_path / name}" for name in repositories]
    rows = json.loads(rung("fleet", *urls, "--format", "json", expect=0).stdout)["repositories"]
    updated = rung("fleet", "update", *urls, expect=1).stdout

    assert [row["level"] for row in rows] == [None] * 3
    for name, found in {
        "empty": "it has no branches. Push one, or leave the repository out.",
        "one": "its default branch does not exist. Make an existing one the default there: main.",
        "two": "its default branch does not exist. Make an existing one the default there: dev, main.",
    }.items():
        assert f"{tmp_path / name}: {found}" in updated
        assert found in next(row["error"] for row in rows if row["path"].endswith(name))


@pytest.mark.parametrize("name", ["flights", "returns"])
def test_the_job_of_a_repository_opens_its_request(fleet: Fleet, name: str) -> None:
    """But for the steps that install Rung, and `glab`."""
    update(fleet, url("churn"))  # which trusts the template
    if name == "flights":
        job = yaml.safe_load((ROOT / "docs/ci/rung-update.github.yml").read_text("utf-8"))
        script = job["jobs"]["update"]["steps"][-1]["run"]
    else:
        job = yaml.safe_load((ROOT / "docs/ci/rung-update.gitlab-ci.yml").read_text("utf-8"))
        script = "\n".join(job["rung-update"]["script"][2:])
    given = {
        "GITHUB_SERVER_URL": f"https://{GITHUB}",
        "GITHUB_REPOSITORY": "ml/flights",
        "CI_PROJECT_URL": f"https://{six.GITLAB}/ml/returns",
    }
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        env={**os.environ, **fleet.environment, **given},
        cwd=fleet.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert f"ml/{name}  opened: https://" in done.stdout


def test_the_page_works_as_it_is_written(fleet: Fleet) -> None:
    page = (ROOT / "docs/platform.md").read_text("utf-8").partition("## The fleet by pull")[2]
    blocks = re.findall(
        r"^```(sh|text)\n(.*?)^```$", page.partition("\n## ")[0], re.MULTILINE | re.DOTALL
    )
    update(fleet, url("churn"))  # which trusts the template
    printed, shown = "", []
    for kind, text in blocks:
        if kind == "sh":
            printed = subprocess.run(
                ["bash", "-e", "-c", text],
                env={**os.environ, **fleet.environment},
                cwd=fleet.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            ).stdout
            continue
        for line in text.splitlines():
            shown.append(line)
            pattern = ".*".join(map(re.escape, line.split("...")))
            assert re.search(f"^{pattern}$", printed, re.MULTILINE), f"{line!r} not in\n{printed}"

    assert 20 < len(shown)
