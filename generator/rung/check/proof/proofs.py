"""What may be run to prove a capability: the data of levels/proofs.yml."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rung.errors import RungError
from rung.system import plain_yaml

FILE = "proofs.yml"


@dataclass(frozen=True)
class Proof:
    """A command, and the capabilities that it proves where it leads to certain commands.

    Attributes:
        about: what it runs, for a person.
        when: a predicate that holds where there is something to run.
        command: the program and its arguments.
        project: whether the environment that uv makes for the project is wanted.
        env: variables, besides those of the person.
        proves: by capability, what one of the commands that it leads to has to match.
    """

    about: str
    when: Any
    command: tuple[str, ...]
    project: bool
    env: Mapping[str, str]
    proves: Mapping[str, re.Pattern[str]]


def load(folder: Path) -> tuple[Proof, ...]:
    """Read the file of the folder `levels`; raise a RungError when it is not what it must be."""
    path = folder / FILE
    try:
        data: Mapping[str, Any] = plain_yaml.load(path.read_text(encoding="utf-8"))
        return tuple(
            Proof(
                about=entry["about"],
                when=entry["when"],
                command=tuple(entry["run"].split()),
                project=entry["project"],
                env=entry.get("env", {}),
                proves={name: re.compile(text) for name, text in entry["proves"].items()},
            )
            for entry in data.values()
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, re.error) as error:
        raise RungError(f"{path} cannot be read: {error!r}. Reinstall Rung.") from error
