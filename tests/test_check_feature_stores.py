"""The feature stores that teams read online: each by its own call, and not by what only fills it."""

from pathlib import Path

import pytest

from rung.levels.ladder import TIERS
from tests.test_check_claims import Claim, points, py

ONLINE = "online-feature-store"
STORES = {
    "Feast": Claim(
        ONLINE,
        py(
            "store = FeatureStore('.')\nrows = store.get_historical_features(people, names).to_df()\n"
        ),
        py(
            "store = FeatureStore('.')\nrows = store.get_online_features(names, people).to_dict()\n"
        ),
    ),
    "Tecton": Claim(
        ONLINE,
        py("import settings\n\nnames = settings.get_features('churn')\n"),
        py("import tecton_client\n\nrow = tecton_client.TectonClient(url).get_features('churn')\n"),
    ),
    "Chronon": Claim(
        ONLINE,
        py("from ai.chronon.group_by import GroupBy\n\nv1 = GroupBy(sources=[a], online=False)\n"),
        py("from ai.chronon.group_by import GroupBy\n\nv1 = GroupBy(sources=[a], online=True)\n"),
    ),
    "Hopsworks": Claim(
        ONLINE,
        py("rows, target = view.training_data()\n"),
        py("rows = view.get_feature_vectors([{'id': 1}, {'id': 2}])\n"),
    ),
    "SageMaker": Claim(
        ONLINE,
        py("row = database.batch_get_record(Ids=['1'])\n"),
        py("row = runtime.batch_get_record(Identifiers=[{'FeatureGroupName': 'a'}])\n"),
    ),
    "Vertex AI": Claim(
        ONLINE,
        py("store = aiplatform.FeatureOnlineStore.create('a')\n"),
        py("row = client.fetch_feature_values(request)\n"),
    ),
}


@pytest.mark.parametrize("claim", STORES.values(), ids=list(STORES))
def test_what_is_not_read_online_is_not_claimed(claim: Claim, tmp_path: Path) -> None:
    assert points(tmp_path, claim, claim.wrong) < TIERS[claim.tier]


@pytest.mark.parametrize("claim", STORES.values(), ids=list(STORES))
def test_what_is_read_online_is_found(claim: Claim, tmp_path: Path) -> None:
    assert points(tmp_path, claim, claim.right) >= TIERS[claim.tier]
