"""What the change control plan bounds of a version: parameters, and columns of its features."""

import shutil
import tempfile
from pathlib import Path

import polars as pl
from mlflow.entities.model_registry import ModelVersion

from rung_governance.bounds import Facts
from rung_ops.model import bundle, source_import
from rung_ops.project import current
from rung_ops.release import registry_artifacts
from rung_ops.tracking import registry, store_address

TRIED_ROWS = 1_000


class Unknown(Exception):
    """Something that the plan bounds cannot be found out; the message says what and why."""


def of_version(version: ModelVersion) -> Facts:
    """Tell what the plan bounds of a version, from its run and its source as it was.

    Raises:
        Unknown: the registry, git or the source do not tell it.
    """
    with tempfile.TemporaryDirectory() as folder:
        artifacts = Path(folder)
        try:
            source = registry_artifacts.source(version, artifacts)
            judged = artifacts / f"version {version.version}"
            shutil.copytree(source, judged / bundle.SOURCE / registry_artifacts.PACKAGE)
            expressions = source_import.features_of(judged, registry_artifacts.PACKAGE)
            rows = pl.read_parquet(current().test).head(TRIED_ROWS)
            features = rows.select(expressions).columns
        except (
            registry_artifacts.NotReleasable,
            bundle.BundleError,
            pl.exceptions.PolarsError,
        ) as error:
            raise Unknown(
                f"the features of version {version.version} are not known: {error}"
            ) from error
        return Facts(
            parameters=parameters_of(str(version.run_id)),
            features=frozenset(features),
            columns=columns_of(expressions, rows),
        )


def parameters_of(run: str) -> dict[str, str]:
    """Read what params.toml held at a run.

    Raises:
        Unknown: the registry does not know the run.
    """
    try:
        return dict(registry.client().get_run(run).data.params)
    except registry.MlflowException as error:
        # In CI a registry is as new as its checkout, unless a server keeps the runs.
        raise Unknown(
            f"the parameters of run {run} are not known: {str(error).splitlines()[0]} (asked: "
            f"{store_address.tracking_uri()}). Set MLFLOW_TRACKING_URI to the registry that has it"
        ) from error


def columns_of(expressions: list[pl.Expr], rows: pl.DataFrame) -> frozenset[str]:
    """Name the columns that features read.

    The name of a column is not all: a pattern or a selector reads it too. So each column is also
    taken away, and what changes then has read it.
    """
    answered = rows.select(expressions)
    named = {name for each in expressions for name in each.meta.root_names()}
    return frozenset(
        column
        for column in rows.columns
        if column in named or not _same(answered, expressions, rows.drop(column))
    )


def _same(answered: pl.DataFrame, expressions: list[pl.Expr], rows: pl.DataFrame) -> bool:
    try:
        return rows.select(expressions).equals(answered)
    except Exception:  # the user's code may raise anything where a column is missing
        return False
