"""Bodies that no service should be sent: made by rule from a seed, and by schemathesis."""

import http.client
import json
import random
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as some

from tests.product.serving import Service

KINDS = (
    *(
        "application/json",
        "application/vnd.apache.arrow.stream",
        "application/vnd.apache.arrow.file",
    ),
    *("text/plain", "", "application/json; charset=utf-16", "multipart/form-data"),
)
# What is in a request in place of a value.
ODD_VALUES: list[Any] = [
    *(None, True, "", " ", "\u0000", "\ud83d\ude00", "NaN", "x" * 100_000, [], {}, [[]], -1, 0),
    *(2**63, -(2**63) - 1, 2**200, 1e308, 1.5, "2013-13-45T99:99:99", "0001-01-01T00:00:00"),
    *("9999-12-31T23:59:59.999999", "2013-01-01T00:00:00+99:00", {"scheduled": {}}),
]
# What is there as text that json.dumps would not write.
ODD_TEXTS = [
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"01",
    b'"\\ud800"',
    b'"\xff"',
    b"",
]
WHOLE = [
    *(
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[{}]",
        b"[null]",
        b"0",
        b'"x"',
        b"\x00",
        b"\xff\xfe",
        b"{" * 5000,
    ),
    *(b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"columns": {}}', b'{"columns": null}'),
    *(
        b'{"columns": {"scheduled": []}}',
        b"\xef\xbb\xbf{}",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    ),
    *(b"ARROW1\x00\x00", b"ARROW1", b"\xff\xff\xff\xff\x10\x00\x00\x00" + b"\x00" * 16),
    b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"\x00" * 64,
]


def bodies(rows: Sequence[dict[str, Any]], count: int) -> Iterator[tuple[str, str, bytes]]:
    """Make malformed requests: path, content type, body. The same ones at every run."""
    chance = random.Random(20261125)
    for number in range(count):
        path = chance.choice(["/predict", "/predict/batch"])
        row = dict(chance.choice(rows))
        made = _one(chance, row, number)
        kind = chance.choice(KINDS) if chance.random() < 0.3 else KINDS[0]
        yield path, kind, made


def _one(chance: random.Random, row: dict[str, Any], number: int) -> bytes:
    how = number % 6
    if how == 0:
        return chance.choice(WHOLE)
    if how == 1:
        return chance.randbytes(chance.randrange(2000))
    if how == 2:
        return _flipped(chance, b"ARROW1\x00\x00" + chance.randbytes(200))
    name = chance.choice(list(row))
    if how == 3:
        row[name] = chance.choice(ODD_VALUES)
        return _framed(chance, json.dumps(row).encode(), [row])
    if how == 4:
        row[name] = "HERE"
        return json.dumps(row).encode().replace(b'"HERE"', chance.choice(ODD_TEXTS))
    return _flipped(chance, _framed(chance, json.dumps(row).encode(), [row]))


def _framed(chance: random.Random, alone: bytes, rows: list[dict[str, Any]]) -> bytes:
    """Send the row alone, in an array, or by columns."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return chance.choice(
        [alone, json.dumps(rows).encode(), json.dumps({"columns": columns}).encode()]
    )


def _flipped(chance: random.Random, body: bytes) -> bytes:
    """Change some bytes, cut some off, or put some in twice."""
    changed = bytearray(body)
    for _ in range(chance.randrange(1, 8)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    start, stop = sorted(chance.randrange(len(changed) + 1) for _ in range(2))
    return bytes(
        chance.choice([changed, changed[:start], changed[start:], changed + changed[start:stop]])
    )


# Requests that are broken before their body: sent as they are, on a connection of their own.
HEADS = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST /predict\r\n\r\n",
    b"POST /predict HTTP/1.1\r\ncontent-length: -5\r\n\r\n{}",
    b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n{}",
    b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n{}",
    b"POST /predict HTTP/1.1\r\nhost: a\r\nx-request-id: \xff\x01\r\ncontent-length: 2\r\n\r\n{}",
    b"POST /predict HTTP/1.1\r\nhost: a\r\nx-key: " + b"k" * 60_000 + b"\r\n\r\n",
    b"GET /predict HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST /predict/../../etc/passwd HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}",
    b"POST /predict%00 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}",
    b"BREW /predict HTTP/1.1\r\nhost: a\r\n\r\n",
]


def send(service: Service, path: str, kind: str, body: bytes) -> int:
    """Send one body; return the status."""
    asking = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    try:
        asking.request("POST", path, body, {"content-type": kind} if kind else {})
        return asking.getresponse().status
    except (BrokenPipeError, ConnectionResetError):  # it need not read all of a body it refuses
        return 0
    finally:
        asking.close()


def send_raw(service: Service, sent: bytes) -> int:
    """Send bytes that need not be a request; return the status, 0 if there is no answer."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=3) as opened:
        try:
            opened.sendall(sent)
            first = opened.recv(64)
        except (ConnectionError, TimeoutError):
            return 0
    return int(first.split(b" ")[1]) if first.startswith(b"HTTP/1.1 ") else 0


def by_rule(service: Service, count: int) -> Counter[int]:
    """Send so many malformed requests; count the statuses."""
    made = bodies(service.served.rows, count - len(HEADS))
    observed = Counter(send(service, path, kind, body) for path, kind, body in made)
    return observed + Counter(send_raw(service, sent) for sent in HEADS)


def by_schema(service: Service, count: int) -> Counter[int]:
    """Let schemathesis break the rules of /openapi.json; count the statuses."""
    schemathesis = pytest.importorskip("schemathesis")
    base = f"http://127.0.0.1:{service.port}"
    schema = schemathesis.openapi.from_dict(json.loads(service.get("/openapi.json")[1]))
    request = [schema["/predict"]["POST"], schema["/predict/batch"]["POST"]]
    broken = some.one_of(
        *(
            operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
            for operation in request
        )
    )
    observed: Counter[int] = Counter()

    @seed(20261125)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(broken)
    def sends(case: Any) -> None:
        observed[case.call(base_url=base).status_code] += 1

    sends()
    return observed
