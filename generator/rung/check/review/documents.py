"""Documents by heading, and text files without comments and placeholders."""

import re
from collections.abc import Iterator
from itertools import islice

MAX_HEADINGS = 300  # per document
HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*$")
UNDERLINE = re.compile(r"^(=+|-+|~+|\^+)[ \t]*$")
FENCE = re.compile(r"^ {0,3}(```|~~~)")
HTML_COMMENT = re.compile(r"<!--(?:[^-]|-(?!->))*+(?:-->)?")
PLACEHOLDER = re.compile(
    r"\bnot written yet\b[^\n]*"  # and the question after it
    r"|\b(?:todo|tbd|tba|fixme|xxx|n/?a|lorem ipsum|placeholder|coming soon|to be (?:done|defined|written"
    r"|added|determined|filled)|fill (?:this )?in|insert \w+ here|more information needed|your \w+ here)\b"
    r"|<[^<>\n]{1,60}>|\{\{[^{}\n]{0,60}\}\}|\[(?:[^\[\]\n]{0,60}(?:here|needed|name|todo|tbd)[^\[\]\n]{0,20})\]",
    re.IGNORECASE,
)
# Owners that an example names: `@your-organisation/models`, `@ORG`, `me@example.com`.
NOBODY = re.compile(
    r"@(?:(?:your|my|our|some|example)[-_][\w-]+|your(?:org|team|group|company|user|name)\w*|octocat"
    r"|(?:example|github)?[-_]?(?:org(?:ani[sz]ation)?|company|group|team|owner|user|user-?name|handle))"
    r"(?:/[\w.-]+)?(?![\w./-])|@[\w-]+/(?:your|my|example)[-_][\w-]+|\S+@(?:[\w-]+\.)*example\.\w+",
    re.IGNORECASE,
)
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".ico", ".bmp", ".mp4")
WORD = re.compile(r"[^\W\d_]{2,}")
# A comment begins a text or follows a blank; that is checked last, which makes the search fast.
# A quoted text is kept, whatever is in it.
HASH = re.compile(
    r"""('(?<![^\s\[{(,=:]')[^'\n]*'|"(?<![^\s\[{(,=:]")(?:[^"\\\n]|\\.)*")|#(?<!\S#).*"""
)
SLASHES = re.compile(r"//(?<!\S//).*")
DASHES = re.compile(r"--(?<!\S--).*")
HASH_ENDING_NAMES = (
    "yaml yml toml sh bash cfg ini txt mk tf hcl in r rego makefile dockerfile justfile codeowners "
    "gitattributes procfile pipfile"
)
HASH_ENDINGS = set(HASH_ENDING_NAMES.split())
RECIPES = {"makefile", "mk", "sh", "bash", "justfile"}  # files of commands, line by line
SLASH_ENDINGS = {"js", "ts", "bicep", "proto", "groovy", "go", "java", "scala", "jenkinsfile"}


def sections(text: str) -> list[tuple[str, int, str]]:
    """Return title, line and text of each heading of a document.

    The text reaches to the next heading of the same rank or a higher one.
    """
    lines = HTML_COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text).split("\n")
    headings = list(islice(_headings(lines), MAX_HEADINGS))
    sections = []
    for index, (line, rank, title) in enumerate(headings):
        below = headings[index + 1 :]
        end = next((later for later, other, _ in below if other <= rank), len(lines))
        inside = {number for number, _, _ in below}
        body = [lines[number] for number in range(line + 1, end) if number not in inside]
        sections.append((title, line + 1, "\n".join(body[:400])))
    return sections


def _headings(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    fenced = False
    for number, line in enumerate(lines):
        if FENCE.match(line):
            fenced = not fenced
        elif fenced:
            continue
        elif match := HEADING.match(line):
            yield number, len(match[1]), match[2]
        elif (
            number + 1 < len(lines)
            and line.strip()
            and not line.startswith(("-", "=", "|"))
            and UNDERLINE.match(lines[number + 1])
            and len(lines[number + 1].strip()) >= 3
        ):
            yield number, 1 if lines[number + 1].startswith("=") else 2, line.strip()


def has_content(text: str, least: int = 3) -> bool:
    """Return whether a text has a number of words besides placeholders."""
    return len(WORD.findall(PLACEHOLDER.sub(" ", text[:20_000]))) >= least


def is_placeholder(value: str) -> bool:
    """Return whether a value of a data file is empty or a placeholder."""
    return not re.search(r"\w", PLACEHOLDER.sub("", value))


def ending(path: str) -> str:
    """Return the ending of a file's name, or the name itself where that tells the kind of file."""
    name = path.lower().rpartition("/")[2]
    if name.startswith(("makefile", "dockerfile", "jenkinsfile", "containerfile")):
        return "dockerfile" if "ontainer" in name else name.split(".")[0]
    return name.rpartition(".")[2]


def without_comments(path: str, text: str) -> str:
    """Return the text of a file other than Python without comments; line numbers are kept."""
    kind = ending(path)
    if kind == "codeowners":
        text = NOBODY.sub("", PLACEHOLDER.sub("", text))
    if kind in HASH_ENDINGS:
        return HASH.sub(r"\1", text) if "#" in text else text
    if kind in SLASH_ENDINGS:
        text = re.sub(r"/\*(?<!\S/\*)(?:[^*]|\*(?!/))*+(?:\*/)?", _blank, text)
        return "\n".join(SLASHES.sub("", line) for line in text.split("\n"))
    if kind == "sql":
        return "\n".join(DASHES.sub("", line) for line in text.split("\n"))
    if kind in ("md", "html", "xml"):
        return HTML_COMMENT.sub(_blank, text)
    return text


def _blank(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")
