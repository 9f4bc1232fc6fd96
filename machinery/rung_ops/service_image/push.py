"""Build the service's image and push it: `uv run poe service-image-push REPOSITORY`.

Before it is pushed, what is in it is listed, from the image itself, and its packages are checked
for known vulnerabilities. What follows takes the image by its digest, so nothing is built twice.
"""

import base64
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import click

from rung_ops.checks import audit as vulnerabilities
from rung_ops.command import OK, verb
from rung_ops.errors import OpsError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import git

LOGIN = ("REGISTRY_USER", "REGISTRY_PASSWORD")  # variables
# With the registry's host: `team/service` would be a host `team`, and Docker's own registry.
REPOSITORY = re.compile(
    r"(?=localhost/|[^/]*[.:])[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)+"
)
REFERENCE = re.compile(rf"{REPOSITORY.pattern}@sha256:[0-9a-f]{{64}}")
# By the names that Docker's configuration has for registries, where they are not their hosts.
KEYS = {"docker.io": "https://index.docker.io/v1/"}


def reference_file() -> Path:
    """Return the path of the reference of the image that was pushed."""
    return current().repository / "reports/image/reference.txt"


def docker(*words: str, is_shown: bool = False) -> str:
    """Run Docker in the repository and return its output; with is_shown it is printed instead."""
    if not shutil.which("docker"):
        raise OpsError("`docker` is not on PATH. Install Docker, with its plugin buildx.")
    done = subprocess.run(
        ["docker", *words],
        cwd=current().repository,
        stdout=None if is_shown else subprocess.PIPE,
        stderr=None if is_shown else subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        said = "see above" if is_shown else (done.stderr + done.stdout).strip()
        raise OpsError(f"`docker {words[0]}` failed: {said}")
    # A container writes its log to both.
    return (done.stdout or "") + (done.stderr if words[0] == "logs" else "")


def pushed(image: str) -> str:
    """Push an image, and return the digest by which the registry has it."""
    printed = docker("push", image)
    if not (found := re.search(r"digest: (sha256:\S+) ", printed)):
        raise OpsError(f"`docker push {image}` did not print the digest")
    return found[1]


@contextlib.contextmanager
def logged_in(repository: str) -> Iterator[None]:
    """Give Docker REGISTRY_PASSWORD, where it is set, for the registry of a repository alone.

    In a temporary configuration: jobs on the same machine share the user's, and a credential store
    would keep it.
    """
    user, password = map(os.environ.get, LOGIN)
    if not password:
        yield
        return
    host = repository.split("/")[0]
    before = os.environ.get("DOCKER_CONFIG")
    own = Path(before or Path.home() / ".docker")
    settings = {}
    with contextlib.suppress(OSError, ValueError):
        settings = json.loads((own / "config.json").read_text(encoding="utf-8"))
    kept = {key: settings[key] for key in settings if key not in ("credsStore", "credHelpers")}
    auth = base64.b64encode(f"{user or 'token'}:{password}".encode()).decode()
    # GitHub empties its folder before each job, also after one that was killed.
    with TemporaryDirectory(dir=os.environ.get("RUNNER_TEMP")) as folder:
        text = json.dumps(kept | {"auths": {KEYS.get(host, host): {"auth": auth}}})
        Path(folder, "config.json").write_text(text, encoding="utf-8")
        if (own / "contexts").is_dir():  # one may say where the daemon is
            shutil.copytree(own / "contexts", Path(folder, "contexts"))
        os.environ["DOCKER_CONFIG"] = folder
        try:
            yield
        finally:
            del os.environ["DOCKER_CONFIG"]
            if before is not None:
                os.environ["DOCKER_CONFIG"] = before


AUDIT = "IMAGE_AUDIT"  # variable: `off` pushes an image whose packages were not checked
OPTIONS = "IMAGE_BUILD_OPTIONS"  # variable: further options of `docker build`
CONTENT = """
import json, platform, re, shutil, subprocess
from importlib.metadata import distributions
query = ["dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}\\n"]
debian = subprocess.check_output(query, text=True) if shutil.which(query[0]) else ""
system = platform.freedesktop_os_release() if debian else {}
print(json.dumps({
    "python": platform.python_version(),
    "packages": sorted([re.sub("[-_.]+", "-", d.name).lower(), d.version] for d in distributions()),
    "distro": f"{system.get('ID')}-{system.get('VERSION_ID')}",
    "debian": [line.split() for line in debian.splitlines()],
}))
"""

Bill = dict[str, Any]


@verb(
    "poe service-image-push",
    epilog="Exit code 1: it was not pushed, for the reason that is printed. REGISTRY_USER and "
    f"REGISTRY_PASSWORD log in. {OPTIONS} adds options of `docker build`. {AUDIT}=off pushes "
    "without asking for vulnerabilities, where no service that knows them is reached.",
)
@click.argument("repository")
def main(repository: str) -> int:
    """Build the image, list what is in it, check its packages, and push it to REPOSITORY.

    It has the commit as its tag. reports/image gets its reference, by digest, and its bill of
    materials in CycloneDX.
    """
    repository = repository.lower()  # as registries want it; GitHub's names have capitals
    root = current().repository
    reference_file().unlink(missing_ok=True)
    if not REPOSITORY.fullmatch(repository):
        raise OpsError(
            f"`{repository}` does not begin with a registry's host, or has a tag: give it as in "
            "registry.example.org/team/service"
        )
    try:
        options = shlex.split(os.environ.get(OPTIONS, ""))
    except ValueError as error:
        raise OpsError(f"{OPTIONS} cannot be read: {error}") from error
    # Also files that git does not know: the image would take them.
    if changed := git.output(root, "status", "--porcelain", "--untracked-files=normal"):
        raise OpsError(f"an image has the name of a commit: commit first\n{changed}")
    commit = git.output(root, "rev-parse", "HEAD").strip()
    image = f"{repository}:{commit}"
    docker(
        *("build", "--file", "service.Dockerfile", "--tag", image),
        # A single manifest, which keeps its digest wherever it is pulled and pushed again.
        *("--provenance=false", "--label", f"org.opencontainers.image.revision={commit}"),
        *(*login(), *options, "."),
        is_shown=True,
    )
    bill = materials(content(image), locked())
    audit(bill)
    with logged_in(repository):
        reference = f"{repository}@{pushed(image)}"
    path = reference_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "sbom.cdx.json").write_text(json.dumps(bill, indent=1), encoding="utf-8")
    path.write_text(f"{reference}\n", encoding="utf-8")
    print(f"Pushed {reference}; {shown(path.parent)} has its bill of materials.")
    return OK


