"""Correct the artifact paths of a local MLflow store after the project's folder was moved.

MLflow stores absolute paths. Without correction, a store that one CI job wrote and another one
downloads, or that of a renamed folder, would point to missing files.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

FOLDER = "mlruns"  # MLflow's default name of the artifact folder, beside the store
# Columns with paths, by table of MLflow.
PATHS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def fix_paths(store: Path) -> int:
    """Correct paths to missing files that exist in the folder beside the store.

    Args:
        store: the SQLite file.

    Returns:
        The number of corrected paths.
    """
    if not store.is_file():
        return 0
    corrected = 0
    with closing(sqlite3.connect(store, timeout=60)) as opened, opened:
        tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
        for table, column in PATHS.items():
            if table not in tables:  # another version of MLflow
                continue
            query = f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL"
            for (recorded,) in opened.execute(query).fetchall():
                actual = _actual_path(recorded, store.parent.absolute() / FOLDER)
                if actual is not None:
                    change = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"
                    corrected += opened.execute(change, (actual, recorded)).rowcount
    return corrected


def _actual_path(recorded: str, folder: Path) -> str | None:
    """Return the path below the folder that replaces a missing one; None if not needed."""
    parts = urlsplit(recorded)
    if parts.scheme not in ("", "file"):
        return None
    old = Path(unquote(parts.path))
    if old.exists() or FOLDER not in old.parts:
        return None
    below = old.parts[len(old.parts) - old.parts[::-1].index(FOLDER) :]
    new = folder.joinpath(*below)
    if not new.exists():
        return None
    return new.as_uri() if parts.scheme else str(new)
