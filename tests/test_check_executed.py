"""Only what would be executed is evidence: not what is printed, searched for, described or disabled."""

from functools import partial
from pathlib import Path

import pytest

from rung.check.review.review import Review, review
from rung.check.review.shell import executed
from tests.repositories import ML, PLENTY, evidence, plant
from tests.steps import steps

CI = ".github/workflows/ci.yml"
CLAIMS = "pytest, ruff, dvc repro, kubectl apply"
WORDS = r"\b(pytest|ruff|dvc repro|kubectl apply|train\.py)\b"


def look(folder: Path) -> Review:
    return review(folder, limits=PLENTY)


@pytest.mark.parametrize(
    "line",
    [
        "echo 'TODO pytest'",
        'echo "run pytest; then ruff"',
        "printf '%s\\n' pytest",
        "uv run echo pytest",
        "grep -rn pytest .",
        "grep -q 'dvc repro' Makefile || exit 1",
        "git commit -m 'run pytest'",
        "git log --grep pytest",
        "gh pr comment --body 'pytest passed'",
        'export NEXT="kubectl apply"',
        "NEXT='dvc repro'",
        "cat pytest.ini",
        "ls train.py",
        "chmod +x train.py",
        "test -f train.py",
        "[ -f train.py ] && true",
        "[[ $X == pytest ]]",
        "# pytest",
        "ls # pytest",
        ": pytest",
        "which pytest",
        "command -v pytest",
        "pip install pytest",
        "python -m pip install -U pytest ruff",
        "uv pip install pytest",
        "uv tool install ruff",
        "pytest --version",
        "ruff --help",
        "kubectl apply --dry-run=client -f a.yml",
        "make -n train.py",
        "@echo train.py",
        "sed -i s/pytest/unittest/ a.txt",
        "if false; then pytest; fi",
        "false && pytest",
        "true || pytest",
        "echo $PYTEST pytest",
        "man pytest",
        "Write-Host pytest",
        "rm -f train.py",
        'curl -d \'{"text": "pytest passed"}\' https://example.org',
        "exit 0; pytest",
        "exit 0 && pytest",
        "python -c 'import pytest'",
        "python -c \"print('pytest')\"",
        "perl -e 'print \"pytest\"'",
        "bash -lc 'echo pytest'",
        "eval echo pytest",
        "ls | xargs echo pytest",
        "find . -name pytest",
        "CHECKS=(pytest ruff)",
        "pip download pytest",
        "pip show pytest",
        "conda create -n a pytest",
        "uv sync --extra pytest",
        "uv run --with pytest python a.py",
        "uvx --from pytest ls",
        "git clone https://github.com/pytest-dev/pytest",
        "git push origin pytest",
        "docker pull ghcr.io/a/pytest",
        "pkill pytest",
        "pytest --co -q",
        "pytest -h",
        "ruff -h",
        "flake8 train.py",
        "uv run mypy src/train.py",
        "scp train.py host:",
        "aws s3 cp train.py s3://bucket/",
    ],
)
def test_what_a_line_does_not_run_is_left_out(line: str, tmp_path: Path) -> None:
    script = {CI: f"jobs:\n  a:\n    steps:\n      - run: |\n          {line}\n"}

    assert [] == evidence(plant(tmp_path, script)).holds({"ci_runs": WORDS})


