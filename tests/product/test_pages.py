"""The pages of `rung check` and `rung fleet` can be read by everybody: any width, light, dark, by ear."""

import json
import re
from dataclasses import replace
from html import escape, unescape
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from rung import output_formats
from rung.check.fleet import table
from rung.check.fleet.reviews import Row
from rung.check.review.findings import Trial
from rung.check.review.review import review
from tests.conftest import ROOT, Render
from tests.product.browser import opened
from tests.repositories import ML, PLENTY, plant

pytestmark = pytest.mark.slow

AXE = ROOT / ".cache/ci/npm/node_modules/axe-core/axe.min.js"
WIDTHS = (1280, 400)
SCHEMES = {"light": 1, "dark": 0}  # Blink's numbers
# What the page turns into: what axe found, how wide it is, and which colours it has.
LOOK = """\
<script>
addEventListener("load", async () => {
  document.querySelectorAll("details").forEach((each) => { each.open = true; });
  const found = await axe.run(document, { resultTypes: ["violations"] });
  const said = document.createElement("pre");
  said.id = "said";
  said.textContent = JSON.stringify({
    violations: found.violations.map((one) => ({
      id: one.id, impact: one.impact, nodes: one.nodes.map((node) => node.html).slice(0, 3) })),
    passes: found.passes.length,
    width: innerWidth,
    needed: document.documentElement.scrollWidth,
    paper: getComputedStyle(document.body).backgroundColor,
  });
  parent.document.body.append(said);
});
</script>
"""

# A window of Chromium is never narrower than 500 pixels; a frame in it is.
FRAME = """\
<!doctype html>
<html lang="en" style="color-scheme: light dark">
<head><meta charset="utf-8"><title>A frame</title></head>
<body style="margin: 0">
<iframe title="The page" style="border: 0; width: {width}px; height: 900px" srcdoc="{page}"></iframe>
</body>
</html>
"""


@pytest.fixture(scope="module")
def pages(render: Render, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Write every kind of page: with runs, without a model, and a fleet with a name that is long."""
    result = review(
        render(level=2, use_case="governance", ci="github", team_size="team"), limits=PLENTY
    )
    failed = Trial("poe check", "failed", 3.2, ("E " + "a-long-word" * 20, "1 failed in 0.1 s"))
    passed = Trial("dvc repro --dry --force", "passed", 1.0)
    tests = replace(result.findings["unit-tests"], trials=(failed,))
    pipeline = replace(result.findings["orchestrated-pipeline"], trials=(passed,))
    tried = {**result.findings, "unit-tests": tests, "orchestrated-pipeline": pipeline}
    word = "An-unbroken-name-of-a-repository-" * 4
    rows = [
        Row(word, "/a", 2, "Trained", "governance", "v0.1.0", ("incident-runbook",), True),
        Row("b", "/b", 0, "Manual", "velocity", "a" * 40, (), False, partial=True),
        Row("c", "/c", error=f"`{word}` is not a folder. Name the folder of a repository."),
    ]
    nothing = plant(tmp_path_factory.mktemp("nothing"), {"a.txt": "words"})
    odd = plant(tmp_path_factory.mktemp("odd") / word, ML | {f"train_{word}.py": "fit(1)\n"})
    runs = replace(result, findings=tried, tried=True, trials=(failed, passed))
    return {
        "report": output_formats.writer("check", "html")(result),
        "report with runs": output_formats.writer("check", "html")(runs),
        "report of nothing": output_formats.writer("check", "html")(review(nothing, limits=PLENTY)),
        "report of long names": output_formats.writer("check", "html")(review(odd, limits=PLENTY)),
        "fleet": table.page(rows, "ours"),
    }


def look(text: str, folder: Path, width: int, scheme: str) -> dict[str, Any]:
    """Open a page in Chromium and return what was seen."""
    if not AXE.is_file():
        pytest.skip("axe-core is not in .cache/ci/npm; .ci/run installs it")
    file = folder / "page.html"
    script = f"<script>{AXE.read_text('utf-8')}</script>{LOOK}"
    spied = text.replace("</body>", f"{script}</body>")
    file.write_text(FRAME.format(width=width, page=escape(spied)), encoding="utf-8")
    directory = folder / "browser"
    directory.mkdir()
    options = (
        f"--window-size={max(WIDTHS)},900",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
    )
    document, console = opened(file, directory, options=options)
    reported = re.search(r'<pre id="said">(.*?)</pre>', document, re.DOTALL)
    assert reported, console
    observed: dict[str, Any] = json.loads(unescape(reported[1]))
    return observed


def serious(observed: dict[str, Any]) -> list[dict[str, Any]]:
    """Choose what axe found that keeps somebody from reading the page."""
    return [one for one in observed["violations"] if one["impact"] in ("serious", "critical")]


KINDS = ("report", "report with runs", "report of nothing", "report of long names", "fleet")


@pytest.mark.parametrize(("kind", "width", "scheme"), list(product(KINDS, WIDTHS, SCHEMES)))
def test_a_page_fits_and_has_nothing_that_axe_finds_serious(
    pages: dict[str, str], tmp_path: Path, kind: str, width: int, scheme: str
) -> None:
    observed = look(pages[kind], tmp_path, width, scheme)

    assert width == observed["width"]
    assert observed["needed"] <= width
    assert ("dark" == scheme) == (observed["paper"] == "rgb(20, 24, 30)")
    assert [] == serious(observed)


def test_axe_is_awake(pages: dict[str, str], tmp_path: Path) -> None:
    spoilt = pages["report"].replace("--ink: #1d2733", "--ink: #eeeeee").replace(' lang="en"', "")

    observed = look(spoilt, tmp_path, 1280, "light")

    assert {"color-contrast", "html-has-lang"} <= {one["id"] for one in observed["violations"]}