def login() -> tuple[str, ...]:
    """Return the options that lend the build NETRC, the login of the index; it is in no layer."""
    path = os.environ.get("NETRC", "")
    return ("--secret", f"id=netrc,src={path}") if path and Path(path).is_file() else ()


def content(image: str) -> Bill:
    """List what an image has: Python, its packages, and Debian's."""
    options = ("run", "--rm", "--network", "none", "--entrypoint", "python")
    listed: Bill = json.loads(docker(*options, image, "-c", CONTENT))
    return listed


def locked() -> Bill:
    """Return the bill of materials of the whole uv.lock, in CycloneDX."""
    words = ("export", "--quiet", "--frozen", "--all-groups", "--format", "cyclonedx1.5")
    done = subprocess.run(
        ["uv", *words],
        cwd=current().repository,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        raise OpsError(f"`uv export` failed: {done.stderr.strip()}")
    exported: Bill = json.loads(done.stdout)
    return exported


def materials(inside: Bill, bill: Bill) -> Bill:
    """Reduce the bill of the lock to what is inside an image, and add what no lock knows.

    Raises:
        OpsError: the image has a package that uv.lock does not name.
    """
    contained = {tuple(pair) for pair in inside["packages"]}
    named = {(each["name"], each["version"]): each for each in bill["components"]}
    if strange := sorted(contained - named.keys()):
        names = ", ".join("==".join(each) for each in strange)
        raise OpsError(f"the image has packages that uv.lock does not name: {names}")
    kept = [named[each] for each in sorted(contained)]
    refs = {each["bom-ref"] for each in kept}
    further = [
        ("python", inside["python"], f"pkg:generic/python@{inside['python']}"),
        *(
            (
                name,
                version,
                f"pkg:deb/debian/{quote(name)}@{quote(version, safe=':')}"
                f"?arch={architecture}&distro={inside['distro']}",
            )
            for name, version, architecture in inside["debian"]
        ),
    ]
    kept += [
        {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        for name, version, purl in further
    ]
    depends = [
        each | {"dependsOn": [ref for ref in each.get("dependsOn", []) if ref in refs]}
        for each in bill["dependencies"]
        if each["ref"] in refs
    ]
    return bill | {"components": kept, "dependencies": depends}


def audit(bill: Bill) -> None:
    """Ask about the packages of an index; those of vendor/ have no address, and Debian none here.

    Raises:
        OpsError: something is known about one, or nobody could be asked.
    """
    if os.environ.get(AUDIT) == "off":
        print(f"{AUDIT}=off: the packages were NOT checked for known vulnerabilities.")
        return
    pinned = [
        f"{each['name']}=={each['version']}\n"
        for each in bill["components"]
        if each.get("purl", "").startswith("pkg:pypi/")
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder, "requirements.txt")
        path.write_text("".join(pinned), encoding="utf-8")
        code = vulnerabilities.audit("--no-deps", "--disable-pip", "--requirement", str(path))
    if code != 0:
        raise OpsError(
            "pip-audit failed, see above: take an unaffected version (`uv lock --upgrade-package "
            f"NAME`). If it reached no service, PIP_AUDIT_OSV_URL names another; {AUDIT}=off "
            "pushes without it."
        )