@pytest.mark.parametrize(
    ("line", "runs"),
    [
        ("echo start && pytest -q", "pytest -q"),
        ("echo $(pytest -q)", "pytest -q"),
        ('echo "$(pytest -q)"', "pytest -q"),
        ("echo `pytest -q`", "pytest -q"),
        ("bash -c 'echo a; pytest'", "pytest"),
        ("if [ -d tests ]; then pytest; fi", "pytest"),
        ("PYTHONPATH=. uv run pytest", "pytest"),
        ("sudo -E env A=1 pytest", "pytest"),
        ("! pytest", "pytest"),
        ("grep -q a b || pytest", "pytest"),
        ("for i in 1 2; do pytest; done", "pytest"),
        ("pytest | tee log.txt", "pytest"),
        ("cat a.yml | kubectl apply -f -", "kubectl apply"),
        ("true && pytest", "pytest"),
        ("false || pytest", "pytest"),
        ("docker run image pytest", "pytest"),
        ("python train.py --message 'done'", "train.py"),
        ("pip install pytest && pytest", "pytest"),
        ("find . -name 'test_*' -exec pytest {} +", "pytest"),
        ("{ pytest; }", "pytest"),
        ("(cd src; pytest)", "pytest"),
        ("it's pytest", "pytest"),
        ("echo 'it is' pytest; pytest", "pytest"),
        ("exit $(pytest -q)", "pytest -q"),
        ("[ -d tests ] || exit 0; pytest", "pytest"),
        ("[ -d tests ] || { exit 1; }; pytest", "pytest"),
        ("if [ $A ]; then exit 1; fi; pytest", "pytest"),
        ("bash -ec 'pytest -q'", "pytest -q"),
        ("python -c 'import pytest; pytest.main()'", "pytest.main"),
        ("ls tests | xargs pytest", "pytest"),
        ("uv run --with pytest pytest -q", "pytest -q"),
        ("uvx pytest", "pytest"),
        ("uv run --with a serve --with pytest", "serve --with pytest"),
        ("serve --with pytest", "serve --with pytest"),
        ("hatch run test", "hatch run test"),
        ("uv run pytest -e host -h b", "pytest"),
        ("python -c \"import subprocess; subprocess.run(['dvc', 'repro'])\"", "dvc repro"),
        ("git lfs pull", "git lfs pull"),
        ("ruff check src", "ruff check"),
        ("A=(1 2) pytest", "pytest"),
    ],
)
def test_what_a_line_runs_is_kept(line: str, runs: str) -> None:
    assert runs in executed(line)


@pytest.mark.parametrize("part", ["'", "$(", "echo `", "a;", "if false; then "])
def test_a_long_line_takes_steps_in_proportion(part: str) -> None:
    few, many = (steps(partial(executed, part * number)) for number in (20, 40))

    assert many < 2.5 * few


@pytest.mark.parametrize(
    ("stages", "holds"),
    [
        ("{a: {cmd: echo train}}", False),
        ("{a: {cmd: [echo train, 'echo done']}, b: {do: {cmd: echo b}}}", False),
        ("{a: {cmd: echo train}, b: {cmd: python train.py}}", True),
        ("{a: {cmd: 'echo train && python train.py'}}", True),
        ("{a: {cmd: 'head -9 all.csv > few.csv'}}", True),
        ("{a: {wdir: b}}", True),  # what it runs is elsewhere
    ],
)
def test_a_pipeline_of_stages_that_only_print_does_not_count(
    stages: str, holds: bool, tmp_path: Path
) -> None:
    wanted = {"key": "stages", "in": ["**/dvc.yaml"]}
    planted = evidence(plant(tmp_path, {"dvc.yaml": f"stages: {stages}\n"}), wanted)

    assert holds == bool(planted.holds(wanted))


