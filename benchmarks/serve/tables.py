"""Medians of what was measured, as Markdown, and each target with what was reached."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from serve.runs import Contender, Figures, Workload

ALONE = [Workload("one", 1, connections) for connections in (1, 16, 64)]
# How many times Rung's CPU a request of a group is to take, at 16 and 64 connections.
TIMES = {"mlflow": 100, "scikit-learn": 100, "shipped": 50, "onnx": 3}


@dataclass(frozen=True)
class Target:
    """A target and what was reached; `reached` and `asked` share a unit."""

    text: str
    asked: float
    reached: float
    unit: str
    at_least: bool = True

    @property
    def holds(self) -> bool:
        """Tell whether it was reached."""
        return self.reached >= self.asked if self.at_least else self.reached <= self.asked

    def row(self) -> list[str]:
        """Return its line of the table."""
        bound = "at least" if self.at_least else "at most"
        return [
            self.text,
            f"{bound} {self.asked:g}{self.unit}",
            f"{self.reached:.3g}{self.unit}"
            if self.reached < 100
            else f"{self.reached:.0f}{self.unit}",
        ]


class Results:
    """All contenders of one run."""

    def __init__(self, contenders: Sequence[Contender]) -> None:
        self.all = {one.service.key: one for one in contenders}

    def of(self, key: str, work: Workload, what: Callable[[Figures], float]) -> float | None:
        """Return the median over the rounds, or None if it was not measured."""
        one = self.all.get(key)
        return median(map(what, one.figures[work])) if one and work in one.figures else None

    def ratio(self, key: str, work: Workload, base: str, base_work: Workload) -> float | None:
        """Return the median over the rounds of one's CPU divided by another's of that round."""
        one, other = self.all.get(key), self.all.get(base)
        if not one or not other or work not in one.figures or base_work not in other.figures:
            return None
        pairs = zip(one.figures[work], other.figures[base_work], strict=True)
        return median(mine.cpu / theirs.cpu for mine, theirs in pairs)


def targets(results: Results) -> list[Target]:
    """Hold the run against what was to be reached; what was not measured is left out."""
    all_targets: list[Target | None] = []

    def times(key: str, work: Workload, base_work: Workload, asked: float, text: str) -> None:
        ratio = results.ratio(key, work, "rung", base_work)
        all_targets.append(Target(text, asked, ratio, " x") if ratio else None)

    for work in ALONE:
        where = f"one row, {work.connections} connection{'s' * (work.connections > 1)}"
        for key, one in results.all.items():
            asked = TIMES.get(one.service.group)
            if work.connections == 1:
                asked = {"mlflow": 20, "fastapi-onnx": 1}.get(key)
            if asked:
                times(key, work, work, asked, f"{one.service.title}: {where}")
    many = Workload("JSON", 1000, 4)
    times("mlflow", many, many, 3, "`mlflow models serve`, JSON: 1,000 rows, Rung as JSON")
    for work in (Workload("JSON", 100, 4), many):
        times("fastapi-onnx", work, work, 1, f"FastAPI, ONNX Runtime, JSON: {work.rows:,} rows")
    for key, base, asked, text in (
        ("rung", "rung-no-log", 30, "the log's CPU"),
        ("rung-shadow", "rung", 60, "the shadow's CPU"),
    ):
        for work in ALONE[1:]:
            ratio = results.ratio(key, work, base, work)
            text_here = f"{text}: one row, {work.connections} connections"
            if ratio:
                all_targets.append(
                    Target(text_here, asked, (ratio - 1) * 100, " %", at_least=False)
                )
    for work in ALONE[1:]:
        with_log, without = (
            results.of(key, work, lambda figures: figures.load.p99)
            for key in ("rung", "rung-no-log")
        )
        if with_log and without:
            text = f"the log's p99: one row, {work.connections} connections"
            all_targets.append(Target(text, 1.5, with_log / without, " x", at_least=False))
    return [one for one in all_targets if one] + _start_targets(results)


def _start_targets(results: Results) -> list[Target]:
    ours, mlflow = results.all.get("rung"), results.all.get("mlflow")
    if not ours:
        return []
    seconds = median(start.seconds for start in ours.starts)
    start_targets = [
        Target("cold start to the first answer", 1.5, seconds, " s", at_least=False),
        Target("resident memory after the load", 150, ours.memory, " MB", at_least=False),
    ]
    if mlflow:
        ratio = median(start.seconds for start in mlflow.starts) / seconds
        start_targets.append(Target("`mlflow models serve`: cold start", 10, ratio, " x"))
    return start_targets


def _table(lines: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    head, *rest = lines
    rule = ["-"] * text_columns + ["-:"] * (len(head) - text_columns)
    return "\n".join(f"|{'|'.join(line)}|" for line in [head, rule, *rest])


def _shown(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def alone(results: Results) -> str:
    """Return the table of single rows."""
    lines = [
        [
            *("Service", "CPU us, 1", "16", "64", "x Rung, 1", "16", "64"),
            *("requests/s, 1", "16", "64", "p50 / p99 ms at 16"),
        ]
    ]
    for key, one in results.all.items():
        cpu = [results.of(key, work, lambda figures: figures.cpu) for work in ALONE]
        ratios = [results.ratio(key, work, "rung", work) for work in ALONE]
        speed = [results.of(key, work, lambda figures: figures.load.per_second) for work in ALONE]
        p50 = results.of(key, ALONE[1], lambda figures: figures.load.p50)
        p99 = results.of(key, ALONE[1], lambda figures: figures.load.p99)
        lines.append(
            [one.service.title]
            + [_shown(value) for value in cpu]
            + [_shown(value, 1) for value in ratios]
            + [_shown(value) for value in speed]
            + [f"{_shown(p50, 1)} / {_shown(p99, 1)}"]
        )
    return _table(lines)


def together(results: Results) -> str:
    """Return the table of bodies with many rows, at four connections."""
    lines = [
        [
            *("Service", "Form", "CPU ms, 100 rows", "1,000", "x Rung's JSON, 100", "1,000"),
            *("predictions/s, 100", "1,000"),
        ]
    ]
    for key, one in results.all.items():
        for form in one.service.many:
            sizes = [Workload(form, rows, 4) for rows in (100, 1000)]
            cpu = [results.of(key, work, lambda figures: figures.cpu / 1000) for work in sizes]
            ratios = [
                results.ratio(key, work, "rung", Workload("JSON", work.rows, 4)) for work in sizes
            ]
            speed = [
                results.of(
                    key, work, lambda figures, rows=work.rows: figures.load.per_second * rows
                )
                for work in sizes
            ]
            lines.append(
                [one.service.title, form]
                + [_shown(value, 2) for value in cpu]
                + [_shown(value, 1) for value in ratios]
                + [_shown(value) for value in speed]
            )
    return _table(lines, 2)


def starts(results: Results) -> str:
    """Return the table of cold starts and memory."""
    lines = [["Service", "Seconds", "CPU s", "RSS MB", "Processes"]]
    for one in results.all.values():
        lines.append(
            [
                one.service.title,
                _shown(median(start.seconds for start in one.starts), 2),
                _shown(median(start.cpu for start in one.starts), 2),
                _shown(one.memory),
                str(one.processes),
            ]
        )
    return _table(lines)


def missed(judged: Sequence[Target]) -> str:
    """Return the table of targets that were not reached."""
    return _table(
        [["Target", "Required", "Reached"], *(one.row() for one in judged if not one.holds)]
    )
