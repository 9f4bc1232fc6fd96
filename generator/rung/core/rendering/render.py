"""Projects rendered by Copier, which is imported only here and only when needed (decision 4)."""

import contextlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from rung.core import cache
from rung.core.template_source import Source
from rung.errors import RungError
from rung.system import git, shortage


def render(
    source: Source, destination: Path, answers: Mapping[str, Any], *, defaults: bool
) -> None:
    """Write a new project.

    Args:
        source: The template; its address is recorded as it is.
        destination: A folder that does not exist yet.
        answers: Answers by question.
        defaults: Take the default where no answer is given; ask the user otherwise.
    """
    read_settings()
    with _copier(source) as copier:
        copier.run_copy(
            source.address,
            destination,
            dict(answers),
            vcs_ref=source.ref,
            defaults=defaults,
            quiet=True,
            settings=copier.load_settings(),
        )


def read_settings() -> str:
    """Return Copier's settings, in which a company can change defaults of answers.

    Raises:
        RungError: They cannot be read, or COPIER_SETTINGS_PATH names no file.
    """
    file, named = _settings_file()
    try:
        if file.is_file():
            return file.read_text("utf-8", "replace")
    except OSError as error:
        raise _unreadable_settings(error) from error
    if named:
        raise _unreadable_settings("it is no file")
    return ""


def _settings_file() -> tuple[Path, bool]:
    """Return the path of Copier's settings, and whether the user has named it."""
    named = os.environ.get("COPIER_SETTINGS_PATH")
    default = user_config_path("copier", appauthor=False) / "settings.yml"
    return (Path(named), True) if named else (default, False)


def _unreadable_settings(reason: object) -> RungError:
    return RungError(
        f"Copier's settings {_settings_file()[0]} cannot be read: {reason}\n"
        "Correct the file, or the environment variable COPIER_SETTINGS_PATH."
    )


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
            raise _unreadable_settings(error) from error
        except ProcessExecutionError as error:
            raise RungError(
                _unreadable(source, error.stderr or "", int(error.retcode or 0))
            ) from error
        except CommandNotFound as error:
            raise RungError(f"git is not installed, or not on PATH. {shortage.DOCTOR}") from error
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
    """Say why git could not clone a template, and what to do."""
    ended = [shortage.end(exit_code)] if exit_code < 0 else []
    lines = output.strip().splitlines() + ended or [shortage.end(exit_code)]
    advice = shortage.remedy_in("\n".join(lines))
    return (
        f"The template {source.address} could not be read at {source.ref}:\n{lines[-1]}\n"
        f"{advice or 'Check the address, the version and the network, then try again.'}"
    )


def _plain_message(error: Exception) -> str:
    """Say which answer Copier refused, why, and how to give another."""
    message = " ".join(str(error).split())
    refused = re.match(
        r"(?:Validation error for question|Invalid choice for) '(\w+)': (.*)", message
    )
    if refused:
        question, reason = refused.groups()
        return (
            f"The answer to `{question}` is not accepted: {reason}\n"
            f"Give another one, with `-d {question}=VALUE` for instance."
        )
    return f"The template could not be rendered: {message or type(error).__name__}"
