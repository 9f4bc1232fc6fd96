"""Refuse a release whose entity features the store has no values of."""

from collections.abc import Mapping
from typing import Any

from rung_ops.model.bundle import BundleError


def refuse_without_values(name: str, contract: Mapping[str, Any]) -> None:
    """Refuse a release that the service could not look anything up for.

    Args:
        name: of the release.
        contract: of the release.

    Raises:
        BundleError: the store lacks values of its entity features, as it declares them.
    """
    if not (views := contract.get("entity_features")):
        return
    # Imported here, with SQLite, as most releases have no entity features.
    from rung_ops.features import store, stores

    try:
        store.refuse_unless_filled(views, stores.project_store())
    except store.StoreError as error:
        raise BundleError(f"{name}: {error}.") from error
