"""What was missed in repositories of rung 2 and above is found, in other forms than the usual one."""

from pathlib import Path

import pytest

from rung.check.review.review import review
from rung.levels.ladder import TIERS
from tests.repositories import ML, PLENTY, called, evidence, plant

CI = ".github/workflows/ci.yml"
RUN = "on: push\njobs:\n  a:\n    steps:\n      - run: {}\n"
COMPILES = "from kfp import compiler, dsl\n\n\n@dsl.pipeline\ndef training():\n    train()\n\n\ncompiler.Compiler().compile(training, 'a.yaml')\n"
UNITS = {
    "a.py": "b = 1\n",
    "tests/test_a.py": "from a import b\n\n\ndef test_a():\n    assert b(1)\n",
}
UNIT = "def test_fit():\n    import sklearn\n    assert fit(1)\n"
TASK = "tasks:\n  - provisionerId: proj\n    workerType: ci\n    payload:\n      command:\n        - - /bin/bash\n          - -lc\n          - pip install . && pytest\n"
BUILD = "steps:\n  - name: gcr.io/cloud-builders/docker\n    entrypoint: bash\n    args: [-c, pytest -q]\n"
NIGHTLY = "on:\n  schedule:\n    - cron: '1 1 * * *'\njobs:\n  a:\n    steps:\n      - run: {}\n"
BLUBBER = "version: v4\nbase: docker.example.org/python3\nvariants:\n  test:\n    entrypoint: [pytest, -q]\n  production:\n    entrypoint: [python, serve.py]\n"

