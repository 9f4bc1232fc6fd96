"""Python is read by tokens, whatever its version, and its structure by `ast` where it parses."""

from pathlib import Path

import pytest

from rung.check.review import python, reachability
from rung.check.review.modules import Modules
from rung.check.review.python import Source
from tests.repositories import evidence, plant

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
    assert code == python.Source(text).code


def test_calls_are_read_with_their_lines_in_their_order() -> None:
    source = python.Source(
        "from a import b as c\n@deco\nclass D(c.Base):\n    def f (self):\n        c.g (1)(2); .h(3)\n"
        "        self.f()\n        self.f()\n"
    )

    assert [("a.b.g", 5), (".h", 5), ("self.f", 6), ("a.b.Base", 3), ("deco", 2)] == list(
        source.calls.items()
    )


FUNCTIONS = """\
import a

@deco
def first(
    x,
):
    helper()

class C:
    async def second(self):
        self.first()
        def inner():
            pass

def helper(): pass
first(1)
"""


@pytest.mark.parametrize("magic", ["", "%matplotlib inline\n!pip install a\n"])
def test_functions_have_lines_and_calls(magic: str) -> None:
    source = python.Source(magic + FUNCTIONS)
    first = magic.count("\n")
    lines = {name: (min(one.lines) - first, max(one.lines) - first) for name, one in source.functions.items() if name}  # fmt: skip

    assert {"first": (4, 7), "second": (10, 13), "inner": (12, 13), "helper": (15, 15)} == lines
    assert {"helper"} == source.functions["first"].calls
    assert {"first"} == source.functions["second"].calls
    assert "first" in source.functions[""].calls
    reached = python.leads_to(source.functions["second"], source.functions)
    assert ["second", "first", "helper"] == [one.name for one in reached]


def test_code_in_a_string_defines_no_function() -> None:
    source = Source('TEMPLATE = """\ndef test_a():\n    fit()\n"""\n')

    assert {"": {1, 2, 3, 4, 5}} == {name: f.lines for name, f in source.functions.items()}


def test_a_statement_that_does_not_parse_hides_no_function_and_no_skip() -> None:
    text = "print 'a'\n\ndef test_a():\n    fit()\n\n@unittest.skip\ndef test_b():\n    fit()\n"
    source = Source(text)

    assert {"test_a": {3, 4}, "test_b": {7, 8}} == {
        name: function.lines for name, function in source.functions.items() if name
    }
    assert frozenset({6, 7, 8}) == source.idle_lines([8], is_test=True)


@pytest.mark.parametrize(
    "text",
    [
        "print 'a'\nimport torch\ntorch.save(m)\n",
        "import torch\ntorch.save(m\nx = (\n",
        "-" * 100_000 + "1\nimport torch\ntorch.save(m)\n",
        "import torch\ntorch.save(m)\nx" + "()" * 100_000 + "\n",
        "import torch\ntorch.save(m)\n\0",
    ],
    ids=["Python 2", "open brackets", "signs", "calls of calls", "a null byte"],
)
def test_what_does_not_parse_is_read_by_tokens(text: str) -> None:
    source = python.Source(text)

    assert "torch" in source.imports and "torch.save" in source.calls
    assert [""] == list(source.functions)
    assert frozenset() == source.idle_lines([1], is_test=True)


IDLE = [
    ("if False:\n    a()\nelse:\n    b()\n", False, {1, 2}),
    ("if typing.TYPE_CHECKING:\n    import a\nb()\n", False, {1, 2}),
    ("def f():\n    if 0:\n        a()\n    b()\n", False, {2, 3}),
    ("if debug and False:\n    a()\n", False, set()),
    ("@pytest.mark.skip(reason='x')\ndef test_a():\n    a()\ndef test_b(): b()\n", True, {1, 2, 3}),
    ("@pytest.mark.skipif(GPU)\ndef test_a():\n    a()\n", True, set()),
    ("@unittest.skip\nclass T:\n    def test_a(self): a()\n", True, {1, 2, 3}),
    ("def test_a():\n    pytest.skip('x')\n    a()\n", True, {1, 2, 3}),
    ("def test_a():\n    pytest.skip('x')\n    a()\n", False, set()),
    ("pytestmark = [pytest.mark.skip]\n\ndef test_a(): a()\n", True, {1, 2, 3, 4}),
    ("pytest.skip('x', allow_module_level=True)\na()\n", True, {1, 2, 3}),
]


@pytest.mark.parametrize(("text", "is_test", "lines"), IDLE)
def test_lines_that_never_run_are_known(text: str, is_test: bool, lines: set[int]) -> None:
    source: Source = python.Source(text)

    assert lines == source.idle_lines(range(1, 9), is_test)


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
        monkeypatch.setattr(reachability, "MAX_FILES", most)
        looked = evidence(tmp_path)
        assert ("d.py" in looked.reachability.reached) is not bool(counted)
        assert looked.content.files.left_out.counts[reason] == counted
