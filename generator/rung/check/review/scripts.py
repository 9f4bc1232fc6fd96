"""The shell scripts and job files that a command names, also by a name that is put together."""

import re
from collections.abc import Iterator, MutableMapping
from itertools import islice

from rung.check.review import data_files, shell
from rung.check.review.content import Content
from rung.check.review.makefiles import LocatedCommand
from rung.check.review.simple_commands import joined

PIECE = r"(?:[\w./-]|\$\{[^{}\s]*+\}|\$\w++)"
SCRIPT = re.compile(rf"(?:^|[\s;&|(./])({PIECE}+\.(?:sh|bash))\b")
# Of a job of Ray, Anyscale, SkyPilot, Azure ML, Argo or Kubernetes.
JOB = re.compile(r"\b(?:submit|launch|apply|create)\b[^;&|]*?\s([\w./-]+\.ya?ml)\b")
# A script of a shell without an ending.
PLAIN = re.compile(r"(?:^|[\s;&|(])(?:\./|(?:ba|z|da)?sh\s+(?:-\w+\s+)*)([\w/-]*\w)(?=\s|$|;)")
COMPOSE = re.compile(r"\bdocker[ -]compose\b[^;&|]*?\s(?:run|up)\b((?:\s+[^\s;&|]+)*)")
JOB_KEYS = {"entrypoint", "command", "args", "run", "setup"}
VARIABLE = re.compile(r"\$\{\{[^{}]*\}\}|\$\{[^{}]*\}|\$\w+")
ASSIGNED = re.compile(r"""(?:export\s+)?(\w+)=(["']?)([^"'\n]*\.(?:sh|bash|py))\2;?$""")
LONGEST = 2_000  # lines of a script
MOST = 20  # scripts of one pattern


def put_in(command: str, names: MutableMapping[str, str]) -> str:
    """Return a command with the names of scripts that commands before it assigned.

    Args:
        command: of a script.
        names: what was assigned; it grows.
    """
    if assigned := ASSIGNED.match(command):
        names[assigned[1]] = VARIABLE.sub("${_}", assigned[3])
    elif names and "$" in command:
        for name, value in names.items():
            command = command.replace(f"${{{name}}}", value)
            command = re.sub(rf"\${name}\b", lambda _, value=value: value, command)  # type: ignore[misc]
    return command


def of_shell(content: Content, name: str, path: str) -> Iterator[LocatedCommand]:
    """Give the commands of the shell scripts that a command of a file names."""
    for file in _files(content, name, path.rpartition("/")[0]):
        for number, line in islice(shell.lines(content.text(file) or ""), LONGEST):
            yield line, file, number + 1


def of_plain(content: Content, name: str, path: str) -> Iterator[LocatedCommand]:
    """Give the commands of a shell script whose name has no ending."""
    for file in content.files.find(name, f"{path.rpartition('/')[0]}/{name}")[:1]:
        text = content.text(file) or ""
        if not text.startswith("#!") or "sh" in text.partition("\n")[0]:
            for number, line in islice(shell.lines(text), LONGEST):
                yield line, file, number + 1


def of_compose(content: Content, arguments: str, path: str) -> Iterator[LocatedCommand]:
    """Give the commands of the services of Docker Compose that are named, or of all."""
    words = set(arguments.split())
    for file in content.files.find("**/docker-compose*.y*ml", "**/compose*.y*ml")[:MOST]:
        for document in content.data(file):
            table = document.get("services")
            services = table.entries if table else []
            named = [(name, node) for name, node in services if name in words]
            for _, service in named or services:
                for node in filter(None, (service.get("entrypoint"), service.get("command"))):
                    yield joined(node.texts()), file, node.line


def of_job(content: Content, name: str, path: str) -> Iterator[LocatedCommand]:
    """Give the commands of the job that a command of a file submits."""
    for file in _files(content, name, path.rpartition("/")[0]):
        for document in content.data(file):
            for key, node in data_files.walk(document):
                if key in JOB_KEYS:
                    for number, line in shell.lines(node.value or " ".join(node.texts())):
                        yield line, file, node.line + number


def _files(content: Content, name: str, folder: str) -> list[str]:
    """Return the files of a name, in which a variable may be any part of it."""
    bare = VARIABLE.sub("*", name).lstrip("./")
    if not re.search(r"\w[^/]*\.\w+$", bare):
        return []
    last = VARIABLE.split(name)[-1]
    tried = [bare, f"{folder}/{bare}", *([last.lstrip("./")] if last.startswith("/") else [])]
    return next(filter(None, (content.files.find(each) for each in tried)), [])[:MOST]
