"""What is looked at in a file before it is read in full leaves nothing out that a full reading finds."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rung.check.review.leaf import FLAGS
from rung.check.review.lines import Lines
from rung.check.review.view import View
from rung.check.review.vocabulary import Vocabulary, has_word

from rung.check.review import evidence as looked
from rung.check.review import limits, literals, python_source, reachability
from rung.check.review.content import Content
from rung.check.review.files import Clock, Files, Limits
from rung.check.review.modules import Modules
from tests.repositories import LADDER, READING, evidence, plant
from tests.test_check_properties import planted

LEAVES = [
    leaf
    for rung in LADDER
    for one in rung.capabilities.values()
    for predicate in one.evidence.values()
    for leaf in looked._leaves(predicate)
]
REGEXES = sorted(
    {leaf.value for leaf in LEAVES if leaf.kind == "text"}
    | {body for leaf in LEAVES for body in leaf.options.get("body", [])}
    | {text for texts in READING.ci_by_content for text in texts}
)
LITERALS = {
    literal
    for leaf in LEAVES
    for required in leaf.required_literals
    for literal in required.literals()
}
VOCABULARY = Vocabulary(LITERALS)
ASCII = st.characters(max_codepoint=126)


@pytest.mark.parametrize("regex", REGEXES)
def test_a_line_that_matches_has_what_its_expression_needs(regex: str) -> None:
    required = literals.required_by(regex)

    @settings(max_examples=15, deadline=None, database=None)
    @given(st.from_regex(re.compile(regex, FLAGS), alphabet=ASCII))
    def holds(line: str) -> None:
        assert required is None or required.met_by(line.lower().encode())

    holds()


def test_where_a_choice_needs_nothing_neither_does_the_expression() -> None:
    assert literals.required_by(r"(champion|\d)") is None


def test_an_expression_needs_all_of_a_sequence_and_one_of_a_choice() -> None:
    required = literals.required_by(r"\bpii\b\s*=\s*true|\bpseudonym")

    assert required is not None
    assert [required.met_by(line) for line in (b"pii = true", b"pseudonym", b"= true", b"pii")] == [
        *(True, True, False, False)
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*sorted(LITERALS), b"a", b"_", b" ", b"(", b"\xc3\xa9"])))
def test_the_literals_of_a_file_are_found_in_one_pass(parts: list[bytes]) -> None:
    text = b"".join(parts).lower()
    held = VOCABULARY.held(text)

    assert {literal for literal in LITERALS if literal in text} == {
        literal for literal in held if literal not in VOCABULARY.common or literal in text
    }


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"fit", b"fi", b"f", b"_", b" ", b".", b"2", b"\xc3\xa9"])))
def test_a_word_is_no_part_of_a_longer_one(parts: list[bytes]) -> None:
    text = b"".join(parts)

    assert (b"fit" in re.split(rb"[^A-Za-z0-9_]", text)) == has_word(text, b"fit")


CODE = [
    ("a = 'b'  # c", "a = ''  "),
    ('"""Doc."""\nimport a', "\nimport a"),
    ('r"""Doc."""\nimport a', "\nimport a"),
    ('x = rb"""a\nimport b"""', "x = ''\n"),
    ('x = f(\n    """not a docstring"""\n)', "x = f(\n    ''\n)"),
    ('x"""a', "x''''"),  # no prefix of a string: an empty one, and one that does not end
    ("a = 'it\\'s' + \"b\"", "a = '' + ''"),
    ("a = 'open\nimport b", "a = ''\nimport b"),
    ("'''open\nimport b", "\n"),
]


@pytest.mark.parametrize(("text", "code"), CODE)
def test_code_is_distinguished_from_strings_and_comments(text: str, code: str) -> None:
    assert code == python_source.read(text).code


def test_calls_are_found_with_their_lines_in_their_order() -> None:
    source = python_source.read(
        "from a import b as c\n@deco\nclass D(c.Base):\n    def f (self):\n        c.g (1)(2); .h(3)\n"
        "        self.f()\n        self.f()\n"
    )

    assert [("a.b.g", 5), (".h", 5), ("self.f", 6), ("a.b.Base", 3), ("deco", 2)] == list(
        source.calls.items()
    )


def test_the_clock_of_the_processor_is_asked_when_its_time_may_be_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here the process gets half of the time that passes on the wall."""
    now = SimpleNamespace(wall=0.0, asked=0)

    def process_time() -> float:
        now.asked += 1
        return float(now.wall) / 2

    times = SimpleNamespace(perf_counter=lambda: now.wall, process_time=process_time)
    monkeypatch.setattr(limits, "time", times)
    clock = Clock(8)
    looks = []
    for now.wall in range(20):
        looks.append(clock.is_up())

    assert looks == [False] * 17 + [True] * 3
    assert now.asked <= 10  # of 21 looks


def test_a_file_that_is_too_large_is_counted_once(tmp_path: Path) -> None:
    files = Files(plant(tmp_path, {"a.py": "a = 1\n" * 9}), READING, Limits(text=10))
    for _ in range(2):
        files.read("a.py")
        files.kept.clear()  # as where others have taken its place

    assert files.left_out.counts["too large to be read"] == 1


CHAMPION = literals.required_by("champion")
LINES = (
    *(
        "champion = 1  # c\n",
        "'''a'''; champion = 1\n",
        "def champion(\n",
        "a = 'champion'\n",
        "# champion\n",
        "a = 1  # champion\n",
        "x = 1\n" * 9,
    ),
    *(
        '"""champion\n',
        '"""\n',
        "'''\n",
        '"a\\\n',
        "(\n",
        ")\n",
        "  r'''champion'''\n",
        "champion\r\n",
    ),
)


