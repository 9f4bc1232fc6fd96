"""Clones of repositories that are named by a URL. Nothing of them is run."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rung.errors import RungError
from rung.system import git, shortage
from rung.system.process import stopped_like_ctrl_c

# Host and path of a URL, and of the short form for ssh.
URLS = (
    re.compile(r"(?i:https?|ssh|git|file)://(?:[^/\s]*@)?([\w.-]*)(?::\d+)?/(\S+)"),
    re.compile(r"[\w.-]+@([\w.-]+):(\S+)"),
)
CLONE = ("clone", "--quiet", "--template=", "--origin=origin", "--no-tags", "--single-branch")
PROTOCOLS = "file:git:http:https:ssh"
# A server that sends nothing is given up after a minute.
SETTINGS = git.QUIET | {"http.lowSpeedLimit": "1", "http.lowSpeedTime": "60"}
SHOWN = 5  # branches that can become the default one
SAID = ("fatal:", "error:", "remote:", "ERROR:", "ssh:")  # how lines begin that matter


def is_url(text: str) -> bool:
    """Say whether a text is the URL of a repository, and not a path."""
    return any(form.fullmatch(text) for form in URLS)


def parts(url: str) -> tuple[str, str]:
    """Return the host of a URL, empty for a file, and the path there, such as `ml/flights`."""
    found = next(filter(None, (form.fullmatch(url) for form in URLS)), None)
    host, path = found.groups() if found else ("", url)
    return host, path.strip("/").removesuffix(".git")


def shown(text: str) -> str:
    """Return a URL, or a text with some, without users and passwords."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


@contextlib.contextmanager
def cloned(url: str, *options: str) -> Iterator[Path]:
    """Yield a clone of the default branch in a new folder, and delete it at the end.

    Raises:
        RungError: It could not be made, or there is no such branch.
    """
    git.require()
    with (
        stopped_like_ctrl_c(),  # which ends git, and the programs that run in the clone
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made,
    ):
        folder = Path(made) / (parts(url)[1].rpartition("/")[2] or "clone")
        reach(Path(made), url, *CLONE, *options, "--", url, str(folder))
        if not git.revision(folder, "HEAD"):
            raise RungError(f"{shown(url)}: {_without_head(folder, url)}")
        yield folder


def _without_head(folder: Path, url: str) -> str:
    """Return why a clone has no commit, and what to do."""
    heads = reach(folder, url, "ls-remote", "--heads", "origin")
    branches = ", ".join(re.findall(r"\srefs/heads/(\S+)", heads)[:SHOWN])
    if not branches:
        return "it has no branches. Push one, or leave the repository out."
    return f"its default branch does not exist. Make an existing one the default there: {branches}."


def reach(folder: Path, url: str, *arguments: str) -> str:
    """Run git with a server and return all that it printed; its failure is a sentence."""
    allowed = {"GIT_ALLOW_PROTOCOL": os.environ.get("GIT_ALLOW_PROTOCOL", PROTOCOLS)}
    done = git.completed(folder, *arguments, settings=SETTINGS, extra=allowed)
    output = shown((done.stdout + done.stderr).decode(errors="replace"))
    if done.returncode:
        lines = [line for line in output.splitlines() if line.startswith(SAID)] or [output]
        told = " ".join(" ".join(lines).split())[:300] or shortage.end(done.returncode)
        advice = shortage.remedy_in(output)
        raise RungError(f"`git {arguments[0]}` of {shown(url)}: {told} {advice}".rstrip())
    return output
