"""Print the origin of a model version: `uv run poe lineage [VERSION or alias]`."""

import argparse
import sys

from mlflow.entities.model_registry import ModelVersion

from rung_ops.tracking import registry

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
        f"author       {tags['git_author']}",
        f"data hash    {tags['data_hash']}",
        f"params hash  {tags['params_hash']}",
        f"run          {version.run_id}",
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


def main(arguments: list[str] | None = None) -> int:
    """Print the lineage of a version; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe lineage", description=__doc__.splitlines()[0])
    parser.add_argument(
        "version",
        nargs="?",
        default=registry.CHALLENGER,
        help="number or alias of the version; the challenger by default",
    )
    wanted = parser.parse_args(arguments).version
    try:
        version = registry.version(wanted)
    except registry.MlflowException:
        existing = ", ".join(str(each.version) for each in registry.versions())
        remedy = "`uv run poe pipeline` creates the first one."
        print(
            f"There is no version {wanted} of {registry.model_name()}; "
            + (f"there are {existing}." if existing else remedy),
            file=sys.stderr,
        )
        return 1
    print(describe(version))
    return 0
