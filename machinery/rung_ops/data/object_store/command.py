"""Task: list the raw data in the store, or fetch what is new there."""

import sys

import click

from rung_ops.command import verb
from rung_ops.data.object_store import client, settings
from rung_ops.data.object_store.client import StoredObject
from rung_ops.data.object_store.pull import (
    CHANGED,
    HERE,
    NEW,
    OWN,
    adopt,
    alone,
    bring,
    can_be_adopted,
    left_behind,
    path_of,
    read_record,
    record_file,
    state_of,
)
from rung_ops.project import current
from rung_ops.project.paths import shown

STATES = {
    HERE: "here",
    NEW: "not here",
    CHANGED: "changed",
    OWN: "other here",
}
UNITS = ("B", "kB", "MB", "GB", "TB")


def show() -> int:
    """Print what the store holds, and how data/incoming differs; return the exit code."""
    location = settings.read()
    stored, unfit = client.listed(client.client(location), location)
    known = read_record()
    states = [state_of(entry, location, known) for entry in stored]
    print(f"{location.location()}\n")
    for entry, state in zip(stored, states, strict=True):
        when = f"{entry.modified:%Y-%m-%d %H:%M}"
        print(f"{in_units(entry.size):>9}  {when}  {STATES[state]:<10}  {entry.name}")
    total = in_units(sum(entry.size for entry in stored))
    wanted = sum(state in (NEW, CHANGED) for state in states)
    rest = f"{wanted} to fetch: `uv run poe data pull`" if wanted else "nothing to fetch"
    print(f"\n{len(stored)} objects, {total}; {rest}." if stored else _nothing(location))
    for key in unfit:
        print(f"left out: {key!r} (no name for a raw file)")
    for name in left_behind(stored, location, known):
        print(f"no longer in the store: {shown(current().incoming / name)}")
    return 0


def pull() -> int:
    """Fetch what is new or changed; return the exit code."""
    location = settings.read()
    connection = client.client(location)
    stored, _ = client.listed(connection, location)
    if not stored:
        print(_nothing(location))
        return 0
    own: list[StoredObject] = []
    fetched = 0
    with alone():
        known = read_record()
        for number, entry in enumerate(stored, 1):
            state = state_of(entry, location, known)
            if state == HERE:
                continue
            if state == OWN:
                if can_be_adopted(location, entry):
                    adopt(location, entry, known)
                else:
                    own.append(entry)
                continue
            path = bring(connection, location, entry, known)
            fetched += 1
            size = in_units(path.stat().st_size)
            print(f"fetched {shown(path)} ({size}, {number} of {len(stored)})", flush=True)
    for entry in own:
        print(
            f"{shown(path_of(entry, location))}: not fetched, as another file of that name is "
            "here. Delete it, or give it another name, and type it again.",
            file=sys.stderr,
        )
    print(f"{fetched} fetched, {len(stored) - fetched - len(own)} were here already.")
    if fetched:
        print(f"Commit {shown(record_file())} and what git shows of {shown(current().incoming)}.")
    return 1 if own else 0


def in_units(size: int) -> str:
    """Write a number of bytes as people read it."""
    amount, unit = float(size), 0
    while amount >= 999.5 and unit < len(UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return (
        f"{amount:.0f} {UNITS[unit]}"
        if unit == 0 or amount >= 99.5
        else f"{amount:.1f} {UNITS[unit]}"
    )


def _nothing(location: settings.Settings) -> str:
    patterns = ", ".join(location.files)
    return f"There is nothing in {location.location()} that `files` in ops/store.toml asks for ({patterns})."


@verb("poe data")
@click.argument(
    "action", metavar="[list|pull]", type=click.Choice(["list", "pull"]), default="list"
)
def main(action: str) -> int:
    """List the raw data in the store, or fetch what is new there."""
    try:
        return pull() if action == "pull" else show()
    except KeyboardInterrupt:
        print("Stopped. Type it again: it goes on where it was.", file=sys.stderr)
        return 130
