"""A real PostgreSQL server on a free port, started and stopped by a test."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.product.serving import free_port

OWNER = "Pr0duct-owner"
READER = "S3cret-of-reader"


class Server:
    """A PostgreSQL server with a database of its owner's."""

    def __init__(
        self,
        programs: Path,
        folder: Path,
        owner: str | None,
        user: str = "owner",
        password: str = OWNER,
    ) -> None:
        self.programs = programs
        self.folder = folder
        self.owner = owner
        self.user, self.password = user, password
        self.port = free_port()

    def url(self, user: str = "reader", password: str = READER) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        secret = self.folder / "owner"
        secret.write_text(self.password)
        if self.owner:
            shutil.chown(self.folder, self.owner)
            shutil.chown(secret, self.owner)
        self._run(
            *("initdb", "--pgdata", self.folder / "data", "--username", self.user),
            *("--auth", "scram-sha-256", "--pwfile", secret, "--encoding", "UTF8", "--no-sync"),
        )

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = self.folder / "log"
        self._run("pg_ctl", "-D", self.folder / "data", "-l", log, "-w", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop; `immediate` is as if the machine had lost power."""
        self._run("pg_ctl", "-D", self.folder / "data", "-m", mode, "-w", "stop")

    def runs(self) -> bool:
        return (self.folder / "data/postmaster.pid").exists()

    def sql(self, *statements: str) -> str:
        commands = [part for each in statements for part in ("-c", each)]
        return self._run(
            *("psql", "--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"),
            *("-p", str(self.port), "-U", self.user, "-d", "postgres", *commands),
        )

    def _run(self, program: str, *arguments: str | Path) -> str:
        # To a file: the server keeps what it was started with, and a pipe would never end.
        with tempfile.TemporaryFile() as error:
            done = subprocess.run(
                [self.programs / program, *arguments],
                user=self.owner,
                group=self.owner,
                extra_groups=[] if self.owner else None,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "PGPASSWORD": self.password, "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=error,
                stderr=subprocess.STDOUT,
                timeout=120,
                check=False,
            )
            error.seek(0)
            text = error.read().decode()
        assert done.returncode == 0, f"{program} {arguments}:\n{text}"
        return text


def programs() -> Path:
    locations = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    result = locations[-1] if locations else Path(on_path).resolve() if on_path else None
    if result is None:
        pytest.skip("no PostgreSQL here: Debian's package postgresql brings it")
    return result.parent


def owner() -> str | None:
    """Name who is to own the process: PostgreSQL refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else None


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Make a server with a user who may only read, start it, and take it away."""
    result = programs()
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
    server = Server(result, folder, owner())
    try:
        try:
            server.make()
            server.start()
        except (AssertionError, LookupError, PermissionError, OSError) as error:
            pytest.skip(f"PostgreSQL cannot be started here: {error}")
        server.sql(
            f"CREATE ROLE reader LOGIN PASSWORD '{READER}'",
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader",
        )
        yield server
    finally:
        with contextlib.suppress(AssertionError, OSError):
            server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
