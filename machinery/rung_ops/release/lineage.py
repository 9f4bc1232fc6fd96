"""Print the origin of a model version: `uv run poe lineage [VERSION or alias]`."""

import sys

import click
from mlflow.entities.model_registry import ModelVersion

from rung_ops.command import verb
from rung_ops.errors import OpsError
from rung_ops.release import state
from rung_ops.tracking import registry, store_address, versions

TAGS = ("git_commit", "git_author", "git_dirty", "data_hash", "params_hash")


def describe(version: ModelVersion) -> str:
    """Format commit, data, parameters and figures of a version, and how to reproduce it."""
    tags = {tag: version.tags.get(tag, "not recorded") for tag in TAGS}
    run = registry.client().get_run(str(version.run_id))
    dirty = tags["git_dirty"] == "true"
    lines = [
        f"{version.name} version {version.version}"
        + "".join(f", {alias}" for alias in version.aliases),
        "",
        f"commit       {tags['git_commit']}" + (" with uncommitted changes" if dirty else ""),
        f"commit by    {tags['git_author']}",
        f"data hash    {tags['data_hash']}",
        f"params hash  {tags['params_hash']}",
        f"run          {version.run_id}",
        f"rows         {version.tags.get(versions.ROWS, 'not recorded')}",
        "",
        "parameters",
        *(f"  {name} = {value}" for name, value in sorted(run.data.params.items())),
        "",
        "figures",
        *(f"  {name} = {value:.4f}" for name, value in sorted(run.data.metrics.items())),
        "",
        "To reproduce it:",
        f"  git checkout {tags['git_commit'][:12]} && uv sync && uv run poe pull",
        "  uv run poe pipeline",
    ]
    return "\n".join(lines)


def find(wanted: str) -> ModelVersion:
    """Find a version by its number or alias; the champion is what production serves.

    A rollback needs no registry, so the alias `champion` may still be at the version before it.
    """
    manifest = state.served_manifest() if wanted == registry.CHAMPION else None
    if manifest is None:
        return registry.version(wanted)
    version = registry.version(str(manifest["version"]))
    if registry.CHAMPION not in version.aliases:
        try:
            number = registry.version(registry.CHAMPION).version
            alias = f"the alias `{registry.CHAMPION}` is at version {number}"
        except registry.MlflowException:
            alias = f"no version has the alias `{registry.CHAMPION}`"
        print(f"Production serves version {version.version}; {alias}.", file=sys.stderr)
    return version


def _elsewhere() -> str:
    """Say where a version may be that a registry in a file lacks; empty if it is a server."""
    uri = store_address.tracking_uri()
    file = uri.removeprefix(store_address.SQLITE)
    if file == uri:
        return ""
    return (
        f"The registry is {file}, and runs in a file are on the machine that recorded them. For a "
        "version of a colleague or of CI, run this there, or set MLFLOW_TRACKING_URI to the registry "
        "that you share."
    )


@verb("poe lineage")
@click.argument("version", metavar="[VERSION]", default=registry.CHALLENGER)
def main(version: str) -> int:
    """Print the origin of a model version.

    VERSION is its number or alias; the challenger by default.
    """
    try:
        print(describe(find(version)))
    except registry.ServerDownError:
        raise
    except registry.MlflowException as error:
        reasons = filter(None, [registry.reason_of(error), _elsewhere()])
        raise OpsError("\n".join(reasons)) from error
    return 0
