"""The graph of the pipeline shows which stage needs which, and no more than is known."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rung_ops.data import dvc, pipeline_graph
from rung_ops.project import Project, use

STAGES = """\
stages:
  load: {cmd: a, outs: [data]}
  train: {cmd: b, desc: Fit <it>, deps: [data/rows.parquet], outs: [model]}
  judge: {cmd: c, deps: [data, model], outs: [report.html], metrics: [figures.json: {cache: false}]}
  record: {cmd: d, deps: [model, figures.json]}
  count: {cmd: e, deps: [data], outs: [count.json]}
"""
LOCK = """\
stages:
  load: {outs: [{path: data, size: 1234567}]}
  train: {outs: [{path: model, size: 999}]}
  judge: {outs: [{path: report.html, size: 40000}]}
"""
Draw = Callable[..., str]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Draw the graph of a dvc.yaml."""

    def drawn(stages: str = STAGES, upto: str = "") -> str:
        subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
        (tmp_path / "dvc.yaml").write_text(stages)
        (tmp_path / "dvc.lock").write_text(LOCK)
        (tmp_path / dvc.SECONDS).parent.mkdir()
        (tmp_path / dvc.SECONDS).write_text('{"train": 61.5, "gone": 1}')
        with use(Project.at(tmp_path)):
            return pipeline_graph.draw(upto)

    return drawn


def boxes(drawn: str) -> dict[str, tuple[float, int, str]]:
    """Give the place of each stage, and what stands below its name."""
    box = r'<rect x="(.*?)" y="(.*?)".*?<text .*?>(.*?)</text><text .*?>(.*?)</text>'
    return {name: (float(x), int(y), facts) for x, y, name, facts in re.findall(box, drawn)}


def test_a_stage_is_below_all_that_it_needs_and_arrows_take_no_shortcut(draw: Draw) -> None:
    drawn = draw()

    rows = {name: y for name, (_, y, _) in boxes(drawn).items()}
    assert rows["load"] < rows["train"] == rows["count"] < rows["judge"] < rows["record"]
    # Not from load to judge, which needs train, nor from train to record, which needs judge.
    assert 4 == drawn.count('class="tip"')


def test_an_arrow_that_passes_a_row_crosses_no_box(draw: Draw) -> None:
    drawn = draw(STAGES.replace("[model, figures.json]", "[count.json, figures.json]"))

    passes = {float(x) for x in re.findall(r" ([\d.]+),162(?=C)", drawn)}
    assert passes and all(
        not x <= at <= x + pipeline_graph.WIDTH
        for at in passes
        for x, y, _ in boxes(drawn).values()
        if y == 162
    )


def test_sizes_and_times_are_those_of_the_last_run(draw: Draw) -> None:
    drawn = draw()
    facts = {name: text for name, (_, _, text) in boxes(drawn).items()}

    assert facts["load"] == "1.2 MB"
    assert facts["train"] == "999 B · 62 s"
    assert facts["count"] == "1 output"
    assert "Fit &lt;it&gt;" in drawn
    assert "report.html (40 kB)" in drawn


def test_a_page_of_a_stage_says_no_sizes_of_what_may_be_older_and_no_times(draw: Draw) -> None:
    facts = {name: text for name, (_, _, text) in boxes(draw(upto="report.html")).items()}

    assert facts["train"] == "999 B"
    assert facts["judge"] == "2 outputs"


@pytest.mark.parametrize(
    "stages", ["", "a: [", "stages: {a: {deps: [y], outs: [x]}, b: {deps: [x], outs: [y]}}"]
)
def test_nothing_is_drawn_of_what_dvc_refuses(draw: Draw, stages: str) -> None:
    assert "" == draw(stages)