DISABLED = {
    "a job, if: false": "on: push\njobs:\n  a:\n    if: false\n    steps:\n      - run: {}\n",
    "a job, an expression": "on: push\njobs:\n  a:\n    if: ${{{{ false }}}}\n    steps:\n      - run: {}\n",
    "a step": "on: push\njobs:\n  a:\n    steps:\n      - run: {}\n        if: false && always()\n",
    "a job, false at the end": "on: push\njobs:\n  a:\n    if: github.ref == 'a' && false\n    steps:\n      - run: {}\n",
    "a job, not true": "on: push\njobs:\n  a:\n    if: ${{{{ !true }}}}\n    steps:\n      - run: {}\n",
    "a job that needs one": "on: push\njobs:\n  a:\n    if: false\n    steps: []\n  b:\n    needs: a\n    steps:\n      - run: {}\n",
    "an empty matrix": "on: push\njobs:\n  a:\n    strategy: {{matrix: {{python: []}}}}\n    steps:\n      - run: {}\n",
    "a workflow that nothing calls": "on: workflow_call\njobs:\n  a:\n    steps:\n      - run: {}\n",
}
GITLAB = {
    "when: never": "a:\n  when: never\n  script:\n    - {}\n",
    "rules of never": "a:\n  rules:\n    - when: never\n  script:\n    - {}\n",
    "a hidden job that nothing extends": ".a:\n  script:\n    - {}\n",
    "rules without a way through": "a:\n  rules:\n    - if: $A\n      when: never\n  script: ['{}']\n",
    "a hidden job that hidden ones extend": ".a:\n  script: ['{}']\n.b:\n  extends: .a\n",
    "a hidden job whose name begins another's": ".a:\n  script: ['{}']\n.a-b:\n  image: a\nc:\n  extends: .a-b\n  script: [ls]\n",
    "never, extended": ".no:\n  rules: [{{when: never}}]\na:\n  extends: [.no]\n  script: ['{}']\n",
    "never, merged": ".no: &no\n  rules: [{{when: never}}]\na:\n  <<: *no\n  script: ['{}']\n",
    "never, referenced": ".no:\n  rules: [{{when: never}}]\na:\n  rules: [!reference [.no, rules]]\n  script: ['{}']\n",
}
AZURE = {
    "condition": "jobs:\n- job: a\n  condition: false\n  steps:\n  - script: {}\n",
    "enabled": "steps:\n- script: {}\n  enabled: false\n",
    "and": "jobs:\n- job: a\n  condition: and(succeeded(), false)\n  steps:\n  - script: {}\n",
    "eq": "jobs:\n- job: a\n  condition: eq(1, 2)\n  steps:\n  - script: {}\n",
    "inserted": "steps:\n- ${{{{ if eq(true, false) }}}}:\n  - script: {}\n",
}
OTHERS = {
    "CircleCI, in no workflow": (
        ".circleci/config.yml",
        "jobs:\n  a: {{steps: [run: '{}']}}\n  b: {{steps: []}}\nworkflows:\n  all: {{jobs: [b]}}\n",
    ),
    "CircleCI, a workflow": (
        ".circleci/config.yml",
        "jobs:\n  a: {{steps: [run: '{}']}}\nworkflows:\n  all: {{when: false, jobs: [a]}}\n",
    ),
    "Taskcluster": (
        ".taskcluster.yml",
        "tasks:\n- $if: 'false'\n  then:\n    payload: {{command: [bash, -c, '{}']}}\n",
    ),
    "Jenkins, a stage": (
        "Jenkinsfile",
        "stage('a') {{\n when {{ expression {{ return false }} }}\n steps {{ sh '{}' }}\n}}\n",
    ),
    "Jenkins, if": ("Jenkinsfile", "if (false) {{\n sh '{}'\n}}\n"),
    "Jenkins, a function": ("Jenkinsfile", "def check() {{\n sh '{}'\n}}\n"),
}
CASES = [
    *((CI, text) for text in DISABLED.values()),
    *((".gitlab-ci.yml", text) for text in GITLAB.values()),
    *(("azure-pipelines.yml", text) for text in AZURE.values()),
    *OTHERS.values(),
]


