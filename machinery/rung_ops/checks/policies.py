"""Check every policy file of ops/ with the reader that the library uses."""

import importlib
import sys
import tomllib
from pathlib import Path

from rung_ops.project import active_addons
from rung_ops.project.paths import policy_file, shown

# By file: the functions that read it. Add-ons have readers of their own files.
READERS = {
    "autopilot.toml": ("rung_ops.autopilot.decide:read_rules",),
    "features.toml": ("rung_ops.features.stores:timeout",),
    "gate.toml": ("rung_ops.gate.rules:read",),
    "monitor.toml": ("rung_ops.monitoring.limits:read",),
    "rollout.toml": ("rung_ops.release.rollout:read_policy",),
    "service.toml": (
        "rung_ops.project.service_settings:limits",
        "rung_ops.project.service_settings:reason_settings",
        "rung_ops.serving.access:read_settings",
        "rung_ops.project.service_settings:read_slo",
        "rung_ops.project.service_settings:log_settings",
    ),
    "store.toml": ("rung_ops.data.object_store.settings:read",),
    "tracking.toml": ("rung_ops.tracking.store_address:policy",),
    "warehouse.toml": ("rung_ops.data.warehouse.settings:read",),
}


def problems() -> list[str]:
    """Read the policy files that exist; return a sentence for each one that cannot be used.

    Only the modules of files that exist are imported. Where a file is not TOML, only such files are
    named, as some readers read two files.
    """
    readers = dict(READERS)
    for addon in active_addons.active().values():
        readers |= addon.policies
    files = {name: policy_file(name) for name in readers if policy_file(name).is_file()}
    if broken := [sentence for path in files.values() if (sentence := _not_toml(path))]:
        return broken
    found = []
    for name, path in files.items():
        if sentence := next(filter(None, map(_refused, readers[name])), None):
            sentence = sentence.removeprefix(f"{path.name}: ")
            found.append(sentence if shown(path) in sentence else f"{shown(path)}: {sentence}")
    return found


def _not_toml(path: Path) -> str | None:
    try:
        tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return f"{shown(path)}: not valid TOML: {error}. Fix that line."
    return None


def _refused(reader: str) -> str | None:
    module, _, function = reader.partition(":")
    read = getattr(importlib.import_module(module), function)
    try:
        read()
    except Exception as error:  # each reader raises different errors
        return str(error)
    return None


def main() -> int:
    """Print each problem of a policy file; return the exit code."""
    broken = problems()
    for sentence in broken:
        print(sentence, file=sys.stderr)
    return 1 if broken else 0
