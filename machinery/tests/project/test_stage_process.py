"""Stages of one run of DVC share a process; each behaves as if it had one of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rung_ops import verbs
from rung_ops.__main__ import main
from rung_ops.project import stage_process
from rung_ops.system import key_names

COMMAND = [sys.executable, "-m", "rung_ops", "stage"]
PROCESS = "import os\nprint(os.getpid())\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two models; its stages say which process runs them."""
    for name in ("pipeline", "src/small", "models/other/src"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.rung]\npackage = "small"\n', "utf-8")
    (tmp_path / "pipeline/first.py").write_text(PROCESS, "utf-8")
    (tmp_path / "pipeline/second.py").write_text(PROCESS, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, *files: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | settings
    return subprocess.run(
        [*COMMAND, *files], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_dvc_runs_the_stages_of_one_model_in_one_process(folder: Path) -> None:
    stages = [
        f"  {name}: {{cmd: '{' '.join(COMMAND)} {path} > {name}.txt', wdir: {where}}}\n"
        for name, path, where in (
            ("first", "pipeline/first.py", "."),
            ("second", "pipeline/second.py", "."),
            ("third", "../../pipeline/first.py", "models/other"),
        )
    ]
    (folder / "dvc.yaml").write_text(f"stages:\n{''.join(stages)}", "utf-8")
    for words in (["init", "--quiet", "--no-scm"], ["repro"]):
        subprocess.run([sys.executable, "-m", "rung_ops", "dvc", *words], check=True)

    first, second, third = [
        int((folder / name).read_text("utf-8"))
        for name in ("first.txt", "second.txt", "models/other/third.txt")
    ]
    assert first == second
    assert os.getpid() not in (first, third)


@pytest.mark.parametrize(
    "name",
    ["src/small/code.py", "src/small/table.csv", "params.toml", "data/incoming/june.csv.dvc"],
)
def test_code_is_loaded_again_once_it_or_what_it_reads_has_changed(folder: Path, name: str) -> None:
    code = f"TEXT = open({name!r}).read()\n"
    script = "import sys\nsys.path.insert(0, 'src')\nfrom small.code import TEXT\nprint(TEXT)\n"
    (folder / "src/small/code.py").write_text(code, "utf-8")
    (folder / "pipeline/first.py").write_text(script, "utf-8")
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code, "utf-8")

    with stage_process.shared():
        old = run(folder, "pipeline/first.py")
        file.write_text(f"{code}# new\n", "utf-8")
        new = run(folder, "pipeline/first.py")

    assert (old.stdout, new.stdout) == (f"{code}\n", f"{code}# new\n\n")


@pytest.mark.parametrize("is_shared", [True, False])
def test_a_stage_ends_as_its_script_does(folder: Path, is_shared: bool) -> None:
    scripts = {
        "helper.py": "def fail():\n    raise ValueError('too late')\n",
        "bug.py": "from helper import fail\nfail()\n",
        "advice.py": "import sys\nsys.exit('Bring more rows.')\n",
        "environment.py": "import os\nprint(os.environ['KIND'], os.environ.get('RUNG_STAGES'))\n",
        "over.py": "import sys\nsys.exit(0)\n",
        "refused.py": "import sys\nsys.exit(True)\n",
        "open.py": "out = open('out.csv', 'w')\ndef f():\n    pass\nout.write('text')\n",
        "child.py": "import multiprocessing as m\nheld = m.get_context('fork').Pool(1)\n",
        "killed.py": "import os\nos.kill(os.getpid(), 9)\n",
    }
    for name, text in scripts.items():
        (folder / "pipeline" / name).write_text(text, "utf-8")

    with stage_process.shared():
        shared = {} if is_shared else {stage_process.SOCKET: ""}
        bug = run(folder, "pipeline/bug.py", "pipeline/first.py", **shared)
        advice = run(folder, "pipeline/advice.py", **shared)
        kinds = [run(folder, "pipeline/environment.py", KIND=kind, **shared) for kind in "ab"]
        over = run(folder, "pipeline/over.py", "pipeline/open.py", **shared)
        written = (folder / "out.csv").read_text("utf-8")
        refused = run(folder, "pipeline/refused.py", **shared)
        child = subprocess.run(  # its child keeps the streams open
            [*COMMAND, "pipeline/child.py"], env=os.environ | shared, stderr=subprocess.DEVNULL
        )
        killed = run(folder, "pipeline/killed.py", **shared)
        alone = run(folder, "pipeline/first.py", **shared)

    assert (bug.returncode, bug.stdout) == (1, "")
    first = 'Traceback (most recent call last):\n  File "pipeline/bug.py", line 2, in <module>\n'
    assert bug.stderr.startswith(first)
    assert bug.stderr.endswith("ValueError: too late\n")
    assert (advice.returncode, advice.stderr) == (1, "Bring more rows.\n")
    assert [kind.stdout.split()[0] for kind in kinds] == ["a", "b"]
    assert (over.returncode, written, refused.returncode, child.returncode) == (0, "text", 1, 0)
    assert killed.returncode
    assert alone.returncode == 0
    if is_shared:
        assert "was killed before it ended" in killed.stderr


def test_a_replay_shares_one_process_with_the_runs_of_dvc_in_it(folder: Path) -> None:
    (folder / "extra.py").write_text("VALUE = 'of its environment'\n", "utf-8")
    (folder / "pipeline/first.py").write_text(f"import extra\n{PROCESS}", "utf-8")

    with stage_process.shared(os.environ | {"PYTHONPATH": str(folder)}):
        outer = run(folder, "pipeline/first.py")
        with stage_process.shared():
            inner = run(folder, "pipeline/first.py")

    assert outer.returncode == 0, outer.stderr
    assert outer.stdout == inner.stdout


@pytest.mark.parametrize(("verb", "code"), [("policies", 7), ("releases", 0)])
def test_a_replay_names_the_verbs_with_keys_that_it_hands_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch, verb: str, code: int
) -> None:
    monkeypatch.setenv("RELEASES", str(folder / "releases"))
    monkeypatch.setenv(verbs.ALSO_SHARED, "monitor policies")
    monkeypatch.setattr(stage_process, "delegated", lambda words: 7)

    assert main([verb]) == code