@pytest.mark.parametrize(("path", "text"), CASES, ids=[*DISABLED, *GITLAB, *AZURE, *OTHERS])
@pytest.mark.parametrize("predicate", [{"ci_runs": r"\bpytest\b"}, {"ci_says": r"\bpytest\b"}])
def test_a_job_that_is_disabled_runs_nothing(
    path: str, text: str, predicate: dict[str, str], tmp_path: Path
) -> None:
    assert [] == evidence(plant(tmp_path, {path: text.format("pytest")})).holds(predicate)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (CI, "jobs:\n  a:\n    if: github.ref == 'refs/heads/main'\n    steps:\n      - run: pytest\n"),
        (CI, "jobs:\n  b:\n    if: false\n    steps: []\n  a:\n    steps:\n      - run: pytest\n"),
        (".gitlab-ci.yml", "a:\n  rules:\n    - if: $A\n      when: never\n    - if: $B\n  script: [pytest]\n"),
        (".gitlab-ci.yml", ".a:\n  script: [pytest]\nb:\n  extends: .a\n"),
        (".gitlab-ci.yml", ".a: &a\n  script: [pytest]\nb:\n  <<: *a\n"),
        (".gitlab-ci.yml", ".a:\n  script: [pytest]\nb:\n  script:\n    - !reference [.a, script]\n"),
        ("azure-pipelines.yml", "jobs:\n- job: a\n  condition: succeeded()\n  steps:\n  - script: pytest\n"),
        (CI, "jobs:\n  b:\n    if: false\n  a:\n    needs: b\n    if: always()\n    steps:\n      - run: pytest\n"),
        (CI, "jobs:\n  a:\n    if: false && github.ref || github.event\n    steps:\n      - run: pytest\n"),
        (CI, "on: [push, workflow_call]\njobs: {a: {steps: [run: pytest]}}\n"),
        (".gitlab-ci.yml", ".no:\n  rules: [{when: never}]\na:\n  extends: .no\n  rules: [{if: $A}]\n  script: [pytest]\n"),
        ("azure-pipelines.yml", "jobs:\n- job: a\n  condition: and(succeeded(), eq(variables.off, false))\n  steps:\n  - script: pytest\n"),
        ("azure-pipelines.yml", "steps:\n- ${{ if eq(parameters.test, true) }}:\n  - script: pytest\n"),
        (".circleci/config.yml", "jobs:\n  a: {steps: [run: pytest]}\nworkflows:\n  all: {jobs: [a: {context: b}]}\n"),
        ("Jenkinsfile", "def check() {\n sh 'pytest'\n}\nstage('a') { check() }\n"),
        ("Jenkinsfile", "stage('a') { when { branch 'main' }\n steps { sh(script: 'pytest') } }\n"),
    ],
)  # fmt: skip
def test_a_job_with_a_condition_counts(path: str, text: str, tmp_path: Path) -> None:
    assert evidence(plant(tmp_path, {path: text})).holds({"ci_runs": r"\bpytest\b"})


CALLED = {".github/workflows/called.yml": "on: workflow_call\njobs: {a: {steps: [run: pytest]}}\n"}


@pytest.mark.parametrize(("head", "holds"), [("", True), ("if: false, ", False)])
def test_a_workflow_that_another_calls_runs_where_the_call_does(
    head: str, holds: bool, tmp_path: Path
) -> None:
    calls = {CI: f"on: push\njobs: {{a: {{{head}uses: ./.github/workflows/called.yml}}}}\n"}

    looked = evidence(plant(tmp_path, CALLED | calls))

    assert holds == bool(looked.holds({"ci_runs": "pytest"}))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (CI, "env: {command: pytest}\njobs: {a: {steps: [run: ls]}}\n"),
        (CI, "jobs: {a: {steps: [{name: 'later: pytest', run: ls}]}}\n"),
        (".gitlab-ci.yml", "a:\n  script:\n    - exit 0\n    - pytest\n"),
        ("cloudbuild.yaml", "steps:\n- name: gcr.io/a/b\n  entrypoint: bash\n  args: [-c, echo pytest]\n"),
        ("cloudbuild.yaml", "steps:\n- name: gcr.io/a/b\n  entrypoint: bash\n  args:\n  - -c\n  - |\n    exit 0\n    pytest\n"),
        ("cloudbuild.yaml", "steps:\n- name: gcr.io/a/b\n  entrypoint: pip\n  args: [install, pytest]\n"),
        ("Jenkinsfile", "echo \"sh 'pytest'\"\n"),
    ],
)  # fmt: skip
def test_a_setting_is_not_run(path: str, text: str, tmp_path: Path) -> None:
    looked = evidence(plant(tmp_path, {path: text}))

    assert [] == looked.holds({"ci_runs": "pytest"})


