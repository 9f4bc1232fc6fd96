"""Apply an overlay to the current cluster of kubectl: `uv run poe kubernetes-deploy OVERLAY`.

It checks the manifests, applies them, and waits for the Deployments. It deploys the service; `uv run
poe deploy` deploys a model.
"""

import shutil
import subprocess

import click

from rung_ops.command import OK, verb
from rung_ops.errors import OpsError, UsageError
from rung_ops.kubernetes import manifests
from rung_ops.kubernetes.manifests import Manifest

SECONDS = 300
TIMEOUT = "--request-timeout=15s"
WAITING = (
    "jsonpath={range .items[*]}{.metadata.name}: "
    "{range .status.containerStatuses[*]}{.state.waiting.reason} {.state.waiting.message}"
    '{"  "}{end}{"\\n"}{end}'
)


@verb(
    "poe kubernetes-deploy",
    epilog="Exit code 0: applied and ready. 1: refused, or not ready in time. 2: nothing was changed, "
    "because a tool or a cluster is missing.",
)
@click.argument("overlay")
@click.option(
    "--seconds",
    type=int,
    default=SECONDS,
    show_default=True,
    help="time until the pods must be ready",
)
def main(overlay: str, seconds: int) -> int:
    """Apply an overlay to the current cluster of kubectl, and wait until it is ready."""
    try:
        text = manifests.build(overlay)
        built = manifests.parse(text)
        if faults := manifests.check(built).faults:
            raise OpsError("\n- ".join(["the manifests are invalid:", *faults]))
        print(f"Applying {overlay} to the cluster {cluster()}.", flush=True)
    except UsageError as error:
        raise UsageError(f"Nothing was changed: {error}") from error
    apply(text)
    for deployment in manifests.of_kind(built, "Deployment"):
        wait_for(deployment, seconds)
    print(f"{overlay} is ready.")
    return OK


def cluster() -> str:
    """Return the name of kubectl's current cluster, after it has answered."""
    if not shutil.which("kubectl"):
        raise UsageError(
            "`kubectl` is not on PATH. Install it: https://kubernetes.io/docs/tasks/tools/."
        )
    context = _kubectl("config", "current-context")
    if context.returncode != 0:
        raise UsageError(
            "kubectl has no current cluster. Put its configuration into ~/.kube/config or set "
            "KUBECONFIG, and run `kubectl config use-context NAME`."
        )
    name = context.stdout.strip()
    version = _kubectl("version", TIMEOUT)
    if version.returncode != 0:
        raise UsageError(f"the cluster {name} does not answer: {_last(version)}")
    return name


def apply(text: str) -> None:
    """Apply manifests."""
    done = _kubectl("apply", "--filename", "-", stdin=text)
    print(done.stdout, end="")
    if done.returncode != 0:
        missing = "no matches for kind" in done.stderr
        remedy = "\nInstall the operator that defines this kind, or remove its component from the overlay."
        raise OpsError(f"`kubectl apply` failed: {done.stderr.strip()}{remedy if missing else ''}")


def wait_for(deployment: Manifest, seconds: int) -> None:
    """Wait until the applied pods of a Deployment are ready."""
    about = deployment["metadata"]
    where = ("--namespace", about["namespace"])
    done = _kubectl(
        "rollout", "status", f"deployment/{about['name']}", *where, f"--timeout={seconds}s"
    )
    print(done.stdout, end="")
    if done.returncode == 0:
        return
    labels = deployment["spec"]["selector"]["matchLabels"]
    chosen = ",".join(f"{key}={value}" for key, value in labels.items())
    pods = _kubectl("get", "pods", *where, "--selector", chosen, "--output", WAITING).stdout.strip()
    environment = about["labels"].get("environment", "production")
    raise OpsError(
        f"{about['name']} is not ready ({_last(done)}). Its pods:\n{pods or 'there are none'}\n"
        "ImagePullBackOff: the nodes cannot pull the image of the overlay. Without a reason, they "
        f"run but serve no release: run `uv run poe deploy {environment}`, and see "
        f"`kubectl --namespace {about['namespace']} logs deployment/{about['name']}`."
    )


def _kubectl(*words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["kubectl", *words],
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr + done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
