"""Reads a table of a TOML file of settings into a typed record, with one style of sentence."""

import difflib
import math
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rung_ops.errors import SettingsError

Kind = TypeVar("Kind")


def read(path: Path, kind: type[Kind], table: str = "") -> Kind:
    """Read a file of settings, or one table of it; what it leaves out has its default.

    Args:
        path: of the file; one that is missing is empty.
        kind: a msgspec.Struct, which forbids unknown fields.
        table: its name, `tune` or `models.one`; without one, the file is the record.

    Raises:
        SettingsError: it is not valid TOML, or has an unknown name or a wrong value.
    """
    content: Any = toml(path)
    for name in filter(None, table.split(".")):
        content = content.get(name, {})
        if not isinstance(content, dict):
            raise SettingsError(f"{path.name}: `{name}` is not a table")
    return converted(content, kind, f"{path.name}:{f' [{table}]' if table else ''}")


def toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; one that is missing is empty.

    Raises:
        SettingsError: it is not valid TOML, or holds a number that is not finite.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} is not valid TOML: {error}") from error
    refuse_infinite(content, f"{path.name}:")
    return content


def refuse_infinite(content: object, where: str, name: str = "") -> None:
    """Refuse `inf` and `nan`: a bound that is one of them refuses nothing.

    Raises:
        SettingsError: a number is one of them; the message begins with `where`, and has its name.
    """
    if isinstance(content, dict):
        for key, value in content.items():
            refuse_infinite(value, where, f"{name}.{key}" if name else key)
    elif isinstance(content, list):
        for value in content:
            refuse_infinite(value, where, name)
    elif isinstance(content, float) and not math.isfinite(content):
        raise SettingsError(f"{where} `{name}` is {content}; expected a finite number")


def converted(value: object, kind: type[Kind], where: str) -> Kind:
    """Check what a file holds against what it may hold.

    Raises:
        SettingsError: it holds something else; the message begins with `where`.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        raise SettingsError(f"{where} {text[:1].lower()}{text[1:]}{_near(text, kind)}") from error


def _near(text: str, kind: Any) -> str:
    """Name the field that an unknown one resembles."""
    unknown = text.partition("unknown field `")[2].partition("`")[0]
    fields = [field.encode_name for field in msgspec.structs.fields(kind)] if unknown else []
    near = difflib.get_close_matches(unknown, fields, n=1)
    return f"; did you mean `{near[0]}`?" if near else ""
