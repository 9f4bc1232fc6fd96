"""A store of a few lines, for tests: it lists and sends objects, and fails on demand."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape


class FakeStore:
    """Speaks as much S3 as a project asks for.

    Attributes:
        objects: content by key.
        etags: of objects whose ETag is not the MD5 of the content.
        cuts: how many bytes of each answer with content to send before the line breaks, in the
            order of the answers; afterwards all is sent.
        torn: how many of the answers after those end within their headers.
        parts: whether it sends parts of an object, or always all of it.
        says: status and code of the error that is answered to everything.
        asked: the first byte that was asked for, of each answer with content.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.cuts: list[int] = []
        self.torn = 0
        self.parts = True
        self.says: tuple[int, str] | None = None
        self.asked: list[int] = []
        self._server = _Server(self)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def write_settings(self, folder: Path, take: str = "") -> None:
        """Write store.toml of a project whose data is here."""
        where = f'endpoint = "{self.endpoint}"\nbucket = "data"\nprefix = "raw"'
        (folder / "store.toml").write_text(f"[store]\n{where}\n[take]\n{take}\n")

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def etag(self, key: str) -> str:
        """Give the ETag of an object, in its quotes."""
        return f'"{self.etags.get(key) or hashlib.md5(self.objects[key]).hexdigest()}"'

    def page(self) -> bytes:
        """List all objects."""
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size>"
            f"<ETag>{escape(self.etag(key))}</ETag>"
            "<LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>"
            for key, content in sorted(self.objects.items())
        )
        complete = f"<IsTruncated>false</IsTruncated>{entries}"
        return f"<ListBucketResult>{complete}</ListBucketResult>".encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        store = self.server.store
        if store.says:
            status, code = store.says
            self._send(status, f"<Error><Code>{code}</Code></Error>".encode())
        elif "list-type=2" in self.path:
            self._send(200, store.page())
        else:
            self._object(store, self.path.split("?")[0].split("/", 2)[2])

    def _object(self, store: FakeStore, key: str) -> None:
        content, etag = store.objects[key], store.etag(key)
        if self.headers.get("If-Match", etag).strip('"') != etag.strip('"'):
            self._send(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        first = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        store.asked.append(first)
        if store.torn and not store.cuts:
            store.torn -= 1
            self.wfile.write(b"HTTP/1.1 206 Partial Content\r\nETag: ")
            self.close_connection = True
            return
        first, complete = first if store.parts else 0, len(content)
        self.send_response(206 if store.parts else 200)
        self.send_header("ETag", etag)
        if store.parts:
            self.send_header("Content-Range", f"bytes {first}-{complete - 1}/{complete}")
        self.send_header("Content-Length", str(complete - first))
        self.end_headers()
        if store.cuts:
            cut = store.cuts.pop(0)
            self.wfile.write(content[first : first + cut])
            self.close_connection = True
        else:
            self.wfile.write(content[first:])

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, store: FakeStore) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = store
