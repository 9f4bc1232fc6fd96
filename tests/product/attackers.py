"""Callers that mean no good, in a process of their own: `python attackers.py PORT KIND`.

Each kind goes on until the process is killed, and begins again wherever the service ends it.
"""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable

IDLE, UNFINISHED, HEADERS = 300, 60, 8  # connections
BODY = 15_000_000  # bytes; the service takes bodies of 16 MB
PIECE = b"x" * 65_536
PAUSE = 0.05  # seconds after a connection that was ended

Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing until the service closes."""
    await reader.read()


async def unfinished(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send almost all of a large body, and wait."""
    writer.write(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % (BODY + 1))
    for _ in range(BODY // len(PIECE)):
        writer.write(PIECE)
        await writer.drain()
    await reader.read()


async def headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a header without an end."""
    writer.write(b"GET /health/live HTTP/1.1\r\na: ")
    while True:
        writer.write(PIECE)
        await writer.drain()


KINDS: dict[str, tuple[Attack, int]] = {
    "idle": (idle, IDLE),
    "unfinished": (unfinished, UNFINISHED),
    "headers": (headers, HEADERS),
}


async def again_and_again(port: int, attack: Attack) -> None:
    """Attack, and begin again whenever the service has ended it."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(OSError):
                await attack(reader, writer)
            writer.close()
        await asyncio.sleep(PAUSE)


async def main(port: int, kind: str) -> None:
    """Attack on all connections of a kind."""
    attack, connections = KINDS[kind]
    await asyncio.gather(*(again_and_again(port, attack) for _ in range(connections)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
