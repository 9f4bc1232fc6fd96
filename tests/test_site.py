"""The documentation as a site: it builds, every link leads somewhere, and it reads well."""

import re
import subprocess
from itertools import accumulate, product
from pathlib import Path
from typing import Any

import pytest
import typer

from rung.cli import app
from tests import site_links
from tests.command import git
from tests.conftest import ROOT
from tests.product.browser import QUIET, opened
from tests.product.conftest import environment, tool
from tests.product.test_pages import SCHEMES, WIDTHS, look, serious

REPOSITORY = "https://github.com/rung-ml/rung/blob/main/"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A decision that was overturned names what is gone.
NOT_HISTORY = [page for page in PAGES if page.name != "archive.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a folder with mkdocs.yml and docs/ as `make site` does."""
    options = ("--isolated", "--only-group", "docs", "--project", ROOT)
    mkdocs = ("mkdocs", "build", "--strict", "--config-file", root / "mkdocs.yml")
    return subprocess.run(
        [tool("uv"), "run", "--quiet", *options, *mkdocs, "--site-dir", site],
        env=environment(NO_MKDOCS_2_WARNING="1"),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_links_to_files_of_the_repository_lead_to_files() -> None:
    """Those between pages of the site are found by its build."""
    links = [
        (page, link.split("#")[0])
        for page in PAGES
        for link in LINK.findall(page.read_text("utf-8"))
    ]
    ours = [
        ROOT / link.removeprefix(REPOSITORY) for _, link in links if link.startswith(REPOSITORY)
    ]
    near = [ROOT / link for page, link in links if page.parent == ROOT and ":" not in link]

    assert [] == [str(path) for path in [*ours, *near] if not path.exists()]


def test_links_of_the_readme_to_headings_lead_to_headings() -> None:
    """A stranger finds each task in one click; on the site `make site` checks the same."""
    links = [link.split("#") for link in LINK.findall((ROOT / "README.md").read_text("utf-8"))]
    named = [(page, anchor) for page, *anchors in links for anchor in anchors if ":" not in page]
    headings = {
        page: {
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
        }
        for page, _ in named
    }

    assert len(named) > 5
    assert [] == [f"{page}#{anchor}" for page, anchor in named if anchor not in headings[page]]


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    loaded = [address for page in site_links.read(site).values() for address in page.loaded]

    assert loaded
    assert [] == [address for address in loaded if address.startswith(("http", "//"))]


@pytest.mark.slow
def test_the_search_answers_without_a_server(site: Path, tmp_path: Path) -> None:
    options = (*QUIET, f"--user-data-dir={tmp_path}", "--virtual-time-budget=5000", "--dump-dom")
    page = f"file://{site}/index.html?q=rollback"
    done = subprocess.run(
        [tool("chromium"), *options, page], capture_output=True, text=True, timeout=300, check=True
    )

    assert "md-search-result__item" in done.stdout


@pytest.mark.slow
def test_lists_and_tables_are_rendered_as_such(site: Path) -> None:
    """Markdown of GitHub takes a list or a table without an empty line before it; the site does not."""
    raw = re.compile(r"(^|\n)([-*] |\d+\. |\|)")
    match = [
        f"{path}: {text}"
        for path, page in site_links.read(site).items()
        for text in page.paragraphs
        if raw.search(text)
    ]

    assert [] == match


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        *(("index", width, scheme) for width, scheme in product(WIDTHS, SCHEMES)),
        ("settings", 400, "light"),
    ],
)
def test_a_page_fits_and_has_nothing_that_axe_finds_serious(
    site: Path, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    """Its styles are put into the page, which may then load nothing; its scripts are left out."""
    page = site / f"{name}.html"
    text = page.read_text("utf-8")
    text = re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)
    palette = {"light": "default", "dark": "slate"}[scheme]
    text, times = re.subn(r'data-md-color-scheme="\w+"', f'data-md-color-scheme="{palette}"', text)
    for link, href in re.findall(r'(<link rel="stylesheet" href="([^"]+)">)', text):
        text = text.replace(link, f"<style>{(page.parent / href).read_text('utf-8')}</style>")
    observed = look(text, tmp_path, width, scheme)

    assert times
    assert width == observed["width"]
    assert observed["needed"] <= width
    # Blocks of code that scroll are made focusable by a script of the theme.
    assert {"scrollable-region-focusable"} >= {one["id"] for one in serious(observed)}, observed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "animated"),
    [((), "scroll show"), (("--force-prefers-reduced-motion",), "none none")],
)
def test_the_recorded_climb_plays_unless_motion_is_not_wanted(
    tmp_path: Path, options: tuple[str, ...], animated: str
) -> None:
    script = """\
const [picture, screen, line] = ["svg", ".screen", ".screen text:last-child"].map((each) => document.querySelector(each));
document.title = [screen, line].map((each) => getComputedStyle(each).animationName).join(" ");
if (line.getBoundingClientRect().bottom > picture.getBoundingClientRect().bottom)
  document.title += ", and its end is not shown";
"""
    page = tmp_path / "climb.html"
    picture = (ROOT / "docs/climb.svg").read_text("utf-8")
    page.write_text(f'<meta charset="utf-8">{picture}<script>{script}</script>', encoding="utf-8")
    (tmp_path / "browser").mkdir()
    document, _ = opened(page, tmp_path / "browser", options=options)

    title = re.search("<title>(.*?)</title>", document)
    assert title
    assert title[1].startswith(animated)
    assert ("not shown" in title[1]) == (not options), "only at rest its end is there at once"


