"""The commands of a task in a task file: tox, just, npm, hatch, pdm, mise, pre-commit, DVC, go-task."""

import re
from collections.abc import Collection, Iterable, Iterator

from rung.check.review.content import Content
from rung.check.review.data_files import Node
from rung.check.review.makefiles import LocatedCommand
from rung.check.review.simple_commands import joined

RECIPE = re.compile(r"^@?([A-Za-z0-9_-]+)(?:[ \t]+[^:\n=]*)?:(?!=)[ \t]*([^\n#]*)")


def named(arguments: str, options: Collection[str]) -> list[str]:
    """Return what is named after one of some options, such as `-e`, up to the next option."""
    names: list[str] = []
    is_after = False
    for word in arguments.split():
        option, _, value = word.partition("=")
        if word.startswith("-"):
            is_after = option in options
            names += [value] if is_after and value else []
        elif is_after:
            names += word.split(",")
    return names


def tox(content: Content, arguments: str, _path: str) -> Iterator[LocatedCommand]:
    """Give the commands of the environments of tox that are named, or of all."""
    wanted = named(arguments, ("-e", "--env"))
    by_section: dict[str, list[LocatedCommand]] = {}
    for file in content.files.find("**/tox.ini", "setup.cfg"):
        for section, command in _of_tox_ini(content.text(file) or "", file):
            by_section.setdefault(section, []).append(command)
    for file, keys in (("tox.toml", ()), ("pyproject.toml", ("tool", "tox"))):
        for document in content.data(file):
            table = document.get(*keys)
            ini = table.get("legacy_tox_ini") if table else None
            for section, (text, _, _) in _of_tox_ini(ini.value or "", file) if ini else ():
                by_section.setdefault(section, []).append((text, file, ini.line if ini else 1))
            envs = table.get("env") if table else None
            sections = [("testenv", table.get("env_run_base"))] if table else []
            sections += [(f"testenv:{name}", node) for name, node in envs.entries] if envs else []
            for section, node in sections:
                commands = node.get("commands") if node else None
                for _, argv in commands.entries if commands else []:
                    by_section.setdefault(section, []).append(
                        (joined(argv.texts()), file, argv.line)
                    )
    own = {section for name in wanted if (section := f"testenv:{name}") in by_section}
    for section, listed in by_section.items():
        shared = section == "testenv" or "{" in section
        if not wanted or section in own or (shared and len(own) < len(wanted)):
            yield from listed


def _of_tox_ini(text: str, file: str) -> Iterator[tuple[str, LocatedCommand]]:
    """Give each command, with the section that it is in."""
    section, inside = "", False
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\[([^\]\n]+)\]", line):
            section, inside = header[1].strip(), False
        elif match := re.match(r"commands\w*[ \t]*=[ \t]*(.*)", line):
            inside = True
            line = match[1]
        elif not line.startswith((" ", "\t")):
            inside = inside and not line.strip()
        if inside and line.strip():
            yield section, (line.strip(), file, number)


def just(content: Content, recipe: str, _path: str) -> Iterator[LocatedCommand]:
    """Give the commands of a recipe of just, the first by default, and those that it depends on."""
    for file in content.files.find("**/justfile", "**/.justfile"):
        inside = False
        wanted = recipe
        for number, line in enumerate((content.text(file) or "").split("\n"), 1):
            if line.startswith((" ", "\t")):
                if inside and line.strip():
                    yield line.strip().lstrip("@-"), file, number
            elif match := RECIPE.match(line):
                wanted = wanted or match[1]
                inside = match[1] == wanted
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
    for file, keys in (("pyproject.toml", ("tool", "hatch")), ("hatch.toml", ())):
        for document in content.data(file):
            tables = [document.get("tool", "pdm", "scripts")]
            envs = document.get(*keys, "envs")
            tables += [node.get("scripts") for _, node in envs.entries] if envs else []
            yield from _of_tables(tables, name, file)


def pixi(content: Content, task: str, _path: str) -> Iterator[LocatedCommand]:
    """Give the commands of a task of pixi, and those that run what it depends on."""
    for file, keys in (("pixi.toml", ()), ("pyproject.toml", ("tool", "pixi"))):
        for document in content.data(file):
            features = document.get(*keys, "feature")
            tables = [document.get(*keys, "tasks")]
            tables += [node.get("tasks") for _, node in features.entries] if features else []
            yield from _of_tables(tables, task, file)
            for table in filter(None, tables):
                needed = table.get(task, "depends-on")
                for name in needed.texts() if needed else []:
                    yield f"pixi run {name}", file, needed.line if needed else 1


def _of_tables(tables: Iterable[Node | None], name: str, file: str) -> Iterator[LocatedCommand]:
    """Give what tables of tasks run for a name: a text, a list of them, or a `cmd`."""
    for table in filter(None, tables):
        task = table.get(name)
        node = task.get("cmd") if task and task.is_mapping else task
        if node:
            yield from ((text, file, node.line) for text in node.texts())


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
            node = document.get("tasks", task or "default")
            for key in ("cmds", "deps", "cmd"):
                below = node.get(key) if node else None
                for each in [below, *(one for _, one in below.entries)] if below else []:
                    command = each.value or getattr(
                        each.get("cmd") or each.get("task"), "value", ""
                    )
                    if command:
                        yield f"task {command}" if key == "deps" else command, file, each.line
