"""What is looked at in a file before it is read holds no predicate back that matches."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rung.check.review import python
from rung.check.review.evidence import file_predicates
from rung.check.review.predicates import FLAGS
from rung.check.review.prefilter import Prefilter, required
from tests.repositories import LADDER, READING

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
ASCII = st.characters(max_codepoint=126)


@pytest.mark.parametrize("regex", REGEXES)
def test_a_line_that_matches_has_what_its_expression_needs(regex: str) -> None:
    prefilter = Prefilter([[required(regex)]], [[]])

    @settings(max_examples=15, deadline=None, database=None)
    @given(st.from_regex(re.compile(regex, FLAGS), alphabet=ASCII))
    def holds(line: str) -> None:
        assert [0] == prefilter.possible(line.encode())

    holds()


@pytest.mark.parametrize(
    ("regex", "parts"),
    [
        (r"\bpii\b\s*=\s*true|\bpseudonym", {"true", "pseudonym"}),
        (r"(champion|\d)", set()),
        (r"(?:dvc|snakemake)\s+(?:repro|run)", {"dvc", "snakemake"}),
        (r"a(bc)?def", {"def"}),
        (r"models?\b", {"model"}),
        (r"x{0,3}yz", {"yz"}),
        (r"(?<!\w)foo(?=longer)", {"foo"}),
        (r"[abc]|foo", set()),
        (r"(?i)\d", set()),
        (r"(abc)*", set()),
        (r"\x61bc\.", {"bc"}),
    ],
)
def test_an_expression_needs_the_most_telling_letters(regex: str, parts: set[str]) -> None:
    assert parts == required(regex)


def test_what_a_file_lacks_is_not_looked_for_in_it() -> None:
    needs = [[required("champion")], [required("drift"), required("retrain")], []]
    prefilter = Prefilter([*needs, []], [[], [], [], ["torch", "mlflow.log_metric"]])

    assert [0, 2] == prefilter.possible(b"CHAMPIONS = 1  # drift")
    assert [1, 2] == prefilter.possible(b"if drifted: retrain()")
    assert [2, 3] == prefilter.possible(b"log_metric(mlflow)")
    assert [2] == prefilter.possible(b"pytorch, log_metrics, mlflow")
    assert [0, 2] == prefilter.possible(b"champions")  # and what it has seen before


NAMES = (
    *("from a import b\n", "from a import (\n    b as c,  # d\n", "    e,\n)\n", "import a.b as f\n"),
    *("import a, g as h\n", "b(", "c (1)\n", "a.b()\n", "e(f.g)\n", "@h\n", "@f.e(\n", "def b(c):\n"),
    *("class A(b):\n", "class A(  # (\n    a.e,\n", "    h\n", "):\n", '"""b(c)', '"""\n', "'''", "# b("),
)  # fmt: skip
DOTTED = re.compile(r"\w+(\.\w+)*")


@example('from a import (\n    b,\n"""b(c)"""\n    e,\n)\ne(f.g)\n')
@given(st.lists(st.sampled_from(NAMES), max_size=12).map("".join))
@settings(max_examples=300, deadline=None)
def test_what_is_imported_or_called_is_possible(text: str) -> None:
    source = python.read(text)
    # What does not parse may be read as names that have a quote in them.
    names = [name for name in source.imports if DOTTED.fullmatch(name)]
    names += [name for each in source.calls if DOTTED.fullmatch(name := each.lstrip("."))]

    assert list(range(len(names))) == Prefilter(
        [[]] * len(names), [[name] for name in names]
    ).possible(text.encode())
