"""Code of a candidate runs where no key and no token is in the environment."""

import ast
import base64
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rung_ops
from machinery.governance.tests.conftest import Patch, Releases
from machinery.governance.tests.probing import make_curious, observations, probe
from rung_governance.approval import deploy, keys, promote, rejudge
from rung_ops import contract
from rung_ops.autopilot import decide, steps
from rung_ops.autopilot.journal import Tools
from rung_ops.errors import StageError
from rung_ops.model import bundle
from rung_ops.project import current, keyless, paths
from rung_ops.system import key_names

LIBRARY = Path(rung_ops.__file__).parent
# Names of the keys' kind that are read of people who are not candidates: of stores that a
# candidate's model and rows come from.
NOT_OURS = {"MLFLOW_TRACKING_TOKEN"}

pytestmark = pytest.mark.own_process


@pytest.fixture
def probed(tmp_path: Path, monkeypatch: Patch) -> None:
    """There are keys and tokens; every process that starts from here writes down what it sees."""
    for name in (key_names.PREDICT, key_names.OPERATORS, key_names.RELEASE, key_names.AGENT):
        monkeypatch.setenv(name, f"secret of {name}")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(probe(tmp_path / "seen"))
    path = os.pathsep.join([str(tmp_path / "site"), os.environ["PYTHONPATH"]])
    monkeypatch.setenv("PYTHONPATH", path)


@pytest.fixture
def curious(releases: Releases, release_private_key: bytes, probed: None) -> Releases:
    """The first candidate is signed; its features look for keys when they are imported."""
    folder = paths.candidates() / releases.first
    make_curious(folder, releases.project / "seen", release_private_key)
    return releases


@pytest.mark.tried(
    "Read a key or a token from the environment by a candidate's code",
    "that code runs in a separate process without them (`keyless`)",
)
def test_a_candidate_is_deployed_and_promoted_and_sees_no_key(
    curious: Releases, tmp_path: Path, monkeypatch: Patch
) -> None:
    curious.judge("1")
    curious.approve("1")
    # The registry is out of reach; that process is as those that load the release.
    monkeypatch.setattr(deploy, "refuse_another_model", lambda release: None)

    assert deploy.main(["production", curious.first]) == 0
    deployed = observations(tmp_path / "seen")
    assert promote.main(["1"]) == 0

    assert curious.now.serving == curious.first
    seen = observations(tmp_path / "seen")
    assert 2 <= len(deployed) < len(seen)
    assert {tuple(taken) for _, taken in seen} == {()}
    assert os.getpid() not in {process for process, _ in seen}


def test_the_gate_is_run_again_without_keys(
    production: Path, registry_store: str, probed: None, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_store)
    keys.private_key()  # is there, for who signs

    verdict = rejudge.verdict("1")

    assert not verdict.promote and verdict.challenger["version"] == "1"
    assert [keys for _, keys in observations(tmp_path / "seen")] == [[]]


@pytest.mark.tried(
    "Read a key or a token by code of the project in another verb, or in the autopilot",
    "there is none but that of the prediction log",
)
@pytest.mark.parametrize("words", [["predict", "rows.csv"], ["governance", "erase", "nobody"]])
def test_code_of_the_project_runs_where_only_the_logs_key_is(
    production: Path, tmp_path: Path, words: list[str]
) -> None:
    """Its code sees nothing in its own environment, nor in what the process was started with."""
    source, file = tmp_path / "src", tmp_path / "seen"
    shutil.copytree(current().root / "src", source)
    with (source / contract.package() / "__init__.py").open("a") as code:
        code.write(probe(file))
        names = sorted(key_names.ALL)
        code.write(
            "from pathlib import Path\n"
            f"started = Path('/proc/self/environ').read_bytes().decode()\n"
            f"assert not [n for n in {names!r} if f'{{n}}=' in started and n != {key_names.LOG!r}]\n"
        )
    assert key_names.AUDIT in os.environ
    keys = {name: "a secret" for name in (key_names.OPERATORS, key_names.AGENT)}
    logs_key = "2027:" + base64.b64encode(bytes(32)).decode()
    given = keys | {key_names.LOG: logs_key, "PYTHONPATH": str(source)}

    (tmp_path / "rows.csv").write_text("a\n1\n")
    words = [str(tmp_path / word) if word.endswith(".csv") else word for word in words]
    current().model_file.parent.mkdir(exist_ok=True)
    current().model_file.touch()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "rung_ops", *words],
            cwd=current().root,
            env=os.environ | given,
            capture_output=True,
            text=True,
        )
    finally:
        current().model_file.unlink()

    assert done.returncode == (words[0] == "predict"), done.stderr
    assert {tuple(taken) for _, taken in observations(file)} == {(key_names.LOG,)}


