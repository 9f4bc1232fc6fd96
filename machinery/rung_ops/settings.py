"""Settings in TOML files: read into typed records, with one style of sentence, and single values changed."""

import difflib
import json
import math
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

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
    """Read a TOML file of finite numbers; one that is missing is empty."""
    content = parsed(path)
    refuse_infinite(content, f"{path.name}:")
    return content


def parsed(path: Path) -> dict[str, Any]:
    """Read a TOML file; one that is missing is empty."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} is not valid TOML: {error}") from error


def refuse_infinite(content: object, where: str, name: str = "") -> None:
    """Refuse `inf` and `nan`: a bound that is one of them refuses nothing."""
    if isinstance(content, dict):
        for key, value in content.items():
            refuse_infinite(value, where, f"{name}.{key}" if name else key)
    elif isinstance(content, list):
        for value in content:
            refuse_infinite(value, where, name)
    elif isinstance(content, float) and not math.isfinite(content):
        raise SettingsError(f"{where} `{name}` is {content}; expected a finite number")


def converted(value: object, kind: type[Kind], where: str) -> Kind:
    """Check what a file holds against what it may hold; the error begins with `where`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        # Such as "Expected `float` < 1.0 - at `$.split.test_share`".
        what, _, place = str(error).partition(" - at `$")
        is_item = place.endswith("]`")
        names = [*filter(None, re.sub(r"\[[^]]*\]|`$", "", place).split("."))]
        field = what.partition("field `")[2].rstrip("`")
        key = "" if field or not names else names.pop()
        if "unknown field `" in what:
            what += _near(field, names, kind)
        shown = f"an item of {key}" if is_item and key else key
        message = located(where, names, shown, what[:1].lower() + what[1:])
        raise SettingsError(message, place=(".".join(names), field or key)) from error


def located(where: str, tables: Sequence[str], key: str, what: str) -> str:
    """Say where something is wrong, "params.toml: [split] test_share: what"; the key may be empty."""
    if tables and where.endswith("]"):
        where, tables = f"{where[:-1]}.{'.'.join(tables)}]", ()
    table = f" [{'.'.join(tables)}]" if tables else ""
    return f"{where}{table}{f' {key}:' if key else ''} {what}"


def _near(unknown: str, tables: list[str], kind: Any) -> str:
    """Name the field that an unknown one resembles, in its own table."""
    for table in tables:
        (named,) = (each.type for each in msgspec.structs.fields(kind) if each.encode_name == table)
        kind = next(
            each for each in (named, *get_args(named)) if hasattr(each, "__struct_fields__")
        )
    near = difflib.get_close_matches(
        unknown, [x.encode_name for x in msgspec.structs.fields(kind)], 1
    )
    return f"; did you mean `{near[0]}`?" if near else ""


def override(path: Path, tables: dict[str, dict[str, object]]) -> None:
    """Change values by table and key in a TOML file; its other lines and comments stay.

    An existing value must be on a single line.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    for table, values in tables.items():
        for key, value in values.items():
            _override(lines, table, key, f"{key} = {toml_value(value)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _override(lines: list[str], table: str, key: str, line: str) -> None:
    """Replace the value of a key, or insert a line below the heading of its table."""
    heading = re.compile(r"\[([\w.]+)\]")
    headings = [at for at, text in enumerate(lines) if heading.match(text)]
    start = next((at for at in headings if lines[at].startswith(f"[{table}]")), None)
    if start is None:
        lines += [f"[{table}]", line]
        return
    end = next((at for at in headings if at > start), len(lines))
    for at in range(start + 1, end):
        if found := re.match(rf"""{key}\s*=\s*(?:"[^"]*"|'[^']*'|[^#"']*?)(\s*#.*)?$""", lines[at]):
            lines[at] = line + (found[1] or "")
            return
    lines.insert(start + 1, line)


def toml_value(value: object) -> str:
    """Return a text, number, Boolean or list of them as TOML writes it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)
