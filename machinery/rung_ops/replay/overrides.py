"""Change values in a TOML file and keep its other lines."""

import re
from pathlib import Path


def override(path: Path, tables: dict[str, dict[str, object]]) -> None:
    """Change values in a TOML file and keep its other lines.

    Args:
        path: of the file.
        tables: new values by table and key. An existing value must be on a single line.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    for table, values in tables.items():
        for key, value in values.items():
            _override(lines, table, key, f"{key} = {_toml(value)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _override(lines: list[str], table: str, key: str, line: str) -> None:
    """Replace the line of a key, or insert a line below the heading of its table."""
    heading = re.compile(r"\[([\w.]+)\]")
    headings = [at for at, text in enumerate(lines) if heading.match(text)]
    start = next((at for at in headings if lines[at].startswith(f"[{table}]")), None)
    if start is None:
        lines += [f"[{table}]", line]
        return
    end = next((at for at in headings if at > start), len(lines))
    for at in range(start + 1, end):
        if re.match(rf"{key}\s*=", lines[at]):
            lines[at] = line
            return
    lines.insert(start + 1, line)


def _toml(value: object) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value).lower() if isinstance(value, bool) else str(value)
