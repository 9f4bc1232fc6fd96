"""The command line: parse, call, print, exit code."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rung import template
from rung.errors import RungError

UNEXPECTED = 3
INTERRUPTED = 130


class Version(argparse.Action):
    """Print the version; reading it takes a moment that no other command should pay for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print and end."""
        print(f"rung {template.tag()[1:]}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: the one place that turns errors into words."""
    try:
        options = parser().parse_args(arguments)
        return int(options.run(options))
    except RungError as error:
        print(f"rung: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("rung: stopped; nothing is left half-done.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("RUNG_DEBUG"):
            raise
        print(
            f"rung: this should not happen: {type(error).__name__}: {error}\n"
            f"Run it again with RUNG_DEBUG=1 and report what it prints at {template.url()}/issues.",
            file=sys.stderr,
        )
        return UNEXPECTED


def parser() -> argparse.ArgumentParser:
    """Describe every command and its options."""
    top = argparse.ArgumentParser(
        prog="rung", description="Machine-learning repositories that can climb.", allow_abbrev=False
    )
    top.add_argument("--version", action=Version, nargs=0, help="print the version")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    new = _command(commands, "new", _new, "start a project")
    new.add_argument("destination", metavar="DEST", type=Path, help="a folder that does not exist")
    new.add_argument("--level", metavar="N", help="the rung to start on")
    new.add_argument("--use-case", metavar="GAME", help="velocity or governance")
    new.add_argument("--team-size", metavar="SIZE", help="one, team or teams")
    new.add_argument("--ci", metavar="VENDOR", help="github, gitlab or azure")
    new.add_argument(
        "-d",
        "--data",
        metavar="QUESTION=ANSWER",
        dest="pairs",
        action="append",
        default=[],
        help="answer any question; may be repeated",
    )
    new.add_argument("--answers", metavar="FILE", type=Path, help="a YAML file of answers")
    new.add_argument("--defaults", action="store_true", help="ask nothing, take the defaults")
    new.add_argument("--dry-run", action="store_true", help="list every file and write none")
    new.add_argument("--no-git", action="store_true", help="make no repository and no commit")
    _template_options(new)

    climb = _command(commands, "climb", _climb, "take a project to another rung")
    climb.add_argument("path", metavar="PATH", type=Path, nargs="?", default=Path())
    climb.add_argument("--to", metavar="N", type=int, required=True, help="the rung to stand on")
    climb.add_argument("--template", metavar="WHERE", help="trust this template, too")

    levels = _command(commands, "levels", _levels, "show the ladder")
    levels.add_argument("--markdown", action="store_true", help="as the page docs/levels.md")

    demo = _command(commands, "demo", _demo, "make a project and climb rungs 0, 1 and 2 with it")
    demo.add_argument("--keep", metavar="DIR", type=Path, help="where to make it (./rung-demo)")
    demo.add_argument("--upto", metavar="N", type=int, default=2, help="the last rung (2)")
    return top


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: object,
    summary: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    command.set_defaults(run=run)
    return command


def _template_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--template", metavar="WHERE", help="another template: a path or a URL")
    command.add_argument("--template-version", metavar="REF", help="a tag or commit of it")


def _new(options: argparse.Namespace) -> int:
    from rung import answers, new, source

    chosen = source.choose(options.template, options.template_version)
    given = answers.gather(
        options.answers,
        options.pairs,
        {
            "level": options.level,
            "use_case": options.use_case,
            "team_size": options.team_size,
            "ci": options.ci,
        },
    )
    print(f"Template: {chosen.address} at {chosen.ref}. {chosen.note}".rstrip(), file=sys.stderr)
    if options.dry_run:
        born = new.preview(options.destination, chosen, given, defaults=options.defaults)
        print(*born.files, sep="\n")
        print(f"{len(born.files)} files; nothing was written.", file=sys.stderr)
        return 0
    born = new.new(
        options.destination,
        chosen,
        given,
        defaults=options.defaults,
        with_git=False if options.no_git else None,
    )
    print(f"{born.folder}: rung {born.level}, {len(born.files)} files.")
    if born.repository and not born.committed and not options.no_git:
        print(f"It stands inside the repository {born.repository}: add and commit it there.")
    if not born.signed:
        print(
            "git does not know your name, so the first commit bears Rung's. Put it right with\n"
            '  git config --global user.name "Your Name"\n'
            "  git config --global user.email you@example.com\n"
            "  git commit --amend --reset-author --no-edit"
        )
    print("\nNext:")
    for step in new.next_steps(born.folder):
        print(f"  {step}")
    return 0


def _climb(options: argparse.Namespace) -> int:
    from rung.climb import climb

    climbed = climb(options.path, options.to, options.template)
    if climbed.before == climbed.after:
        print(f"The project already stands on rung {climbed.after}.")
        return 0
    print(f"From rung {climbed.before} to rung {climbed.after}:")
    for sign, paths in (("+", climbed.added), ("~", climbed.changed), ("-", climbed.removed)):
        for path in paths:
            print(f"  {sign} {path}")
    if climbed.conflicts:
        print(
            "\nYour lines and Rung's met in these files; both are in them, between markers:",
            *(f"  {path}" for path in climbed.conflicts),
            "Decide each, remove the markers and the .rej files, then commit.",
            "To go back instead: `git reset --hard && git clean -d --force`.",
            sep="\n",
            file=sys.stderr,
        )
        return 1
    print(
        "\nNothing is committed yet. Look, check, commit:\n"
        "  git add --all && git diff --cached\n"
        "  uv sync && uv run poe check\n"
        f'  git commit -m "Climb to rung {climbed.after}"'
    )
    return 0


def _levels(options: argparse.Namespace) -> int:
    from rung import ladder, levels

    rungs = levels.load(template.folder() / "levels")
    print(ladder.markdown(rungs) if options.markdown else ladder.text(rungs), end="")
    return 0


def _demo(options: argparse.Namespace) -> int:
    from rung import demo

    return demo.demo(options.keep, options.upto)
