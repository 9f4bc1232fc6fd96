"""The process that starts workers replaces those that end."""

import signal
import sys
from pathlib import Path

import pytest

from rung_ops.serving import workers

# The first fails before it has figures, and later with them; the second waits until those are gone.
WORKER = """#!/bin/sh
log={log}
set -- $RUNG_SERVICE_WORKER
if [ $1 = 1 ]; then
    grep -q 1 $log && : > $4/1.prom
    echo 1 >> $log
    exit 1
fi
looks=0
until [ $(grep -c 1 $log) -ge 2 ] && [ ! -e $4/1.prom ] || [ $looks = 200 ]; do
    looks=$((looks + 1))
    sleep 0.05
done
: > $4/2.prom
[ -e $4/1.prom ] && echo stale >> $log
kill -TERM $3
"""


def test_a_worker_that_fails_first_stops_no_other_and_leaves_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, program = tmp_path / "log", tmp_path / "worker"
    log.touch()
    program.write_text(WORKER.replace("{log}", str(log)), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    before = {sign: signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = workers.run(2, "127.0.0.1", 0, [])
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)

    assert code == 0
    assert "stale" not in log.read_text(encoding="utf-8")
