"""Spare Copier work that cannot change what it renders into a new folder.

Copier compiles each part of each path anew and gathers all answers for it, reads the template's
YAML in Python, and asks git about each file that it writes. Together that was three quarters of the
time of a render.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung import plain_yaml


@contextlib.contextmanager
def rendering() -> Iterator[None]:
    """Let Copier do once what it does for each file, and ask git nothing of what it cannot know."""
    with _compiled_once(), _without_context(), _read_by_libyaml(), _unasked():
        yield


@dataclass(frozen=True)
class _Plain:
    """A text in which Jinja has nothing to do, such as most parts of paths."""

    text: str

    def render(self, *context: Any, **more: Any) -> str:
        """Return the text."""
        return self.text


@contextlib.contextmanager
def _compiled_once() -> Iterator[None]:
    """Keep what Jinja makes of a text, for each environment.

    Extensions see each text all the same: Copier's own forgets its last `yield` when it does.
    """
    from jinja2 import Environment

    compile_text: Any = Environment.from_string
    made: dict[tuple[Environment, str], Any] = {}

    def from_string(self: Environment, source: Any, *others: Any, **named: Any) -> Any:
        if others or named or not isinstance(source, str):
            return compile_text(self, source, *others, **named)
        text = self.preprocess(source)
        if (self, source) not in made:
            plain = _is_plain(self, text)
            made[self, source] = _Plain(text) if plain else compile_text(self, source)
        return made[self, source]

    with replaced(Environment, "from_string", from_string):
        yield


def _is_plain(environment: Any, text: str) -> bool:
    signs = [environment.block_start_string, environment.variable_start_string]
    signs += [environment.comment_start_string, "\n", "\r"]
    by_line = environment.line_statement_prefix or environment.line_comment_prefix
    return not by_line and not any(sign in text for sign in signs)


@contextlib.contextmanager
def _without_context() -> Iterator[None]:
    """Gather no answers for a text in which Jinja has nothing to do.

    The names are Copier's own affairs, as below: where a version has none, it does all its work.
    """
    from copier._main import Worker

    filled_in: Any = getattr(Worker, "_render_string", None)
    found: Any = getattr(Worker, "answers_relpath", None)

    def render_string(self: Any, string: Any, *more: Any, **named: Any) -> Any:
        made = self.jinja_env.from_string(string)
        return made.text if isinstance(made, _Plain) else filled_in(self, string, *more, **named)

    def answers_relpath(self: Any) -> Any:
        path = self.answers_file or self.template.answers_relpath
        made = self.jinja_env.from_string(str(path))
        return Path(made.text) if isinstance(made, _Plain) else found.fget(self)

    with (
        replaced(Worker, "_render_string", render_string),
        replaced(Worker, "answers_relpath", property(answers_relpath)),
    ):
        yield


@contextlib.contextmanager
def _read_by_libyaml() -> Iterator[None]:
    """Read YAML by libyaml, where it is built in."""
    import yaml

    with replaced(yaml, "SafeLoader", plain_yaml.Loader):
        yield


@contextlib.contextmanager
def _unasked() -> Iterator[None]:
    """Leave out `git config` for each file, which is for files that stand in an index already.

    The name is Copier's own affair: where a version of it has none, it asks as it always does.
    """
    from copier import _main

    with replaced(_main, "is_git_available", lambda: False):
        yield


@contextlib.contextmanager
def replaced(owner: Any, name: str, by: Any) -> Iterator[None]:
    """Put something in the place of what `owner` has by a name; where it has none, nothing happens."""
    before = getattr(owner, name, None)
    if before is None:
        yield
        return
    setattr(owner, name, by)
    try:
        yield
    finally:
        setattr(owner, name, before)