def test_what_is_shared_has_no_key_and_is_in_the_sandbox(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(key_names.RELEASE, "secret")
    monkeypatch.setenv("CANDIDATE_COMMAND", """sh -c 'touch sandboxed; exec "$@"' sh""")
    script = f"import os\nprint(os.environ.get('{key_names.RELEASE}'), os.getpid())\n"
    (folder / "pipeline/first.py").write_text(script, "utf-8")

    with stage_process.shared():
        done = [run(folder, "pipeline/first.py") for _ in range(2)]

    assert "None" == done[0].stdout.split()[0], done[0].stderr
    assert done[0].stdout == done[1].stdout
    assert (folder / "sandboxed").exists()


def test_a_killed_stage_ends_while_a_child_of_it_runs(folder: Path) -> None:
    script = """
import os, pathlib, time
child = os.fork()
if child == 0:
    time.sleep(30)
    pathlib.Path("ended.txt").touch()
    os._exit(0)
pathlib.Path("child.txt").write_text(str(child))
os.kill(os.getpid(), 9)
"""
    (folder / "pipeline/first.py").write_text(script, "utf-8")

    with stage_process.shared():
        done = subprocess.run([*COMMAND, "pipeline/first.py"], stderr=subprocess.DEVNULL)

    assert done.returncode
    assert not (folder / "ended.txt").exists()
    os.kill(int((folder / "child.txt").read_text("utf-8")), 9)


def test_what_stages_loaded_is_not_searched_for_garbage_as_their_process_ends(
    tmp_path: Path,
) -> None:
    code = (
        "import gc, socket, sys\nfrom rung_ops.project import stage_process\n"
        "listener = socket.socket(socket.AF_UNIX)\nlistener.bind(sys.argv[1])\nlistener.listen()\n"
        "stage_process.serve(listener.detach(), lambda words: 0)\n"
        "print(gc.get_freeze_count() >= len(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "stages"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "True\n"
