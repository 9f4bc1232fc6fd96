"""Spare Copier work that cannot change what it renders into a new folder.

Copier compiles each part of each path anew, and asks git about each file that it writes. Together
that is more than half of the time of a render.
"""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def rendering() -> Iterator[None]:
    """Let Copier compile a text once, and ask git nothing about files that git cannot know yet."""
    with _compiled_once(), _unasked():
        yield


@contextlib.contextmanager
def _compiled_once() -> Iterator[None]:
    """Keep what Jinja makes of a text, for each environment.

    Extensions see each text all the same: Copier's own forgets its last `yield` when it does.
    """
    from jinja2 import Environment, Template

    compile_text = Environment.from_string
    made: dict[tuple[Environment, str], Template] = {}

    def from_string(self: Environment, source: Any, *others: Any, **named: Any) -> Template:
        if others or named or not isinstance(source, str):
            return compile_text(self, source, *others, **named)
        known = made.get((self, source))
        if known is None:
            known = made[self, source] = compile_text(self, source)
        else:
            self.preprocess(source)
        return known

    with _replaced(Environment, "from_string", from_string):
        yield


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
