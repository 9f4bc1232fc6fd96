"""Values changed in a TOML file, its other lines left as they are."""

import re
from pathlib import Path


def override(path: Path, tables: dict[str, dict[str, object]]) -> None:
    """Change values in a TOML file, and leave its other lines as they are.

    Args:
        path: the file.
        tables: new values by table and key. A value that is there stands on one line.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    for table, values in tables.items():
        for key, value in values.items():
            _override(lines, table, key, f"{key} = {_toml(value)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _override(lines: list[str], table: str, key: str, line: str) -> None:
    """Put a line in the place of that of a key, or below the heading of its table."""
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