def test_the_autopilot_asks_code_of_the_project_where_no_key_is(
    production: Path, probed: None, tmp_path: Path
) -> None:
    record = {"at": "2026-01-31T00:00:00+00:00", "steps": []}

    done = steps.decide(Tools(decide.read_rules(), None, print), record)  # type: ignore[arg-type]
    steps.notify("v2 was promoted", "it answers")

    assert done.outcome == "nothing"
    assert [keys for _, keys in observations(tmp_path / "seen")] == [[], []]
    assert os.getpid() not in {process for process, _ in observations(tmp_path / "seen")}


def test_the_stages_of_the_pipeline_are_run_without_keys(probed: None) -> None:
    output = subprocess.run(
        [sys.executable, "-m", "rung_ops", "keyless", "env"], capture_output=True, text=True
    ).stdout

    assert "PATH=" in output and "secret of" not in output
    tasks = (current().root / "ops/tasks.toml").read_text(encoding="utf-8")
    assert tasks.count("dvc repro") == tasks.count("rung-ops keyless rung-ops dvc repro") == 4


SIGNING = "approve deploy kill_switch promote registry_champion rejudge release"


def test_what_signs_imports_no_code_of_the_project() -> None:
    imports = ", ".join(f"rung_governance.approval.{name}" for name in SIGNING.split())
    imports += ", rung_governance.monitor"
    code = f"import sys, {imports}; print([n for n in sys.modules if n.startswith({contract.package()!r})])"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=current().root, check=True, capture_output=True, text=True
    )

    assert done.stdout == "[]\n"


def test_every_key_that_the_library_reads_is_withheld() -> None:
    texts = {
        node.value
        for path in LIBRARY.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    kinds = re.compile(r"[A-Z]+(_[A-Z]+)*_(PRIVATE_KEY|TOKENS?)")

    assert {each for each in texts if kinds.fullmatch(each)} - NOT_OURS <= key_names.ALL


def test_an_error_of_the_other_process_is_reported() -> None:
    with pytest.raises(bundle.BundleError, match="release.pub"):
        keyless.call(
            "rung_ops.release.deploy:check_bundle", "nowhere", raises=(bundle.BundleError,)
        )
    with pytest.raises(StageError, match="release.pub cannot be read"):
        keyless.call("rung_ops.release.deploy:check_bundle", "nowhere")


def look_around(process: int) -> list[str]:
    """What the code of a candidate could read: a file of a key, the environment of a process."""
    subprocess.run(["umount", str(KEY.parent)], stderr=subprocess.DEVNULL)
    keys = []
    for path in (KEY, Path(f"/proc/{process}/environ")):
        try:
            keys += [path.name] if b"very secret" in path.read_bytes() else []
        except OSError:
            continue
    return keys


KEY = current().root / ".keys/audit.pem"
ALLOWED = subprocess.run(
    ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "true"], check=False
)


@pytest.mark.skipif(ALLOWED.returncode != 0, reason="this system forbids user namespaces")
@pytest.mark.tried(
    "Read a file of a key, or the signing process, by a candidate's code",
    "possible, as the same user; not with `CANDIDATE_COMMAND=namespaces`",
)
def test_in_namespaces_of_its_own_it_sees_no_file_of_a_key_and_no_other_process(
    monkeypatch: Patch,
) -> None:
    KEY.parent.mkdir(exist_ok=True)
    KEY.write_text("very secret")
    module = LIBRARY / "look_around_for_tests.py"
    lines = inspect.getsource(look_around)
    module.write_text(
        f"import subprocess\nfrom pathlib import Path\nKEY = Path({str(KEY)!r})\n\n{lines}"
    )
    other = subprocess.Popen(["sleep", "60"], env=os.environ | {"KEY": "very secret"})
    try:
        there = keyless.call("rung_ops.look_around_for_tests:look_around", other.pid)
        assert there == ["audit.pem", "environ"]
        monkeypatch.setenv(keyless.SANDBOX, keyless.NAMESPACES)
        assert keyless.call("rung_ops.look_around_for_tests:look_around", other.pid) == []
        assert KEY.read_text() == "very secret"
    finally:
        module.unlink()
        KEY.unlink()
        other.kill()
        other.wait()


def test_a_sandbox_goes_around_the_process(tmp_path: Path, monkeypatch: Patch) -> None:
    wrapper = tmp_path / "sand box"
    wrapper.write_text(f'#!/bin/sh\necho "$3" >> "{tmp_path}/called"\nexec "$@"\n')
    wrapper.chmod(0o700)
    monkeypatch.setenv(keyless.SANDBOX, f"'{wrapper}'")

    assert keyless.call("rung_ops.system.printable:printable", "a") == "a"
    assert (tmp_path / "called").read_text() == "-m\n"

    shutil.rmtree(tmp_path)
    with pytest.raises(StageError, match="cannot be run"):
        keyless.call("rung_ops.system.printable:printable", "a")
