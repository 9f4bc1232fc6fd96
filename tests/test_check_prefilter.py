"""What is looked at in a file before it is read holds no predicate back that matches."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rung.check.review import python
from rung.check.review.content import Content
from rung.check.review.evidence import file_predicates
from rung.check.review.files import Files
from rung.check.review.predicates import FLAGS, File, FilePredicate
from rung.check.review.prefilter import Prefilter, required
from tests.conftest import ROOT
from tests.repositories import LADDER, PLENTY, READING

PREDICATES = [
    part
    for rung in LADDER
    for capability in rung.capabilities.values()
    for predicate in capability.evidence.values()
    for part in file_predicates(predicate)
]
REGEXES = sorted(
    {part.value for part in PREDICATES if part.kind == "text"}
    | {body for part in PREDICATES for body in part.options.get("body", [])}
    | {text for texts in READING.ci_by_content for text in texts}
)
CONTENT = Content(Files(ROOT / "levels", READING, PLENTY))
ASCII = st.characters(max_codepoint=126)


@pytest.mark.parametrize("regex", REGEXES)
def test_a_line_that_matches_has_what_its_expression_needs(regex: str) -> None:
    clauses = required(regex)

    @settings(max_examples=15, deadline=None, database=None)
    @given(st.from_regex(re.compile(regex, FLAGS), alphabet=ASCII))
    def holds(line: str) -> None:
        lower = line.encode().lower()
        assert all(any(literal in lower for literal in clause) for clause in clauses)

    holds()


@pytest.mark.parametrize(
    ("regex", "clauses"),
    [
        (r"\bpii\b\s*=\s*true|\bpseudonym", ["true pseudonym"]),
        (r"(champion|\d)", []),
        (r"(?:dvc|snakemake)\s+(?:repro|run)", ["dvc snakemake", "repro run"]),
        (r"a(bc)?def", ["def"]),
        (r"models?\b", ["model"]),
        (r"x{0,3}yzz", ["yzz"]),
        (r"foo{1,3}bar", ["foo", "bar"]),
        (r"foo+?bar", ["foo", "bar"]),
        (r"foo*?bar", ["bar"]),
        (r"(?<!\w)foo(?=longer)", ["foo"]),
        (r"[abc]|foo", []),
        (r"(?i)\d", []),
        (r"(abc)*", []),
        (r"\x61bc\.", []),
        (r"_(by|per)_\w+", ["_by _per"]),
        (r"ab(cd|\w|ef)", []),
        (r"log_(model|\d)_x(yz)?", ["log_"]),
    ],
)
def test_an_expression_needs_the_most_selective_letters(regex: str, clauses: list[str]) -> None:
    assert [set(clause.encode().split()) for clause in clauses] == required(regex)


def test_literals_are_found_where_they_are() -> None:
    prefilter = Prefilter([required("champion"), required("drift(ed)?"), []], [b"ift", b"io"])

    positions = prefilter.positions(b"champion io drift")

    assert {b"champion": [0], b"drift": [12], b"ift": [14]} == positions  # io is too short


NAMES = (
    *("from aaa import bbb\n", "from aaa import (\n    bbb as ccc,  # ddd\n", "    eee,\n)\n"),
    *("import aaa.bbb as fff\n", "import aaa, ggg as hhh\n", "bbb(", "ccc (1)\n", "aaa.bbb()\n"),
    *("eee(fff.ggg)\n", "@hhh\n", "@fff.eee(\n", "def bbb(ccc):\n", "class Aaa(bbb):\n"),
    *("class Aaa(  # (\n    aaa.eee,\n", "    hhh\n", "):\n", '"""bbb(ccc)', '"""\n', "'''", "# bbb("),
)  # fmt: skip
DOTTED = re.compile(r"\w+(\.\w+)*")


@example('from aaa import (\n    bbb,\n"""bbb(ccc)"""\n    eee,\n)\neee(fff.ggg)\n')
@given(st.lists(st.sampled_from(NAMES), max_size=12).map("".join))
@settings(max_examples=300, deadline=None)
def test_what_is_imported_or_called_is_not_held_back(text: str) -> None:
    source = python.Source(text)
    # What does not parse may be read as names that have a quote in them.
    predicates = [
        FilePredicate(kind, [bare], {})
        for kind, names in (("imports", source.imports), ("calls", source.calls))
        for name in names
        if DOTTED.fullmatch(bare := name.lstrip(".")) and (kind == "calls" or bare == name)
    ]
    words = [word for predicate in predicates for name in predicate.words for word in name]
    prefilter = Prefilter([predicate.needs for predicate in predicates], words)
    file = File(CONTENT, "a.py", prefilter)
    file.raw, file.source = text.encode(), source

    assert all(list(predicate.matches(file)) for predicate in predicates)
    assert all(not file.positions.keys().isdisjoint(*predicate.needs) for predicate in predicates)