@pytest.mark.parametrize(
    ("head", "holds"),
    [
        ("schedule: [{cron: '1 1 * * *'}]", True),
        ("schedule:\n    - cron: 1 1 * * *", True),
        ("schedule:\n  #  - cron: '1 1 * * *'\n  push:", False),
        ("schedule: []", False),
    ],
)
def test_a_schedule_without_a_time_starts_nothing(head: str, holds: bool, tmp_path: Path) -> None:
    workflow = {CI: f"on:\n  {head}\njobs: {{a: {{steps: [run: python train.py]}}}}\n"}

    assert holds == bool(
        evidence(plant(tmp_path, workflow)).holds({"scheduled": {"runs": "train"}})
    )


@pytest.mark.parametrize(("suspend", "tier"), [("false", "automated"), ("true", None)])
def test_a_job_of_kubernetes_that_is_suspended_does_not_run(
    suspend: str, tier: str | None, tmp_path: Path
) -> None:
    job = "kind: CronJob\nspec:\n  suspend: {}\n  jobTemplate:\n    command: [python, train.py]\n"
    files = ML | {"k8s/train.yaml": job.format(suspend)}

    assert tier == look(plant(tmp_path, files)).findings["training-trigger"].tier


@pytest.mark.parametrize(
    "command",
    [
        "flake8 train.py",
        "python -m pyflakes train.py",
        "pytest tests/test_train.py",
        "scp train.py a:",
    ],
)
def test_what_reads_or_tests_training_is_no_training(command: str, tmp_path: Path) -> None:
    workflow = (
        f"on:\n  schedule:\n    - cron: 1 1 * * *\njobs: {{a: {{steps: [run: {command}]}}}}\n"
    )

    result = look(plant(tmp_path, ML | {CI: workflow, "train.py": "model.fit(1)\n"}))

    assert not result.findings["training-trigger"].holds


