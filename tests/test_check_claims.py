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
    "a target that a folder shadows": Claim(
        "ci-build-test",
        UNIT | ci("make tests") | {"Makefile": "tests:\n\tpytest\n"},
        UNIT | ci("make tests") | {"Makefile": ".PHONY: tests\ntests:\n\tpytest\n"},
    ),
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
    "the command of a frozen stage": Claim("ci-build-test", ci("dvc repro") | {"dvc.yaml": "stages: {a: {cmd: pytest, frozen: true}}\n"}, ci("dvc repro") | {"dvc.yaml": "stages: {a: {cmd: pytest}}\n"}),
    "branches that are all ignored": Claim("ci-build-test", workflow("push: {branches-ignore: ['**']}"), workflow("push: {branches-ignore: ['docs/**']}")),
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
    "a script whose syntax is checked": Claim("ci-build-test", ci("bash -n ci.sh") | {"ci.sh": "pytest\n"}, ci("bash -e ci.sh") | {"ci.sh": "pytest\n"}),
    "a command whose syntax is checked": Claim("ci-build-test", ci("sh -nc pytest"), ci("sh -c pytest")),
    "a training that is compiled": Claim("training-trigger", ci("python -m py_compile train.py", NIGHTLY), ci("python -u train.py", NIGHTLY)),
    "tests that a condition skips": Claim(
        "unit-tests",
        {"tests/test_a.py": "import pytest\nfrom a import b\n\n\n@pytest.mark.skipif(True, reason='later')\ndef test_a():\n    assert b(1)\n"},
        {"tests/test_a.py": "import pytest\nfrom a import b\n\n\n@pytest.mark.skipif(NO_GPU, reason='no GPU')\ndef test_a():\n    assert b(1)\n"},
    ),
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
    "tests that are not collected": Claim("unit-tests", UNIT | {"tests/conftest.py": "collect_ignore_glob = ['*']\n"}, UNIT | {"tests/conftest.py": "collect_ignore_glob = ['slow_*']\n"}),
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
    "a step that may fail": Claim("ci-build-test", ci("pytest && ruff check\n        continue-on-error: true"), ci("pytest && ruff check\n        continue-on-error: false"), tier="automated"),
    "a job that may fail": Claim(
        "unit-tests",
        UNIT | {".gitlab-ci.yml": "a:\n  allow_failure: true\n  script: [pytest]\n"},
        UNIT | {".gitlab-ci.yml": "a:\n  allow_failure: {exit_codes: 42}\n  script: [pytest]\n"},
        tier="automated",
    ),
    "a recipe that may fail": Claim("unit-tests", UNIT | ci("make a") | {"Makefile": "a:\n\t-pytest\n"}, UNIT | ci("make a") | {"Makefile": "a:\n\t@pytest\n"}, tier="automated"),
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
    # What another wrote.
    "a vendored folder": Claim("container-image", {"_vendor/a/Dockerfile": "FROM a\nCMD a\n"}, {"vendors_api/Dockerfile": "FROM a\nCMD a\n"}),
    "a vendored package": Claim("scripted-training", py("model.fit(1)\n", "src/a/_vendored/train.py"), py("model.fit(1)\n", "src/a/train.py")),
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
    "a scan that only a person starts": Claim(
        "dependency-and-secret-scanning",
        {".pre-commit-config.yaml": "repos:\n- hooks:\n  - id: gitleaks\n    stages: [manual]\n"},
        {".pre-commit-config.yaml": "repos:\n- hooks:\n  - id: gitleaks\n    stages: [pre-push]\n"},
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
    "a scaler and a tokenizer": Claim("scripted-training", py("import pickle\n\ntokenizer.train(files)\nscaler = StandardScaler().fit(rows)\ntfidf_vectorizer.fit(texts)\npickle.dump(scaler, file)\n"), py("import pickle\n\nscaler = StandardScaler().fit(rows)\npickle.dump(Ridge().fit(scaler(rows), late), file)\n")),
}  # fmt: skip
CLAIMS = KNOWN | FOUND | FOOLED


def points(folder: Path, claim: Claim, files: dict[str, str]) -> float:
    result = review(plant(folder, ML | called(files)), limits=PLENTY)
    return result.findings[claim.capability].points


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))
def test_what_only_looks_like_it_is_not_claimed(claim: Claim, tmp_path: Path) -> None:
    assert points(tmp_path, claim, claim.wrong) < TIERS[claim.tier]


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))
def test_what_shows_it_is_found(claim: Claim, tmp_path: Path) -> None:
    assert points(tmp_path, claim, claim.right) >= TIERS[claim.tier]
