"""TOML and YAML are merged key by key where their lines could not be."""

import json
import re
import tomllib
from collections.abc import Callable

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.core.merging import key_merge
from rung.core.merging.key_merge import UnmergeableError
from tests.conftest import ROOT

PROJECT = """\
# About us.
[project]
name = "flights"
dependencies = [
    "numpy>=2",
    "polars>=1", # frames
]

[dependency-groups]
rung-0 = [
    "pytest>=8",
]

[tool.poe.tasks.check]
sequence = ["lint", "test"]
"""


def change(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("mine", "rungs", "merged"),
    [
        # Both add beside each other.
        (
            ('    "polars>=1", # frames\n', '    "polars>=1", # frames\n    "requests",\n'),
            ('    "polars>=1", # frames\n', '    "polars>=1", # frames\n    "scipy",\n'),
            (
                '    "polars>=1", # frames\n',
                '    "polars>=1", # frames\n    "scipy",\n    "requests",\n',
            ),
        ),
        # Both change a bound: the user's wins.
        (("numpy>=2", "numpy==2.1"), ("numpy>=2", "NumPy>=2.3"), ("numpy>=2", "numpy==2.1")),
        # The user takes one out that Rung changes: it stays out.
        (('    "numpy>=2",\n', ""), ("numpy>=2", "numpy>=2.3"), ('    "numpy>=2",\n', "")),
        # Rung takes one out that the user has changed: it stays.
        (("numpy>=2", "numpy==2.1"), ('    "numpy>=2",\n', ""), ("numpy>=2", "numpy==2.1")),
        # Rung takes one out beside one that the user adds.
        (
            ('    "numpy>=2",\n', '    "numpy>=2",\n    # why\n    "mine",\n'),
            ('    "numpy>=2",\n    "polars>=1", # frames\n', '    "polars>=1", # frames\n'),
            ('    "numpy>=2",\n', '    # why\n    "mine",\n'),
        ),
        # New tables of both at one place.
        (
            ("[tool.poe", "[tool.mine]\nx = 1\n\n[tool.poe"),
            ("[tool.poe", "[tool.rung]\ny = 1\n\n[tool.poe"),
            ("\n[tool.poe", "\n[tool.rung]\ny = 1\n\n[tool.mine]\nx = 1\n\n[tool.poe"),
        ),
        # Elements of a list on one line.
        (
            ('"lint", "test"', '"lint", "test", "mine"'),
            ('"lint", "test"', '"lint", "types", "test"'),
            ('"lint", "test"', '"lint", "types", "test", "mine"'),
        ),
    ],
)
def test_toml_of_both_sides_goes_together(
    mine: tuple[str, str], rungs: tuple[str, str], merged: tuple[str, str]
) -> None:
    result = key_merge.merge("a.toml", PROJECT, change(PROJECT, mine), change(PROJECT, rungs))

    assert change(PROJECT, merged) == result


@pytest.mark.parametrize(
    ("mine", "rungs"),
    [
        (('"flights"', '"mine"'), ('"flights"', '"rungs"')),
        (("dependencies = [\n", "dependencies = [\n# a\n"), ("[project]\n", "[project\n")),
    ],
)
def test_one_value_changed_by_both_is_a_conflict(
    mine: tuple[str, str], rungs: tuple[str, str]
) -> None:
    with pytest.raises(UnmergeableError):
        key_merge.merge("a.toml", PROJECT, change(PROJECT, mine), change(PROJECT, rungs))


WRAPPED = """\
[tool.ruff]
exclude = [
  "a.py",
  "b.py",
] # mine
x = 1
"""


@pytest.mark.parametrize(
    ("base", "rungs", "merged"),
    [
        # Both add the list: on one line, and on several.
        ([], ["x"], '  "x",\n  "a.py",\n  "b.py",\n'),
        # The user's formatter wrapped it, and both add to it.
        (["a.py"], ["a.py", "x"], '  "a.py",\n  "x",\n  "b.py",\n'),
        # Rung takes its own out again, or changes it.
        (["b.py"], [], '  "a.py",\n'),
        (["b.py"], ["x"], '  "x",\n  "a.py",\n'),
    ],
)
def test_a_list_on_one_line_goes_into_one_on_several(
    base: list[str], rungs: list[str], merged: str
) -> None:
    before, after = (
        "[tool.ruff]\n" + (f"exclude = {json.dumps(names)}\n" if names else "") + "x = 1\n"
        for names in (base, rungs)
    )

    result = key_merge.merge("a.toml", before, WRAPPED, after)

    assert WRAPPED.replace('  "a.py",\n  "b.py",\n', merged) == result