def test_the_pages_of_generator_and_library_have_the_same_colours() -> None:
    """Two distributions, so two files."""
    styles = ("generator/rung/system/page.css", "machinery/rung_ops/system/frame.html")
    heads = [(ROOT / style).read_text("utf-8").partition("* {")[0] for style in styles]
    colours, expected = (re.findall(r"(--[\w-]+): *([^;]+);", head) for head in heads)

    assert len(expected) > 1
    assert colours == expected


@pytest.mark.parametrize("picture", sorted(ROOT.glob("docs/*.svg")), ids=lambda path: path.name)
def test_the_styles_of_a_picture_close_each_block_once(picture: Path) -> None:
    """A browser drops the rule after a brace too many: its shapes are black."""
    styles = "".join(re.findall(r"<style>(.*?)</style>", picture.read_text("utf-8"), re.DOTALL))
    depth = list(accumulate({"{": 1, "}": -1}.get(character, 0) for character in styles))

    assert min(depth, default=0) >= 0
    assert depth[-1:] in ([], [0])


def test_the_index_of_decisions_names_each_that_holds_and_the_archive_the_others() -> None:
    folder = ROOT / "docs/decisions"
    row = r"^\|(\d+)\|\[(.+)\]\((\S+)\)\|(2026-\d\d-\d\d)\|$"
    rows = re.findall(row, (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    archived = re.findall(r"^\|(\d+)\|", (folder / "archive.md").read_text("utf-8"), re.MULTILINE)
    files = {path.name for path in folder.glob("[0-9]*.md")}

    assert files == {file for _, _, file, _ in rows}
    for number, title, file, date in rows:
        assert file.startswith(f"{int(number):02}-")
        assert (folder / file).read_text("utf-8").startswith(f"# {number}. {title}\n\n{date}\n")
    numbers = sorted(int(number) for number in [*archived, *(row[0] for row in rows)])
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_decision_that_code_names_is_there() -> None:
    """Whoever reads `decision 19` in a comment finds its file, or its line in the archive."""
    files = ("*.py", "*.yml", "*.toml", "*.md")
    found = git(ROOT, "grep", "--only-matching", "-hiE", "decision [0-9]+", "--", *files)
    named = {int(number) for number in re.findall(r"\d+", found)}
    known = {int(path.name[:2]) for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    archive = (ROOT / "docs/decisions/archive.md").read_text("utf-8")
    known |= {int(number) for number in re.findall(r"^\|(\d+)\|", archive, re.MULTILINE)}

    assert set() == named - known


@pytest.mark.parametrize("page", NOT_HISTORY, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_tasks_and_commands_that_are_there(page: Path) -> None:
    tasks = (ROOT / "templates/project/ops/tasks.toml.jinja").read_text("utf-8")
    known = re.findall(r"^([\w-]+)\.help = ", tasks, re.MULTILINE)
    command: Any = typer.main.get_command(app)
    text = page.read_text("utf-8")
    named = set(re.findall(r"(?:uv run |`)poe\s([a-z][\w-]*)", text))
    commands = set(re.findall(r"(?:^|`|^\$ )rung ([a-z]+)", text, re.MULTILINE))

    assert known
    assert set() == named - set(known)
    assert set() == commands - set(command.commands)