@given(
    st.lists(st.sampled_from(LINES), max_size=12).map("".join),
    st.sampled_from([r"\bchampion\b", r"champion = 1\s*$", r"^\W*champion = 1"]),
)
@settings(max_examples=600, deadline=None)
def test_the_first_line_is_found_without_what_follows_it(text: str, stated: str) -> None:
    regex = re.compile(stated, FLAGS)
    with planted({"a.py": text}) as folder:
        content = Content(Files(folder, READING, Limits()))
        soon = View(content, "a.py").searchable_for(regex, CHAMPION)
        whole = View(content, "a.py").searchable

    def first(lines: Lines) -> int | None:
        return next((at for at, line in enumerate(lines.lines) if regex.search(line)), None)

    assert first(whole) == first(soon)


NAMES = (
    *(
        "from a import b\n",
        "from a import (\n    b as c,  # d\n",
        "    e,\n)\n",
        "import a.b as f\n",
    ),
    *(
        "import a, g as h\n",
        "b(",
        "c (1)\n",
        "a.b()\n",
        "e(f.g)\n",
        "@h\n",
        "@f.e(\n",
        "def b(c):\n",
    ),
    *(
        "class A(b):\n",
        "class A(  # (\n    a.e,\n",
        "    h\n",
        "):\n",
        '"""b(c)',
        '"""\n',
        "'''",
        "# b(",
    ),
)


DOTTED = re.compile(r"\w+(\.\w+)*")


@example('from a import (\n    b,\n"""b(c)"""\n    e,\n)\ne(f.g)\n')
@given(st.lists(st.sampled_from(NAMES), max_size=12).map("".join))
@settings(max_examples=300, deadline=None)
def test_what_is_imported_or_called_may_be(text: str) -> None:
    source = python_source.read(text)
    # What does not parse may be read as names that have a quote in them.
    imported = [name for name in source.imports if DOTTED.fullmatch(name)]
    called = [name for each in source.calls if DOTTED.fullmatch(name := each.lstrip("."))]
    with planted({"a.py": text}) as folder:
        view = View(Content(Files(folder, READING, Limits())), "a.py")

        assert all(view.may_import(name.encode().split(b".")) for name in imported)
        assert all(view.may_call(name.encode().split(b".")) for name in called)


def test_a_name_that_is_neither_imported_nor_called_may_not_be(tmp_path: Path) -> None:
    text = "import os\n\na = {'torch': seed}\n"
    view = View(Content(Files(plant(tmp_path, {"a.py": text}), READING, Limits())), "a.py")

    assert not view.may_import([b"torch"])
    assert not view.may_call([b"seed"])


def test_no_more_of_a_line_is_searched_than_the_limit_says(tmp_path: Path) -> None:
    files = Files(plant(tmp_path, {"a.py": "champion " * 9_000 + "\n" * 90_000}), READING, Limits())
    searched: list[int] = []
    spy = SimpleNamespace(search=lambda line: searched.append(len(line)))

    View(Content(files), "a.py").searchable_for(cast("re.Pattern[str]", spy), CHAMPION)

    assert [1_000] == searched


IMPORTS = (
    "import a\n",
    "import a.b as c, d  # e\n",
    "from x import (",
    "y, # z)\n",
    "w)\n",
    '"""',
    "'''",
    '"',
    "#",
    "    from ..k import l\n",
    "from . import m; import n\n",
    "\\",
    "\n",
    " ",
    "r",
)


@given(st.lists(st.sampled_from(IMPORTS), max_size=12).map("".join))
@settings(max_examples=300, deadline=None)
def test_what_a_file_may_import_holds_all_that_it_imports(text: str) -> None:
    imported = {name for name in python_source.read(text).imports if re.fullmatch(r"[\w.]+", name)}

    # In what does not parse, a string beside a name may be taken for a part of it.
    assert imported <= {re.sub("[\"']", "", name) for name in python_source.may_import(text)}


@pytest.mark.parametrize(
    "text", ["p.a:main", "'p.a'", "run p.a\n", "p.a", "x.p.a (p.a)", "-m p.a("]
)
def test_a_module_is_named_by_its_dotted_name(text: str) -> None:
    assert ["p/a.py"] == Modules(["p/a.py"]).named(text)


@pytest.mark.parametrize("text", ["p.a(1)", "x/p.a", "p.a-b", "p.a;", "x.p.a", "p.ab"])
def test_what_is_called_or_part_of_another_name_names_no_module(text: str) -> None:
    assert [] == Modules(["p/a.py"]).named(text)


def test_what_only_a_docstring_imports_is_not_followed(tmp_path: Path) -> None:
    files = {
        "Makefile": "all:\n\tpython a.py\n",
        "a.py": '"""Like\nfrom c import fit\n"""\nfrom b import fit\n',
        "b.py": "def fit(): pass\n",
        "c.py": "def fit(): pass\n",
    }

    reached = evidence(plant(tmp_path, files)).reachability.reached

    assert {"a.py", "b.py"} == reached & {"a.py", "b.py", "c.py"}


def test_a_search_of_imports_that_ends_early_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"Makefile": "all:\n\tpython a.py\n", "a.py": "import b\n", "b.py": "import c\n"}
    plant(tmp_path, {**files, "c.py": "import d\n", "d.py": ""})
    reason = "searches of imports that ended after 3 files"

    for most, counted in ((5_000, 0), (3, 1)):
        monkeypatch.setattr(reachability, "MOST", most)
        found = evidence(tmp_path)
        assert ("d.py" in found.reachability.reached) is not bool(counted)
        assert found.content.files.left_out.counts[reason] == counted
