"""Bring the pushed image to an environment: `uv run poe service-image-promote ENVIRONMENT`.

In Kubernetes the overlay gets its digest and is applied; elsewhere the registry's tag of the
environment moves to it. Either way it is the same manifest, byte for byte.
"""

import time

import click

from rung_ops.command import OK, verb
from rung_ops.errors import OpsError, UsageError
from rung_ops.project import current
from rung_ops.project.paths import PRODUCTION, STAGING, shown
from rung_ops.service_image.push import REFERENCE, docker, logged_in, pushed, reference_file

SECONDS = 120  # until a container has to be healthy


@verb(
    "poe service-image-promote",
    epilog="Exit code 0: the environment has the image. 1 or 2: it has what it had before, except "
    "in Kubernetes after 1: what was applied stays, and `kubectl rollout undo` takes it back.",
)
@click.argument("environment", type=click.Choice([STAGING, PRODUCTION]))
@click.option("--image", help="REPOSITORY@sha256:DIGEST; by default what was pushed last")
def main(environment: str, image: str | None) -> int:
    """Bring the image that was pushed, by its digest, to staging or production."""
    path = reference_file()
    if image is None and not path.is_file():
        raise OpsError("no image was pushed from here: give --image REPOSITORY@sha256:DIGEST")
    reference = (image or path.read_text(encoding="utf-8")).strip()
    if not REFERENCE.fullmatch(reference):
        raise OpsError(f"`{reference}` does not name an image by its digest")
    if (current().repository / "deploy/kubernetes").is_dir():
        return apply(environment, reference)
    repository, _, digest = reference.partition("@")
    tag = f"{repository}:{environment}"
    with logged_in(repository):
        docker("pull", reference, is_shown=True)
        if environment == STAGING:
            start(reference)
        # The first one shows the digest before the environment's tag moves.
        for each in (f"{tag}-next", tag):
            docker("tag", reference, each)
            if pushed(each) != digest:
                raise OpsError(
                    f"the registry has {each}, but not by the digest {digest}: push and promote "
                    "with the same kind of image store of Docker"
                )
    print(f"{tag} is {reference}.")
    return OK


def apply(environment: str, reference: str) -> int:
    """Write the digest into an overlay, and apply it; put the overlay back if that fails.

    Raises:
        UsageError: there is no such overlay, or it has no image to replace.
    """
    from rung_ops.kubernetes import deploy, manifests

    path = manifests.overlay_file(environment)
    if not path.is_file():
        raise UsageError(f"Nothing was changed: there is no {shown(path)}")
    before = path.read_text(encoding="utf-8")
    path.write_text(manifests.with_image(before, reference), encoding="utf-8")
    if code := deploy.main([environment]):
        path.write_text(before, encoding="utf-8")
    return code


def start(reference: str) -> None:
    """Start an image as a platform would, without a network, until its HEALTHCHECK passes.

    Raises:
        OpsError: it ended, or did not answer in time; its log is in the message.
    """
    limits = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--network", "none")
    name = docker(*("run", "--detach", *limits, "--env", "LOGS=/tmp/logs", reference)).strip()
    try:
        status = ["running", "starting"]
        end = time.monotonic() + SECONDS
        while status == ["running", "starting"] and time.monotonic() < end:
            time.sleep(1)
            status = docker(
                "inspect", "--format", "{{.State.Status}} {{.State.Health.Status}}", name
            ).split()
        if status != ["running", "healthy"]:
            logs = docker("logs", name)
            raise OpsError(f"the service of {reference} is {' and '.join(status)}:\n{logs}")
    finally:
        docker("rm", "--force", name)
