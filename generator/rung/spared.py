"""Spare Copier work that cannot change what it renders into a new folder.

Copier compiles each part of each path anew, and asks git about each file that it writes. Together
that was more than half of the time of a render.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@contextlib.contextmanager
def rendering() -> Iterator[None]:
    """Let Copier compile a text once, and ask git nothing about files that git cannot know yet."""
    with _compiled_once(), _unasked():
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

    with _replaced(Environment, "from_string", from_string):
        yield


def _is_plain(environment: Any, text: str) -> bool:
    signs = [environment.block_start_string, environment.variable_start_string]
    signs += [environment.comment_start_string, "\n", "\r"]
    by_line = environment.line_statement_prefix or environment.line_comment_prefix
    return not by_line and not any(sign in text for sign in signs)


@contextlib.contextmanager
def _unasked() -> Iterator[None]:
    """Leave out `git config` for each file, which is for files that stand in an index already.

    The name is Copier's own affair: where a version of it has none, it asks as it always does.
    """
    from copier import _main

    with _replaced(_main, "is_git_available", lambda: False):
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, by: Any) -> Iterator[None]:
    before = getattr(owner, name, None)
    if before is None:
        yield
        return
    setattr(owner, name, by)
    try:
        yield
    finally:
        setattr(owner, name, before)
