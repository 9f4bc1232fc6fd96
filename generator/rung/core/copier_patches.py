"""Patches of Copier while it renders into a new folder: the same result with less work.

Copier compiles each part of each path again and gathers all answers for it, reads the template's
YAML in Python, and asks git about each file that it writes. Together that was three quarters of the
time of a render.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.core import checkout, private_names
from rung.errors import RungError
from rung.system import plain_yaml


@contextlib.contextmanager
def rendering(
    repository: Path | None = None, ref: str = "", answers: Mapping[str, Any] = {}
) -> Iterator[None]:
    """Let Copier do some work once instead of for each file, and skip useless calls of git.

    Args:
        repository: A repository of this machine that has the template, if there is one.
        ref: The template's version: a tag or a commit.
        answers: What it is rendered with.
    """
    with (
        _checked_out_without_clone(repository, ref, answers),
        _compiled_once(),
        _files_compiled_once(),
        _without_context(),
        _read_by_libyaml(),
        _unasked(),
    ):
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
    """Cache what Jinja makes of a text, for each environment.

    Extensions still see each text: Copier's own forgets its last `yield` when it does.
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


# What Jinja's compiler made of files, for this process: a climb renders the same ones twice.
_COMPILED: dict[Any, Any] = {}
# What it depends on, besides the text.
SYNTAX = (
    *("block_start_string", "block_end_string", "variable_start_string", "variable_end_string"),
    *("comment_start_string", "comment_end_string", "line_statement_prefix"),
    *("line_comment_prefix", "trim_blocks", "lstrip_blocks", "newline_sequence"),
    *("keep_trailing_newline", "optimized", "autoescape", "is_async", "sandboxed"),
)


@contextlib.contextmanager
def _files_compiled_once() -> Iterator[None]:
    """Cache what Jinja makes of a file of a template, for all environments that read it alike."""
    from jinja2 import Environment

    compile_file: Any = Environment.compile

    def compiled(
        self: Environment, source: Any, name: Any = None, filename: Any = None, *others: Any
    ) -> Any:
        if name is None or others or not isinstance(source, str):
            return compile_file(self, source, name, filename, *others)
        alike = (type(self), *sorted(self.extensions), *(getattr(self, one) for one in SYNTAX))
        if (key := (source, name, alike)) in _COMPILED:
            self.preprocess(source)  # extensions still see each text
        else:
            _COMPILED[key] = compile_file(self, source, name, filename)
        return _COMPILED[key]

    with replaced(Environment, "compile", compiled):
        yield


def _is_plain(environment: Any, text: str) -> bool:
    signs = [environment.block_start_string, environment.variable_start_string]
    signs += [environment.comment_start_string, "\n", "\r"]
    by_line = environment.line_statement_prefix or environment.line_comment_prefix
    return not by_line and not any(sign in text for sign in signs)


@contextlib.contextmanager
def _without_context() -> Iterator[None]:
    """Gather no answers for a text in which Jinja has nothing to do.

    Where a version of Copier has not got the names, it does all its work, here and below.
    """
    worker = private_names.copier().worker
    filled_in: Any = getattr(worker, "_render_string", None)
    original: Any = getattr(worker, "answers_relpath", None)

    def render_string(self: Any, string: Any, *more: Any, **named: Any) -> Any:
        made = self.jinja_env.from_string(string)
        return made.text if isinstance(made, _Plain) else filled_in(self, string, *more, **named)

    def answers_relpath(self: Any) -> Any:
        path = self.answers_file or self.template.answers_relpath
        made = self.jinja_env.from_string(str(path))
        return Path(made.text) if isinstance(made, _Plain) else original.fget(self)

    with (
        replaced(worker, "_render_string", render_string),
        replaced(worker, "answers_relpath", property(answers_relpath)),
    ):
        yield


@contextlib.contextmanager
def _read_by_libyaml() -> Iterator[None]:
    """Read YAML with libyaml if available."""
    import yaml

    with replaced(yaml, "SafeLoader", plain_yaml.Loader):
        yield


@contextlib.contextmanager
def _unasked() -> Iterator[None]:
    """Leave out `git config` for each file, which is for files that are in an index already."""
    with replaced(private_names.copier().main, "is_git_available", lambda: False):
        yield


@contextlib.contextmanager
def _checked_out_without_clone(
    repository: Path | None, ref: str, answers: Mapping[str, Any]
) -> Iterator[None]:
    """Check a template of this machine out: Copier clones it, with every object, and removes them.

    What needs more than a checkout is left to Copier, and what git refuses too: Copier says why.
    """
    template = private_names.copier().template
    clone: Any = getattr(template, "clone", None)

    def clone_or_check_out(url: str, wanted: str = "HEAD", location: str | None = None) -> str:
        if repository is not None and location is not None and wanted == ref:
            with contextlib.suppress(RungError, OSError):
                if checkout.checked_out(repository, ref, Path(location), answers):
                    return location
            checkout.empty(Path(location))
        return str(clone(url, wanted, location))

    with replaced(template, "clone", clone_or_check_out):
        yield


@contextlib.contextmanager
def replaced(owner: Any, name: str, by: Any) -> Iterator[None]:
    """Replace an attribute of `owner`, if it exists."""
    before = getattr(owner, name, None)
    if before is None:
        yield
        return
    setattr(owner, name, by)
    try:
        yield
    finally:
        setattr(owner, name, before)
