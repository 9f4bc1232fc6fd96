"""Projects rendered by Copier, which is imported only here and only when needed (decision 4)."""

import contextlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rung.core import cache
from rung.core.rendering import copier_settings, interview
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.template_answers import is_setting
from rung.system import git, shortage


def render(
    source: Source, destination: Path, answers: Mapping[str, Any], *, defaults: bool
) -> None:
    """Write a new project into a folder that does not exist yet; ask the user without `defaults`."""
    copier_settings.read()
    questions = source.read("levels/questions.yml")
    with _copier(source) as copier:
        settings = copier.load_settings()
        # Those of a new project are among the answers; a project that exists takes no others.
        defaults_of_new = {
            name: value
            for name, value in settings.defaults.items()
            # A version before its `ask` rendered monitor_every and did not record it.
            if not (is_setting(questions.get(name, {})) or name == "monitor_every")
        }

        def copy(data: Mapping[str, Any], suggested: Mapping[str, Any]) -> None:
            copier.run_copy(
                source.address,
                destination,
                dict(data),
                vcs_ref=source.ref,
                defaults=defaults,
                quiet=True,
                settings=replace(settings, defaults=defaults_of_new | dict(suggested)),
            )

        if defaults:
            copy(answers, {})
        else:
            interview.ask(copy, answers, questions)


@contextlib.contextmanager
def _copier(source: Source) -> Iterator[Any]:
    """Yield Copier with Rung's settings for git, and turn its errors into Rung's."""
    with _surroundings(git.QUIET | source.git_settings()):
        import copier
        from copier.errors import CopierAnswersInterrupt, CopierError, SettingsError
        from plumbum import CommandNotFound, ProcessExecutionError

        try:
            with warnings.catch_warnings():
                # Rung has its own messages for what they report: uncommitted or shallow templates.
                warnings.simplefilter("ignore")
                yield copier
        except CopierAnswersInterrupt as error:
            raise KeyboardInterrupt from error
        except SettingsError as error:
            raise copier_settings.unreadable(error) from error
        except ProcessExecutionError as error:
            problem = _unreadable(source, error.stderr or "", int(error.retcode or 0))
            raise RungError(problem) from error
        except CommandNotFound as error:
            raise RungError(git.MISSING) from error
        except OSError as error:
            if shortage.remedy(error):
                raise  # __main__ names what the machine has run out of
            raise RungError(f"A file cannot be read or written: {error}.") from error
        except (CopierError, ValueError) as error:
            raise RungError(_plain_message(error)) from error


@contextlib.contextmanager
def _surroundings(settings: Mapping[str, str]) -> Iterator[None]:
    """Give Copier's git these settings, and its mirrors of templates a folder in Rung's cache.

    A mirror that was made through the redirection (decision 1) must not be where plain Copier looks.
    """
    from plumbum import local

    first = int(os.environ.get("GIT_CONFIG_COUNT", "0") or 0)
    added = {"GIT_CONFIG_COUNT": str(first + len(settings)), "GIT_TERMINAL_PROMPT": "0"}
    for number, (name, value) in enumerate(settings.items(), start=first):
        added |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    mirrors = os.environ.get("COPIER_CACHE_DIR")
    os.environ["COPIER_CACHE_DIR"] = str(cache.prepared() / "copier")
    try:
        with local.env(**added):
            for name in git.ELSEWHERE:
                if name in local.env:
                    del local.env[name]
            yield
    finally:
        if mirrors is None:
            del os.environ["COPIER_CACHE_DIR"]
        else:
            os.environ["COPIER_CACHE_DIR"] = mirrors


def _unreadable(source: Source, output: str, exit_code: int) -> str:
    lines = output.strip().splitlines()
    if exit_code < 0 or not lines:
        lines.append(shortage.end(exit_code))
    advice = shortage.remedy_in("\n".join(lines))
    return (
        f"The template {source.address} could not be read at {source.ref}:\n{lines[-1]}\n"
        f"{advice or 'Check the address, the version and the network, then try again.'}"
    )


def _plain_message(error: Exception) -> str:
    message = " ".join(str(error).split())
    refused = re.match(
        r"(?:Validation error for question|Invalid choice for) '(\w+)': (.*)", message
    )
    if refused:
        question, reason = refused.groups()
        reason = re.sub(r"is not in \[(.*)\]$", r"is not one of \1.", reason)
        settings = ""
        if copier_settings.defaults({question: {}}):
            settings = f", or in Copier's settings {copier_settings.path()}"
        return (
            f"The answer to `{question}` is not accepted: {reason}\n"
            f"Give another one, for example with `-d {question}=VALUE`{settings}."
        )
    return f"The template could not be rendered: {message or type(error).__name__}"
