"""The shortcuts in Copier change nothing in what it renders."""

from collections import Counter
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from copier import _main
from jinja2 import Environment

from rung.errors import RungError
from rung.system import plain_yaml
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

    assert plain == tiny.files_of(tiny.fresh(made_from, tmp_path / "shortcut", level=1))
    assert {"a/a.txt", "b/b.txt", "a/plain/plain.txt", "plain/plain.txt"} <= plain.keys()


def test_git_is_not_asked_about_each_file(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also that Copier still has what is left out: otherwise it is time to look again."""
    requests: list[Any] = []
    monkeypatch.setattr(
        _main.Worker,
        "_sync_git_index_executable_bit",
        lambda *arguments: requests.append(arguments),
    )
    copier.run_copy(str(small), tmp_path / "plain", defaults=True, quiet=True)
    assert requests

    requests.clear()
    tiny.fresh(small, tmp_path / "shortcut")

    assert [] == requests


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
    tiny.fresh(small, tmp_path / "shortcut")

    assert {1} == set(compiled.values())
    assert all("{" in text for _, text in compiled)


def test_a_file_is_compiled_once_for_two_renders_and_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = {"files/one.txt.jinja": "Of the test: {{ level }}\n"}
    made_from = tiny.template(tmp_path / "template", files=page)
    compiled: Counter[str] = Counter()
    real = Environment.compile

    def counted(self: Environment, source: Any, name: Any = None, *others: Any) -> Any:
        compiled[str(name)] += 1
        return real(self, source, name, *others)

    monkeypatch.setattr(Environment, "compile", counted)
    for level in (0, 1):
        made = tiny.fresh(made_from, tmp_path / f"made-{level}", level=level)
        assert f"Of the test: {level}\n" == (made / "one.txt").read_text()
    assert 1 == sum(number for name, number in compiled.items() if name.endswith("one.txt.jinja"))

    tiny.release(made_from, "v0.2.0", {"files/one.txt.jinja": "Another: {{ level }}\n"})
    made = tiny.fresh(made_from, tmp_path / "later", "v0.2.0", level=1)
    assert "Another: 1\n" == (made / "one.txt").read_text()


def test_copier_is_afterwards_what_it_was(small: Path, tmp_path: Path) -> None:
    def now() -> list[Any]:
        worker = vars(_main.Worker)
        return [
            *(Environment.from_string, Environment.compile),
            *(vars(_main)["is_git_available"], yaml.SafeLoader),
            *(worker["_render_string"], worker["answers_relpath"]),
        ]

    before = now()
    tiny.fresh(small, tmp_path / "one")
    with pytest.raises(RungError):
        tiny.fresh(small, tmp_path / "two", level=9)

    assert before == now()


def test_answers_are_gathered_only_where_jinja_has_something_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered: list[Any] = []
    real = _main.Worker._render_context

    def context(self: Any) -> Any:
        gathered.append(self)
        return real(self)

    monkeypatch.setattr(_main.Worker, "_render_context", context)

    def texts(folder: str, **more: str) -> int:
        gathered.clear()
        tiny.fresh(tiny.template(tmp_path / folder, files=more), tmp_path / f"{folder}-made")
        return len(gathered)

    assert texts("one") == texts("two", **{"files/plain/plain.txt": "plain\n"})


def test_yaml_is_read_by_libyaml(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where PyYAML has it, the template's own files are never read in Python."""
    assert plain_yaml.Loader is not yaml.SafeLoader, "PyYAML is built without libyaml here"
    monkeypatch.delattr(yaml.parser.Parser, "check_event")

    tiny.fresh(small, tmp_path / "shortcut", level=1)