@pytest.mark.parametrize(
    ("path", "base", "mine", "rungs", "merged"),
    [
        # `rung adopt --merge` wrote the value with other spaces.
        (
            "a.toml",
            "x = { a = 1 }\n",
            "x = {a = 1}\ny = 1\n",
            "x = { a = 2 }\n",
            "x = { a = 2 }\ny = 1\n",
        ),
        (
            "a.yml",
            "a:\n  b: 1\n",
            "a:\n  b: 2\n",
            "a:\n    b: 1\n    d: 1\n",
            "a:\n  b: 2\n  d: 1\n",
        ),
    ],
)
def test_other_spaces_are_no_other_value(
    path: str, base: str, mine: str, rungs: str, merged: str
) -> None:
    assert merged == key_merge.merge(path, base, mine, rungs)


def test_a_comment_beside_a_value_that_rung_changes_is_not_lost() -> None:
    with pytest.raises(UnmergeableError):
        key_merge.merge("a.toml", "x = 1\n", "x = 1 # mine\n", "x = 2\n")


def test_a_list_with_comments_is_not_put_on_one_line() -> None:
    mine = '[tool.ruff]\nexclude = ["mine"]\n'

    with pytest.raises(UnmergeableError):
        key_merge.merge("a.toml", "[tool.ruff]\n", mine, WRAPPED)


STEPS = """\
# What is checked.
on: [push]
jobs:
  check:
    runs-on: here
    steps:
      - uses: actions/checkout@v4
      - name: Test
        run: |
          pytest
          # not a comment

      # The end.
      - name: Lint
        run: ruff
  other: {needs: check}
"""


@pytest.mark.parametrize(
    ("mine", "rungs", "merged"),
    [
        (
            ("      - name: Lint\n", "      - name: Mine\n        run: mine\n      - name: Lint\n"),
            (
                "      - name: Lint\n",
                "      - name: Rungs\n        run: rung\n      - name: Lint\n",
            ),
            (
                "      - name: Lint\n",
                "      - name: Mine\n        run: mine\n      - name: Lint\n",
            ),
        ),
        (
            ("    runs-on: here\n", "    runs-on: here\n    timeout: 5\n"),
            ("    runs-on: here\n", "    runs-on: here\n    permissions: {}\n"),
            ("    runs-on: here\n", "    runs-on: here\n    permissions: {}\n    timeout: 5\n"),
        ),
        (
            ("        run: ruff\n", "        run: ruff check\n"),
            ("        run: ruff\n", "        run: ruff\n        shell: bash\n"),
            ("        run: ruff\n", "        run: ruff check\n        shell: bash\n"),
        ),
    ],
)
def test_yaml_of_both_sides_goes_together(
    mine: tuple[str, str], rungs: tuple[str, str], merged: tuple[str, str]
) -> None:
    result = key_merge.merge("a.yml", STEPS, change(STEPS, mine), change(STEPS, rungs))

    if "name: Mine" in merged[1]:
        names = [step.get("name") for step in yaml.safe_load(result)["jobs"]["check"]["steps"]]
        assert {"Test", "Lint", "Mine", "Rungs"} == set(names) - {None}
        assert "          # not a comment\n" in result
    else:
        assert change(STEPS, merged) == result


CI = """\
on: [push]
jobs:
    check:
        steps: here
    lint:
        script:
            - uv run poe lint
            - uv run poe types
"""


@pytest.mark.parametrize(
    ("mine", "rungs"),
    [
        # The user indents a list, or all of the mappings, in their own way.
        (
            change(CI, ("            - uv run poe lint", "          - uv run poe lint"),
                   ("            - uv run poe types", "          - uv run poe types")),
            CI + "            - uv run poe audit\n",
        ),
        (
            CI.replace("    ", "  ").replace("poe lint", "poe lint --fix"),
            CI + "    audit:\n        steps:\n            - run: |\n                a\n",
        ),
        (
            CI.replace("    ", "      "),
            change(CI, ("    lint:\n", "    # What is known.\n    audit: {needs: check}\n    lint:\n")),
        ),
    ],
)  # fmt: skip
def test_what_rung_adds_is_indented_like_its_neighbours(mine: str, rungs: str) -> None:
    was, our, their = (yaml.safe_load(text)["jobs"] for text in (CI, mine, rungs))
    result = yaml.safe_load(key_merge.merge("a.yml", CI, mine, rungs))["jobs"]

    assert was.keys() | our.keys() | their.keys() == result.keys()
    assert [*our["lint"]["script"], *their["lint"]["script"][2:]] == result["lint"]["script"]
    assert our["check"] == result["check"]
    assert their.get("audit") == result.get("audit")


