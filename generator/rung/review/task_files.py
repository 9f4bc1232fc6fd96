"""The commands of a task in a task file: tox, just, npm, hatch, pdm, mise, pre-commit, DVC, go-task."""

import re
from collections.abc import Iterator

from rung.review.content import Content
from rung.review.makefiles import LocatedCommand

RECIPE = re.compile(r"^@?([A-Za-z0-9_-]+)(?:[ \t]+[^:\n=]*)?:(?!=)[ \t]*([^\n#]*)")


def tox(content: Content, _task: str, _path: str) -> Iterator[LocatedCommand]:
    """Give the commands of tox's environments."""
    for file in content.files.find("**/tox.ini", "setup.cfg", "**/tox.toml"):
        inside = False
        for number, line in enumerate((content.text(file) or "").split("\n"), 1):
            if match := re.match(r"commands\w*[ \t]*=[ \t]*(.*)", line):
                inside = True
                line = match[1]
            elif not line.startswith((" ", "\t")):
                inside = inside and not line.strip()
            if inside and line.strip():
                yield line.strip(), file, number
    for document in content.data("pyproject.toml"):
        text = document.get("tool", "tox", "legacy_tox_ini")
        for line in (text.value or "").split("\n") if text else []:
            yield line.strip(), "pyproject.toml", text.line if text else 1


def just(content: Content, recipe: str, _path: str) -> Iterator[LocatedCommand]:
    """Give the commands of a recipe of just, and those that run what it depends on."""
    for file in content.files.find("**/justfile", "**/.justfile"):
        inside = False
        for number, line in enumerate((content.text(file) or "").split("\n"), 1):
            if line.startswith((" ", "\t")):
                if inside and line.strip():
                    yield line.strip().lstrip("@-"), file, number
            elif match := RECIPE.match(line):
                inside = match[1] == recipe
                if inside:
                    for needed in match[2].split():
                        yield f"just {needed}", file, number


def npm(content: Content, script: str, _path: str) -> Iterator[LocatedCommand]:
    """Give the command of a script of npm, yarn or pnpm."""
    for file in content.files.find("**/package.json")[:50]:
        for document in content.data(file):
            node = document.get("scripts", script)
            if node and node.value:
                yield node.value, file, node.line


def hatch(content: Content, script: str, _path: str) -> Iterator[LocatedCommand]:
    """Give the commands of a script of hatch or pdm."""
    name = script.rpartition(":")[2]
    for document in content.data("pyproject.toml"):
        tables = [document.get("tool", "pdm", "scripts")]
        envs = document.get("tool", "hatch", "envs")
        tables += [node.get("scripts") for _, node in envs.entries] if envs else []
        for table in filter(None, tables):
            script_node = table.get(name)
            if script_node and not script_node.is_mapping:
                yield from (
                    (text, "pyproject.toml", script_node.line) for text in script_node.texts()
                )
            command = script_node.get("cmd") if script_node else None
            if command and command.value:
                yield command.value, "pyproject.toml", command.line


def mise(content: Content, task: str, _path: str) -> Iterator[LocatedCommand]:
    """Give the commands of a task of mise, and those that run what it depends on."""
    for file in content.files.find("mise.toml", ".mise.toml", ".config/mise.toml"):
        for document in content.data(file):
            task_node = document.get("tasks", task)
            if task_node and not task_node.is_mapping:
                yield from ((text, file, task_node.line) for text in task_node.texts())
            for key in ("run", "depends"):
                node = task_node.get(key) if task_node else None
                for text in node.texts() if node else []:
                    command = text if key == "run" else f"mise run {text}"
                    yield command, file, node.line if node else 1


def pre_commit(content: Content, _task: str, _path: str) -> Iterator[LocatedCommand]:
    """Give the names and entries of pre-commit's hooks."""
    for file in content.files.find(".pre-commit-config.yaml", ".pre-commit-config.yml"):
        for document in content.data(file):
            repos = document.get("repos")
            for _key, repo in repos.entries if repos else []:
                hooks = repo.get("hooks")
                for _none, hook in hooks.entries if hooks else []:
                    texts = [hook.get("id"), hook.get("entry")]
                    for node in texts:
                        if node and node.value:
                            yield node.value, file, node.line


def dvc(content: Content, _task: str, _path: str) -> Iterator[LocatedCommand]:
    """Give the commands of DVC's stages."""
    for file in content.files.find("**/dvc.yaml"):
        for document in content.data(file):
            stages = document.get("stages")
            for _key, stage in stages.entries if stages else []:
                command = stage.get("cmd") or stage.get("do", "cmd")
                for text in command.texts() if command else []:
                    yield text, file, command.line if command else 1


def go_task(content: Content, task: str, _path: str) -> Iterator[LocatedCommand]:
    """Give the commands of a task of go-task."""
    for file in content.files.find("**/Taskfile.yml", "**/Taskfile.yaml"):
        for document in content.data(file):
            node = document.get("tasks", task)
            for key in ("cmds", "deps", "cmd"):
                below = node.get(key) if node else None
                for each in [below, *(one for _, one in below.entries)] if below else []:
                    command = each.value or getattr(
                        each.get("cmd") or each.get("task"), "value", ""
                    )
                    if command:
                        yield f"task {command}" if key == "deps" else command, file, each.line