# By what is shown: the files, the capability and the tier it earns.
MISSED: dict[str, tuple[dict[str, str], str, str]] = {
    "a step whose quoted name has a hash": (
        {CI: "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n    - name: 'Build #1' # it's\n      run: docker build -t x .\n", "Dockerfile": "FROM python\nCOPY train.py .\n", "train.py": "model.fit(x)\n"},
        "container-image", "automated",
    ),
    "a training by a method of a class of its own": (
        {"ml/train.py": "import plac\n\n\ndef train(file):\n    parser.train_model(rows, epochs=3)\n"},
        "scripted-training", "automated",
    ),
    "a prediction by a function of the script": (
        {"predict.py": "def predict_img(net):\n    return net(img)\n\n\nnet.load_state_dict(torch.load(file))\npredict_img(net)\n"},
        "scoring-entrypoint", "used",
    ),
    "a deployment to Okteto": (
        {CI: RUN.format("okteto deploy --wait"), "api.py": "app = FastAPI()\n"},
        "automated-model-deployment", "used",
    ),
    "a comparison of two entries": (
        {"gate.py": "keep = production['rmse'] <= candidate['rmse']\n"},
        "model-quality-gate", "used",
    ),
    "a comparison of short names": (
        {"upload.py": "def compare(metrics):\n    m_chall, m_champ = metrics\n    return (m_chall < m_champ) if lower else (m_chall > m_champ)\n"},
        "model-quality-gate", "used",
    ),
    "a list of words in a script": (
        {CI: RUN.format("python ci/run.py"), "ci/run.py": "import subprocess\nsubprocess.run(\n    ['dvc', 'repro', name],\n    check=True,\n)\n", "dvc.yaml": "stages: {a: {cmd: python a.py}}\n"},
        "orchestrated-pipeline", "automated",
    ),
    "a list of words in a module": (
        {CI: RUN.format("python -m ops.release --fast"), "ops/release.py": "from subprocess import check_call\ncheck_call(['az', 'ml', 'online-deployment', 'create'])\n"},
        "automated-model-deployment", "automated",
    ),
    "the action of pre-commit": (
        {CI: "on: push\njobs:\n  a:\n    steps:\n      - uses: pre-commit/action@v3.0.1\n", ".pre-commit-config.yaml": "repos: [{hooks: [{id: a, entry: pytest}]}]\n"},
        "ci-build-test", "automated",
    ),
    "one task of Invoke": (
        {CI: RUN.format("inv test.all-of-it"), "tasks/test.py": "@task\ndef all_of_it(c):\n    c.run('pytest -q')\n"},
        "ci-build-test", "used",
    ),
    "tox in TOML": (
        {CI: RUN.format("tox -e py311"), "pyproject.toml": "[tool.tox.env_run_base]\ncommands = [['pytest', 'tests']]\n"},
        "ci-build-test", "used",
    ),
    "a task of pixi": (
        {CI: RUN.format("pixi run -e dev test"), "pixi.toml": "[feature.dev.tasks]\ntest = {cmd = 'pytest'}\n"},
        "ci-build-test", "used",
    ),
    "hatch.toml": (
        {CI: RUN.format("hatch run test:all"), "hatch.toml": "[envs.test.scripts]\nall = 'pytest'\n"},
        "ci-build-test", "used",
    ),
    "a task that is called test": (
        {CI: RUN.format("pdm run test"), "pyproject.toml": "[tool.pdm.scripts]\ntest = 'pytest'\n"},
        "ci-build-test", "used",
    ),
    "the first recipe of just": ({CI: RUN.format("just"), "justfile": "all: test\ntest:\n    pytest\n"}, "ci-build-test", "used"),
    "the default of go-task": (
        {CI: RUN.format("task"), "Taskfile.yml": "tasks: {default: {deps: [test]}, test: {cmds: [pytest]}}\n"},
        "ci-build-test", "used",
    ),
    "a script without an ending": ({CI: RUN.format("./ci/check"), "ci/check": "#!/bin/sh\npytest\n"}, "ci-build-test", "used"),
    "a service of Docker Compose": (
        {CI: RUN.format("docker compose run --rm tests"), "compose.yaml": "services: {tests: {command: [pytest, -q]}}\n"},
        "ci-build-test", "used",
    ),
    "bazel": ({CI: RUN.format("bazel test //...")}, "ci-build-test", "used"),
    "a schedule of GitLab": (
        {".gitlab-ci.yml": "train:\n  only: [schedules]\n  script: [python train.py]\n", "train.py": "m.fit(1)\n"},
        "training-trigger", "automated",
    ),
    "Metaflow started in CI": (
        {CI: RUN.format("python flow.py --with retry argo-workflows create"), "flow.py": "from metaflow import FlowSpec\n\n\nclass Train(FlowSpec):\n    pass\n"},
        "orchestrated-pipeline", "automated",
    ),
    "ZenML started in CI": (
        {CI: RUN.format("python run.py"), "run.py": "from zenml import pipeline\n\n\n@pipeline\ndef training():\n    fit()\n\n\ntraining()\n"},
        "orchestrated-pipeline", "automated",
    ),
    "SageMaker's pipeline in CI": (
        {CI: RUN.format("python p.py"), "p.py": "from sagemaker.workflow.pipeline import Pipeline\n\nPipeline(name='a').upsert(role)\n"},
        "orchestrated-pipeline", "automated",
    ),
    "a flow of Prefect that deploys itself": (
        {CI: RUN.format("python flow.py"), "flow.py": "from prefect import flow\n\n\n@flow\ndef main():\n    pass\n\n\nmain.deploy(name='a')\n"},
        "orchestrated-pipeline", "automated",
    ),
    "a workflow of Argo that CI applies": (
        {CI: RUN.format("kubectl apply -f flows/a.yaml"), "flows/a.yaml": "kind: WorkflowTemplate\n"},
        "orchestrated-pipeline", "automated",
    ),
    "Snakemake": ({CI: RUN.format("snakemake -j1"), "Snakefile": "rule train:\n    shell: 'python train.py'\n"}, "orchestrated-pipeline", "automated"),
    "an endpoint of SageMaker that CI updates": (
        {CI: RUN.format("python -m ops.deploy"), "ops/deploy.py": "import boto3\nboto3.client('sagemaker').update_endpoint(EndpointName='a')\n"},
        "automated-model-deployment", "automated",
    ),
    "a model that CI deploys with Vertex AI": (
        {CI: RUN.format("python deploy.py"), "deploy.py": "from google.cloud import aiplatform\naiplatform.Model('a').deploy()\n"},
        "automated-model-deployment", "automated",
    ),
    "KServe from Python": (
        {CI: RUN.format("python deploy.py"), "deploy.py": "from kserve import KServeClient\nKServeClient().create(a)\n"},
        "automated-model-deployment", "automated",
    ),
    "a deployment of BentoML": ({CI: RUN.format("bentoml deployment apply -f a.yaml")}, "automated-model-deployment", "automated"),
    "prefect.yaml": (
        {CI: RUN.format("prefect deploy --all"), "prefect.yaml": "deployments:\n- name: train\n  entrypoint: flows/train.py:train\n"},
        "orchestrated-pipeline", "automated",
    ),
    "a schedule of prefect.yaml": (
        {"prefect.yaml": "deployments:\n- name: a\n  entrypoint: flows/train.py:train\n  schedules:\n  - cron: 1 1 * * *\n"},
        "training-trigger", "automated",
    ),
    "Cloud Build of another name": ({"ci/unit.yaml": BUILD}, "ci-build-test", "used"),
    "Cloud Build in an image of another registry": (
        {"cloudbuild/pr.yaml": "steps:\n- name: python:3.9\n  entrypoint: sh\n  args: [-c, pytest]\noptions: {logging: NONE}\n"},
        "ci-build-test", "used",
    ),
    "a program of Cloud Build apart from its arguments": (
        {"a.yaml": "steps:\n- name: gcr.io/a/b\n  entrypoint: pytest\n  args: [tests, -q]\n"},
        "ci-build-test", "used",
    ),
    "Taskcluster": ({".taskcluster.yml": TASK}, "ci-build-test", "used"),
    "Taskcluster of another name": ({"infra/data.yml": TASK}, "ci-build-test", "used"),
    "Argo in CI": (
        {CI: RUN.format("argo template create flows/train.yaml"), "flows/train.yaml": "kind: WorkflowTemplate\n"},
        "orchestrated-pipeline", "automated",
    ),
    "Kubeflow compiled by make in CI": (
        {CI: RUN.format("make compile"), "Makefile": "compile:\n\tpython -m pipelines.train\n", "pipelines/train.py": COMPILES},
        "orchestrated-pipeline", "automated",
    ),
    "Vertex AI started in CI": (
        {CI: RUN.format("python run.py"), "run.py": "from google.cloud import aiplatform\naiplatform.PipelineJob(name).submit()\n"},
        "orchestrated-pipeline", "automated",
    ),
    "a command given a name before it is started": (
        {CI: RUN.format("python -m ops.cli deploy"), "ops/cli.py": "from ops.cloud import deploy\ndeploy()\n", "ops/cloud.py": "import subprocess\n\n\ndef deploy():\n    command: list[str] = [\n        'gcloud',\n        'run',\n        'deploy',\n        name,\n    ]\n    _start_command(command)\n\n\ndef _start_command(command):\n    subprocess.run(command, check=True)\n"},
        "automated-model-deployment", "automated",
    ),
    "a command given to a helper that starts it": (
        {CI: RUN.format("python ci.py"), "ci.py": "import subprocess\n\n\ndef _run_it(words):\n    subprocess.check_call(words)\n\n\n_run_it(['kubectl', 'apply', '-f', 'service.yaml'])\n"},
        "automated-model-deployment", "automated",
    ),
    "a comparison with a number read from text": (
        {"register.py": "def better(new, old):\n    return new_metrics['rmse'] <= float(old_metrics.get('rmse', 0))\n"},
        "model-quality-gate", "used",
    ),
    "a policy on lines of its own": (
        {"policy.py": "def decide(candidate_metrics: dict, champion_metrics: dict, config: dict):\n    passed = (\n        relative(candidate_metrics, champion_metrics)\n        <= -config_minimum_improvement\n    )\n    return passed\n"},
        "model-quality-gate", "used",
    ),
    "a pipeline of Azure built by CI": (
        {CI: RUN.format("python ops/build.py"), "ops/build.py": "from azureml.pipeline.steps import PythonScriptStep\n\nstep = PythonScriptStep(script_name='train.py')\n"},
        "orchestrated-pipeline", "automated",
    ),
    "a flow of Prefect deployed by CI": (
        {CI: RUN.format("python deployment.py"), "deployment.py": "from prefect import flow\n\n\n@flow\ndef main():\n    pass\n\n\nmain.from_source(source=URL, entrypoint='pipeline.py:main').deploy(name='a')\n"},
        "orchestrated-pipeline", "automated",
    ),
    "tasks of Taskgraph that wait for others": (
        {"taskcluster/kinds/train-model/kind.yml": "kind-dependencies:\n  - corpus\ntasks:\n  a:\n    run:\n      command: [bash, -c, python3 train.py]\n"},
        "orchestrated-pipeline", "automated",
    ),
    "tasks of Taskcluster that wait for others": (
        {"infra/pipeline.yml": "tasks:\n  - ID: data\n    workerType: ci\n    payload:\n      command: [fetch]\n  - ID: train\n    workerType: ci\n    dependencies: [data]\n    payload:\n      command: [train-ranker, --fast]\n"},
        "orchestrated-pipeline", "automated",
    ),
    "tasks of Taskcluster below an expression": (
        {"infra/pipeline.yml": "tasks:\n  $let: {year: 1}\n  in:\n    - ID: train\n      workerType: batch\n      dependencies: [data]\n      payload:\n        command: [ranker-train, --months=7]\n"},
        "orchestrated-pipeline", "automated",
    ),
    "a version of a dataset of Azure": (
        {"data.py": "from azureml.core import Dataset\n\nrows.register(\n    workspace,\n    name='a',\n    create_new_version=True,\n)\n"},
        "data-versioning", "used",
    ),
    "an artifact that a run uses": (
        {"run.py": "import wandb\n\nrun = wandb.init()\nrun.use_artifact('rows:latest')\n"},
        "training-lineage", "used",
    ),
    "a trainer that reports": (
        {"run.py": "from transformers import TrainingArguments\n\nTrainingArguments(report_to='comet_ml')\n"},
        "experiment-tracking", "used",
    ),
    "metrics that a component of Kubeflow gives": (
        {"train.py": "from kfp.dsl import Metrics, Output, component\n\n\n@component\ndef train(metrics: Output[Metrics]):\n    pass\n"},
        "experiment-tracking", "used",
    ),
    "a dataset that a component of Kubeflow takes": (
        {"train.py": "from kfp.dsl import Dataset, Input, component\n\n\n@component\ndef train(rows: Input[Dataset]):\n    pass\n"},
        "training-lineage", "used",
    ),
    "a pipeline of TFX": (
        {"a.py": "from tfx.orchestration import pipeline\n\npipeline.Pipeline(pipeline_name='a', components=[trainer])\n"},
        "orchestrated-pipeline", "used",
    ),
    "a runner of TFX that CI starts": (
        {CI: RUN.format("python a.py"), "a.py": "from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner\n\nKubeflowV2DagRunner(config).run(made)\n"},
        "orchestrated-pipeline", "automated",
    ),
    "a script named eval": ({"eval.py": "print(score(model))\n"}, "offline-evaluation", "used"),
    "a model registered by the run above": (
        {"register.py": "from azureml.core import Run\n\nparent = Run.get_context().parent\nparent.register_model(model_name='a')\n"},
        "model-registry", "used",
    ),
    "a script that loads a model and predicts": (
        {"function/main.py": "import joblib\n\nmodel = joblib.load('model.pkl')\nrows.assign(p=model.predict(rows)).to_csv('scored.csv')\n"},
        "scoring-entrypoint", "used",
    ),
    "a module of a folder that predicts": (
        {"src/inference/adapters.py": "def run(model, rows):\n    return model.predict(rows)\n"},
        "scoring-entrypoint", "used",
    ),
    "a batch prediction of Vertex AI": (
        {"pipelines/weekly.py": "from google_cloud_pipeline_components.v1.batch_predict_job import ModelBatchPredictOp\n\nModelBatchPredictOp(model=model)\n"},
        "scoring-entrypoint", "used",
    ),
    "an app that loads a model and predicts": (
        {"app.py": "import gradio as gr\nimport skops.io as sio\n\nmodel = sio.load('a.skops')\n\n\ndef guess(age):\n    return model.predict([age])\n\n\ngr.Interface(guess).launch()\n"},
        "scoring-entrypoint", "used",
    ),
    "a script of data that reads a file": (
        {"clean-data.py": "import pandas as pd\n\nrows = pd.read_csv('raw.csv')\n"},
        "data-ingestion", "used",
    ),
    "tests of a model's module": (
        {"ranker/model.py": "import sklearn\n\nfit = 1\n", "tests/test_model.py": "from ranker import model\n\n\ndef test_fit():\n    assert model.fit\n"},
        "ml-unit-tests", "used",
    ),
    "a function that evaluates": (
        {"train.py": "from sklearn.metrics import roc_auc_score\n\n\ndef evaluate_model(model, rows, labels):\n    return roc_auc_score(labels, model.predict(rows))\n"},
        "offline-evaluation", "used",
    ),
    "tests named after": ({"ranker/model_tests.py": UNIT}, "unit-tests", "used"),
    "tests of the model named after": ({"ranker/model_tests.py": UNIT}, "ml-unit-tests", "used"),
    "a folder build with sources": (
        {"build/package/Dockerfile": "FROM python:3.13\n"}, "container-image", "used",
    ),
    "pins in a folder": (
        {"requirements/prod.txt": "torch==2.1\n"}, "pinned-dependencies", "used",
    ),
    # CI of other vendors, by content wherever it lies.
    "Azure Pipelines of another name": (
        {"ops/jobs/unit.yml": "trigger: [main]\npool: {vmImage: ubuntu-latest}\nsteps:\n- task: UsePythonVersion@0\n- script: pytest\n"},
        "ci-build-test", "used",
    ),
    "a specification of CodeBuild of another name": ({"ci/unit.yml": "version: 0.2\nphases:\n  build:\n    commands:\n    - pytest\n"}, "ci-build-test", "used"),
    "a specification of CodeBuild in CloudFormation": (
        {"infra/ci.yaml": "Resources:\n  Tests:\n    Type: AWS::CodeBuild::Project\n    Properties:\n      Source:\n        BuildSpec: |\n          version: 0.2\n          phases:\n            build:\n              commands: [pytest]\n"},
        "ci-build-test", "used",
    ),
    "Buildkite": ({".buildkite/pipeline.yml": "steps:\n- label: tests\n  command: pytest\n"}, "ci-build-test", "used"),
    "Earthly": (
        {CI: RUN.format("earthly --ci +all"), "Earthfile": "VERSION 0.8\nbase:\n  FROM python:3.13\nall:\n  BUILD +test\ntest:\n  FROM +base\n  RUN --no-cache pytest\n"},
        "ci-build-test", "used",
    ),
    "an image of Earthly": ({CI: RUN.format("earthly --push +image"), "Earthfile": "VERSION 0.8\nimage:\n  FROM python:3.13\n  SAVE IMAGE churn\n"}, "container-image", "automated"),
    "an image of Blubber": ({".pipeline/serve.yaml": BLUBBER}, "container-image", "used"),
    "tests in an image of Blubber": ({".pipeline/serve.yaml": BLUBBER}, "ci-build-test", "used"),
    "CloudFormation of another name": ({"infra/stack.yaml": "Resources:\n  Rows:\n    Type: AWS::S3::Bucket\n"}, "infrastructure-as-code", "used"),
    "CloudFormation as JSON": ({"infra/stack.json": '{"Resources": {"Rows": {"Type": "AWS::S3::Bucket"}}}'}, "infrastructure-as-code", "used"),
    "ARM": ({"infra/main.json": '{"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"}'}, "infrastructure-as-code", "used"),
    "metrics of a stage for each": (
        {"dvc.yaml": "stages:\n  a:\n    foreach: [x, y]\n    do:\n      cmd: python evaluate.py ${item}\n      metrics: [m.json]\n", "evaluate.py": "print(1)\n"},
        "offline-evaluation", "automated",
    ),
    "code of a stage for each": (
        {"dvc.yaml": "stages:\n  a:\n    matrix: {x: [1, 2]}\n    do:\n      cmd: run-it ${item.x}\n      deps: [src]\n", "src/a/rows.py": "import pandera\n\npandera.DataFrameSchema({}).validate(rows)\n"},
        "data-validation", "automated",
    ),
    "a logger of Hydra": (
        {"configs/logger/wandb.yaml": "wandb:\n  _target_: lightning.pytorch.loggers.wandb.WandbLogger\n", "train.py": "import hydra\n\nhydra.utils.instantiate(config.logger)\n"},
        "experiment-tracking", "used",
    ),
    "an action that deploys": ({CI: "on: push\njobs: {a: {steps: [{uses: google-github-actions/deploy-cloudrun@v2}]}}\n"}, "automated-model-deployment", "automated"),
    "a task that deploys": ({"azure-pipelines.yml": "steps:\n- task: AzureFunctionApp@2\n"}, "automated-model-deployment", "automated"),
    "a command that deploys": ({CI: RUN.format("flyctl deploy --remote-only")}, "automated-model-deployment", "automated"),
    "buildx bake": ({CI: RUN.format("docker buildx bake serve"), "Dockerfile": "FROM a\nCMD a\n"}, "container-image", "automated"),
    "an action that registers": ({CI: "on: push\njobs: {a: {steps: [{uses: Azure/aml-registermodel@v1}]}}\n"}, "model-registry", "automated"),
    "a command that registers": ({CI: RUN.format("az ml model create --name churn --path model")}, "model-registry", "automated"),
    "an action that trains": ({CI: "on: workflow_dispatch\njobs: {a: {steps: [{uses: azure/aml-run@v1}]}}\n"}, "training-trigger", "used"),
    "a script that prepares": ({"data/books/prepare.py": "rows = read(URL)\n"}, "data-ingestion", "used"),
    "a script that continues a text": ({"sample.py": "import torch\n\nmodel.load_state_dict(torch.load('a.pt'))\nprint(model.generate(text))\n"}, "scoring-entrypoint", "used"),
    "a script that tunes": ({"fine_tune.py": "import torch\n\nfine_tune(torch.load('a'))\n"}, "scripted-training", "used"),
    "a script that tunes on a schedule": ({CI: NIGHTLY.format("python finetune.py")}, "training-trigger", "automated"),
    "an evaluation within the training": (
        {"train.py": "a, b = train_test_split(rows)\nmodel.fit(a.x, a.y)\nprint(f1_score(b.y, model.predict(b.x)))\n"},
        "offline-evaluation", "used",
    ),
    "a console script on a schedule": (
        {CI: NIGHTLY.format("uv run churn-fit --all"), "pyproject.toml": '[project.scripts]\nchurn-fit = "churn.cli:train"\n'},
        "training-trigger", "automated",
    ),
    "a console script of Poetry": (
        {CI: NIGHTLY.format("churn fit"), "pyproject.toml": '[tool.poetry.scripts]\nchurn = "churn.train:main"\n'},
        "training-trigger", "automated",
    ),
    # A variable whose values the file states.
    "a target in a variable of Travis": (
        {".travis.yml": "jobs:\n  include:\n  - env: venv=a tests=unit\nscript:\n- make $tests\n", "Makefile": "unit:\n\tpytest\n"},
        "ci-build-test", "used",
    ),
    "a target in a matrix": ({CI: "on: push\njobs:\n  a:\n    strategy: {matrix: {what: [lint, unit]}}\n    steps:\n      - run: make ${{ matrix.what }}\n", "Makefile": "lint:\n\truff check\nunit:\n\tpytest\n"}, "ci-build-test", "automated"),
    "a target in a variable of GitLab": ({".gitlab-ci.yml": "variables:\n  WHAT: unit\na:\n  script: [make $WHAT]\n", "Makefile": "unit:\n\tpytest\n"}, "ci-build-test", "used"),
    "a target in a variable of Azure": ({"azure-pipelines.yml": "variables:\n- name: what\n  value: unit\nsteps:\n- script: make $(what)\n", "Makefile": "lint:\n\truff check\nunit:\n\tpytest\n"}, "ci-build-test", "used"),
    "a target in a variable of a shell": ({CI: RUN.format("|\n          what=unit\n          make $what"), "Makefile": "unit:\n\tpytest\n"}, "ci-build-test", "used"),
    "targets in a variable of make": ({CI: RUN.format("make all"), "Makefile": "PY = uv run python\nWHAT := lint \\\n  unit\nall: $(WHAT)\nunit:\n\t$(PY) -m pytest\n"}, "ci-build-test", "used"),
    "a command in a variable": ({CI: RUN.format("ci/a.sh"), "ci/a.sh": 'what="python -m pytest -q"\neval "$what"\n'}, "ci-build-test", "used"),
    "targets that continue on the next line": ({CI: RUN.format("make all"), "Makefile": ".PHONY: \\\n  all\nall: lint \\\n  unit\nunit:\n\tpytest\n", "all": "a\n"}, "ci-build-test", "used"),
    "a command that is passed to a workflow of its own": (
        {CI: "on: push\njobs:\n  a:\n    uses: ./.github/workflows/run.yml\n    with:\n      what: uv run pytest\n", ".github/workflows/run.yml": "on:\n  workflow_call:\n    inputs: {what: {type: string}}\njobs:\n  a:\n    steps:\n      - run: ${{ inputs.what }}\n"},
        "ci-build-test", "used",
    ),
    "a workflow of its own with a default": (
        {CI: "on: push\njobs:\n  a:\n    uses: ./.github/workflows/run.yml\n", ".github/workflows/run.yml": "on:\n  workflow_call:\n    inputs: {what: {default: unit}}\njobs:\n  a:\n    steps:\n      - run: make ${{ inputs.what }}\n", "Makefile": "unit:\n\tpytest\n"},
        "ci-build-test", "used",
    ),
    "a parameter of a template of Azure": (
        {"azure-pipelines.yml": "steps:\n- template: ci/run.yml\n  parameters:\n    what: unit\n", "ci/run.yml": "parameters:\n- name: what\nsteps:\n- script: make ${{ parameters.what }}\n", "Makefile": "unit:\n\tpytest\n"},
        "ci-build-test", "used",
    ),
    "a hook of the stage manual that CI starts": ({CI: RUN.format("pre-commit run -a --hook-stage manual"), ".pre-commit-config.yaml": "repos: [{hooks: [{id: a, entry: pytest, stages: [manual]}]}]\n"}, "ci-build-test", "used"),
    "a load test of k6": ({"tests/load/a.js": "import http from 'k6/http';\n"}, "serving-slo-load-test", "used"),
    "a load test of another name": ({"tests/locust_load.py": "from locust import HttpUser\n\n\nclass Caller(HttpUser):\n    pass\n"}, "serving-slo-load-test", "used"),
    "a callback of DVC": ({"train.py": "from dvclive.fastai import DVCLiveCallback\n\nlearner.fit(9, cbs=[DVCLiveCallback()])\n"}, "experiment-tracking", "used"),
    "metrics that DVC compares": ({CI: RUN.format("dvc metrics diff main --md")}, "experiment-tracking", "automated"),
    "an evaluation by Keras within the training": ({"train.py": "model.fit(x_train, y_train)\nprint(model.evaluate(x_test, y_test))\n"}, "offline-evaluation", "used"),
    "data that Azure keeps": ({"download_rows.py": "run.input_datasets['rows'].to_csv_files().download('a')\n"}, "data-ingestion", "used"),
    "a program that trains": ({"Makefile": "model:\n\tfairseq-train data-bin\n"}, "scripted-training", "used"),
    "a module that an option names": (
        {CI: RUN.format("|\n          cd ml\n          python run.py --module-name steps"), "ml/__init__.py": "", "ml/run.py": "import importlib\n", "ml/steps.py": "import mlflow\n\nmlflow.register_model(uri, 'a')\n"},
        "model-registry", "automated",
    ),
    "a script that starts a program that trains": ({"train.py": "import subprocess\n\nsubprocess.run([marian, '--train-sets', rows])\n"}, "scripted-training", "used"),
    "a script that a shell with -euo runs": ({CI: RUN.format("bash -euo pipefail a.sh"), "a.sh": "pytest\nruff check\n", **UNITS}, "unit-tests", "automated"),
    "a script that a step sources": ({CI: RUN.format("source a.sh"), "a.sh": "pytest\nruff check\n", **UNITS}, "unit-tests", "automated"),
    "a script that ends with a condition": ({CI: RUN.format("sh a.sh"), "a.sh": "if [ $A ]; then\n  pytest\nfi\n", **UNITS}, "unit-tests", "automated"),
    "a script with -u -e": ({CI: RUN.format("sh a.sh"), "a.sh": "set -u -e\npytest\nls\n", **UNITS}, "unit-tests", "automated"),
    "a script with errexit": ({CI: RUN.format("sh a.sh"), "a.sh": "set -o nounset -o errexit\npytest\nls\n", **UNITS}, "unit-tests", "automated"),
    "a script that exits": ({CI: RUN.format("sh a.sh"), "a.sh": "pytest || exit\nls\n", **UNITS}, "unit-tests", "automated"),
    "a Makefile that ends in a backslash": ({CI: RUN.format("make a"), "Makefile": "a:\n\tpytest \\"}, "ci-build-test", "used"),
    "pyflakes": ({CI: RUN.format("|\n          pyflakes .\n          pytest")}, "ci-build-test", "automated"),
    "a training that SageMaker runs": ({"pipeline.py": "from sagemaker.workflow.steps import TrainingStep\n\nTrainingStep(name='fit', estimator=estimator)\n"}, "scripted-training", "used"),
    "runs that SageMaker records": ({CI: RUN.format("python pipeline.py"), "pipeline.py": "from sagemaker.workflow.pipeline import Pipeline\n\nPipeline(name='a').upsert(role)\n"}, "training-lineage", "automated"),
    "runs that Vertex AI records": ({"run.py": "from google.cloud import aiplatform\n\naiplatform.PipelineJob(name).submit()\n"}, "training-lineage", "used"),
    "a bucket of data with versions": ({"lib/dataSource.ts": "new s3.Bucket(this, 'Rows', {\n  versioned: true,\n});\n"}, "data-versioning", "used"),
    "a commit of data that starts the pipeline": ({CI: RUN.format("dvc repro"), "dvc.yaml": "stages: {train: {cmd: python train.py}}\n"}, "training-trigger", "used"),
    # R.
    "an evaluation within the training in R": ({"R/train.R": "model <- caret::train(a ~ ., rows)\nseen <- caret::confusionMatrix(predict(model, test), test$a)\n"}, "offline-evaluation", "used"),
    "tests in R": ({CI: RUN.format("Rscript -e 'devtools::test()'")}, "ci-build-test", "used"),
    "tests of testthat": ({"tests/testthat/test-rate.R": "test_that('a rate', {\n  expect_equal(rate(1), 2)\n})\n"}, "unit-tests", "used"),
    "training in R": ({"pipeline/01-train.R": "model <- workflow |>\n  fit(data = rows)\n"}, "scripted-training", "used"),
    "training in R on a schedule": ({CI: NIGHTLY.format("Rscript pipeline/01-train.R")}, "training-trigger", "automated"),
    "targets in CI": ({CI: RUN.format("Rscript -e 'targets::tar_make()'"), "_targets.R": "list(tar_target(rows, read()))\n"}, "orchestrated-pipeline", "automated"),
    "targets by a script in CI": ({CI: RUN.format("Rscript run.R"), "run.R": "library(targets)\ntar_make()\n", "_targets.R": "list(tar_target(rows, read()))\n"}, "orchestrated-pipeline", "automated"),
    "a lock of R": ({"renv.lock": '{"Packages": {}}'}, "pinned-dependencies", "automated"),
    "a model registered in R": ({"register.R": "vetiver_pin_write(board, model)\n"}, "model-registry", "used"),
    # AWS CDK.
    "an endpoint in a stack that CI deploys": (
        {"buildspec.yml": "version: 0.2\nphases: {build: {commands: [npx cdk deploy]}}\n", "cdk.json": '{"app": "python3 app.py"}', "app.py": "from infra.stack import Stack\n\nStack()\n", "infra/stack.py": "from aws_cdk import aws_sagemaker as sagemaker\n\nsagemaker.CfnEndpoint(a)\n"},
        "automated-model-deployment", "automated",
    ),
    "an endpoint in a stack of TypeScript": ({CI: RUN.format("yarn cdk deploy --all"), "lib/stack.ts": "const a = new sagemaker.CfnEndpoint(this, 'A', {});\n"}, "automated-model-deployment", "automated"),
    "a pipeline that an app of AWS CDK describes": (
        {"ml/buildspec.yml": "version: 0.2\nphases: {build: {commands: [cdk synth]}}\n", "ml/cdk.json": '{"app": "python3 app.py"}', "ml/app.py": "from steps import training\n\ntraining()\n", "ml/steps.py": "from sagemaker.workflow.pipeline import Pipeline\n\n\ndef training():\n    return Pipeline()\n"},
        "orchestrated-pipeline", "automated",
    ),
    "steps of a pipeline of AWS CDK": ({"cdk.json": '{"app": "npx ts-node bin/app.ts"}', "lib/ci.ts": "new pipelines.ShellStep('Test', {\n  commands: [\n    'pip install -r requirements.txt',\n    'pytest',\n  ],\n});\n"}, "ci-build-test", "used"),
    "a specification in AWS CDK": ({"cdk.json": '{"app": "python3 app.py"}', "app.py": "codebuild.BuildSpec.from_object({'phases': {'build': {'commands': ['pytest -q']}}})\n"}, "ci-build-test", "used"),
    "an app of AWS CDK in a folder with a backslash": ({CI: RUN.format("cdk synth && pytest"), "a\\q/cdk.json": '{"app": "python3 app.py"}'}, "ci-build-test", "used"),
    "a schedule of a monitor in AWS CDK": ({CI: RUN.format("cdk deploy"), "stack.py": "from aws_cdk import aws_sagemaker as s\n\ns.CfnMonitoringSchedule(a)\n"}, "drift-monitoring", "automated"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISSED.values(), ids=list(MISSED))
def test_what_was_missed_is_found(case: tuple[dict[str, str], str, str], tmp_path: Path) -> None:
    files, capability, tier = case
    base = {} if capability == "pinned-dependencies" else ML

    result = review(plant(tmp_path, base | called(files)), limits=PLENTY).findings[capability]

    assert result.points >= TIERS[tier]


@pytest.mark.parametrize(
    "files",
    [
        {CI: RUN.format("python a.py"), "a.py": "subprocess.run(['echo', 'pytest'])\n"},
        {CI: RUN.format("python a.py"), "a.py": "# subprocess.run(['pytest'])\nnames = ['pytest']\n"},
        {CI: RUN.format("python a.py"), "a.py": "import subprocess\nnames = ['pytest']\nshow(names)\nsubprocess.run(command)\n"},
        {CI: RUN.format("python a.py"), "a.py": "import subprocess\nnames = ['echo', 'pytest']\nsubprocess.run(names)\n"},
        {CI: RUN.format("python a.py"), "a.py": "names = ['pytest']\nrun_all(names)\n"},
        {CI: RUN.format("python a.py"), "a.py": "from b import show\nshow()\n", "b.py": "import subprocess\n\n\ndef show():\n    pass\n\n\ndef test():\n    subprocess.run(['pytest'])\n"},
        {CI: RUN.format("ls a.py"), "a.py": "subprocess.run(['pytest'])\n"},
        {"a.yml": "steps:\n  - name: python\n    args: [pytest]\n"},
        {"a.yml": "steps:\n  - run: pytest\nimage:\n  name: gcr.io/a/b\n"},
        {"a.yml": "workerType: ci\ncommand: pytest\n"},
        {"cdk.json": "{}", "tests/test_p.py": "ShellStep('a', commands=['pytest'])\n"},
    ],
)  # fmt: skip
def test_what_only_looks_like_a_command_of_ci_does_not_count(
    files: dict[str, str], tmp_path: Path
) -> None:
    assert [] == evidence(plant(tmp_path, files)).holds({"ci_runs": r"\bpytest\b"})


@pytest.mark.parametrize(
    "files",
    [
        {"build/lib/a/Dockerfile": "FROM python:3.13\n"},
        {"build/bdist.linux/Dockerfile": "FROM python:3.13\n", "build/a.py": "a = 1\n"},
        {"build/index.html": "<p>A page</p>\n", "build/Dockerfile": "FROM a\n"},
        {"dist/Dockerfile": "FROM python:3.13\n"},
    ],
)
def test_what_is_generated_is_left_out(files: dict[str, str], tmp_path: Path) -> None:
    result = review(plant(tmp_path, ML | files), limits=PLENTY)

    assert not result.findings["container-image"].holds
    assert result.left_out.counts["fixtures, vendored and generated folders"]


@pytest.mark.parametrize(
    ("path", "text", "named"),
    [
        (CI, "on: push\njobs:\n  a:\n    uses: org/ops/.github/workflows/train.yml@v1\n", f"`org/ops/.github/workflows/train.yml@v1` ({CI}:4)"),
        (".gitlab-ci.yml", "include:\n  - project: org/ops\n    file: train.yml\n", "`org/ops` (.gitlab-ci.yml:2)"),
        ("azure-pipelines.yml", "steps:\n- template: train.yml@ops\n", "`train.yml@ops` (azure-pipelines.yml:2)"),
        ("Jenkinsfile", "@Library('ops') _\n", "`ops` (Jenkinsfile:1)"),
    ],
)  # fmt: skip
def test_ci_of_another_repository_is_reported_as_unread(
    path: str, text: str, named: str, tmp_path: Path
) -> None:
    notes = review(plant(tmp_path, ML | {path: text}), limits=PLENTY).notes

    assert [True] == ["level may be higher" in note and named in note for note in notes]


@pytest.mark.parametrize(
    "text",
    [
        "on: push\njobs:\n  a:\n    uses: ./.github/workflows/train.yml\n",
        "on: push\njobs:\n  a:\n    steps:\n      - uses: actions/checkout@v7\n",
        "on: push\njobs:\n  a:\n    if: false\n    uses: org/ops/.github/workflows/a.yml@v1\n",
        "on: push # uses: org/ops/.github/workflows/a.yml@v1\njobs: {}\n",
    ],
)
def test_ci_of_its_own_is_not_reported_as_elsewhere(text: str, tmp_path: Path) -> None:
    assert [] == review(plant(tmp_path, ML | {CI: text}), limits=PLENTY).notes


@pytest.mark.parametrize(
    "files",
    [
        {"_targets.R": "library(tidymodels)\n"},
        {"R/fit.R": "model <- ranger::ranger(late ~ ., rows)\n"},
        {"DESCRIPTION": "Imports:\n    dplyr,\n    lightgbm (>= 3.0)\n"},
        {"DESCRIPTION": "Package: a\nImports: dplyr, ranger\nTitle: B\n"},
    ],
)
def test_a_repository_in_r_is_one_of_machine_learning(
    files: dict[str, str], tmp_path: Path
) -> None:
    assert review(plant(tmp_path / "ml", files), limits=PLENTY).machine_learning

    other = dict.fromkeys(
        files,
        "library(dplyr)\n# library(ranger)\nDescription: Helps piano makers to\n    tune pianos.\n",
    )
    assert not review(plant(tmp_path / "other", other), limits=PLENTY).machine_learning