def test_a_repository_that_only_describes_itself_is_on_rung_0(tmp_path: Path) -> None:
    """The repository of 47 lines that was once on rung 3."""
    files = ML | {
        "README.md": "# A model\n\nIt predicts what we want.\n",
        ".gitignore": "*.pyc\n",
        CI: "on: push\njobs:\n  later:\n    if: false\n    runs-on: ubuntu-latest\n    environment: production\n"
        f'    steps:\n      - run: echo "TODO {CLAIMS}"\n      - run: |\n          {CLAIMS.replace(", ", chr(10) + 10 * " ")}\n',
        "tests/test_a.py": "def test_a():\n    assert score(1)\n",
        "dvc.yaml": "stages:\n  train:\n    cmd: echo TODO train\n",
        "Makefile": "deploy:\n\t@echo kubectl apply\n",
        "train.py": "from sklearn.linear_model import Ridge\nimport mlflow\nmlflow.log_metric('a', 1)\n"
        "Ridge().fit(x, y)\n",
        "gate.py": "def current_model(name: str) -> str:\n    return name\n",
    }

    result = look(plant(tmp_path, files))

    assert 0 == result.level
    for name in ("ci-build-test", "automated-model-deployment", "environment-promotion"):
        assert not result.findings[name].holds, name


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"mise.toml": '[tasks.check]\ndescription = "pytest and ruff"\nrun = "true"\n'}, "mise run check"),
        ({"justfile": "# pytest\ncheck:\n    @echo pytest\n"}, "just check"),
        ({"pyproject.toml": '[tool.poe.tasks.check]\nhelp = "pytest"\ncmd = "true"\n'}, "poe check"),
        ({"Makefile": "check: ## pytest\n\t@echo pytest\n\ttrue\n"}, "make check"),
        ({"Makefile": "test:\n\tpytest\n"}, "echo make test"),
        ({"Taskfile.yml": "tasks:\n  check:\n    desc: pytest\n    cmds: ['true']\n"}, "task check"),
        ({"package.json": '{"scripts": {"a": "true"}, "description": "pytest"}'}, "npm run a"),
        ({"a.sh": "cat <<EOF > b.txt\npytest\nEOF\n"}, "bash a.sh"),
        ({"a.sh": "exit 0\npytest\n"}, "bash a.sh"),
        ({"a.sh": "exit 0 # for now\npytest\n"}, "bash a.sh"),
        ({"a.sh": "cat > b.sh <<EOF\npytest\nEOF\n"}, "bash a.sh"),
        ({"a.sh": "python - <<EOF\nprint('pytest')\nEOF\n"}, "bash a.sh"),
        ({"a.sh": "python b.py <<EOF\npytest\nEOF\n"}, "bash a.sh"),
        ({"a.sh": "check() {\n  pytest\n}\nls\n"}, "bash a.sh"),
        ({"a.sh": "check() { pytest; }\nls\n"}, "bash a.sh"),
        ({"a.sh": "function check {\n  pytest\n}\nls\n"}, "bash a.sh"),
        ({"a.sh": "check() {\n  pytest\n}\n"}, "echo a.sh"),
        ({"tox.ini": "[testenv]\ncommands = pytest\n[testenv:lint]\ncommands = ruff\n"}, "tox -e lint"),
        ({"noxfile.py": "def tests(s):\n    s.run('pytest')\n\n\ndef lint(s):\n    s.run('ruff')\n"}, "nox -s lint"),
        ({"tasks.py": "def tests(c):\n    c.run('pytest')\n\n\ndef lint(c):\n    c.run('ruff')\n"}, "inv lint"),
        ({"pixi.toml": "[tasks]\ntest = 'pytest'\nlint = 'ruff'\n"}, "pixi run lint"),
        ({"justfile": "c:\n    pytest\na: (b 'c')\nb version:\n    ls\n"}, "just a"),
        ({"justfile": "c:\n    pytest\na: (b (d(x) / 'c'))\nb version:\n    ls\n"}, "just a"),
        ({"justfile": "c:\n    pytest\na: (b ')' c)\nb version:\n    ls\n"}, "just a"),
        ({"mise.toml": "[tasks]\na = {run = 'ls', wait_for = ['b']}\nb = 'pytest'\n"}, "mise run a"),
        ({"tox.ini": "[testenv:a]\ncommands = {[testenv:c]commands}\n[testenv:b]\ncommands = pytest\n[testenv:c]\ncommands = ls\n"}, "tox -e a"),
        ({"compose.yaml": "services: {tests: {command: pytest}, app: {command: serve}}\n"}, "docker compose run app"),
    ],
)  # fmt: skip
def test_a_description_of_a_task_is_not_run(
    files: dict[str, str], command: str, tmp_path: Path
) -> None:
    workflow = {CI: f"on: push\njobs:\n  a:\n    steps:\n      - run: {command}\n"}

    looked = evidence(plant(tmp_path, files | workflow))

    assert [] == looked.holds({"ci_runs": r"\bpytest\b"})


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"Makefile": "a:\n\t$(MAKE) b\nb:\n\tpytest\n"}, "make a"),
        ({"Taskfile.yml": "tasks: {a: {cmds: [{task: b}]}, b: {cmds: [pytest]}}\n"}, "task a"),
        ({"Taskfile.yml": "tasks: {a: {deps: [{task: b}]}, b: {cmds: [pytest]}}\n"}, "task a"),
        ({"Taskfile.yml": "tasks: {a: {cmds: [{defer: {task: b}}]}, b: {cmds: [{defer: pytest}]}}\n"}, "task a"),
        ({"Taskfile.yml": "tasks: {a: [{task: b}], b: pytest}\n"}, "task a"),
        ({"justfile": "all: (b '3')\nb version:\n    pytest\n"}, "just all"),
        ({"justfile": "all: c && b\nb:\n    pytest\nc:\n    ls\n"}, "just all"),
        ({"justfile": "all:\n    just b\nb:\n    pytest\n"}, "just all"),
        ({"package.json": '{"scripts": {"a": "npm run b", "b": "pytest"}}'}, "npm run a"),
        ({"hatch.toml": "[envs.default.scripts]\na = ['c', 'b -q']\nb = 'pytest'\n"}, "hatch run a"),
        ({"pyproject.toml": "[tool.pdm.scripts]\na = {composite = ['b']}\nb = {shell = 'pytest'}\n"}, "pdm run a"),
        ({"pixi.toml": "[tasks]\na = {depends-on = ['b']}\nb = 'pytest'\n"}, "pixi run a"),
        ({"pixi.toml": "[tasks]\na = {depends-on = [{task = 'b'}]}\nb = 'pytest'\n"}, "pixi run a"),
        ({"pixi.toml": "[tasks]\na = [{task = 'b'}]\nb = {cmd = ['pytest', '-q']}\n"}, "pixi run a"),
        ({"pixi.toml": "[tasks]\npytest = 'pytest -q'\n"}, "pixi run pytest"),
        ({"pyproject.toml": "[tool.pdm.scripts]\na = 'pytest -q'\npytest = 'ls'\n"}, "pdm run a"),
        ({"hatch.toml": "[envs.default.scripts]\na = 'b -q'\nb = 'pytest'\n"}, "hatch run a"),
        ({"mise.toml": "[tasks]\na.run = [{task = 'b'}]\nb = 'pytest'\n"}, "mise run a"),
        ({"mise.toml": "[tasks]\na.run = ['ls', {tasks = ['c', 'b']}]\nb = 'pytest'\n"}, "mise run a"),
        ({"mise.toml": "[tasks]\na = {depends = [['b', '-q']], depends_post = ['c']}\nb = 'pytest'\n"}, "mise run a"),
        ({"mise.toml": "[tasks]\na.depends_post = [{task = 'b'}]\nb = 'pytest'\n"}, "mise run a"),
        ({"pyproject.toml": "[tool.poe.tasks]\na.uses = {OUT = 'b'}\nb = 'pytest'\n"}, "poe a"),
        ({"pyproject.toml": "[tool.poe.tasks.a]\ncontrol = 'ls'\nswitch = [{case = '1', ref = 'b'}]\n[tool.poe.tasks]\nb = 'pytest'\n"}, "poe a"),
        ({"tox.ini": "[testenv:a]\ncommands =\n    {[testenv:b]commands}\n[testenv:b]\ncommands = pytest\n"}, "tox -e a"),
        ({"tox.ini": "[testenv:a]\ncommands = {[testenv]commands} -q\n[testenv]\ncommands = pytest\n"}, "tox -e a"),
        ({"noxfile.py": "def a(session):\n    session.notify('b')\n\n\ndef b(session):\n    session.run('pytest')\n"}, "nox -s a"),
        ({"tasks.py": "@task\ndef b(c):\n    c.run('pytest')\n\n\n@task(pre=[b])\ndef a(c):\n    pass\n"}, "inv a"),
        ({"Earthfile": "a:\n  DO +B\nB:\n  FUNCTION\n  RUN pytest\n"}, "earthly +a"),
    ],
)  # fmt: skip
def test_a_task_that_a_task_starts_is_run(
    files: dict[str, str], command: str, tmp_path: Path
) -> None:
    workflow = {CI: f"on: push\njobs:\n  a:\n    steps:\n      - run: {command}\n"}

    looked = evidence(plant(tmp_path, files | workflow))

    assert looked.holds({"ci_runs": r"^pytest\b"})


