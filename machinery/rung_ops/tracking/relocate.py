"""Let a local store of runs find its files again where the project has moved.

MLflow writes down whole paths. A registry that one CI job made and another one downloads, or a
project in a folder of another name, would hold versions whose models nobody finds.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

FOLDER = "mlruns"  # MLflow's own name for it, beside the store
# Where MLflow's tables say where files are.
PATHS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def bring_home(store: Path) -> int:
    """Correct the paths of files that are in the folder beside the store, not where it says.

    Args:
        store: the SQLite file.

    Returns:
        How many paths were corrected.
    """
    if not store.is_file():
        return 0
    corrected = 0
    with closing(sqlite3.connect(store, timeout=60)) as opened, opened:
        tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
        for table, column in PATHS.items():
            if table not in tables:  # of another version of MLflow
                continue
            asked = f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL"
            for (said,) in opened.execute(asked).fetchall():
                here = _here(said, store.parent.absolute() / FOLDER)
                if here is not None:
                    change = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"
                    corrected += opened.execute(change, (here, said)).rowcount
    return corrected


def _here(said: str, folder: Path) -> str | None:
    """Give the place beside the store of a path that is not there; None where nothing is to do."""
    parts = urlsplit(said)
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
