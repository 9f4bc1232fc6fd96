"""The credentials that a client of a bucket takes from the environment."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import obstore
import pytest

from rung_ops.system import buckets

ROLE = "/latest/meta-data/iam/security-credentials/"
KEYS = dict.fromkeys(("AccessKeyId", "SecretAccessKey", "Token"), "of-the-role")
EXPIRING = {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z"}


class Machine(BaseHTTPRequestHandler):
    """A machine of AWS with a role, and the store that only the role's keys open."""

    def do_GET(self) -> None:
        keys = json.dumps(EXPIRING | KEYS | {"Expiration": "2099-01-01T00:00:00Z"})
        known = {ROLE: "ci", f"{ROLE}ci": keys, "/latest/api/token": "session"}
        is_role = "Credential=of-the-role/" in self.headers.get("Authorization", "")
        body = known.get(self.path, "rows").encode()
        self.send_response(200 if is_role or self.path in known else 403)
        self.send_header("ETag", '"rows"')
        self.send_header("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET  # asks for the session

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def machine() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Machine)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("key", "secret"),
    [("", ""), ("$(AWS_ACCESS_KEY_ID)", "$(AWS_SECRET_ACCESS_KEY)"), (None, "of-no-key")],
    ids=["of GitHub", "of Azure", "without its key"],
)
def test_keys_that_were_not_set_leave_the_role_of_the_machine(
    machine: str, monkeypatch: pytest.MonkeyPatch, key: str | None, secret: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", machine)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", machine)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    if key is not None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)

    store = buckets.client(f"s3://bucket{machine.rpartition(':')[2]}/team")

    assert obstore.get(store, "rows").bytes() == b"rows"
