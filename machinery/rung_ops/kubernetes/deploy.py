"""Bring an overlay to the cluster that kubectl knows: `uv run poe kubernetes-deploy OVERLAY`.

It checks the manifests, applies them as they were checked, and waits for the Deployments. A model
is deployed as everywhere, by `uv run poe deploy`: this brings the program.

Exit code 0: it is there. 1: something refused it, or it did not become ready. 2: it could not be
tried, as a tool or a cluster is missing.
"""

import argparse
import shutil
import subprocess
import sys

from rung_ops.kubernetes import manifests
from rung_ops.kubernetes.manifests import CannotBuild, Manifest

SECONDS = 300
ANSWER = "--request-timeout=15s"  # so that a cluster that is gone is told soon
WAITING = (
    "jsonpath={range .items[*]}{.metadata.name}: "
    "{range .status.containerStatuses[*]}{.state.waiting.reason} {.state.waiting.message}"
    '{"  "}{end}{"\\n"}{end}'
)


class CannotTry(Exception):
    """A tool or the cluster is missing; the message says what to do."""


class Refused(Exception):
    """The manifests are wrong, or the cluster did not take them; the message says why."""


def main(arguments: list[str] | None = None) -> int:
    """Bring an overlay to the cluster; return the exit code."""
    options = _options(arguments)
    try:
        text = manifests.build(options.overlay)
        built = manifests.parse(text)
        if faults := manifests.check(built).faults:
            raise Refused("\n- ".join(["the manifests are wrong:", *faults]))
        print(f"Applying {options.overlay} to the cluster {cluster()}.", flush=True)
        apply(text)
        for deployment in manifests.of_kind(built, "Deployment"):
            wait_for(deployment, options.seconds)
    except (CannotBuild, CannotTry) as error:
        print(f"Nothing was changed: {error}", file=sys.stderr)
        return 2
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.overlay} is there.")
    return 0


def cluster() -> str:
    """Name the cluster that kubectl talks to, once it has answered.

    Raises:
        CannotTry: there is no kubectl, it knows no cluster, or the cluster does not answer.
    """
    if not shutil.which("kubectl"):
        raise CannotTry(
            "`kubectl` is not on PATH, and brings manifests to a cluster: "
            "https://kubernetes.io/docs/tasks/tools/ says how to install it."
        )
    context = _kubectl("config", "current-context")
    if context.returncode != 0:
        raise CannotTry(
            "kubectl knows no cluster. Put its file into ~/.kube/config or name it by the variable "
            "KUBECONFIG, and choose with `kubectl config use-context NAME`."
        )
    name = context.stdout.strip()
    asked = _kubectl("version", ANSWER)
    if asked.returncode != 0:
        raise CannotTry(f"the cluster {name} does not answer: {_last(asked)}")
    return name


def apply(text: str) -> None:
    """Apply manifests.

    Raises:
        Refused: the cluster did not take all of them.
    """
    done = _kubectl("apply", "--filename", "-", given=text)
    print(done.stdout, end="")
    if done.returncode != 0:
        missing = "no matches for kind" in done.stderr
        why = (
            "\nA kind that the cluster does not know comes with an operator: install that, or take "
            "the component out of the overlay."
        )
        raise Refused(f"`kubectl apply` failed: {done.stderr.strip()}{why if missing else ''}")


def wait_for(deployment: Manifest, seconds: int) -> None:
    """Wait until the pods of a Deployment are those that were applied, and ready.

    Raises:
        Refused: they are not, after so many seconds; the message says what they wait for.
    """
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
    raise Refused(
        f"{about['name']} is not ready ({_last(done)}). Its pods:\n{pods or 'there are none'}\n"
        "ImagePullBackOff: the nodes do not find the image that the overlay names. Where nothing "
        f"is said they run and serve no release yet: `uv run poe deploy {environment}` brings "
        f"one, `kubectl --namespace {about['namespace']} logs deployment/{about['name']}` says "
        "more."
    )


def _kubectl(*words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["kubectl", *words], input=given, capture_output=True, text=True, check=False
    )


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr + done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="poe kubernetes-deploy", description=__doc__.splitlines()[0]
    )
    parser.add_argument("overlay", choices=manifests.overlays())
    parser.add_argument(
        "--seconds",
        type=int,
        default=SECONDS,
        help=f"to wait until the pods are ready; {SECONDS} unless you say so",
    )
    return parser.parse_args(arguments)
