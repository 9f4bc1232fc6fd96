"""The packages that a repository depends on, read from its dependency files."""

import re
from collections.abc import Iterator

from packaging.utils import canonicalize_name

from rung.check.review.content import Content
from rung.check.review.data_files import Node, walk
from rung.check.review.files import is_documentation, is_test

NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?\s*(?=$|[<>=!~;@ ,(])")
# In a compiled list of requirements: what required the package, and what says that the team did.
VIA = re.compile(r"^\s*via\b(.*)", re.DOTALL)
DIRECT = re.compile(r"(?:^|\s)-[rc]\b|\((?:pyproject\.toml|setup\.(?:py|cfg))\)")
QUOTED = re.compile(r"""["']([^"'\n]+)["']""")
LIST_NAMES = "dependencies requires dev-dependencies dev_dependencies pip install_requires"
LISTS = set(LIST_NAMES.split())
TABLES = {"dependencies", "dev-dependencies", "packages", "dev-packages"}


def read(content: Content) -> dict[str, tuple[str, int, str]]:
    """Return file, line and text of each package, also by `name[extra]`.

    Dependencies of tests do not count; a file of the documentation is shown only if no other names
    the package.
    """
    packages: dict[str, tuple[str, int, str]] = {}
    paths = content.files.find(*content.files.reading.dependencies)[:2_000]
    paths = content.files.cheap_first(path for path in paths if not is_test(path))
    named = (document.get("project", "name") for document in content.data("pyproject.toml"))
    own = {node.value for node in named if node}
    for path in sorted(paths, key=is_documentation):
        if content.files.stops(path):
            break
        for text, line in _requirements(content, path, own):
            match = NAME.match(text)
            if match:
                location = (path, line, text.strip()[:120])
                name = canonicalize_name(match[1])
                packages.setdefault(name, location)
                for extra in (match[2] or "").split(","):
                    if extra.strip():
                        packages.setdefault(f"{name}[{canonicalize_name(extra.strip())}]", location)
    return packages


def _requirements(content: Content, path: str, own: set[str | None]) -> Iterator[tuple[str, int]]:
    """Yield the requirements of a file, with their lines; `own` are the names of the project itself."""
    name = path.lower().rpartition("/")[2]
    if name.endswith((".toml", "pipfile")):
        for document in content.data(path):
            yield from _toml_requirements(document)
    elif name.endswith((".yml", ".yaml")):
        for document in content.data(path):
            for _, node in walk(document.get("dependencies")):
                if node.value:
                    yield re.sub(r"^[\w.-]+::", "", node.value), node.line
    elif name == "setup.py":
        source = content.python(path)
        for number, line in enumerate((source.text if source else "").split("\n"), 1):
            for text in QUOTED.findall(line):
                yield text, number
    else:
        listed: list[tuple[str, int, list[str]]] = []
        for number, line in enumerate((content.text(path) or "").split("\n"), 1):
            requirement, _, comment = line.partition("#")
            if requirement.strip() and not requirement.lstrip().startswith("-"):  # an option of pip
                listed.append((requirement.replace("install_requires =", ""), number, []))
            if listed:
                listed[-1][2].append(comment)
        for text, number, comments in listed:
            via = VIA.search("\n".join(comments).strip())
            if via is None or DIRECT.search(via[1]) or own & {*via[1].split()}:
                yield text, number


def _toml_requirements(document: Node) -> Iterator[tuple[str, int]]:
    groups = document.get("dependency-groups")
    optional = document.get("project", "optional-dependencies")
    for table in (groups, optional):
        for _, node in table.entries:
            yield from _texts(node)
    for key, node in walk(document):
        if key in LISTS and not node.is_mapping:
            yield from _texts(node)
        if key in TABLES:
            for name, below in node.entries:
                if name:
                    yield name, below.line


def _texts(node: Node) -> Iterator[tuple[str, int]]:
    """Yield a scalar, or the scalars of a list, with their lines."""
    for scalar in [node, *(below for _, below in node.entries)]:
        if scalar.value is not None:
            yield scalar.value, scalar.line
