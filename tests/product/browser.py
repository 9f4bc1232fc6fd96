"""A page opened in a real Chromium: what its console says, and what its script makes of it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.product.conftest import tool

# Whatever a page wants from elsewhere is refused, and said in the console.
ALONE = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)


def opened(
    page: Path, directory: Path, fragment: str = "", options: Sequence[str] = ()
) -> tuple[str, list[str]]:
    """Open a page that may ask for nothing but itself; return its document and its console's lines."""
    alone = directory / page.name
    text = page.read_text(encoding="utf-8")
    assert text.count('<meta charset="utf-8">') == 1
    alone.write_text(text.replace('<meta charset="utf-8">', f'<meta charset="utf-8">{ALONE}'))
    done = subprocess.run(
        [
            *(tool("chromium"), *QUIET, f"--user-data-dir={directory / 'browser'}"),
            *options,
            *("--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"),
            f"file://{alone}{fragment}",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
