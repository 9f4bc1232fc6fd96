"""Register copied models at the server, in the order of the local versions.

An empty registry gives them the same numbers.
"""

import json
from collections.abc import Iterable

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from rung_ops.tracking.copies import ORIGINAL, Copying
from rung_ops.tracking.registry import WAITING

LOCAL_NUMBER = "migrated_from"  # tag of a version: its number in the local store
PAST_CHAMPIONS = "champions_before"  # tag of a model: numbers of versions, which may change


def versions_of(store: MlflowClient, name: str) -> list[ModelVersion]:
    """List the versions of a model, oldest first."""
    unsorted = store.search_model_versions(f"name='{name}'")
    return sorted(unsorted, key=lambda each: int(each.version))


def register(copying: Copying, versions: Iterable[ModelVersion]) -> dict[str, str]:
    """Register versions of one model whose runs were copied; skip registered ones.

    Returns:
        The number at the server by local number.
    """
    numbers: dict[str, str] = {}
    registered: dict[str | None, str] | None = None
    for version in versions:
        if registered is None:
            _model(copying.target, version.name)
            registered = {
                each.tags.get(ORIGINAL): str(each.version)
                for each in versions_of(copying.target, version.name)
            }
        # The number distinguishes versions of the same run.
        original = f"{version.run_id}/{version.version}"
        if original not in registered:
            registered[original] = _register(copying, version, original)
        numbers[str(version.version)] = registered[original]
    return numbers


def _model(target: MlflowClient, name: str) -> RegisteredModel:
    try:
        return target.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return target.create_registered_model(name)


def _register(copying: Copying, version: ModelVersion, original: str) -> str:
    tags = {name: value for name, value in version.tags.items() if name != WAITING}
    model = copying.models[_model_id(version)]
    created = copying.target.create_model_version(
        version.name,
        f"models:/{model}",
        copying.runs[str(version.run_id)],
        tags | {ORIGINAL: original, LOCAL_NUMBER: str(version.version)},
        description=version.description or None,
        model_id=model,
    )
    return str(created.version)


def _model_id(version: ModelVersion) -> str:
    return str(version.model_id or str(version.source).removeprefix("models:/"))


def aliases(copying: Copying, name: str, numbers: dict[str, str]) -> list[str]:
    """Copy aliases and tags of the model; keep those that the server has.

    Returns:
        The differences that were kept, as sentences.
    """
    local, remote = copying.source.get_registered_model(name), _model(copying.target, name)
    kept = []
    for alias, number in local.aliases.items():
        wanted = numbers.get(str(number))
        current = remote.aliases.get(alias)
        if wanted is None or str(current) == wanted:
            continue
        if current is not None:
            kept.append(
                f"{alias} stays version {current} of {name} at the server; locally it is {number}."
            )
            continue
        copying.target.set_registered_model_alias(name, alias, wanted)
    for tag, value in local.tags.items():
        if tag not in remote.tags:
            if tag == PAST_CHAMPIONS:
                value = json.dumps(
                    [numbers.get(str(each), str(each)) for each in json.loads(value)]
                )
            copying.target.set_registered_model_tag(name, tag, value)
    if local.description and not remote.description:
        copying.target.update_registered_model(name, local.description)
    return kept
