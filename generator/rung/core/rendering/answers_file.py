"""A project's answers file, read with limits, as it can come from anywhere (decision 3)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rung.core.rendering.workbench import Files, Workbench
from rung.errors import RungError
from rung.levels.template_answers import ANSWERS
from rung.system import plain_yaml

LARGEST = 64_000  # bytes of an answers file; a real one has about 500
MAX_EVENTS = 2_000  # YAML events
MAX_DEPTH = 6  # levels of nesting
NO_FOLDER = "{} is not a folder. Give the path of a project."


def parse(text: str, where: str) -> dict[str, Any]:
    """Return the answers in a text, as plain data; refuse what Copier would not write."""
    if len(text) > LARGEST:
        raise RungError(f"{where} is larger than {LARGEST} bytes. Restore it from git.")
    depth = 0
    try:
        for number, event in enumerate(yaml.parse(text, plain_yaml.Loader)):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise RungError(f"{where} uses a YAML alias or anchor. Restore it from git.")
            if number > MAX_EVENTS or depth > MAX_DEPTH:
                raise RungError(
                    f"{where} is larger or deeper than answers are. Restore it from git."
                )
        content = plain_yaml.load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise RungError(f"{where} cannot be read: {problem}\nRestore it from git.") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise RungError(f"{where} holds no answers. Restore it from git.")
    return content


def read(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's answers file, of whichever template."""
    file = folder / ANSWERS
    try:
        if file.exists() and not file.is_file():  # a pipe would block
            raise RungError(f"{file} is not a file. Restore it from git.")
        with file.open("rb") as stream:
            text = stream.read(LARGEST + 1).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        if not folder.is_dir():
            raise RungError(NO_FOLDER.format(folder)) from error
        raise RungError(
            f"{folder} is not a Rung project: {ANSWERS} is missing.\n"
            "Give the path of a project made by `rung new`."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise RungError(f"{file} cannot be read: {error}.\nRestore it from git.") from error
    return parse(text, str(file))


def recorded(folder: Path) -> dict[str, Any]:
    """Return the content of the answers file, checked for the entries that a climb needs."""
    file, content = folder / ANSWERS, read(folder)
    for entry, kind in (("_src_path", str), ("_commit", str), ("level", int), ("package", str)):
        if type(content.get(entry)) is not kind:
            raise RungError(f"{file} has no `{entry}`. Restore the file from git.")
    return content


def rendered(bench: Workbench, files: Files) -> dict[str, Any]:
    """Return the content of the answers file among the files of a tree."""
    text = bench.content(files.get(ANSWERS)).decode("utf-8", "replace")
    return parse(text, ANSWERS)


def answers(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers without Copier's own entries."""
    return {name: value for name, value in content.items() if not name.startswith("_")}
