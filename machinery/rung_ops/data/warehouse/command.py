"""Say what was taken from the warehouse, `poe data`, or take what is new, `poe data pull`."""

from collections import Counter
from pathlib import Path

import click
import pyarrow.parquet as pq

from rung_ops.command import verb
from rung_ops.data.warehouse import query, settings
from rung_ops.data.warehouse.pull import SNAPSHOT, note_of, pull
from rung_ops.data.warehouse.settings import Address, Settings
from rung_ops.project.paths import shown
from rung_ops.system.printable import counted


def describe(says: Settings, where: Address, folder: Path) -> list[str]:
    """Say what is here; nothing is asked of the warehouse.

    Raises:
        WarehouseError: the query cannot be read, or windows have days in common.
    """
    asked = query.read(says.query, says.watermark)
    unset = ": the sample's own, as WAREHOUSE_URL is not set" if where.is_sample else ""
    lines = [f"warehouse  {where.shown}{unset}", f"query      {shown(says.query)}"]
    done = query.taken(folder)
    names = [window.file_name for window in done] if says.watermark else [SNAPSHOT]
    here = [folder / name for name in names if (folder / name).exists()]
    away = [name for name in names if (folder / f"{name}.dvc").exists()]
    away = [name for name in away if folder / name not in here]
    counts = {path: pq.read_metadata(path).num_rows for path in here}
    lines += [f"  {path.name:32} {count:>12,} rows" for path, count in counts.items()]
    lines += [f"  {name:32} versioned, not here: `uv run poe pull`" for name in away]
    if says.watermark:
        day = done[-1].until if done else says.first
        lines.append(f"watermark  {says.watermark} < {day}, in UTC")
    lines.append(f"rows       {sum(counts.values()):,} in {counted(len(here), 'file')}")
    if not here and not away:
        lines.append("Nothing was taken yet: `uv run poe data pull`.")
    others = Counter(note_of(path).get("query") == asked.hash for path in here)[False]
    if others:
        lines.append(
            f"Taken by another text of {shown(says.query)}: {counted(others, 'file')}. Where that "
            "matters, delete them together with their .dvc files, and pull: they are taken again."
        )
    return lines


@verb("poe data")
@click.argument(
    "action", metavar="[list|pull]", type=click.Choice(["list", "pull"]), default="list"
)
def main(action: str) -> int:
    """Say what was taken from the warehouse, or take what is new."""
    says, where = settings.read(), settings.read_address()
    if action == "list":
        print("\n".join(describe(says, where, settings.taken_folder())))
        return 0
    rows = pull(says, where, settings.taken_folder())
    print(f"{counted(rows, 'row')} taken" if rows else "There is nothing new.")
    return 0
