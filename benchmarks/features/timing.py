"""Time reads when told to: one line on the standard input, one of figures on the standard output."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping

FEATURES, ENTITIES = 50, 5_000
SIZES = (1, 10, 100)  # entities in a read
READS = 30


def serve(reads: Mapping[str, Callable[[int], Callable[[], object]]]) -> None:
    """Time each read in each round, until the input ends.

    Args:
        reads: by name; given a number of entities, what reads so many.
    """
    prepared = {f"{name} {size}": make(size) for name, make in reads.items() for size in SIZES}
    print("ready", flush=True)
    for _ in sys.stdin:
        times = {name: _milliseconds(read) for name, read in prepared.items()}
        print(json.dumps(times), flush=True)


def _milliseconds(read: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU and the wall time of a read, medians of a few calls together."""
    read()
    cpu, wall = [], []
    for _ in range(READS):
        begun = time.process_time(), time.perf_counter()
        read()
        cpu.append(time.process_time() - begun[0])
        wall.append(time.perf_counter() - begun[1])
    return statistics.median(cpu) * 1000, statistics.median(wall) * 1000
