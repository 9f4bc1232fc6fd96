"""What a built page of the site refers to, and what can be referred to in it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

ELSEWHERE = ("http:", "https:", "mailto:", "data:")
LOADED = {"script": "src", "img": "src", "iframe": "src"}
LOADED_LINKS = {"stylesheet", "icon", "preload"}


@dataclass
class Page(HTMLParser):
    """Links, anchors and texts of a page."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    paragraphs: list[str] = field(default_factory=list)
    in_paragraph: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        result = {name: value or "" for name, value in attributes}
        self.anchors |= {result[name] for name in ("id", "name") if result.get(name)}
        if tag == "a" and "href" in result:
            self.links.append(result["href"])
        if result.get(LOADED.get(tag, "")):
            self.loaded.append(result[LOADED[tag]])
        if tag == "link" and LOADED_LINKS & set(result.get("rel", "").split()):
            self.loaded.append(result["href"])
        if tag == "p":
            self.in_paragraph = True
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        self.in_paragraph = self.in_paragraph and tag != "p"

    def handle_data(self, data: str) -> None:
        if self.in_paragraph:
            self.paragraphs[-1] += data


def read(site: Path) -> dict[Path, Page]:
    """Read all pages of a site but the one of errors, whose links go from its root."""
    pages = {}
    for path in sorted(site.rglob("*.html")):
        if path.name != "404.html":
            pages[path] = Page()
            pages[path].feed(path.read_text("utf-8"))
    return pages


def broken(pages: dict[Path, Page]) -> Iterator[str]:
    """Yield each link within the site that leads to no file, or to no anchor of a page."""
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            if link.startswith(ELSEWHERE):
                continue
            address, anchor = urldefrag(link)
            target = (path.parent / unquote(address)).resolve() if address else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{path}: {link}: no such file"
            elif anchor and unquote(anchor) not in getattr(pages.get(target), "anchors", ()):
                yield f"{path}: {link}: no such anchor"
