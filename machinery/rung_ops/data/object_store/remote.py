"""Why DVC could not reach its remote, where that is an object store."""

from configparser import ConfigParser
from configparser import Error as Malformed
from pathlib import Path

from rung_ops.data.object_store import objects
from rung_ops.data.object_store.errors import StoreError, named
from rung_ops.data.object_store.settings import Settings
from rung_ops.project import current


def config_file() -> Path:
    """Return the path of DVC's settings."""
    return current().repository / ".dvc/config"


S3 = "s3://"


def advice() -> str:
    """Ask the remote of .dvc/config, as DVC did, and say what is wrong and what to do."""
    try:
        remote = _remote()
        if remote is not None:
            _ask(remote)
    except StoreError as error:
        return str(error)
    if remote is None:
        return "Look at the remote in .dvc/config: everybody must reach it."
    return (
        f"{remote.location()} answers. Either the key may not read and write there (s3:GetObject, "
        "s3:PutObject), or the versions were never sent from where the files are."
    )


def _remote() -> Settings | None:
    """Read where DVC keeps its versions; None if that is not an object store."""
    config = ConfigParser(interpolation=None)
    try:
        config.read(config_file(), encoding="utf-8")
        remote = config[f"'remote \"{config['core']['remote']}\"'"]
        url = remote["url"]
    except (Malformed, KeyError, UnicodeDecodeError) as error:
        raise StoreError(f".dvc/config: names no remote ({error}). Fix it.") from error
    if not url.startswith(S3):
        return None
    bucket, _, prefix = url.removeprefix(S3).partition("/")
    return Settings(remote.get("endpointurl", ""), bucket, prefix.strip("/"))


def _ask(remote: Settings) -> None:
    client = objects.client(remote)
    try:
        client.list_objects_v2(Bucket=remote.bucket, Prefix=remote.root, MaxKeys=1)
    except objects.RAISED as error:
        raise named(error, remote.location()) from error
