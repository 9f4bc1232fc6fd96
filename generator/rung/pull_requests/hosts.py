"""The pull or merge request of a branch: by `gh`, by `glab`, or as the link that the server prints."""

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rung.check.fleet import clones
from rung.errors import RungError

LINK = re.compile(r"^remote:\s.*?(https?://\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Program:
    """A program that opens requests, and how it spells what both programs can do."""

    name: str
    noun: str
    number: str
    url: str
    body: str
    list: str
    create: str


GITHUB = Program(
    *("gh", "pr", "number", "url", "--body"),
    list="--state all --json number,url,state,title,isCrossRepository --head {0.branch}",
    create="--head {0.branch} --base {0.default}",
)
GITLAB = Program(
    *("glab", "mr", "iid", "web_url", "--description"),
    list="--all --output json --source-branch {0.branch}",
    create="--yes --source-branch {0.branch} --target-branch {0.default}",
)


@dataclass(frozen=True)
class Request:
    """A request to take a branch into the default branch of the repository at a URL."""

    url: str
    branch: str
    default: str
    title: str
    body: str
    draft: bool


def requested(request: Request, folder: Path, push: Callable[[], str] | None) -> tuple[str, str]:
    """Push and open or renew a request; return a word for what was done, and where it is.

    The programs run in `folder`. `push` pushes the branch and returns what the server said; None: it
    is there already.
    """
    host, path = clones.parts(request.url)
    program = _program(host, folder)
    if program is None:
        link = LINK.search(push()) if push else None
        where = link[1] if link else f"request it in {clones.shown(request.url)}"
        return ("pushed", f"{request.branch}; {where}") if push else ("as before", request.branch)

    def run(verb: str, *words: str) -> str:
        return _run(
            folder, program.name, program.noun, verb, *words, "--repo", f"https://{host}/{path}"
        )

    known = [
        pull
        for pull in json.loads(run("list", *program.list.format(request).split()) or "[]")
        if not pull.get("isCrossRepository")  # a fork's branch of the same name
        and pull.get("source_project_id") == pull.get("target_project_id")
    ]
    known.sort(key=lambda pull: not pull["state"].lower().startswith("open"))
    state = known[0]["state"].lower() if known else ""
    text = ("--title", request.title, program.body, request.body)
    # The team closed it; one of another title, such as for a newer version, is a new request.
    if state == "closed" and (push is None or known[0]["title"].endswith(request.title)):
        return "left alone", f"{known[0][program.url]} was closed"
    if state.startswith("open"):
        number, where = str(known[0][program.number]), str(known[0][program.url])
        if push is None:
            return "as before", where
        # Before the push: a run that fails in between is then repeated as a whole.
        if program is GITHUB:
            # Not by `gh pr edit`, which fails in many versions: https://github.com/cli/cli/issues/11983
            fields = ("-f", f"title={request.title}", "-f", f"body={request.body}")
            place = f"repos/{path}/pulls/{number}"
            _run(folder, *("gh", "api", "--hostname", host, "--method", "PATCH"), place, *fields)
            run("ready", number, *["--undo"] * request.draft)
        else:
            run("update", number, *text, "--draft" if request.draft else "--ready")
        push()
        return "renewed", where
    if push is not None:
        push()
    new = program.create.format(request).split()
    return "opened", run("create", *new, *text, *["--draft"] * request.draft).split()[-1]


def _program(host: str, folder: Path) -> Program | None:
    """Return the program that is logged in at a host, if any."""
    for program in (GITHUB, GITLAB):
        if host and shutil.which(program.name):
            with contextlib.suppress(RungError):
                _run(folder, program.name, "auth", "status", "--hostname", host)
                return program
    return None


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        told = " ".join(done.stderr.decode(errors="replace").split())[:300]
        raise RungError(f"`{' '.join(command[:3])}` failed: {told}")
    return done.stdout.decode(errors="replace")
