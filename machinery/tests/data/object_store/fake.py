"""A store of a few lines, for tests: it lists, sends and takes objects, and fails on demand."""

import hashlib
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

DAY = "Fri, 02 Jan 2026 03:04:05 GMT"


class FakeStore:
    """Speaks as much S3 as a project asks for, and Google's XML, which differs in preconditions.

    Attributes:
        objects: content by key.
        etags: of objects whose ETag is not the MD5 of the content.
        cuts: how many bytes of each answer with content to send before the line breaks, in the
            order of the answers; afterwards all is sent.
        torn: how many of the answers after those end within their headers.
        parts: whether it sends parts of an object, or always all of it.
        says: status and code of the error that is answered to everything.
        listings: how often it was listed.
        asked: the first byte that was asked for, of each answer with content.
        unchanged: how many requests were answered with 304.
        busy: how many requests to answer with 503 first.
        before_put: called once, before the next object is taken.
        after_put: called once, when the next object was taken and before that is answered.
        before_part: called once, before the next part of an object is sent.
        is_dead: whether connections end without an answer.
        loses_answer: whether the connection ends after the next object was taken.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._generations: dict[str, int] = {}
        self.etags: dict[str, str] = {}
        self.cuts: list[int] = []
        self.torn = 0
        self.parts = True
        self.says: tuple[int, str] | None = None
        self.listings = 0
        self.asked: list[int] = []
        self.unchanged = 0
        self.busy = 0
        self.before_put: Callable[[], object] | None = None
        self.after_put: Callable[[], object] | None = None
        self.before_part: Callable[[], object] | None = None
        self.is_dead = False
        self.loses_answer = False
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

    def generation(self, key: str) -> str:
        """Give the number of an object's version, as Google counts it: 0 where there is none."""
        return str(self._generations.get(key, 1) if key in self.objects else 0)

    def put(self, key: str, content: bytes) -> None:
        """Replace an object, and count that."""
        self.objects[key], generation = content, int(self.generation(key))
        self._generations[key] = generation + 1

    def page(self, prefix: str) -> bytes:
        """List the objects below a prefix."""
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size>"
            f"<ETag>{escape(self.etag(key))}</ETag>"
            "<LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>"
            for key, content in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        complete = f"<IsTruncated>false</IsTruncated>{entries}"
        return f"<ListBucketResult>{complete}</ListBucketResult>".encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        store = self.server.store
        if self._fails(store):
            return
        if "list-type=2" in self.path:
            store.listings += 1
            query = parse_qs(urlsplit(self.path).query)
            self._send(200, store.page(query.get("prefix", [""])[0]))
        elif self._key in store.objects:
            self._object(store, self._key)
        else:
            self._say(404, "NoSuchKey")

    def do_PUT(self) -> None:
        store = self.server.store
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if store.before_put:
            before, store.before_put = store.before_put, None
            before()
        if self._fails(store):
            return
        current = store.etag(self._key) if self._key in store.objects else None
        if self.headers.get("If-Match", current) != current or (
            current and self.headers.get("If-None-Match") == "*"
        ):
            self._say(412, "PreconditionFailed")
            return
        generation = store.generation(self._key)
        if self.headers.get("x-goog-if-generation-match", generation) != generation:
            self._say(412, "PreconditionFailed")
            return
        store.put(self._key, content)
        if store.after_put:
            after, store.after_put = store.after_put, None
            after()
        if self._fails(store):
            return
        if store.loses_answer:
            store.loses_answer, self.close_connection = False, True
        else:
            self._send(200, b"", ETag=store.etag(self._key), **self._generation)

    def do_DELETE(self) -> None:
        store = self.server.store
        if not self._fails(store):
            store.objects.pop(self._key, None)
            self._send(204, b"")

    def do_POST(self) -> None:  # of several objects, to delete them
        store = self.server.store
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if not self._fails(store):
            for key in re.findall("<Key>(.*?)</Key>", asked):
                store.objects.pop(key, None)
            self._send(200, b"<DeleteResult></DeleteResult>")

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).split("/", 2)[2]

    @property
    def _generation(self) -> dict[str, str]:
        return {"x-goog-generation": self.server.store.generation(self._key)}

    def _fails(self, store: FakeStore) -> bool:
        self.close_connection = store.is_dead
        says = store.says or ((503, "SlowDown") if store.busy else None)
        if says and not store.is_dead:
            store.busy = max(0, store.busy - 1)
            self._say(*says)
        return store.is_dead or says is not None

    def _object(self, store: FakeStore, key: str) -> None:
        content, etag = store.objects[key], store.etag(key)
        if self.headers.get("If-Match", etag).strip('"') != etag.strip('"'):
            self._say(412, "PreconditionFailed")
            return
        if self.headers.get("If-None-Match") == etag:
            store.unchanged += 1
            self._send(304, b"")
            return
        if "Range" not in self.headers:
            self._send(200, content, ETag=etag, **{"Last-Modified": DAY}, **self._generation)
            return
        begin, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
        first, content = int(begin), content[: int(end) + 1 if end else None]
        store.asked.append(first)
        if store.before_part:
            before, store.before_part = store.before_part, None
            before()
        if store.torn and not store.cuts:
            store.torn -= 1
            self.wfile.write(b"HTTP/1.1 206 Partial Content\r\nETag: ")
            self.close_connection = True
            return
        first, complete = first if store.parts else 0, len(store.objects[key])
        self.send_response(206 if store.parts else 200)
        self.send_header("ETag", etag)
        if store.parts:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{complete}")
        self.send_header("Last-Modified", DAY)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        if store.cuts:
            cut = store.cuts.pop(0)
            self.wfile.write(content[first : first + cut])
            self.close_connection = True
        else:
            self.wfile.write(content[first:])

    def _say(self, status: int, code: str) -> None:
        self._send(status, f"<Error><Code>{code}</Code></Error>".encode())

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        for name, value in headers.items():
            self.send_header(name, value)
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