@pytest.mark.parametrize(
    "script",
    ["python - <<EOF\npytest.main()\nEOF\n", "if [ $A ]; then\nexit 0\nfi\npytest\n", "exit $(pytest -q)\n",
     "check() {\n  pytest\n}\ncheck\n", "check() {\n  pytest\n}\n\"$@\"\n", "set -e\ncheck() {\n  pytest\n}\n",
     "all() {\n  check\n}\ncheck() {\n  pytest\n}\nall\n"],
)  # fmt: skip
def test_a_script_is_read_as_far_as_it_runs(script: str, tmp_path: Path) -> None:
    files = {CI: "jobs:\n  a:\n    steps:\n      - run: bash a.sh\n", "a.sh": script}

    assert evidence(plant(tmp_path, files)).holds({"ci_runs": r"\bpytest\b"})


@pytest.mark.parametrize(
    "files",
    [
        {CI: "on:\n  push:\n    paths: [train.py]\njobs:\n  a:\n    steps:\n      - run: ls\n"},
        {CI: "name: train.py\njobs:\n  a:\n    steps:\n      - name: train.py\n        run: ls\n"},
        {CI: "jobs:\n  a:\n    steps:\n      - run: echo python train.py\n"},
        {CI: "jobs:\n  a:\n    if: false\n    steps:\n      - run: python train.py\n"},
        {"Makefile": "train:\n\t@echo python train.py\n"},
        {"pyproject.toml": '[tool.poe.tasks.train]\nhelp = "python train.py"\ncmd = "true"\n'},
        {"Dockerfile": "FROM a\nRUN echo python train.py\n"},
    ],
)
def test_what_is_only_named_is_not_reached(files: dict[str, str], tmp_path: Path) -> None:
    fits = {"calls": ["fit"]}
    looked = evidence(plant(tmp_path, files | {"train.py": "m.fit(1)\n"}), fits)

    assert [] == looked.holds({"reached": fits})


