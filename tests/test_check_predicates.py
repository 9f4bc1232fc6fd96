"""Each predicate holds in the smallest repository that has it, and not in one that only looks so."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rung.check.review import evidence as evidence_module
from rung.check.review.predicates import PREDICATES
from tests.repositories import called, evidence, plant


@dataclass
class Case:
    """A predicate, files in which it holds, and files in which it does not.

    Attributes:
        at: where the first hit must be, as `file:line`.
    """

    predicate: Any
    holds: dict[str, str]
    missing: dict[str, str]
    at: str = ""
    used: Any = field(default=None)


CI = ".github/workflows/ci.yml"
RUN = "on: push\njobs:\n  a:\n    steps:\n      - run: {}\n"
CALLS_FIT = {"calls": ["fit"]}

CASES = {
    "exists": Case({"exists": ["README*"]}, {"README.md": "What this is for."}, {"README.md": "\n \n"}, "README.md"),
    "exists, any case": Case({"exists": ["docs/**/*model_card*"]}, {"docs/a/MODEL_CARD.md": "A card with words."}, {"a/model_card.md": "A card with words."}),
    "exists, a placeholder": Case({"exists": ["*.md"]}, {"a.md": "Three plain words."}, {"a.md": "<!-- hidden words here --> TODO"}),
    "exists, only comments": Case({"exists": ["Dockerfile*"]}, {"Dockerfile": "FROM python:3.13\n"}, {"Dockerfile": "# FROM python\n\n"}),
    "exists, a module of nothing": Case({"exists": ["**/evaluate*.py"]}, {"evaluate.py": "score = 1\n"}, {"evaluate.py": '"""Evaluate."""\npass\n'}),
    "exists, a fixture": Case({"exists": ["**/*.dvc"]}, {"data/a.dvc": "outs: [1]"}, {"tests/fixtures/a.dvc": "outs: [1]"}),
    "exists, ignored": Case({"exists": [".env"]}, {".env": "A=1"}, {".env": "A=1", ".gitignore": ".env\n"}),
    "exists, a test": Case({"exists": ["**/*train*.py"]}, {"train.py": "a = 1"}, {"tests/test_train.py": "a = 1"}),
    "larger_than_mb": Case({"larger_than_mb": 1, "in": ["**/*.csv"]}, {"a.csv": "1," * 600_000}, {"a.csv": "1,2"}),
    "depends, pyproject": Case({"depends": ["scikit-learn"]}, {"pyproject.toml": '[project]\ndependencies = ["scikit_learn>=1"]\n'}, {"pyproject.toml": '# scikit-learn\n[project]\nname = "scikit-learn"\n'}, "pyproject.toml:2"),
    "depends, a group": Case({"depends": ["dvc"]}, {"pyproject.toml": '[dependency-groups]\nx = ["dvc[s3]~=3"]\n'}, {"pyproject.toml": '[dependency-groups]\nx = ["dvclive"]\n'}),
    "depends, poetry": Case({"depends": ["mlflow"]}, {"pyproject.toml": '[tool.poetry.dependencies]\nmlflow = "^3"\n'}, {"pyproject.toml": '[tool.poetry]\nname = "mlflow"\n'}),
    "depends, requirements": Case({"depends": ["mlflow"]}, {"requirements.txt": "numpy\nMLflow==3.0  # runs\n"}, {"requirements.txt": "# mlflow\nmlflow-export\n"}, "requirements.txt:2"),
    "depends, conda": Case({"depends": ["mlflow"]}, {"environment.yml": "dependencies:\n  - python=3.11\n  - pip:\n    - mlflow>=2\n"}, {"environment.yml": "name: mlflow\n"}),
    "depends, setup.py": Case({"depends": ["torch"]}, {"setup.py": "setup(install_requires=['torch>=2'])\n"}, {"setup.py": "# 'torch'\nsetup(name='a')\n"}),
    "depends, an extra": Case({"depends": ["ray[serve]"]}, {"requirements.txt": "ray[default,serve]>=2\n"}, {"requirements.txt": "ray>=2\n"}),
    "imports": Case({"imports": ["sklearn"]}, {"a.py": "x = 1\nfrom sklearn.linear_model import Ridge\n"}, {"a.py": '# import sklearn\n"""\nimport sklearn\n"""\nimport sklearn_extra\n'}, "a.py:2"),
    "imports, a part": Case({"imports": ["ray.serve"]}, {"a.py": "from ray import serve\n"}, {"a.py": "from ray import tune\n"}),
    "imports, of tests": Case({"imports": ["torch"], "in": ["**/test_*.py"]}, {"tests/test_a.py": "import torch\n"}, {"a.py": "import torch\n"}),
    "imports, not of tests": Case({"imports": ["torch"]}, {"a.py": "import torch\n"}, {"tests/test_a.py": "import torch\n"}),
    "calls": Case({"calls": ["mlflow.log_metric"]}, {"a.py": "import mlflow as m\n\nm.log_metric('a', 1)\n"}, {"a.py": "'mlflow.log_metric(1)'\n# mlflow.log_metric(1)\ndef log_metric(a): ...\n"}, "a.py:3"),
    "calls, a method": Case({"calls": ["predict"]}, {"a.py": "load()['m'].predict(rows)\n"}, {"a.py": "def predict(rows): return rows\n"}),
    "calls, a longer name": Case({"calls": ["Model.upload"]}, {"a.py": "aiplatform.Model.upload(a)\n"}, {"a.py": "upload(a)\nBigModel.upload(a)\n"}),
    "calls, a decorator": Case({"calls": ["flow"]}, {"a.py": "@flow\ndef run(): ...\n"}, {"a.py": "flow = 1\n"}),
    "calls, a base": Case({"calls": ["FlowSpec"]}, {"a.py": "class Run(FlowSpec):\n    pass\n"}, {"a.py": "class FlowSpec:\n    pass\n"}),
    "calls, an imported name": Case({"calls": ["wandb.init"]}, {"a.py": "from wandb import init as begin\nbegin()\n"}, {"a.py": "from torch import init as begin\nbegin()\n"}),
    "text": Case({"text": r"\bdrift\b", "in": ["**/*.py"]}, {"a.py": "a = 1\nDrift = 2\n"}, {"a.py": "# drift\n'''drift'''\ndrifted = 1\n"}, "a.py:2"),
    "text, yaml": Case({"text": "filter=lfs", "in": [".gitattributes"]}, {".gitattributes": "*.bin filter=lfs\n"}, {".gitattributes": "# *.bin filter=lfs\n"}),
    "headings": Case({"headings": ["use", "limit"], "in": ["*.md"]}, {"a.md": "# Intended use\nFor people who ask.\n\nLimits\n------\nNot for prices at all.\n"}, {"a.md": "# Intended use\nFor people who ask.\n# Limits\nTODO\n"}, "a.md:1"),
    "headings, not written yet": Case({"headings": ["use"], "in": ["*.md"]}, {"a.md": "# Use\n\nWe rank the flights of tomorrow.\n"}, {"a.md": "# Use\n\nNot written yet. Who uses it, when and how?\n"}),
    "headings, in one document": Case({"headings": ["use", "limit"], "in": ["*.md"]}, {"a.md": "# Use\nFor people who ask.\n## Limits\nNone that we know.\n"}, {"a.md": "# Use\nFor people who ask.\n", "b.md": "# Limits\nNone that we know.\n"}),
    "headings, in a fence": Case({"headings": ["use"], "in": ["*.md"]}, {"a.md": "# Use\nFor people who ask.\n"}, {"a.md": "```\n# Use\nFor people who ask.\n```\n"}),
    "key": Case({"key": "stages", "in": ["dvc.yaml"]}, {"dvc.yaml": "stages:\n  a: 1\n"}, {"dvc.yaml": "# stages:\nplots: {stages: 1}\n"}, "dvc.yaml:1"),
    "key, deep": Case({"key": "groups.*.rules.*.alert", "in": ["*.yml"]}, {"a.yml": "groups:\n- rules:\n  - alert: Down\n"}, {"a.yml": "groups:\n- rules:\n  - record: Down\n"}, "a.yml:3"),
    "key, anywhere": Case({"key": "**.shadow", "in": ["*.toml"]}, {"a.toml": "# shadow\n[a.shadow]\nshare = 1\n"}, {"a.toml": "shade = 'shadow'\n"}, "a.toml:2"),
    "key, matching": Case({"key": "kind", "matches": "^Rollout$", "in": ["*.yml"]}, {"a.yml": "a: 1\n---\nkind: Rollout\n"}, {"a.yml": "kind: RolloutPlan\n"}, "a.yml:3"),
    "key, at least": Case({"key": "**.*days*", "at_least": 183, "in": ["*.yml"]}, {"a.yml": "logs:\n- retention_days: 365\n"}, {"a.yml": "logs:\n- retention_days: 30\n- days: many\n"}),
    "key, merged": Case({"key": "a.b", "in": ["*.yml"]}, {"a.yml": "x: &x\n  b: 1\na:\n  <<: *x\n"}, {"a.yml": "x: &x\n  b: 1\na: 2\n"}),
    "keys": Case({"keys": ["impact", "owner"], "in": ["*.yaml"]}, {"a.yaml": "- impact: high\n  owner: Ada\n"}, {"a.yaml": "- impact: high\n  owner: TBD\n"}),
    "keys, some": Case({"keys": ["impact", "owner", "due"], "at_least": 2, "in": ["*.json"]}, {"a.json": '{"impact": "x", "due": "y"}'}, {"a.json": '{"impact": "x"}'}),
    "ci_runs": Case({"ci_runs": r"\bpytest\b"}, {CI: RUN.format("pytest -q")}, {CI: RUN.format("echo  # pytest") + "      - name: pytest\n"}, f"{CI}:5"),
    "ci_runs, make": Case({"ci_runs": r"\bpytest\b"}, {CI: RUN.format("make check"), "Makefile": "check: unit\nunit:\n\tpytest\n"}, {CI: RUN.format("make docs"), "Makefile": "docs:\n\tsphinx\nunit:\n\tpytest\n"}, "Makefile:3"),
    "ci_runs, poe": Case({"ci_runs": r"\bpytest\b"}, {CI: RUN.format("uv run poe check"), "pyproject.toml": '[tool.poe.tasks]\ncheck = ["unit"]\nunit = "pytest"\n'}, {CI: RUN.format("poe docs"), "pyproject.toml": '[tool.poe.tasks]\nunit = "pytest"\n'}, "pyproject.toml:3"),
    "ci_runs, tox": Case({"ci_runs": r"\bpytest\b"}, {CI: RUN.format("tox -e py"), "tox.ini": "[testenv]\ncommands =\n    pytest\n"}, {CI: RUN.format("tox"), "tox.ini": "[testenv]\ndeps = pytest\n"}, "tox.ini:3"),
    "ci_runs, nox": Case({"ci_runs": r"\bpytest tests\b"}, {CI: RUN.format("nox"), "noxfile.py": "def t(session):\n    session.run('pytest', 'tests')\n"}, {CI: RUN.format("nox"), "noxfile.py": "# session.run('pytest', 'tests')\na = 1\n"}, "noxfile.py:2"),
    "ci_runs, just": Case({"ci_runs": r"\bpytest\b"}, {CI: RUN.format("just check"), "justfile": "check: unit\nunit:\n    pytest\n"}, {CI: RUN.format("just docs"), "justfile": "unit:\n    pytest\ndocs:\n    mkdocs\n"}, "justfile:3"),
    "ci_runs, npm": Case({"ci_runs": r"\bjest\b"}, {CI: RUN.format("npm run unit"), "package.json": '{"scripts": {"unit": "jest"}}'}, {CI: RUN.format("npm run docs"), "package.json": '{"scripts": {"unit": "jest"}}'}),
    "ci_runs, hatch": Case({"ci_runs": r"\bpytest\b"}, {CI: RUN.format("hatch run unit"), "pyproject.toml": '[tool.hatch.envs.default.scripts]\nunit = "pytest"\n'}, {CI: RUN.format("hatch build"), "pyproject.toml": '[tool.hatch.envs.default.scripts]\nunit = "pytest"\n'}),
    "ci_runs, mise": Case({"ci_runs": r"\bpytest\b"}, {CI: RUN.format("mise run check"), "mise.toml": '[tasks.check]\ndepends = ["unit"]\n[tasks.unit]\nrun = "pytest"\n'}, {CI: RUN.format("mise run docs"), "mise.toml": '[tasks.unit]\nrun = "pytest"\n'}, "mise.toml:4"),
    "ci_runs, pre-commit": Case({"ci_runs": r"\bgitleaks\b"}, {CI: RUN.format("pre-commit run -a"), ".pre-commit-config.yaml": "repos:\n- hooks:\n  - id: gitleaks\n"}, {CI: RUN.format("ls"), ".pre-commit-config.yaml": "repos:\n- hooks:\n  - id: gitleaks\n"}),
    "ci_runs, dvc": Case({"ci_runs": r"ops\.train"}, {CI: RUN.format("dvc repro"), "dvc.yaml": "stages:\n  a:\n    cmd: python -m ops.train\n"}, {CI: RUN.format("dvc pull"), "dvc.yaml": "stages:\n  a:\n    cmd: python -m ops.train\n"}),
    "ci_runs, a script": Case({"ci_runs": r"\bpytest\b"}, {CI: RUN.format("bash ci/run.sh"), "ci/run.sh": "# tests\npytest\n"}, {CI: RUN.format("ls"), "ci/run.sh": "pytest\n"}, "ci/run.sh:2"),
    "ci_runs, an action": Case({"ci_runs": r"\bpytest\b"}, {CI: "jobs:\n  a:\n    steps:\n      - uses: ./.github/actions/unit\n", ".github/actions/unit/action.yml": "runs:\n  steps:\n    - run: pytest\n"}, {CI: "on: push\n", ".github/actions/unit/action.yml": "runs:\n  steps:\n    - run: pytest\n"}),
    "ci_runs, GitLab": Case({"ci_runs": r"\bpytest\b"}, {".gitlab-ci.yml": "include:\n  - local: ci/*.yml\n", "ci/a.yml": "unit:\n  script:\n    - pip install .\n    - pytest\n"}, {".gitlab-ci.yml": "a:\n  script: [ls]\n", "ci/a.yml": "unit:\n  script:\n    - pytest\n"}, "ci/a.yml:4"),
    "ci_runs, Azure": Case({"ci_runs": r"\bpytest\b"}, {"azure-pipelines.yml": "steps:\n- script: |\n    pip install .\n    pytest\n"}, {"azure-pipelines.yml": "steps:\n- task: pytest@1\n"}, "azure-pipelines.yml:4"),
    "ci_runs, Jenkins": Case({"ci_runs": r"\bpytest\b"}, {"Jenkinsfile": "pipeline {\n  steps {\n    sh 'pytest -q'\n  }\n}\n"}, {"Jenkinsfile": "// sh 'pytest'\nstage('pytest') {}\n"}, "Jenkinsfile:3"),
    "ci_runs, CircleCI": Case({"ci_runs": r"\bpytest\b"}, {".circleci/config.yml": "jobs:\n  a:\n    steps:\n      - run:\n          name: t\n          command: pytest\n"}, {".circleci/config.yml": "jobs:\n  a:\n    steps:\n      - run:\n          name: pytest\n          command: ls\n"}),
    "ci_runs, Bitbucket": Case({"ci_runs": r"\bpytest\b"}, {"bitbucket-pipelines.yml": "pipelines:\n  default:\n    - step:\n        script: [pytest]\n"}, {"bitbucket-pipelines.yml": "image: pytest\n"}),
    "ci_runs, CodeBuild": Case({"ci_runs": r"\bpytest\b"}, {"buildspec.yml": "phases:\n  build:\n    commands:\n      - pytest\n"}, {"buildspec.yml": "env: pytest\n"}),
    "ci_runs, Cloud Build": Case({"ci_runs": r"\bpytest -q\b"}, {"cloudbuild.yaml": "steps:\n- name: gcr.io/a/python\n  args: [pytest, -q]\n"}, {"cloudbuild.yaml": "steps:\n- name: python\n  args: [pytest, -q]\n"}),
    "runs, poe": Case({"runs": r"\brung-ops gate\b"}, {"pyproject.toml": '[tool.poe.tasks]\ngate = "rung-ops gate"\n'}, {"pyproject.toml": '[tool.poe.tasks]\n# gate = "rung-ops gate"\ngate = "echo rung-ops gate"\nb = "ls # rung-ops gate"\n'}, "pyproject.toml:2"),
    "runs, dvc": Case({"runs": r"\brung-ops track\b"}, {"dvc.yaml": "stages:\n  a:\n    cmd: rung-ops track\n"}, {"dvc.yaml": "stages:\n  a:\n    desc: rung-ops track\n    cmd: ls\n"}, "dvc.yaml:3"),
    "runs, make": Case({"runs": r"\btrain\.py\b"}, {"Makefile": "train:\n\tpython train.py\n"}, {"Makefile": "train:\n\t@echo train.py\n"}, "Makefile:2"),
    "runs, an image": Case({"runs": r"\brung-ops serve\b"}, {"Dockerfile": 'FROM a\nCMD ["rung-ops", "serve"]\n'}, {"Dockerfile": "FROM a\n# CMD rung-ops serve\nLABEL does='rung-ops serve'\nRUN echo rung-ops serve\n"}, "Dockerfile:2"),
    "runs, a manifest": Case({"runs": r"\brung-ops serve\b"}, {"compose.yaml": "services:\n  a:\n    command: [rung-ops, serve]\n"}, {"compose.yaml": "services:\n  a:\n    image: rung-ops serve\n    command: [echo, rung-ops, serve]\n"}, "compose.yaml:3"),
    "ci_says": Case({"ci_says": r"schedule:"}, {CI: "on:\n  schedule:\n  - cron: '1 1 * * *'\n"}, {CI: "on: push # schedule:\n"}, f"{CI}:2"),
    "ci_says and ci_runs": Case({"ci_says": "cron", "ci_runs": "train"}, {CI: "on:\n  schedule: [{cron: x}]\njobs: {a: {steps: [{run: python train.py}]}}\n"}, {CI: "on:\n  schedule: [{cron: x}]\n", ".github/workflows/b.yml": RUN.format("python train.py")}),
    "all": Case({"all": [{"exists": ["a"]}, {"exists": ["b"]}]}, {"a": "some text", "b": "some text"}, {"a": "some text"}),
    "any": Case({"any": [{"exists": ["a"]}, {"exists": ["b"]}]}, {"b": "some text"}, {"c": "some text"}, "b"),
    "none": Case({"none": [{"exists": ["a"]}, {"exists": ["b"]}]}, {"c": "some text"}, {"b": "some text"}),
    "same_file": Case({"same_file": [{"imports": ["torch"]}, CALLS_FIT]}, {"a.py": "import torch\nm.fit(1)\n"}, {"a.py": "import torch\n", "b.py": "m.fit(1)\n"}, "a.py:2"),
    "same_file, one of several": Case({"same_file": [{"any": [{"imports": ["jax"]}, {"imports": ["torch"]}]}, CALLS_FIT]}, {f"{n}.py": "import jax\n" for n in range(9)} | {"z.py": "import torch\nm.fit(1)\n"}, {"a.py": "import torch\n", "b.py": "import jax\n", "c.py": "m.fit(1)\n"}, "z.py:1"),
    "same_file, of CI": Case({"same_file": [{"ci_runs": "check"}, {"ci_runs": "train"}]}, {CI: RUN.format("./check && ./train")}, {CI: RUN.format("./check"), ".github/workflows/b.yml": RUN.format("./train")}),
    "leads_to": Case({"leads_to": [{"imports": ["flask"]}, CALLS_FIT]}, {"a.py": "import flask\nfrom b import m\n", "b.py": "import c\n", "c.py": "m.fit(1)\n"}, {"a.py": "import flask\n", "c.py": "import a\nm.fit(1)\n"}, "a.py:1"),
    "leads_to, from CI": Case({"leads_to": [{"ci_runs": "check"}, CALLS_FIT]}, {CI: RUN.format("./check && python c.py"), "c.py": "m.fit(1)\n"}, {CI: RUN.format("./check"), "c.py": "m.fit(1)\n"}),
    "function": Case({"function": "^check", "body": ["drift", "post"], "in": ["*.py"]}, {"a.py": "x = 1\n\n\ndef check(rows: list[int] = (\n    1,\n)) -> None:\n    if drift(rows):\n\n        post(1)\n"}, {"a.py": "def check(rows):\n    drift(rows)\n\n\ndef tell():\n    post(1)\n"}, "a.py:4"),
    "function, what it calls": Case({"function": "^check", "body": ["drift", "post"], "in": ["*.py"]}, {"a.py": "class A:\n    def check(self): self.tell(drift)\n\n    def tell(self, rows):\n        again()\n\n\ndef again():\n    post(1)\n"}, {"a.py": "def tell():\n    check(drift)\n    post(1)\n\n\ndef check(rows):\n    drift(1)\n"}, "a.py:2"),
    "function, outside of all": Case({"function": "", "body": ["drift", "post"], "in": ["*.py"]}, {"a.py": "def a():\n    pass\n\n\nif drift:\n    post(1)\n"}, {"a.py": "def a():\n    drift(1)\n\n\npost(1)\n"}, "a.py:5"),
    "function, not of a text": Case({"function": "^check", "body": ["drift"], "in": ["*.py"]}, {"a.py": "def check():\n    return 'drift'\n"}, {"a.py": "x = '''1\ndef check():\n    drift\n'''\ndef check():\n    # drift\n    return 1\n"}),
    "scheduled, not another job": Case({"scheduled": {"runs": "train"}}, {CI: "on: {schedule: [{cron: x}], push: }\njobs:\n  a:\n    if: github.event_name == 'schedule'\n    steps: [{run: ./train}]\n"}, {CI: "on: {schedule: [{cron: x}], push: }\njobs:\n  a:\n    if: github.event_name == 'push'\n    steps: [{run: ./train}]\n  b:\n    steps: [{run: ls}]\n"}),
    "key, switched off": Case({"key": "**.canary", "in": ["*.yml"]}, {"a.yml": "a:\n  canary: {enabled: true}\n"}, {"a.yml": "canary: {enabled: false, weight: 1}\nb:\n  canary: off\n"}),
    "reached, by make": Case({"reached": CALLS_FIT}, {"Makefile": "train:\n\tpython src/a/run.py\n", "src/a/run.py": "from a.model import go\n", "src/a/model.py": "m.fit(1)\n"}, {"Makefile": "train:\n\tls\n", "src/a/model.py": "m.fit(1)\n"}, "src/a/model.py:1"),
    "reached, by a module": Case({"reached": CALLS_FIT}, {CI: RUN.format("python -m a.run"), "a/__init__.py": "", "a/run.py": "from .model import go\n", "a/model.py": "m.fit(1)\n"}, {CI: RUN.format("python -m a.run"), "a/run.py": "import b\n", "a/model.py": "m.fit(1)\n"}),
    "reached, by an image": Case({"reached": CALLS_FIT}, {"Dockerfile": 'CMD ["uvicorn", "app.main:app"]\n', "app/main.py": "m.fit(1)\n"}, {"Dockerfile": "# app/main.py\nCMD ls\n", "app/main.py": "m.fit(1)\n"}),
    "reached, by an entry point": Case({"reached": CALLS_FIT}, {"pyproject.toml": '[project.scripts]\ngo = "a.cli:main"\n', "src/a/cli.py": "m.fit(1)\n"}, {"pyproject.toml": '[project]\nname = "a.cli"\n', "src/a/cli.py": "m.fit(1)\n"}),
    "reached, by dvc": Case({"reached": CALLS_FIT}, {"dvc.yaml": "stages:\n  a:\n    cmd: python train.py\n", "train.py": "m.fit(1)\n"}, {"dvc.yaml": "stages:\n  # python train.py\n  a: {cmd: ls}\n", "train.py": "m.fit(1)\n"}),
    "reached, by a folder a stage of dvc depends on": Case({"reached": CALLS_FIT}, {"a/dvc.yaml": "stages:\n  b:\n    wdir: ..\n    cmd: fit\n    deps: [src]\n", "src/c/d.py": "m.fit(1)\n"}, {"a/dvc.yaml": "stages:\n  b:\n    cmd: fit\n    deps: [src, .]\n", "src/c/d.py": "m.fit(1)\n"}),
    "reached, the used one": Case("reached", {"dags/a.py": "m.fit(1)\n"}, {"other/a.py": "m.fit(1)\n"}, "dags/a.py:1", CALLS_FIT),
    "reached, a file that is named": Case({"reached": {"key": "a", "in": ["*.toml"]}}, {"Makefile": "a:\n\tpython b.py\n", "b.py": "read('c.toml')\n", "c.toml": "a = 1\n"}, {"Makefile": "a:\n\tpython b.py\n", "b.py": "# c.toml\nx = 1\n", "c.toml": "a = 1\n"}),
    "scheduled": Case({"scheduled": CALLS_FIT}, {CI: "on:\n  schedule:\n    - cron: '1 1 * * *'\n" + RUN.format("python a.py")[9:], "a.py": "m.fit(1)\n"}, {CI: RUN.format("python a.py"), "a.py": "m.fit(1)\n"}),
    "scheduled, a command": Case({"scheduled": {"runs": r"\brung-ops monitor\b"}}, {CI: "on:\n  schedule:\n    - cron: '1 1 * * *'\n" + RUN.format("poe watch")[9:], "pyproject.toml": '[tool.poe.tasks]\nwatch = "rung-ops monitor"\n'}, {CI: RUN.format("poe watch"), "pyproject.toml": '[tool.poe.tasks]\nwatch = "rung-ops monitor"\n'}, "pyproject.toml:2"),
    "scheduled, by Airflow": Case({"scheduled": CALLS_FIT}, {"dags/a.py": "from airflow import DAG\nDAG('a', schedule='@daily')\nm.fit(1)\n"}, {"dags/a.py": "from airflow import DAG\nDAG('a')\nm.fit(1)\n"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_predicate_holds_where_its_evidence_is(case: Case, tmp_path: Path) -> None:
    looked = evidence(
        plant(tmp_path, called(case.holds)), *filter(None, (case.predicate, case.used))
    )

    hits = looked.holds(case.predicate, case.used)

    assert hits
    if case.at:
        assert case.at == f"{hits[0].path}:{hits[0].line}".removesuffix(":0")


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_predicate_does_not_hold_where_its_evidence_is_missing(
    case: Case, tmp_path: Path
) -> None:
    looked = evidence(plant(tmp_path, case.missing), *filter(None, (case.predicate, case.used)))

    assert [] == looked.holds(case.predicate, case.used)


def test_each_predicate_of_the_vocabulary_has_a_case() -> None:
    kinds = {name.partition(",")[0].partition(" ")[0] for name in CASES}

    assert {*PREDICATES, *evidence_module.COMBINING, "reached", "scheduled"} == kinds


def test_what_only_a_notebook_does_counts_for_less(tmp_path: Path) -> None:
    notebook = '{"cells": [{"cell_type": "code", "source": ["import torch\\n"]}]}'
    looked = evidence(plant(tmp_path, {"a.ipynb": notebook}), {"imports": ["torch"]})

    assert [] == looked.holds({"imports": ["torch"]})
    assert ["a.ipynb"] == [hit.path for hit in looked.holds_anywhere({"imports": ["torch"]})]


def test_what_a_test_imports_is_not_reached_by_ci(tmp_path: Path) -> None:
    files = {
        ".github/workflows/ci.yml": RUN.format("pytest tests/test_a.py"),
        "tests/test_a.py": "import model\n",
        "model.py": "m.fit(1)\n",
    }
    looked = evidence(plant(tmp_path, files), CALLS_FIT)

    assert [] == looked.holds({"reached": CALLS_FIT})


def test_following_stops_after_so_many_files_and_the_rest_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicate = {"leads_to": [{"imports": ["flask"]}, CALLS_FIT]}
    starts = {f"{name}.py": "import flask\n" for name in "abc"}
    plant(tmp_path, starts | {"c.py": "import flask\nm.fit(1)\n"})
    planted = evidence(tmp_path, predicate)

    monkeypatch.setattr(evidence_module, "MAX_STARTS", 2)
    assert [] == planted.holds(predicate)
    assert planted.content.files.left_out.out_of_time

    monkeypatch.setattr(evidence_module, "MAX_STARTS", 3)
    assert ["c.py:1", "c.py:2"] == [f"{hit.path}:{hit.line}" for hit in planted.holds(predicate)]
