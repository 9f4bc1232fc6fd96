"""A stand-in for the service that knows the vulnerabilities of packages, in OSV's own words."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

FOUND = "OSV-2026-1"


@contextmanager
def advisories(vulnerable: str) -> Iterator[dict[str, str]]:
    """Answer what osv.dev would, and give the variables by which `pip-audit` asks there.

    Args:
        vulnerable: the one package that something is known about; empty for none.
    """

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]
            known = {"vulns": [{"id": FOUND, "summary": "Made up.", "affected": []}]}
            body = json.dumps(known if request["name"] == vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield {
                "PIP_AUDIT_VULNERABILITY_SERVICE": "osv",
                "PIP_AUDIT_OSV_URL": f"http://127.0.0.1:{server.server_port}/v1/query",
            }
        finally:
            server.shutdown()
