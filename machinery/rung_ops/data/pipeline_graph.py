"""The pipeline's graph, DVC's stages as boxes below those that they need; laid out by pipeline_graph.html."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from markupsafe import Markup
from yaml import YAMLError

from rung_ops.data import dvc
from rung_ops.data.dvc import Stage
from rung_ops.project import current
from rung_ops.system import html
from rung_ops.system.printable import counted, in_bytes

LAYOUT = Path(__file__).with_suffix(".html")
NOTE = (
    "Sizes as dvc.lock has them. Times: of the last time that the stage ran on this machine, with "
    "DVC's own reading and writing."
)
WIDTH, HEIGHT = 176, 48  # of a box
ACROSS, DOWN = 196, 80  # from a box to the next one
Place = tuple[float, int]  # column and row


def draw(upto: str = "") -> Markup:
    """Draw the graph as SVG, with a table of what its boxes stand for; empty where there is none.

    Args:
        upto: an output: only sizes of what its stage depends on are said, as what comes later may
            still be of the run before, and no times, which are others in each run. By default all.
    """
    if not (current().root / "dvc.yaml").is_file():
        return Markup("")
    try:
        stages = {each.address: each for each in dvc.stages(current().root)}
        graph = _Graph.from_stages(stages)
    except (CycleError, YAMLError):  # DVC says what is wrong
        return Markup("")
    if not stages:
        return Markup("")
    known = set(stages)
    seconds = dvc.stage_seconds(current().root)
    if upto:
        known = set().union(*(graph.above[a] for a in stages if upto in stages[a].sizes))
        seconds = {}
    places, edges = graph.layout()
    rows = [
        {
            "name": stages[address].name,
            "description": stages[address].description,
            "x": places[address][0] * ACROSS + (ACROSS - WIDTH) / 2,
            "y": places[address][1] * DOWN + 2,
            "outputs": [
                (path, in_bytes(size) if size is not None and address in known else "")
                for path, size in stages[address].sizes.items()
            ],
            "facts": _facts(stages[address], address in known, seconds.get(address)),
            "seconds": in_seconds(seconds[address]) if address in seconds else "",
        }
        for address in sorted(stages, key=lambda each: places[each][::-1])
    ]
    wide, high = (1 + max(place[end] for place in places.values()) for end in (0, 1))
    return Markup(
        html.render(
            LAYOUT,
            rows=rows,
            edges=[[((x + 0.5) * ACROSS, y * DOWN + 2) for x, y in edge] for edge in edges],
            timed=any(row["seconds"] for row in rows),
            width=wide * ACROSS,
            height=(high - 1) * DOWN + HEIGHT + 4,
            box=(WIDTH, HEIGHT),
        )
    )


def in_seconds(seconds: float) -> str:
    """Return a time as people read it: 0.8 s, 41 s, 12 min."""
    if seconds >= 600:
        return f"{seconds / 60:,.0f} min"
    return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"


def _facts(stage: Stage, is_known: bool, seconds: float | None) -> str:
    sizes = [size for size in stage.sizes.values() if size is not None]
    size = in_bytes(sum(sizes)) if sizes and is_known else counted(len(stage.sizes), "output")
    return size if seconds is None else f"{size} · {in_seconds(seconds)}"


class _Graph(NamedTuple):
    """Which stages need which.

    Attributes:
        above: by stage, all that it depends on.
        parents: of these the ones that no other of them depends on.
        row: its place in the order; a stage is below all that it depends on.
    """

    above: dict[str, set[str]]
    parents: dict[str, set[str]]
    row: dict[str, int]

    @classmethod
    def from_stages(cls, stages: Mapping[str, Stage]) -> "_Graph":
        makers = {path: address for address, each in stages.items() for path in each.sizes}
        needed = {
            address: {maker for path in each.reads for maker in _makers(path, makers)} - {address}
            for address, each in stages.items()
        }
        graph = cls({}, {}, {})
        for address in TopologicalSorter(needed).static_order():
            direct = needed[address]
            indirect = set().union(*(graph.above[each] for each in direct))
            graph.above[address] = direct | indirect
            graph.parents[address] = direct - indirect
            graph.row[address] = 1 + max((graph.row[each] for each in direct), default=-1)
        return graph

    def layout(self) -> tuple[dict[str, Place], list[list[Place]]]:
        """Place the stages; return also the edges, as the places that they pass.

        An edge has a place in each row between its ends, so that it crosses no box.
        """
        row = dict(self.row)
        above: dict[str, list[str]] = {}
        edges = []
        for address, parents in self.parents.items():
            above[address] = []
            for parent in sorted(parents):
                edge = [parent]
                for between in range(row[parent] + 1, row[address]):
                    step = f"{parent} to {address}, {between}"
                    row[step], above[step] = between, [edge[-1]]
                    edge.append(step)
                above[address].append(edge[-1])
                edges.append([*edge, address])
        rows = [[each for each in row if row[each] == at] for at in range(1 + max(row.values()))]
        widest = max(map(len, rows))
        places: dict[str, Place] = {}
        for at, names in enumerate(rows):
            middle = {each: fmean([places[up][0] for up in above[each]] or [0]) for each in names}
            left = (widest - len(names)) / 2
            order = sorted(names, key=lambda each: (middle[each], each))
            places |= {name: (left + column, at) for column, name in enumerate(order)}
        return places, [[places[each] for each in edge] for edge in edges]


def _makers(path: str, makers: Mapping[str, str]) -> Iterator[str]:
    """Yield the stages that write a path, the folder that it is in, or something in it."""
    for written, maker in makers.items():
        if f"{path}/".startswith(f"{written}/") or written.startswith(f"{path}/"):
            yield maker
