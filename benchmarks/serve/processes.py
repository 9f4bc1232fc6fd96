"""A server as a tree of processes on its cores: its CPU, its memory, its end."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
# Positions in /proc/PID/stat, counted from the field after the name.
PARENT, TIMES, RESIDENT = 1, slice(11, 15), 21


def _stat(process: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:  # it has ended
        return None
    return text[text.rindex(")") + 2 :].split()


class Server:
    """A command and all that it starts, on some cores, in a session of its own."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        cores: Sequence[int],
        log: Path,
    ) -> None:
        self.log = log
        with log.open("wb") as written:
            self.root = subprocess.Popen(
                ["taskset", "--cpu-list", ",".join(map(str, cores)), *command],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def tree(self) -> dict[int, list[str]]:
        """Return the /proc/PID/stat of the root and of all that descends from it."""
        processes = {
            int(path.name): stat
            for path in Path("/proc").iterdir()
            if path.name.isdigit() and (stat := _stat(int(path.name)))
        }
        mine, more = set[int](), {self.root.pid} & processes.keys()
        while more:
            mine |= more
            more = {
                process
                for process, stat in processes.items()
                if int(stat[PARENT]) in mine and process not in mine
            }
        return {process: processes[process] for process in mine}

    def cpu(self) -> float:
        """Return the seconds of user and system time used so far, by those that ended too."""
        return sum(int(ticks) for stat in self.tree().values() for ticks in stat[TIMES]) / TICK

    def memory(self) -> tuple[float, int]:
        """Return resident MB, summed over the tree's processes, and their number."""
        tree = self.tree()
        return sum(int(stat[RESIDENT]) for stat in tree.values()) * PAGE / 1e6, len(tree)

    def stop(self) -> None:
        """End the whole tree: politely, and after ten seconds not."""
        processes = set(self.tree())
        self.root.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and any(map(_lives, processes)):
            self.root.poll()
            time.sleep(0.05)
        for process in filter(_lives, processes):
            os.kill(process, signal.SIGKILL)
        self.root.wait()


def _lives(process: int) -> bool:
    stat = _stat(process)
    return stat is not None and stat[0] != "Z"
