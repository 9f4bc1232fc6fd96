"""List the modules of the library that a pass, a release, its deployment and a prediction go through."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

TRACER = Path(__file__).with_name("flows")
PORT = 8187
SERVICE = f"http://127.0.0.1:{PORT}"
ASIDE = 2.0  # seconds until the service has taken up a release, and written what was asked before
VERBS = {
    "autopilot, which does nothing": ["autopilot"],
    "release": ["release"],
    "deploy": ["deploy", "production", "--at-once"],
}
# What the loop that also answers requests does beside them, in each process of the service.
TICK = {"rung_ops/serving/watch.py", "rung_ops/serving/state_reader.py"}


def environment(flow: Path | None = None) -> dict[str, str]:
    """Return the variables of a process, which is traced if `flow` names a file."""
    traced = {"FLOW": str(flow), "PYTHONPATH": str(TRACER)} if flow else {}
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return {**kept, **traced, "SERVICE_PORT": str(PORT)}


def modules(flow: Path, thread: str = "") -> set[str]:
    """Return the modules that processes passed, or one thread of them."""
    lines = "".join(path.read_text() for path in flow.parent.glob(f"{flow.name}.*")).splitlines()
    passed = (line.split("\t") for line in lines)
    return {module for name, module in passed if name == thread or not thread}


def run(project: Path, *words: str, flow: Path | None = None) -> None:
    """Run a verb in the project."""
    command = [project / ".venv/bin/python", "-m", "rung_ops", *words]
    done = subprocess.run(
        command, cwd=project, env=environment(flow), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(
            f"rung-ops {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )


def commit(project: Path, message: str) -> None:
    """Commit all files of the project."""
    author = ("-c", "user.name=Flows", "-c", "user.email=flows@example.invalid")
    subprocess.run(["git", *author, "commit", "-qam", message], cwd=project, check=True)


def predict(project: Path, flow: Path) -> set[str]:
    """Return the modules that one prediction passes until it is answered."""
    command = [project / ".venv/bin/python", "-m", "rung_ops", "serve"]
    with subprocess.Popen(
        command, cwd=project, env=environment(flow), stderr=subprocess.DEVNULL
    ) as service:
        try:
            answer("/health/ready")
            schema = json.loads(answer("/openapi.json"))
            body = schema["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
            row = json.dumps(body["example"]).encode()
            answer("/predict", row)
            time.sleep(ASIDE)
            service.send_signal(signal.SIGUSR2)
            answer("/predict", row)
            service.send_signal(signal.SIGUSR1)
            time.sleep(ASIDE)
            passed = modules(flow, "MainThread")
        finally:
            service.terminate()
    return passed - TICK


def answer(path: str, body: bytes | None = None) -> bytes:
    """Return what the service answers; wait until it does."""
    request = urllib.request.Request(SERVICE + path, body, {"Content-Type": "application/json"})
    for _ in range(100):
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return bytes(response.read())
        except OSError:
            time.sleep(0.1)
    sys.exit(f"The service did not answer {path}.")


def main() -> None:
    """Trace a copy of a project and print the modules of each flow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path, help="what `rung demo --keep PROJECT` made")
    made = parser.parse_args().project.absolute()
    with tempfile.TemporaryDirectory() as folder:
        project = shutil.copytree(made, Path(folder) / "project", symlinks=True)
        flows = {}
        for name, words in VERBS.items():
            if words == ["release"]:
                params = project / "params.toml"
                params.write_text(params.read_text().replace("seed = 7 ", "seed = 8 "))
                commit(project, "Another seed")
                run(project, "dvc", "repro", "--all-pipelines")
                commit(project, "Train with it")
                run(project, "gate")
            run(project, *words, flow=Path(folder) / words[0])
            flows[name] = modules(Path(folder) / words[0])
        flows["prediction"] = predict(project, Path(folder) / "serve")
    for name, passed in flows.items():
        print(f"{name}: {len(passed)} modules", *sorted(passed), sep="\n  ")


if __name__ == "__main__":
    main()
