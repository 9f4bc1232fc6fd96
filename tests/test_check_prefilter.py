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

    @settings(max_examples=15, database=None)
    @given(st.from_regex(re.compile(regex, FLAGS), alphabet=ASCII))
    def holds(line: str) -> None:
        lower = line.encode().lower()
        assert all(any(literal in lower for literal in clause) for clause in clauses)

    holds()


NAMES = (
    *("from aaa import bbb\n", "from aaa import (\n    bbb as ccc,  # ddd\n", "    eee,\n)\n"),
    *("import aaa.bbb as fff\n", "import aaa, ggg as hhh\n", "bbb(", "ccc (1)\n", "aaa.bbb()\n"),
    *("eee(fff.ggg)\n", "@hhh\n", "@fff.eee(\n", "def bbb(ccc):\n", "class Aaa(bbb):\n"),
    *("class Aaa(  # (\n    aaa.eee,\n", "    hhh\n", "):\n", '"""bbb(ccc)', '"""\n', "'''", "# bbb("),
)  # fmt: skip
DOTTED = re.compile(r"\w+(\.\w+)*")


@example('from aaa import (\n    bbb,\n"""bbb(ccc)"""\n    eee,\n)\neee(fff.ggg)\n')
@given(st.lists(st.sampled_from(NAMES), max_size=12).map("".join))
@settings(max_examples=300)
def test_what_is_imported_or_called_is_not_held_back(text: str) -> None:
    source = python.Source(text)
    # What does not parse may be read as names that have a quote in them.
    predicates = [
        FilePredicate(kind, [bare], {})
        for kind, names in (("imports", source.imports), ("calls", source.calls))
        for name in names
        if DOTTED.fullmatch(bare := name.lstrip(".")) and (kind == "calls" or bare == name)
    ]
    prefilter = Prefilter([predicate.needs for predicate in predicates])
    file = File(CONTENT, "a.py", prefilter)
    file.raw, file.source = text.encode(), source

    assert all(list(predicate.matches(file)) for predicate in predicates)
    assert all(not file.positions.keys().isdisjoint(*predicate.needs) for predicate in predicates)
