"""What only looks like evidence is not: two things count together in one file or on one path."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rung.check.review.review import review
from rung.levels.ladder import TIERS
from tests.repositories import ML, PLENTY, called, plant

CI = ".github/workflows/ci.yml"
NIGHTLY = "on:\n  schedule:\n    - cron: '1 1 * * *'\njobs:\n  a:\n    steps:\n      - run: {}\n"
PUSH = "on: push\njobs:\n  a:\n    steps:\n      - run: {}\n"
DISPATCH = "requests.post('https://api.github.com/repos/a/b/dispatches', json=body)\n"
APP = "from fastapi import FastAPI\napp = FastAPI()\n"
GROUPED = "def metrics_by_route(rows):\n    for name, part in rows.groupby('route'):\n        yield name, f1_score(part.y, part.p)\n"
TRAIN_TASK = "from airflow import DAG\ndag = DAG('a', schedule='@daily')\n{}\n"


@dataclass
class Claim:
    """Files that were taken for a capability, and files that show it.

    Attributes:
        tier: that the first do not earn, and the second do.
    """

    capability: str
    wrong: dict[str, str]
    right: dict[str, str] = field(default_factory=dict)
    tier: str = "used"


def py(text: str, path: str = "a.py") -> dict[str, str]:
    return {path: text}


def ci(command: str, form: str = PUSH) -> dict[str, str]:
    return {CI: form.format(command)}


TRACKS = py("import mlflow\nmlflow.log_metric('auc', 0.9)\n", "fit.py")
COMPOSE = "services:\n  a:\n    command: |\n      {}python fit.py\n      python other.py\n"

# Each of these was claimed in a public repository.
KNOWN = {
    "a drift endpoint and an unrelated dispatch": Claim(
        "drift-triggered-retraining",
        py(f"{APP}@app.get('/drift')\ndef drift():\n    return {{'drift': share()}}\n", "app/drift.py")
        | {CI: "on:\n  repository_dispatch:\n    types: [docs]\njobs: {a: {steps: [{run: mkdocs}]}}\n"},
        py(f"def check(rows):\n    if drift_share(rows) > 0.3:\n        start()\n\n\ndef start():\n    {DISPATCH}", "app/drift.py"),
    ),
    "a schedule of batch scoring": Claim(
        "training-trigger",
        ci("python score.py --model models/train/latest.pkl", NIGHTLY),
        ci("python train.py", NIGHTLY),
    ),
    "a decorator named register": Claim(
        "model-registry",
        py("from models import Model, register_model\n\n\n@Model.register('ranker')\nclass Ranker(Model):\n    pass\n\n\n@register_model\ndef tiny():\n    return 1\n"),
        py("import mlflow\nmlflow.register_model(uri, 'ranker')\n"),
    ),
    "an arrow": Claim(
        "model-quality-gate",
        py("def current_model(name: str) -> Model:\n    score = load(name)\n    return score\n"),
        py("def may_replace(new_mse, production_mse):\n    return new_mse < production_mse\n"),
    ),
    "a comparison that is only printed": Claim(
        "model-quality-gate",
        py("print(new_mse < production_mse)\nlogger.info('%s', new_mse < production_mse)\nif new_mse < production_mse:\n    pass\n"),
        py("if new_mse > production_mse:\n    sys.exit(1)\n"),
    ),
    "a name with by": Claim(
        "slice-evaluation",
        py("score_by_index = {\n    1: 0.2,\n}\n"),
        py(GROUPED),
    ),
    "a column of a report": Claim(
        "prediction-logging",
        py("report = rows[['id', 'prediction_log']].rename(columns={'prediction_log': 'log'})\n"),
        py("def log_prediction(request, answer):\n    store.write({'model_version': VERSION, 'features': request, 'prediction': answer})\n"),
    ),
    "soft delete": Claim(
        "audit-log-retention",
        {"main.tf": 'resource "azurerm_storage_account" "logs" {\n  blob_properties {\n    delete_retention_policy {\n      days = 7\n    }\n  }\n}\n# audit\n'},
        {"main.tf": 'resource "aws_s3_bucket" "audit_log" {\n  object_lock_enabled = true\n}\n'},
    ),
    "a test of ingestion": Claim(
        "training-reproducibility",
        py("from ingest import rows\n\n\ndef test_rows_are_deterministic():\n    assert rows(1) == rows(1)\n", "tests/test_ingest.py")
        | py("SEED = 1\nmodel = Ridge(random_state=1)\n"),
        py("def test_training_is_deterministic():\n    assert train(1).coef == train(1).coef\n", "tests/test_train.py")
        | py("model = Ridge(random_state=1)\n"),
        tier="automated",
    ),
    "a label of an alert": Claim(
        "serving-slo-load-test",
        {"alerts.yml": "groups:\n- rules:\n  - alert: Slow\n    labels: {slo: latency}\n"},
        {"locustfile.py": "from locust import HttpUser\n"},
    ),
    "a variable that switches off": Claim(
        "alert-routing",
        {"main.tf": "create_pagerduty_secret = false\n"},
        {"main.tf": 'resource "pagerduty_service" "model" {\n  name = "model"\n}\n'},
    ),
}  # fmt: skip

FOUND = {
    "a join of paths": Claim(
        "outcome-monitoring",
        py("def load(ground_truth):\n    predictions = os.path.join(ground_truth, 'predictions.csv')\n    return ','.join(ground_truth)\n"),
        py("def follow(predictions, actuals):\n    return predictions.merge(actuals, on='id')\n"),
    ),
    "a pipeline of Hugging Face": Claim(
        "orchestrated-pipeline",
        py("from transformers import pipeline\nclassify = pipeline('sentiment-analysis')\n", "pipeline.py"),
        py("from zenml import pipeline\n\n\n@pipeline\ndef training():\n    fit()\n", "pipeline.py"),
    ),
    "all traffic to one model": Claim(
        "canary-or-ab-rollout",
        py("endpoint.deploy(model, traffic_split={'0': 100})\n") | {"deploy.sh": "az ml online-endpoint update --traffic 'blue=100'\n"},
        py("endpoint.deploy(model, traffic_split={'0': 10, old: 90})\n"),
    ),
    "a canary that is off": Claim(
        "canary-or-ab-rollout",
        {"values.yaml": "canary: false\n", "b.yaml": "canary:\n  enabled: false\n"},
        {"values.yaml": "canary:\n  weight: 10\n"},
    ),
    "a mirror of packages": Claim(
        "shadow-deployment",
        {"k8s/pip.yaml": "pip:\n  mirror: https://example.org/simple\n"},
        {"k8s/route.yaml": "spec:\n  http:\n  - mirror: {host: challenger}\n"},
    ),
    "a rollback to a version that is the champion": Claim(
        "model-quality-gate",
        py("def rollback(candidate, champion):\n    promoted = registry.promote(candidate)\n    if len(versions) > 1:\n        log('metrics', champion)\n    return promoted\n"),
        py("def decide(candidate, champion, most):\n    change = candidate['rmse'] - champion['rmse']\n    accepted = change <= most\n    return accepted\n"),
    ),
    "a plot of candidate and champion": Claim(
        "model-quality-gate",
        py("def comparison_plot(candidate, champion, table):\n    accepted = table.error_change < 0\n    plot(candidate, champion, accepted)\n"),
        py("def comparison(candidate, champion, table):\n    accepted = table.error_change < 0\n    return accepted\n"),
    ),
    "a rollback of a database": Claim(
        "one-step-rollback",
        py("class Store:\n    def rollback(self):\n        self.session.rollback()\n"),
        py("def rollback(client):\n    client.set_alias('champion', previous_version(client))\n"),
    ),
    "a rollback of a record": Claim(
        "one-step-rollback",
        py("def rollback(bug, when=None):\n    assert bug['version'] or bug['image']\n    return bug\n"),
        py("def rollback(endpoint):\n    endpoint.update(traffic={previous: 100})\n"),
    ),
    "docker load": Claim(
        "serving-slo-load-test",
        ci("docker load -i image.tar") | {"locustfile.py": "from locust import HttpUser\n"},
        ci("locust --headless -f locustfile.py") | {"locustfile.py": "from locust import HttpUser\n"},
        tier="automated",
    ),
    "a stage of an image": Claim(
        "environment-promotion",
        ci("docker build --target production .") | {"overlays/production/kustomization.yaml": "resources: [a]\n"},
        ci("databricks bundle deploy --target prod") | {"overlays/production/kustomization.yaml": "resources: [a]\n"},
        tier="automated",
    ),
    "a receiver that is never read": Claim(
        "alert-routing",
        {"alertmanager.yml": "receivers:\n- name: 'null'\n"},
        {"alertmanager.yml": "receivers:\n- name: on-call\n  pagerduty_configs: [{routing_key: a}]\n"},
    ),
    "the digamma function": Claim(
        "drift-monitoring",
        py("from scipy.special import psi\n\n\ndef update(x):\n    return psi(x)\n"),
        py("from stats import psi\n\n\ndef drift(live, trained):\n    return psi(live, trained)\n"),
    ),
    "an environment of Azure": Claim(
        "data-versioning",
        {"job.yml": "environment: azureml:sklearn-env:3\n"},
        {"job.yml": "inputs:\n  rows:\n    path: azureml:flights:3\n"},
    ),
    "a snapshot of a disk": Claim(
        "data-versioning",
        py("import boto3\nsnapshot_id = ec2.create_snapshot()['SnapshotId']\n"),
        py("from pyiceberg.catalog import load_catalog\nrows = table.scan(snapshot_id=7).to_arrow()\n"),
    ),
    "a step of training": Claim(
        "model-quality-gate",
        py("def climb(current_score, best_score):\n    if current_score > best_score:\n        return current_score\n"),
        py("def gate(candidate_metrics, champion_metrics):\n    assert candidate_metrics['auc'] >= champion_metrics['auc']\n"),
    ),
    "an operator of Airflow": Claim(
        "model-quality-gate",
        py("train_model >> current_model\nscore = 1\n"),
        py("if new_model_mse < production_model_mse:\n    promote()\n"),
    ),
    "a web page beside a model": Claim(
        "prediction-service",
        py("import flask\napp = flask.Flask('docs')\n", "docs/serve.py") | py("import torch\nmodel = torch.load('a.pt')\n", "train.py"),
        py("from fastapi import FastAPI\nfrom model import load\napp = FastAPI()\n", "app.py") | py("import joblib\n\n\ndef load():\n    return joblib.load('a')\n", "model.py"),
    ),
    "a job by hand for the pages": Claim(
        "human-approval-gate",
        {".gitlab-ci.yml": "pages:\n  when: manual\n  script: [mkdocs build]\n"},
        {".gitlab-ci.yml": "release:\n  when: manual\n  script: [python promote.py]\n"},
    ),
    "a diagnostic setting that keeps nothing": Claim(
        "audit-log-retention",
        {"main.tf": 'resource "azurerm_monitor_diagnostic_setting" "a" {\n  log {\n    category = "AuditEvent"\n    retention_policy {\n      enabled = false\n    }\n  }\n}\n'},
        {"main.tf": 'resource "google_storage_bucket" "prediction_log" {\n  retention_policy {\n    retention_period = 15811200\n  }\n}\n'},
    ),
    "another schema": Claim(
        "audit-log-retention",
        ci("check-jsonschema --builtin-schema vendor.github-workflows a.yml") | {"retention.yaml": "retention_days: 365\n"},
        ci("check-jsonschema --schemafile a.json retention.yaml") | {"retention.yaml": "retention_days: 365\n"},
        tier="automated",
    ),
    "a test of overridden settings": Claim(
        "human-oversight",
        py("def test_override_of_settings():\n    assert settings(a=1).a == 1\n", "tests/test_a.py") | py("kill_switch = True\n"),
        py("def test_override_of_a_decision():\n    assert override(decision) == 'refused'\n", "tests/test_a.py") | py("kill_switch = True\n"),
        tier="automated",
    ),
    "a record by key": Claim(
        "online-feature-store",
        py("row = client.get_record(7)\n"),
        py("import boto3\nrow = client.get_record(FeatureGroupName='flights', RecordIdentifierValueAsString='7')\n"),
    ),
    "an entity feature": Claim(
        "online-feature-store",
        py("from rung_ops.features import EntityFeature\n", "src/a/features.py"),
        py("from rung_ops.features import EntityFeature\nENTITY_FEATURES = [EntityFeature(name='late_7d')]\n", "src/a/features.py"),
    ),
    "a message of a bot": Claim(
        "alert-routing",
        py("from slack_sdk import WebClient\nWebClient().chat_postMessage(text='done')\n"),
        py("from slack_sdk import WebClient\n\n\ndef alert(text):\n    WebClient().chat_postMessage(text=text)\n"),
    ),
    "a daily report": Claim(
        "training-trigger",
        py(TRAIN_TASK.format("ReportOperator(task_id='trained_model_report')"), "dags/a.py"),
        py(TRAIN_TASK.format("PythonOperator(task_id='train', python_callable=train_model)\ntrain_model()"), "dags/a.py"),
    ),
    "a job that the schedule leaves out": Claim(
        "training-trigger",
        {".gitlab-ci.yml": "score:\n  rules: [{if: $CI_PIPELINE_SOURCE == 'schedule'}]\n  script: [python score.py]\ntrain:\n  rules: [{if: $CI_PIPELINE_SOURCE == 'push'}]\n  script: [python train.py]\n"},
        {".gitlab-ci.yml": "score:\n  rules: [{if: $CI_PIPELINE_SOURCE == 'push'}]\n  script: [python score.py]\ntrain:\n  rules: [{if: $CI_PIPELINE_SOURCE == 'schedule'}]\n  script: [python train.py]\n"},
    ),
    "a step for another event": Claim(
        "training-trigger",
        ci("python train.py\n        if: github.event_name != 'schedule'", NIGHTLY),
        ci("python train.py\n        if: github.event_name != 'pull_request'", NIGHTLY),
    ),
    "a champion without a challenger": Claim(
        "automated-promotion-policy",
        py("client.set_registered_model_alias(name, 'champion', version)\n") | py("challenger = 1\n", "b.py"),
        py("if challenger_auc > champion_auc:\n    client.set_registered_model_alias(name, 'champion', version)\nprint('challenger', 'champion')\n"),
    ),
    "two jobs that know nothing of each other": Claim(
        "drift-triggered-retraining",
        py("def drift(rows):\n    return psi(rows)\n", "monitor.py") | py(f"def announce():\n    {DISPATCH}", "docs.py"),
        py("from call import retrain\n\n\ndef drift(rows):\n    if psi(rows) > 1:\n        retrain()\n", "monitor.py") | py(f"def retrain():\n    {DISPATCH}", "call.py"),
    ),
}  # fmt: skip
UNIT = {"tests/test_a.py": "from a import b\n\n\ndef test_a():\n    assert b(1)\n"}
HOOKS = "repos:\n- repo: https://example.org/hooks\n  hooks:\n  - id: pytest\n    entry: pytest\n    language: system\n"
STAGE = "stages:\n  train:\n    cmd: python train.py\n"
BUILD = "steps:\n- name: gcr.io/a/b\n  entrypoint: bash\n  args: [-c, pytest -q]\n"
FIT = "import joblib\nfrom sklearn.{0} import {1}\n\n{2}.fit(rows)\njoblib.dump({2}, 'a.pkl')\n"


def workflow(on: str, command: str = "pytest", more: str = "") -> dict[str, str]:
    return {CI: f"on:\n  {on}\njobs:\n  a:\n    steps:\n      - run: {command}\n{more}"}


def hooks(text: str, command: str = "pre-commit run --all-files") -> dict[str, str]:
    return {".pre-commit-config.yaml": text} | ci(command)


# What cannot run, what another wrote, what names nobody: by its kind, with siblings.
FOOLED = {
    # A step that cannot run.
    "a hook that only a person starts": Claim("ci-build-test", hooks(f"{HOOKS}    stages: [manual]\n"), hooks(f"{HOOKS}    stages: [pre-commit, manual]\n")),
    "hooks that only a person starts": Claim("ci-build-test", hooks(f"default_stages: [manual]\n{HOOKS}"), hooks(f"default_stages: [manual]\n{HOOKS}    stages: [commit]\n")),
    "a hook of another stage": Claim("ci-build-test", hooks(f"{HOOKS}    stages: [pre-push]\n"), hooks(f"{HOOKS}    stages: [pre-push]\n", "pre-commit run --hook-stage pre-push")),
    "another hook": Claim("ci-build-test", hooks(f"{HOOKS}  - id: black\n", "pre-commit run black --all-files"), hooks(f"{HOOKS}  - id: black\n", "pre-commit run pytest --all-files")),
    "a target that a file shadows": Claim(
        "training-trigger",
        ci("make model", NIGHTLY) | {"Makefile": "model:\n\tpython train.py\n", "model": "a\n"},
        ci("make model", NIGHTLY) | {"Makefile": "model: rows.csv\n\tpython train.py\n", "model": "a\n"},
        tier="automated",
    ),
    "a target below that a folder shadows": Claim(
        "ci-build-test",
        {f"ml/{path}": text for path, text in UNIT.items()} | ci("make -C ml tests") | {"ml/Makefile": "tests:\n\tpytest\n"},
        {f"ml/{path}": text for path, text in UNIT.items()} | ci("make -C ml tests") | {"ml/Makefile": "PHONY = tests\n.PHONY: $(PHONY)\ntests:\n\tpytest\n"},
    ),
    "a stage that is frozen": Claim("orchestrated-pipeline", {"dvc.yaml": f"{STAGE}    frozen: true\n"}, {"dvc.yaml": f"{STAGE}    frozen: false\n"}),
    "the metrics of a frozen stage": Claim(
        "offline-evaluation",
        {"dvc.yaml": f"{STAGE}    frozen: true\n    metrics: [m.json]\n", "evaluate.py": "print(1)\n"},
        {"dvc.yaml": f"{STAGE}    metrics: [m.json]\n", "evaluate.py": "print(1)\n"},
        tier="automated",
    ),
    "paths that are all ignored": Claim("ci-build-test", workflow("push: {paths-ignore: ['**']}"), workflow("push: {paths-ignore: ['**.md']}")),
    "no branch but a tag": Claim("ci-build-test", workflow("pull_request:\n    branches-ignore:\n      - '**'"), workflow("push: {branches-ignore: ['**'], tags: ['v*']}")),
    "branches of CircleCI that are all ignored": Claim(
        "ci-build-test",
        {".circleci/config.yml": "jobs:\n  a: {steps: [run: pytest]}\nworkflows:\n  all:\n    jobs:\n    - a: {filters: {branches: {ignore: /.*/}}}\n"},
        {".circleci/config.yml": "jobs:\n  a: {steps: [run: pytest]}\nworkflows:\n  all:\n    jobs:\n    - a: {filters: {branches: {ignore: /.*/}, tags: {only: /v.*/}}}\n"},
    ),
    "a step for an event that never comes": Claim("ci-build-test", workflow("push:", more="        if: github.event_name == 'schedule'\n"), workflow("[push, schedule]", more="        if: github.event_name == 'schedule'\n")),
    "a step for two events that never come": Claim(
        "ci-build-test",
        workflow("push:", more="        if: github.event_name == 'release' || (github.event_name == \"workflow_dispatch\")\n"),
        workflow("push:", more="        if: github.event_name == 'release' || github.ref == 'refs/heads/main'\n"),
    ),
    "a job for an event that never comes": Claim(
        "ci-build-test",
        {CI: "on: pull_request\njobs:\n  a:\n    if: ${{ github.event_name == 'push' && success() }}\n    steps: [run: pytest]\n"},
        {CI: "on: workflow_call\njobs:\n  a:\n    if: ${{ github.event_name == 'push' && success() }}\n    steps: [run: pytest]\n", ".github/workflows/b.yml": f"on: push\njobs: {{a: {{uses: ./{CI}}}}}\n"},
    ),
    "a step for another event": Claim("ci-build-test", workflow("push:", more="        if: github.event_name != 'push'\n"), workflow("[push, release]", more="        if: github.event_name != 'push'\n")),
    "an event that is named first": Claim("ci-build-test", workflow("push:", more="        if: \"'release' == github.event_name\"\n"), workflow("push:", more="        if: \"'push' == github.event_name\"\n")),
    "no branch at all": Claim("ci-build-test", workflow("push: {branches: ['!**']}"), workflow("push: {branches: ['**', '!docs/**']}")),
    "a script that runs nothing": Claim("ci-build-test", ci("bash -o noexec ci.sh") | {"ci.sh": "pytest\n"}, ci("bash -o pipefail ci.sh") | {"ci.sh": "pytest\n"}),
    "tests that a mark skips": Claim(
        "unit-tests",
        {"tests/test_a.py": "from pytest import mark\nfrom a import b\n\n\n@mark.skip\ndef test_a():\n    assert b(1)\n"},
        {"tests/test_a.py": "from pytest import mark\nfrom a import b\n\n\n@mark.slow\ndef test_a():\n    assert b(1)\n"},
    ),
    "tests that a named condition skips": Claim(
        "unit-tests",
        {"tests/test_a.py": "import pytest\nfrom a import b\n\n\n@pytest.mark.skipif(condition=True, reason='later')\ndef test_a():\n    assert b(1)\n"},
        {"tests/test_a.py": "import pytest\nfrom a import b\n\n\n@pytest.mark.skipif(condition=NO_GPU, reason='later')\ndef test_a():\n    assert b(1)\n"},
    ),
    "tests that a tuple leaves out": Claim("unit-tests", UNIT | {"conftest.py": "collect_ignore_glob = ('tests/*',)\n"}, UNIT | {"conftest.py": "collect_ignore_glob = ('docs/*',)\n"}),
    "a script whose syntax is checked": Claim("ci-build-test", ci("bash -n ci.sh") | {"ci.sh": "pytest\n"}, ci("bash -e ci.sh") | {"ci.sh": "pytest\n"}),
    "a command whose syntax is checked": Claim("ci-build-test", ci("sh -nc pytest"), ci("sh -c pytest")),
    "a training that is compiled": Claim("training-trigger", ci("python -m py_compile train.py", NIGHTLY), ci("python -u train.py", NIGHTLY)),
    "tests that unittest skips": Claim(
        "unit-tests",
        {"tests/test_a.py": "import unittest\nfrom a import b\n\n\n@unittest.skipUnless(False, 'later')\nclass A(unittest.TestCase):\n    def test_a(self):\n        assert b(1)\n"},
        {"tests/test_a.py": "import unittest\nfrom a import b\n\n\n@unittest.skipIf(False, 'later')\nclass A(unittest.TestCase):\n    def test_a(self):\n        assert b(1)\n"},
    ),
    "tests that are expected to fail and never run": Claim(
        "unit-tests",
        {"tests/test_a.py": "import pytest\nfrom a import b\n\npytestmark = pytest.mark.xfail(run=False)\n\n\ndef test_a():\n    assert b(1)\n"},
        {"tests/test_a.py": "import pytest\nfrom a import b\n\npytestmark = pytest.mark.xfail(reason='later')\n\n\ndef test_a():\n    assert b(1)\n"},
    ),
    "a test that is not collected": Claim("unit-tests", UNIT | {"conftest.py": "collect_ignore = ['tests/test_a.py']\n"}, UNIT | {"conftest.py": "collect_ignore = ['setup.py']\n"}),
    "tests that settings ignore": Claim("unit-tests", UNIT | {"pytest.ini": "[pytest]\naddopts = -q --ignore=tests\n"}, UNIT | {"pytest.ini": "[pytest]\naddopts = -q --ignore=docs\n"}),
    # A failure that is ignored: used at most.
    "a failure that true follows": Claim("ci-build-test", ci("pytest || true; ruff check || true"), ci("'pytest || exit 1; ruff check'"), tier="automated"),
    "a failure that a message follows": Claim("ci-build-test", ci("'pytest || echo later'\n      - run: ruff check"), ci("'pytest || (echo no && exit 1)'\n      - run: ruff check"), tier="automated"),
    "a command of tox in pyproject.toml that may fail": Claim(
        "ci-build-test",
        ci("tox") | {"tests/test_a.py": "def test_a():\n    assert 1\n", "pyproject.toml": "[tool.tox]\nlegacy_tox_ini = \"\"\"\n[testenv]\ncommands =\n    - pytest\n    - ruff check\n\"\"\"\n"},
        ci("tox") | {"tests/test_a.py": "def test_a():\n    assert 1\n", "pyproject.toml": "[tool.tox]\nlegacy_tox_ini = \"\"\"\n[testenv]\ncommands =\n    pytest\n    ruff check\n\"\"\"\n"},
        tier="automated",
    ),
    "a script that may fail": Claim("unit-tests", UNIT | ci("'./a.sh || :'") | {"a.sh": "pytest\n"}, UNIT | ci("'./a.sh || :'\n      - run: ./a.sh") | {"a.sh": "pytest\n"}, tier="automated"),
    "a scan that may fail": Claim(
        "dependency-and-secret-scanning",
        {CI: "on: push\njobs:\n  a:\n    steps:\n      - uses: gitleaks/gitleaks-action@v2\n        continue-on-error: true\n"},
        {CI: "on: push\njobs:\n  a:\n    steps:\n      - uses: gitleaks/gitleaks-action@v2\n"},
        tier="automated",
    ),
    "a validation that may fail": Claim(
        "data-validation",
        ci("python ci/rows.py || true") | py("import pandera\npandera.DataFrameSchema({}).validate(rows)\n", "ci/rows.py"),
        ci("python ci/rows.py") | py("import pandera\npandera.DataFrameSchema({}).validate(rows)\n", "ci/rows.py"),
        tier="automated",
    ),
    "a job that may fail by what it merges": Claim(
        "unit-tests",
        UNIT | {".gitlab-ci.yml": ".a: &a\n  allow_failure: true\nb:\n  <<: *a\n  script: [pytest]\n"},
        UNIT | {".gitlab-ci.yml": ".a: &a\n  allow_failure: false\nb:\n  <<: *a\n  script: [pytest]\n"},
        tier="automated",
    ),
    "a step that may fail, by an expression": Claim("ci-build-test", ci("pytest && ruff check\n        continue-on-error: ${{ true }}"), ci("pytest && ruff check\n        continue-on-error: ${{ matrix.new }}"), tier="automated"),
    "a step of Drone that may fail": Claim("unit-tests", UNIT | {".drone.yml": "steps:\n- name: a\n  failure: ignore\n  commands: [pytest]\n"}, UNIT | {".drone.yml": "steps:\n- name: a\n  commands: [pytest]\n"}, tier="automated"),
    "a script that goes on": Claim("unit-tests", UNIT | ci("sh a.sh") | {"a.sh": "pytest\necho done\n"}, UNIT | ci("sh a.sh") | {"a.sh": "set -eu\npytest\necho done\n"}, tier="automated"),
    "a script that looks at how it ended": Claim("unit-tests", UNIT | ci("./a") | {"a": "#!/bin/sh\npytest\nls\n"}, UNIT | ci("./a") | {"a": "#!/bin/sh\nls\npytest || exit 1\nls\n"}, tier="automated"),
    # What another wrote.
    "a vendored folder": Claim("container-image", {"_vendor/a/Dockerfile": "FROM a\nCMD a\n"}, {"vendors_api/Dockerfile": "FROM a\nCMD a\n"}),
    "a vendored package": Claim("scripted-training", py("model.fit(1)\n", "src/a/_vendored/train.py"), py("model.fit(1)\n", "src/a/train.py")),
    "a folder extern": Claim("scripted-training", py("model.fit(1)\n", "src/extern/train.py"), py("model.fit(1)\n", "src/external_data/train.py")),
    "a repository inside of it": Claim("scripted-training", {"lib/yolo/.git": "gitdir: ../../.git/modules/yolo\n", "lib/yolo/train.py": "model.fit(1)\n"}, {"lib/yolo/train.py": "model.fit(1)\n"}),
    "a requirement of a requirement, in a lock": Claim(
        "service-metrics",
        {"requirements.txt": "notebook==7.0.0\nprometheus-client==0.20.0\n    # via jupyter-server\n"},
        {"requirements.txt": "prometheus-client==0.20.0\n    # via\n    #   -r requirements.in\n    #   jupyter-server\n"},
        tier="declared",
    ),
    "a requirement of a requirement, in a line": Claim(
        "online-feature-store",
        {"requirements.txt": "feast==0.40  # via celery\n"},
        {"requirements.txt": "feast==0.40  # via churn (pyproject.toml)\n"},
        tier="declared",
    ),
    "a requirement of a requirement, with hashes": Claim(
        "experiment-tracking",
        {"requirements/prod.txt": "mlflow==2.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via databricks-sdk\nnumpy==2.0\n"},
        {"requirements/prod.txt": "mlflow==2.0 \\\n    --hash=sha256:aa\nnumpy==2.0\n    # via mlflow\n"},
        tier="declared",
    ),
    # What only has the name.
    "a picture of a tool": Claim("infrastructure-as-code", {"img/cloudformation.png": "PNG\n", "docs/cloudformation.md": "We draw what we have in a picture.\n"}, {"infra/cloudformation.yml": "Resources: {a: {Type: 'AWS::S3::Bucket'}}\n"}),
    "a picture of an image": Claim("container-image", {"Dockerfile.svg": "<svg/>\n", "docs/dockerfile.png": "PNG\n"}, {"Dockerfile.gpu": "FROM a\nCMD a\n"}),
    "a picture of a load test": Claim("serving-slo-load-test", {"img/locustfile.png": "PNG\n", "img/k6.js.svg": "<svg/>\n"}, {"load/k6.js": "export default function () {}\n"}),
    "a linter of security as a scan": Claim(
        "dependency-and-secret-scanning",
        {".pre-commit-config.yaml": "repos:\n- hooks:\n  - id: flake8\n    additional_dependencies: [flake8-bandit, bandit]\n"},
        {".pre-commit-config.yaml": "repos:\n- hooks:\n  - id: bandit\n"},
    ),
    "a file that a hook leaves out": Claim(
        "dependency-and-secret-scanning",
        {".pre-commit-config.yaml": "repos:\n- hooks:\n  - id: check-yaml\n    exclude: .gitleaks.yaml\n"},
        {".pre-commit-config.yaml": "repos:\n- hooks:\n  - id: gitleaks-docker\n"},
    ),
    # Owners that are nobody.
    "an owner to be replaced": Claim("ownership-roles", {"CODEOWNERS": "* @your-organisation/models\n/a/ @your-group/data-science\n"}, {"CODEOWNERS": "* @acme/models\n"}),
    "owners of an example": Claim("ownership-roles", {".github/CODEOWNERS": "* @my-org/team-name\n/a/ @ORG/TEAM @username\n/b/ me@example.com\n"}, {".github/CODEOWNERS": "* @yourdon/models\n"}),
    "an owner in brackets": Claim("ownership-roles", {".gitlab/CODEOWNERS": "* @<team> @{{cookiecutter.owner}}\n"}, {".gitlab/CODEOWNERS": "* ada@acme.org\n"}),
    # A seed or a fit without training.
    "a seed of a sample of texts": Claim("training-reproducibility", py("import random\n\nrandom.seed(7)\nfor path in random.sample(paths, 9):\n    print(path)\n", "scan.py"), py("import random\nimport torch\n\nrandom.seed(7)\nloss.backward()\n", "scan.py")),
    "a generator of example rows": Claim("training-reproducibility", py("import numpy as np\n\nrng = np.random.default_rng(7)\nseed = 7\nrows = rng.normal(size=9)\n", "rows.py"), py("import numpy as np\n\nrng = np.random.default_rng(7)\n", "rows.py") | py("from rows import rng\n\nmodel.fit(rng)\n", "train.py")),
    "a seed of a sample of rows": Claim("training-reproducibility", py("import pandas as pd\n\npd.read_csv('a.csv').sample(9, random_state=7).to_csv('b.csv')\n", "sample.py"), py("import pandas as pd\n\nrows = pd.read_csv('a.csv').sample(9, random_state=7)\nmodel.fit(rows, labels)\n", "sample.py")),
    "an encoder": Claim("scripted-training", py(FIT.format("preprocessing", "LabelEncoder", "encoder")), py(FIT.format("svm", "SVC", "classifier"))),
    "an encoder in a line": Claim("scripted-training", py(FIT.format("preprocessing", "OneHotEncoder", "OneHotEncoder(min_frequency=7)"), "train_encoder.py"), py(FIT.format("cluster", "KMeans", "KMeans(7)"))),
    "a transformer of columns": Claim("scripted-training", py("import joblib\n\nrows = ColumnTransformer([]).fit(rows)\nselector.fit(rows)\njoblib.dump(rows, 'a')\n"), py("import joblib\n\njoblib.dump(TransformedTargetRegressor().fit(rows), 'a')\n")),
    "a preprocessing": Claim("scripted-training", py("import joblib\n\nself._preprocess.fit(rows)\njoblib.dump(self._preprocess, 'a')\n"), py("import joblib\n\nself._model.fit(rows)\njoblib.dump(self._model, 'a')\n")),
    "a bucket of logs with versions": Claim("data-versioning", {"lib/dataLogs.ts": "new s3.Bucket(this, 'Logs', {\n  versioned: false,\n});\n", "lib/site.ts": "new s3.Bucket(this, 'Site', {versioned: true});\n"}, {"lib/dataset.ts": "new s3.Bucket(this, 'Rows', {\n  versioned: true,\n});\n"}),
    "a program that only scores": Claim("scripted-training", {"Makefile": "score:\n\t${MARIAN}/marian-scorer --train-sets a b\n"}, {"Makefile": "model:\n\t${MARIAN}/marian --train-sets a b --model c\n"}),
    "what is called like a function of R": Claim("scripted-training", {"R/train.R": "train <- function(rows) {\n}\n"}, {"R/train.R": "model <- lightgbm::lgb.train(rows)\n"}),
    "a command of a container that is a comment": Claim(
        "experiment-tracking",
        TRACKS | {"docker-compose.yml": COMPOSE.format("# ")},
        TRACKS | {"docker-compose.yml": COMPOSE.format("")},
        tier="automated",
    ),
    "a stack of AWS CDK that nobody deploys": Claim("automated-model-deployment", ci("cdk synth") | {"lib/a.ts": "new sagemaker.CfnEndpoint(this, 'A');\n"}, ci("cdk deploy") | {"lib/a.ts": "new sagemaker.CfnEndpoint(this, 'A');\n"}, tier="automated"),
    "a schedule of a monitor in a stack that nobody deploys": Claim("drift-monitoring", ci("cdk synth") | {"lib/a.ts": "new sagemaker.CfnMonitoringSchedule(this, 'A');\n"}, ci("cdk synth") | {"lib/a.ts": "new sagemaker.CfnMonitoringSchedule(this, 'A');\nnew pipelines.CodePipeline(this, 'B');\n"}, tier="automated"),
    "a variable that is only an argument": Claim("ci-build-test", ci("'./notify $NOTE'\n        env: {NOTE: run pytest later}"), ci("'$TESTS'\n        env: {TESTS: pytest tests}")),
    "a scaler and a tokenizer": Claim("scripted-training", py("import pickle\n\ntokenizer.train(files)\nscaler = StandardScaler().fit(rows)\ntfidf_vectorizer.fit(texts)\npickle.dump(scaler, file)\n"), py("import pickle\n\nscaler = StandardScaler().fit(rows)\npickle.dump(Ridge().fit(scaler(rows), late), file)\n")),
}  # fmt: skip


def ignored(wrong: dict[str, str], right: dict[str, str]) -> Claim:
    """Return tests whose failure is ignored, and tests whose failure ends CI."""
    return Claim("unit-tests", UNIT | wrong, UNIT | right, tier="automated")


def script(*lines: str, more: str = "") -> dict[str, str]:
    """Return a workflow with a script of several lines."""
    return ci("|\n" + "\n".join(f"          {line}" for line in lines) + more)


def make(text: str, command: str = "make a") -> dict[str, str]:
    return ci(command) | {"Makefile": text}


def rollback(command: str) -> dict[str, str]:
    """Return a workflow that only a person starts: that is what a rollback is for."""
    return {CI: f"on: workflow_dispatch\njobs: {{a: {{steps: [run: '{command}']}}}}\n"}


CALLED = ".github/workflows/t.yml"
CALLER = "on: {}\njobs: {{a: {{uses: ./.github/workflows/t.yml}}}}\n"
TESTED = "on: workflow_call\njobs: {a: {steps: [run: pytest]}}\n"
DROPPED = "import subprocess\nimport sys\n\nsubprocess.run({}"

# A failure that is ignored, by every vendor and runner: used at most.
IGNORED = {
    # By a shell.
    "after set +e": ignored(script("set +e", "pytest", "ls"), script("set +e", "ls", "set -e", "pytest", "ls")),
    "after set +e in a script": ignored(ci("bash a.sh") | {"a.sh": "set -e\nls\nset +e\npytest\nls\n"}, ci("bash a.sh") | {"a.sh": "set +e\nls\nset -e\npytest\nls\n"}),
    "of a condition": ignored(ci("if pytest; then echo fine; fi"), ci("if ! pytest; then exit 1; fi")),
    "of a condition on lines": ignored(script("if ! pytest", "then", "  echo no", "fi"), script("if ! pytest", "then", "  exit 1", "fi")),
    "that is turned round": ignored(script("! pytest", "ls"), script("pytest", "ls")),
    "in the background": ignored(script("pytest &", "ls"), script("pytest &", "wait $!")),
    "before a message in braces": ignored(ci("'pytest || { echo no; }'"), ci("'pytest || { echo no; exit 1; }'")),
    "before a call": ignored(ci("pytest || curl https://example.org/no"), ci("pytest || false")),
    "before a test": ignored(ci("'pytest || true; ruff check || exit 1'"), ci("'pytest || [ $? = 5 ]'")),
    "in braces": ignored(ci("'{ pytest; } || true'"), ci("'{ pytest; } || exit 2'")),
    "before another command of a shell": ignored(ci('bash -c "pytest; ls"'), ci('bash -ec "pytest; ls"')),
    "by an option": ignored(ci("pytest --exit-zero"), ci("pytest --exitfirst")),
    "of a condition with else on lines": ignored(script("if pytest; then", "  echo fine", "else", "  echo no", "fi"), script("if pytest; then", "  echo fine", "else", "  exit 1", "fi")),
    "that nothing reads": ignored(script("pytest || rc=1", "ls"), script("pytest || rc=1", "ls", "exit $rc")),
    "whose code nothing reads": ignored(script("pytest || :", "ls"), script("pytest || ret=$?", "ls", 'exit "$ret"')),
    "that a line notes": ignored(ci("'pytest || :; exit $rc'"), ci("'pytest || rc=1; exit $rc'")),
    "before braces on lines": ignored(script("pytest || {", "  echo no", "}"), script("pytest || {", "  exit 1", "}")),
    "after set +e, until a quoted code": ignored(script("set +e", "pytest", "rc=3", "echo $rc"), script("set +e", "pytest", "rc=3", 'exit "$rc"')),
    "after set +e, until false": ignored(script("set +e", "pytest", "CI=false ls"), script("set +e", "pytest", "ls && false")),
    # By a task runner.
    "by make -i": ignored(make("a:\n\tpytest\n", "make -i a"), make("a:\n\tpytest\n", "make -k a")),
    "by make -i after a variable": ignored(make("a:\n\tpytest\n", "make A=b -i a"), make("a:\n\tpytest\n", "make a ARGS='-v -i'")),
    "by make --ignore-errors": ignored(make("a:\n\tpytest\n", "make a --ignore-errors"), make("a:\n\tpytest\n", "make a --keep-going")),
    "by .IGNORE": ignored(make(".IGNORE:\na:\n\tpytest\n"), make(".IGNORE: b\na:\n\tpytest\n")),
    "by .IGNORE of a target": ignored(make(".IGNORE: a\na:\n\tpytest\n"), make(".SILENT: a\na:\n\tpytest\n")),
    "by the flags of make": ignored(make("MAKEFLAGS += -i\na:\n\tpytest\n"), make("MAKEFLAGS += -j\na:\n\tpytest\n")),
    "of all that a task starts": ignored(make("test:\n\t-pytest\n", "make test"), make("test:\n\t-ls\n\t@pytest\n", "make test")),
    "before another command of a recipe": ignored(make("a:\n\tpytest; ls\n"), make("a:\n\tpytest && ls\n")),
    "of a recipe of just": ignored(ci("just a") | {"justfile": "a:\n    pytest; ls\n"}, ci("just a") | {"justfile": "a:\n    ls; pytest\n"}),
    "of a script of npm": ignored(ci("npm run a") | {"package.json": '{"scripts": {"a": "pytest; ls"}}'}, ci("npm run a") | {"package.json": '{"scripts": {"a": "pytest && ls"}}'}),
    "of a task of poe": ignored(
        ci("poe a") | {"pyproject.toml": '[tool.poe.tasks.a]\nsequence = [{cmd = "pytest"}]\nignore_fail = true\n'},
        ci("poe a") | {"pyproject.toml": '[tool.poe.tasks.a]\nsequence = [{cmd = "pytest"}]\nignore_fail = "return_non_zero"\n'},
    ),
    "of a command of go-task": ignored(
        ci("task a") | {"Taskfile.yml": "tasks: {a: {cmds: [{cmd: pytest, ignore_error: true}]}}\n"},
        ci("task a") | {"Taskfile.yml": "tasks: {a: {cmds: [{cmd: pytest, silent: true}]}}\n"},
    ),
    "of a task of go-task": ignored(
        ci("task a") | {"Taskfile.yml": "tasks: {a: {ignore_error: true, cmds: [pytest]}}\n"},
        ci("task a") | {"Taskfile.yml": "tasks: {a: {ignore_error: false, cmds: [pytest]}}\n"},
    ),
    "of what go-task defers": ignored(ci("task a") | {"Taskfile.yml": "tasks: {a: {cmds: [{defer: {task: b}}]}, b: pytest}\n"}, ci("task a") | {"Taskfile.yml": "tasks: {a: {cmds: [{task: b}]}, b: pytest}\n"}),
    "of a script that a script of hatch names": ignored(ci("hatch run a") | {"hatch.toml": "[envs.default.scripts]\na = ['- b']\nb = 'pytest'\n"}, ci("hatch run a") | {"hatch.toml": "[envs.default.scripts]\na = ['b']\nb = 'pytest'\n"}),
    "of a script of hatch": ignored(ci("hatch run a") | {"hatch.toml": "[envs.default.scripts]\na = ['- pytest']\n"}, ci("hatch run a") | {"hatch.toml": "[envs.default.scripts]\na = ['pytest -']\n"}),
    "of an environment of tox in TOML": ignored(
        ci("tox -e py311") | {"tox.toml": "[env_run_base]\nignore_outcome = true\ncommands = [['pytest']]\n"},
        ci("tox -e py311") | {"tox.toml": "[env_run_base]\nignore_errors = true\ncommands = [['pytest']]\n"},
    ),
    "of a task of Invoke": ignored(ci("inv a") | {"tasks.py": "def a(c):\n    c.run('pytest', warn=True)\n"}, ci("inv a") | {"tasks.py": "def a(c):\n    c.run('pytest', warn=False)\n"}),
    "of a session of nox": ignored(ci("nox -s a") | {"noxfile.py": "def a(session):\n    session.run('pytest', success_codes=[0, 1])\n"}, ci("nox -s a") | {"noxfile.py": "def a(session):\n    session.run('pytest', success_codes=[0, 5])\n"}),
    "that Python drops": ignored(ci("python a.py") | {"a.py": "import subprocess\n\nsubprocess.run(['pytest'])\n"}, ci("python a.py") | {"a.py": "import subprocess\n\nsubprocess.run(['pytest'], check=True)\n"}),
    "that Python drops before a comparison": ignored(ci("python a.py") | {"a.py": DROPPED.format("'pytest')\n")}, ci("python a.py") | {"a.py": DROPPED.format("'pytest') == 0 or sys.exit(1)\n")}),
    "that Python drops before a check": ignored(ci("python a.py") | {"a.py": DROPPED.format("['pytest'])\n")}, ci("python a.py") | {"a.py": DROPPED.format("['pytest']).check_returncode()\n")}),
    "that Python drops before an exit": ignored(ci("python a.py") | {"a.py": DROPPED.format("['pytest'])\nsys.exit()\n")}, ci("python a.py") | {"a.py": DROPPED.format("['pytest'])\n)\n").replace("\n\n", "\n\nsys.exit(\n")}),
    "that os.system drops": ignored(ci("python a.py") | {"a.py": "import os\n\nos.system('pytest')\n"}, ci("python a.py") | {"a.py": "import os\nimport sys\n\nsys.exit(os.system('pytest'))\n"}),
    # By a vendor.
    "of an action that is called": ignored(
        {CI: "on: push\njobs: {a: {steps: [{uses: ./.github/actions/t, continue-on-error: true}]}}\n", ".github/actions/t/action.yml": "runs: {steps: [run: pytest]}\n"},
        {CI: "on: push\njobs: {a: {steps: [{uses: ./.github/actions/t, continue-on-error: false}]}}\n", ".github/actions/t/action.yml": "runs: {steps: [run: pytest]}\n"},
    ),
    "by its code in GitLab": ignored({".gitlab-ci.yml": "a:\n  allow_failure: {exit_codes: [1, 137]}\n  script: [pytest]\n"}, {".gitlab-ci.yml": "a:\n  allow_failure: {exit_codes: [137]}\n  script: [pytest]\n"}),
    "by a rule of GitLab": ignored({".gitlab-ci.yml": "a:\n  rules: [{if: $A, allow_failure: true}]\n  script: [pytest]\n"}, {".gitlab-ci.yml": "a:\n  rules: [{if: $A, allow_failure: true}, {if: $B}]\n  script: [pytest]\n"}),
    "after the job of GitLab": ignored({".gitlab-ci.yml": "a:\n  script: [ls]\n  after_script: [pytest]\n"}, {".gitlab-ci.yml": "a:\n  script: [ls]\n  before_script: [pytest]\n"}),
    "of a step of Azure": ignored({"azure-pipelines.yml": "steps:\n- script: pytest\n  continueOnError: true\n"}, {"azure-pipelines.yml": "steps:\n- script: pytest\n  continueOnError: false\n"}),
    "by its code in Buildkite": ignored({".buildkite/pipeline.yml": "steps:\n- command: pytest\n  soft_fail: [{exit_status: 1}]\n"}, {".buildkite/pipeline.yml": "steps:\n- command: pytest\n  soft_fail: [{exit_status: 42}]\n"}),
    "by any code in Buildkite": ignored({".buildkite/pipeline.yml": "steps:\n- command: pytest\n  soft_fail: [{exit_status: '*'}]\n"}, {".buildkite/pipeline.yml": "steps:\n- command: pytest\n  soft_fail: false\n"}),
    "of a job of Travis": ignored(
        {".travis.yml": "jobs:\n  include:\n  - name: unit\n    script: pytest\n  allow_failures:\n  - name: unit\n"},
        {".travis.yml": "jobs:\n  include:\n  - name: unit\n    script: pytest\n  allow_failures:\n  - name: other\n"},
    ),
    "of a stage of Travis": ignored(
        {".travis.yml": "matrix:\n  include:\n  - stage: a\n    env: B=1\n    script: pytest\n  allow_failures:\n  - env: B=1\n"},
        {".travis.yml": "matrix:\n  include:\n  - stage: a\n    env: B=1\n    script: pytest\n  allow_failures:\n  - env: B=1\n    stage: b\n"},
    ),
    "after the job of Travis": ignored({".travis.yml": "script: ls\nafter_success: pytest\n"}, {".travis.yml": "before_script: pytest\nscript: ls\n"}),
    "of a step of Woodpecker": ignored({".woodpecker.yml": "steps:\n- name: a\n  failure: ignore\n  commands: [pytest]\n"}, {".woodpecker.yml": "steps:\n- name: a\n  failure: fail\n  commands: [pytest]\n"}),
    "of a step of Cloud Build": ignored({"cloudbuild.yaml": f"{BUILD}  allowFailure: true\n"}, {"cloudbuild.yaml": f"{BUILD}  allowFailure: false\n"}),
    "by its code in Cloud Build": ignored({"cloudbuild.yaml": f"{BUILD}  allowExitCodes: [1]\n"}, {"cloudbuild.yaml": f"{BUILD}  allowExitCodes: [5]\n"}),
    "that Jenkins catches": ignored({"Jenkinsfile": "catchError(buildResult: 'SUCCESS') {\n  sh 'pytest'\n}\n"}, {"Jenkinsfile": "catchError(stageResult: 'FAILURE') {\n  sh 'pytest'\n}\n"}),
    "that warns in Jenkins": ignored({"Jenkinsfile": "warnError('no') {\n  sh 'pytest'\n}\n"}, {"Jenkinsfile": "timeout(9) {\n  sh 'pytest'\n}\n"}),
    "that Jenkins tries": ignored({"Jenkinsfile": "try {\n  sh 'pytest'\n} catch (e) {\n  echo 'no'\n}\n"}, {"Jenkinsfile": "try {\n  sh 'pytest'\n} catch (e) {\n  throw e\n}\n"}),
    "whose status Jenkins drops": ignored({"Jenkinsfile": "sh(script: 'pytest', returnStatus: true)\n"}, {"Jenkinsfile": "def a = sh(script: 'pytest', returnStatus: true)\n"}),
    "of a shell of Jenkins without -e": ignored({"Jenkinsfile": "sh '''#!/bin/bash -x\npytest\nls'''\n"}, {"Jenkinsfile": "sh '''#!/bin/bash -xe\npytest\nls'''\n"}),
    # By CI that only a person starts.
    "in a workflow that a person starts": ignored(workflow("workflow_dispatch:"), workflow("[push, workflow_dispatch]")),
    "in a workflow that a person starts with inputs": ignored(workflow("workflow_dispatch: {inputs: {a: {default: b}}}"), workflow("repository_dispatch:")),
    "in a pipeline of Azure that a person starts": ignored({"azure-pipelines.yml": "trigger: none\npr: none\nsteps:\n- script: pytest\n"}, {"azure-pipelines.yml": "trigger: none\npr: [main]\nsteps:\n- script: pytest\n"}),
    "in a pipeline of Azure that a person starts, and no schedule": ignored({"azure-pipelines.yml": "pr: none\ntrigger: none\npool: a\nsteps:\n- script: pytest\n"}, {"azure-pipelines.yml": "pr: none\ntrigger: none\nschedules: [{cron: '1 1 * * *'}]\nsteps:\n- script: pytest\n"}),
    "in a workflow that one calls which a person starts": ignored({CI: CALLER.format("workflow_dispatch"), CALLED: TESTED}, {CI: CALLER.format("push"), CALLED: TESTED}),
    "in a template of Azure that a person starts": ignored({"azure-pipelines.yml": "trigger: none\npr: none\nsteps:\n- template: ci/t.yml\n", "ci/t.yml": "steps:\n- script: pytest\n"}, {"azure-pipelines.yml": "trigger: none\npr: [main]\nsteps:\n- template: ci/t.yml\n", "ci/t.yml": "steps:\n- script: pytest\n"}),
    "of a rollback": Claim("one-step-rollback", rollback("kubectl rollout undo deployment/a || true"), rollback("kubectl rollout undo deployment/a"), tier="automated"),
}  # fmt: skip

AZURE = "azure-pipelines.yml"
INVOKES = "jobs:\n- job: a\n  steps:\n  - task: ms-air.azureml-restApi-task.MLPublishedPipelineRestAPITask@0\n    inputs: {PipelineId: 1}\n"
JOB = "name: a\nentrypoint: bash jobs/{}.sh\n"
LAUNCH = '|\n          NAME=check_${{ matrix.part }}\n          NAME="${NAME//-/_}_launch.sh"\n          sh "ci/${NAME}" now'

# What a careful reader saw in public repositories and `rung check` did not, or the other way round.
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
    "Feast read online": Claim(
        "online-feature-store",
        py("store = FeatureStore('.')\nrows = store.get_historical_features(people, names).to_df()\n"),
        py("store = FeatureStore('.')\nrows = store.get_online_features(names, people).to_dict()\n"),
    ),
    "Tecton": Claim(
        "online-feature-store",
        py("import settings\n\nnames = settings.get_features('churn')\n"),
        py("import tecton_client\n\nrow = tecton_client.TectonClient(url).get_features('churn')\n"),
    ),
    "Chronon": Claim(
        "online-feature-store",
        py("from ai.chronon.group_by import GroupBy\n\nv1 = GroupBy(sources=[a], online=False)\n"),
        py("from ai.chronon.group_by import GroupBy\n\nv1 = GroupBy(sources=[a], online=True)\n"),
    ),
    "Hopsworks": Claim(
        "online-feature-store",
        py("rows, target = view.training_data()\n"),
        py("rows = view.get_feature_vectors([{'id': 1}, {'id': 2}])\n"),
    ),
    "SageMaker": Claim(
        "online-feature-store",
        py("row = database.batch_get_record(Ids=['1'])\n"),
        py("row = runtime.batch_get_record(Identifiers=[{'FeatureGroupName': 'a'}])\n"),
    ),
    "Vertex AI": Claim(
        "online-feature-store",
        py("store = aiplatform.FeatureOnlineStore.create('a')\n"),
        py("row = client.fetch_feature_values(request)\n"),
    ),
}  # fmt: skip
CLAIMS = [*KNOWN.items(), *FOUND.items(), *FOOLED.items(), *READ.items()]
CLAIMS += [(f"a failure {name}", claim) for name, claim in IGNORED.items()]
every_claim = pytest.mark.parametrize(
    "claim", [pytest.param(claim, id=name) for name, claim in CLAIMS]
)


def points(folder: Path, claim: Claim, files: dict[str, str]) -> float:
    result = review(plant(folder, ML | called(files)), limits=PLENTY)
    return result.findings[claim.capability].points


@every_claim
def test_what_only_looks_like_it_is_not_claimed(claim: Claim, tmp_path: Path) -> None:
    assert points(tmp_path, claim, claim.wrong) < TIERS[claim.tier]


@every_claim
def test_what_shows_it_is_found(claim: Claim, tmp_path: Path) -> None:
    assert points(tmp_path, claim, claim.right) >= TIERS[claim.tier]