LOGS = "import mlflow\ndef log_all():\n    mlflow.log_metric('rmse', 1)\n"


@pytest.mark.parametrize(
    "files",
    [
        {"a.py": LOGS},
        {"a.py": LOGS.replace("()", "(\n    rows,\n)")},
        {"a.py": LOGS, "README.md": "Call `log_all`.\n"},
        {"a.py": LOGS, "b.py": "import a\na.log_all_of()\n"},
    ],
    ids=["by nothing", "with parameters", "by prose", "by a longer name"],
)
def test_a_function_that_nothing_calls_is_only_declared(
    files: dict[str, str], tmp_path: Path
) -> None:
    result = look(plant(tmp_path, ML | files)).findings["experiment-tracking"]

    assert "declared" == result.tier


@pytest.mark.parametrize(
    "files",
    [
        {"a.py": f"{LOGS}log_all()\n"},
        {"a.py": LOGS, "b.py": "from a import log_all as log\nlog()\n"},
        {"a.py": f"{LOGS}__all__ = ['log_all']\n"},
        {"a.py": LOGS.replace("def", "@app.command()\ndef")},
        {"a.py": LOGS.replace("def", "@app.command(\n    'a'\n)\ndef")},
        {"a.py": LOGS.replace("def", "@app.command()\n# for people\n\ndef")},
        {"a.py": LOGS.replace("log_all", "lambda_handler")},
        {"a.py": LOGS.replace("def log_all():", "class Log:\n    def log_all(self):")},
        {"a.py": LOGS, "pyproject.toml": "[project.scripts]\nlog = 'a:log_all'\n"},
        {"a.py": LOGS, "job.yml": "entry: log_all\n"},
        {"a.py": LOGS, "tests/test_a.py": "import a\ndef test_a():\n    a.log_all()\n"},
        {"a.py": f"{LOGS}\ndef other():\n    mlflow.log_metric('mae', 1)\n\n\nother()\n"},
    ],
    ids=[
        *(
            "by its module",
            "by another file",
            "exported",
            "decorated",
            "decorated on lines",
            "decorated above",
        ),
        *("by a framework", "a method", "by an entry point", "by settings", "by a test"),
        "another one is called",
    ],
)
def test_a_function_that_something_may_call_is_used(files: dict[str, str], tmp_path: Path) -> None:
    result = look(plant(tmp_path, ML | files)).findings["experiment-tracking"]

    assert result.holds


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("a.py", "import mlflow\nmlflow.log_metric('a', 1)\n", "experiment-tracking"),
        ("alerts.yml", "groups: [{rules: [{alert: A}]}]\n", "alert-routing"),
        ("dvc.yaml", "stages: {a: {cmd: python a.py}}\n", "orchestrated-pipeline"),
    ],
)
def test_an_example_of_the_documentation_is_no_evidence(
    path: str, text: str, name: str, tmp_path: Path
) -> None:
    for folder, holds in (("docs/examples", False), ("ops", True)):
        root = plant(tmp_path / folder, ML | {f"{folder}/{path}": text})

        assert holds == look(root).findings[name].holds
