"""What a careful reader saw in public repositories and `rung check` did not, or the other way round."""

from pathlib import Path

import pytest

from rung.levels.ladder import TIERS
from tests.test_check_claims import Claim, ci, points, py

AZURE = "azure-pipelines.yml"
INVOKES = "jobs:\n- job: a\n  steps:\n  - task: ms-air.azureml-restApi-task.MLPublishedPipelineRestAPITask@0\n    inputs: {PipelineId: 1}\n"
JOB = "name: a\nentrypoint: bash jobs/{}.sh\n"
LAUNCH = '|\n          NAME=check_${{ matrix.part }}\n          NAME="${NAME//-/_}_launch.sh"\n          sh "ci/${NAME}" now'

# Each with what only looks like it: that must earn less.
READ = {
    "pins in a file named after its use": Claim(
        "pinned-dependencies",
        {"python/base-requirements.txt": "numpy\n"} | {"requirements.txt": "scikit-learn\n"},
        {"python/base-requirements.txt": "numpy==1.16.0\n"} | {"requirements.txt": "scikit-learn\n"},
    ),
    "a network that is saved": Claim(
        "scripted-training",
        py("scaler.fit(rows)\nplot.savefig('a.png')\nfigure.save('b.png')\n", "network.py"),
        py("model.fit(x, y)\nmodel.save('network.h5')\n", "network.py"),
    ),
    "data as a named input of a run of Azure": Claim(
        "training-lineage",
        py("from azureml.core import Dataset\n\nrows = Dataset.get_by_name(ws, 'rows').to_pandas_dataframe()\n", "build.py"),
        py("from azureml.core import Dataset\n\nrows = Dataset.get_by_name(ws, 'rows').as_named_input('rows')\n", "build.py"),
    ),
    "data beside the model in Azure's registry": Claim(
        "training-lineage",
        py("from azureml.core import Model\n\nModel.register(ws, 'a.pkl', 'a', tags={'area': 'a'})\n", "register.py"),
        py("from azureml.core import Model\n\nModel.register(ws, 'a.pkl', 'a', datasets=[('training', rows)])\n", "register.py"),
    ),
    "the schema of a service in Azure": Claim(
        "io-contract",
        py("def run(data):\n    return model.predict(data)\n", "score.py"),
        py("from inference_schema.schema_decorators import input_schema\n\n\n@input_schema('data', sample)\ndef run(data):\n    return model.predict(data)\n", "score.py"),
    ),
    "a published pipeline that a task of Azure starts": Claim(
        "training-trigger",
        {AZURE: "jobs:\n- template: ci/start.yml\n  parameters: {pipelineName: $(SCORING_PIPELINE)}\n", "ci/start.yml": INVOKES},
        {AZURE: "jobs:\n- template: ci/start.yml\n  parameters: {pipelineName: $(TRAINING_PIPELINE)}\n", "ci/start.yml": INVOKES},
    ),
    "a published pipeline whose name a script finds": Claim(
        "training-trigger",
        {AZURE: f"steps:\n- script: python -m ops.run_scoring_pipeline --only-name\n{INVOKES}"},
        {AZURE: f"steps:\n- script: python -m ops.run_train_pipeline --only-name\n{INVOKES}"},
    ),
    "tests in a job that CI submits": Claim(
        "ci-build-test",
        ci("cat jobs/work.yaml") | {"jobs/work.yaml": JOB.format("work"), "jobs/work.sh": "pytest tests\n"},
        ci("anyscale jobs submit jobs/work.yaml --wait") | {"jobs/work.yaml": JOB.format("work"), "jobs/work.sh": "pytest tests\n"},
    ),
    "a script whose name is put together": Claim(
        "ci-build-test",
        ci(LAUNCH) | {"ci/other.sh": "pytest tests\n", "check_a_launch.sh": "pytest\n"},
        ci(LAUNCH) | {"ci/check_a_launch.sh": "docker exec a pytest\n"},
    ),
    "a pattern that looks like a comment's beginning": Claim(
        "ci-build-test",
        {"Jenkinsfile": "node {\n  /* sh 'pytest' */\n  sh 'ls'\n}\n"},
        {"Jenkinsfile": "node {\n  sh 'git fetch origin +refs/heads/*:refs/origin/*'\n  sh 'pytest'\n  sh 'helm lint infra/*/a'\n}\n"},
    ),
    "who does what": Claim(
        "ownership-roles",
        {"docs/a.md": "# Tracing\nA trace of each call.\n# Component responsibilities\nThe queue keeps messages.\n# Dashboard roles\nTwo views of it.\n"},
        {"docs/a.md": "# 2. Roles and responsibilities\nJo trains the model, Kim reviews it.\n"},
    ),
    "a picture of staging": Claim(
        "environment-promotion",
        {"docs/staging.png": "PNG of a page", "models/staging_orders.sql": "select 1\n"},
        {"configs/staging.yml": "replicas: 1\n"},
        "declared",
    ),
    "a record that is rolled back": Claim(
        "one-step-rollback",
        py("def rollback(record, when):\n    for field in ['alias', 'release']:\n        record[field] = history(record, field, when)\n"),
        py("def rollback(name):\n    client.set_registered_model_alias(name, 'champion', before(name))\n"),
    ),
    "arguments of a plot": Claim(
        "scripted-training",
        py("def train(x, y):\n    return Model().fit(x, y)\n", "train.py") | py("import argparse\n\nplot(read(argparse.ArgumentParser().parse_args().rows))\n", "plot_training.py"),
        py("import argparse\n\nModel().fit(*read(argparse.ArgumentParser().parse_args().rows))\n", "train.py"),
        "automated",
    ),
    "tables of dbt": Claim(
        "feature-registry",
        {"models/features/schema.yml": "version: 2\nmodels:\n  - name: rides_by_hour\n    columns: [{name: hour}]\n"},
        {"features/rides.yml": "entity: rider\nfeatures:\n  - name: rides_by_hour\n"},
    ),
    "a stated reason": Claim(
        "drift-triggered-retraining",
        py("def main():\n    parser.add_argument('--reason', choices=['schedule', 'drift'])\n    train(parser.parse_args())\n", "retrain.py"),
        py("def main():\n    if drift_share(rows) > 0.3:\n        train(rows)\n", "retrain.py"),
    ),
    "a flow named after drift": Claim(
        "drift-triggered-retraining",
        py("@flow(name='Retrain on drift, distance')\ndef retrain_on_drift_distance():\n    combine.submit(rows)\n    train(rows)\n", "retrain.py"),
        py("@flow\ndef retrain():\n    drifted = psi(rows) > 0.2\n    if drifted:\n        train.submit(rows)\n", "retrain.py"),
    ),
    "a page with numbers": Claim(
        "slice-evaluation",
        py("def page():\n    revenue_by_state = rows.groupby('state').revenue.sum()\n    st.metric('Revenue', revenue_by_state.sum())\n"),
        py("def report():\n    for state, part in rows.groupby('state'):\n        scores_by_state[state] = compute_metrics(part)\n"),
    ),
    "tests that test nothing": Claim(
        "unit-tests",
        {"test_a.py": "import pytest\n\n\n@pytest.mark.xfail\ndef test_that_there_are_tests():\n    assert False, 'Write tests'\n", "test_b.py": "def test_example():\n    word = 'a'\n    assert word == 'a'\n"},
        {"test_a.py": "def test_sum():\n    assert total([1]) == 1\n"},
    ),
    "tests by a fixture": Claim(
        "unit-tests",
        {"test_a.py": "def test_true():\n    assert True\n"},
        {"test_a.py": "def test_page(client):\n    answer = client.get('/')\n    assert answer.ok\n"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("claim", READ.values(), ids=list(READ))
def test_what_only_looks_like_it_is_not_claimed(claim: Claim, tmp_path: Path) -> None:
    assert points(tmp_path, claim, claim.wrong) < TIERS[claim.tier]


@pytest.mark.parametrize("claim", READ.values(), ids=list(READ))
def test_what_shows_it_is_found(claim: Claim, tmp_path: Path) -> None:
    assert points(tmp_path, claim, claim.right) >= TIERS[claim.tier]