@pytest.mark.parametrize(
    ("base", "mine", "rungs"),
    [
        # Rung's new comment would fall into the user's text.
        (
            "a: 1\nb:\n    c: 1\n",
            "a: |\n 1\nb:\n    c: 1\n",
            "a: 1\n  # Why.\nb:\n    c: 2\n",
        ),
    ],
)
def test_lines_that_would_mean_another_thing_are_not_merged(
    base: str, mine: str, rungs: str
) -> None:
    with pytest.raises(UnmergeableError):
        key_merge.merge("a.yml", base, mine, rungs)


@pytest.mark.parametrize(
    "text",
    ["a: &x 1\nb: *x\n", "a: 1\n---\nb: 2\n", "[1, 2]\n", "text\n", "", "a: [\n", "? [a]\n: 1\n"],
)
def test_yaml_that_cannot_be_taken_apart_is_left_to_lines(text: str) -> None:
    with pytest.raises(UnmergeableError):
        key_merge.yaml_blocks(text)


def test_a_duplicate_key_is_refused_in_a_climb() -> None:
    assert key_merge.parses("a.yml", "a: 1\nb: 2\n")
    assert not key_merge.parses("a.yml", "a: 1\na: 2\n")
    assert not key_merge.parses("a.toml", "a = 1\na = 2\n")


SETTINGS = sorted(
    path
    for suffix in ("toml", "yml", "yaml")
    for path in ROOT.glob(f"templates/project/**/*.{suffix}")
)


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.name)
def test_every_settings_file_of_the_template_is_taken_apart_byte_for_byte(path: object) -> None:
    file = ROOT / str(path)
    text = file.read_text("utf-8")
    if file.is_relative_to(ROOT / "templates/project/deploy") and re.search("(?m)^---$| &", text):
        pytest.skip("several documents, or anchors: merged by lines")
    cut: Callable[[str], object] = (
        key_merge.toml_blocks if file.suffix == ".toml" else key_merge.yaml_blocks
    )

    assert cut(file.read_text("utf-8"))  # it raises where the blocks are not the file


NAMES = st.sampled_from(["a", "b", "c", "d-e", '"f.g"'])
VALUES = st.one_of(
    st.integers(0, 3).map(str),
    st.sampled_from(['"x"', "'y # no'", '"""\nlong [\n"""', "[]", "[1, 2]", "{ k = 1 }"]),
    st.lists(st.sampled_from(['"p>=1"', '"q"', '"r[s]==2"', '"t"']), min_size=1, unique=True).map(
        lambda result: "[\n    " + ",\n    ".join(result) + ",\n]"
    ),
)
TABLE = st.dictionaries(NAMES, VALUES, max_size=4)
DOCUMENT = st.dictionaries(st.sampled_from(["", "[t]", "[u.v]", "[project]"]), TABLE, max_size=4)


def as_toml(document: dict[str, dict[str, str]]) -> str:
    parts = []
    for header in sorted(document):
        lines = [f"# {header or 'top'}", *([header] if header else [])]
        parts.append("\n".join([*lines, *(f"{k} = {v}" for k, v in document[header].items()), ""]))
    return "\n".join(parts)


@settings(max_examples=150)
@given(DOCUMENT, DOCUMENT, DOCUMENT)
def test_a_merge_holds_each_sides_changes_or_gives_up(
    base: dict[str, dict[str, str]],
    ours: dict[str, dict[str, str]],
    theirs: dict[str, dict[str, str]],
) -> None:
    """Where one side alone changed a key, the merged file has that side's value."""
    was, mine, rungs = map(as_toml, (base, ours, theirs))
    assert mine == key_merge.merge("a.toml", was, mine, was) or not was.strip()
    try:
        merged = tomllib.loads(key_merge.merge("a.toml", was, mine, rungs))
    except UnmergeableError:
        return
    three = [tomllib.loads(text) for text in (was, mine, rungs)]
    for before, our, their, result in zip(*map(flat, (*three, merged)), strict=True):
        if any(isinstance(value, list) for value in (before, our, their)):
            continue  # lists are merged by their elements
        if their == before and our is not None:
            assert our == result
        if our == before and their is not None and base.keys() <= ours.keys():
            assert their == result  # in a table that the user has taken out nothing comes back


def flat(document: dict[str, object]) -> list[object]:
    """Return the value at each key there can be, None if there is none."""
    results: list[object] = []
    for table in ("", "t", "u", "project"):
        inner = document.get(table, {}) if table else document
        inner = inner.get("v", {}) if table == "u" and isinstance(inner, dict) else inner
        for name in ("a", "b", "c", "d-e", "f.g"):
            value = inner.get(name) if isinstance(inner, dict) else None
            results.append(value)
    return results
