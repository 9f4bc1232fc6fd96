"""What Copier is spared changes nothing in what it renders."""

from collections import Counter
from pathlib import Path
from typing import Any

import copier
import pytest
from copier import _main
from jinja2 import Environment

from rung.errors import RungError
from tests.climbing import tiny

EACH = "files/{% yield one from ['a', 'b'] %}{{ one }}{% endyield %}"
MANY = {
    f"{EACH}/{{{{ one }}}}.txt.jinja": "{{ one }}\n",
    f"{EACH}/plain/plain.txt": "plain\n",
    "files/plain/plain.txt": "plain\n",
}


def test_what_comes_out_is_what_plain_copier_gives(tmp_path: Path) -> None:
    made_from = tiny.template(tmp_path / "template", files=MANY)
    copier.run_copy(
        str(made_from), tmp_path / "plain", {"level": 1}, defaults=True, quiet=True, vcs_ref="HEAD"
    )
    plain = tiny.files_of(tmp_path / "plain")

    assert plain == tiny.files_of(tiny.fresh(made_from, tmp_path / "spared", level=1))
    assert {"a/a.txt", "b/b.txt", "a/plain/plain.txt", "plain/plain.txt"} <= plain.keys()


def test_git_is_not_asked_about_each_file(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also that Copier still has what is left out: otherwise it is time to look again."""
    asked: list[Any] = []
    monkeypatch.setattr(
        _main.Worker, "_sync_git_index_executable_bit", lambda *arguments: asked.append(arguments)
    )
    copier.run_copy(str(small), tmp_path / "plain", defaults=True, quiet=True)
    assert asked

    asked.clear()
    tiny.fresh(small, tmp_path / "spared")

    assert [] == asked


def test_a_text_is_compiled_once(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: Counter[tuple[Environment, str]] = Counter()
    real = Environment.compile

    def counted(self: Environment, source: Any, name: Any = None, *others: Any) -> Any:
        if name is None and isinstance(source, str):
            compiled[self, source] += 1
        return real(self, source, name, *others)

    monkeypatch.setattr(Environment, "compile", counted)
    tiny.fresh(small, tmp_path / "spared")

    assert {1} == set(compiled.values())
    assert all("{" in text for _, text in compiled)


def test_copier_is_afterwards_what_it_was(small: Path, tmp_path: Path) -> None:
    def now() -> tuple[Any, Any]:
        return Environment.from_string, vars(_main)["is_git_available"]

    before = now()
    tiny.fresh(small, tmp_path / "one")
    with pytest.raises(RungError):
        tiny.fresh(small, tmp_path / "two", level=9)

    assert before == now()
