"""A Docker daemon for the tests and, since no image can be pulled, a base image made here."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.product.conftest import run, tool

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
SECONDS_TO_START = 60
PACKAGES = ("ca-certificates", "python3", "python3-venv", "python3-pip", "passwd")


class NoDaemonError(Exception):
    """No daemon can be started on this machine; the message says why."""


@contextmanager
def daemon() -> Iterator[str]:
    """Start a daemon of our own, give the address of its socket, and stop it.

    It has no bridge and no firewall rules, so builds and runs use the machine's network.
    """
    # A socket's path has to be short.
    folder = Path(tempfile.mkdtemp(prefix="dockerd-"))
    address = f"unix://{folder / 'socket'}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                *(tool("dockerd"), "--host", address, "--bridge=none"),
                *("--iptables=false", "--ip6tables=false"),
                *("--data-root", folder / "data", "--exec-root", folder / "exec"),
                *("--pidfile", folder / "pid"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(process, folder, address)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)
        # dockerd leaves these mounted.
        for mounted in ("data", "exec/netns/default"):
            run("umount", "--lazy", folder / mounted, cwd=folder, expect=None)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], folder: Path, address: str) -> None:
    for _ in range(SECONDS_TO_START):
        if process.poll() is not None:
            break
        if run("docker", "--host", address, "info", cwd=folder, expect=None).returncode == 0:
            return
        time.sleep(1)
    last = (folder / "log").read_text().strip().splitlines()[-1:]
    raise NoDaemonError(f"dockerd does not start here: {' '.join(last)}")


def import_base(address: str, tag: str, folder: Path, *further: str) -> None:
    """Make a Debian with Python and pip, and give it the tag of the image it stands in for.

    It carries this machine's certificates, so that pip and uv in a build reach the registry, and
    the further packages that are named.
    """
    root = folder / "root.tar"
    run(
        *(tool("mmdebstrap"), "--quiet", "--variant=minbase"),
        f"--include={','.join([*PACKAGES, *further])}",
        '--customize-hook=ln -s python3 "$1/usr/bin/python"',
        # The image it stands in for lets pip install into the system.
        '--customize-hook=rm "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
        f"--customize-hook=copy-in {CERTIFICATES} /etc/ssl/certs",
        *("trixie", root),
        cwd=folder,
    )
    run(
        *("docker", "--host", address, "import"),
        *("--change", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        *("--change", f"ENV SSL_CERT_FILE={CERTIFICATES}", root, tag),
        cwd=folder,
    )
    root.unlink()
