"""The commands of a repository: in CI, task files, pipelines, images and manifests."""

import json
import re
from collections.abc import Iterator
from functools import cached_property

from rung.check.review import data_files, documents
from rung.check.review.ci import CI
from rung.check.review.content import Content
from rung.check.review.runners import Command, commands_of
from rung.check.review.shell import joined

IMAGES = ("**/Dockerfile*", "**/*.Dockerfile", "**/Containerfile*")
INSTRUCTION = re.compile(r"\s*(?:RUN|CMD|ENTRYPOINT)\s+(.*)", re.IGNORECASE)
# Keys of a container in Compose and Kubernetes, and of a job of Ray.
CONTAINER_KEYS = {"command", "args", "entrypoint"}


class Commands:
    """The commands that something in the repository starts."""

    def __init__(self, content: Content, ci: CI) -> None:
        self.content = content
        self.ci = ci

    @cached_property
    def all(self) -> list[Command]:
        """The commands of CI, task files, pipelines, images and container manifests."""
        commands = [command for workflow in self.ci.workflows for command in workflow.commands]
        commands += self.ci.runners.tasks()
        commands += self.ci.runners.follow([*self._image_commands(), *self._manifest_commands()])
        return list(dict.fromkeys(commands))

    @cached_property
    def on_a_schedule(self) -> frozenset[tuple[str, int]]:
        """File and line of each command that a CI schedule leads to."""
        return frozenset(
            (command.path, command.line)
            for workflow in self.ci.workflows
            for command in workflow.scheduled
        )

    def _image_commands(self) -> Iterator[Command]:
        files = self.content.files
        for path in files.in_time(files.find(*IMAGES)):
            text = documents.without_comments("Dockerfile", self.content.text(path) or "")
            for instruction in commands_of(text, path, 1):
                if match := INSTRUCTION.match(instruction.text):
                    yield Command(_shell_form(match[1]), path, instruction.line)

    def _manifest_commands(self) -> Iterator[Command]:
        files = self.content.files
        for path in files.in_time(self.content.manifests):
            for document in self.content.data(path):
                for key, node in data_files.walk(document):
                    if key in CONTAINER_KEYS and (command := joined(node.texts())):
                        yield from commands_of(command, path, node.script_line)


def _shell_form(command: str) -> str:
    """Return an instruction's command in shell form; the exec form is a JSON list of arguments."""
    try:
        arguments = json.loads(command)
    except ValueError:
        return command
    return joined(list(map(str, arguments))) if isinstance(arguments, list) else command
