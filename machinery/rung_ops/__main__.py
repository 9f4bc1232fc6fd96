"""The command `rung-ops`: one verb for everything that tasks, stages, CI jobs and images call."""

import importlib
import inspect
import sys

from rung_ops.system import uncaught  # noqa: F401
from rung_ops.system.pipes import quietly
from rung_ops.verbs import KEYLESS, VERBS

OK, REFUSED, USAGE = 0, 1, 2  # exit codes


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; return its exit code. It ends quietly where its output goes to `head`."""
    return quietly(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    """Run one verb: one word or two, as `gate` and `governance gate`; what follows is its own."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return OK if words else USAGE
    if words[0] == "--version":
        from rung_ops import __version__

        print(f"rung-ops {__version__}")
        return OK
    name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in VERBS), None)
    if name is None:
        print(f"`rung-ops {words[0]}` does not exist.\n\n{usage()}", file=sys.stderr)
        return USAGE
    # Imported here: a verb loads what it needs, and `rung-ops --help` nothing.
    from rung_ops.project.errors import StageError
    from rung_ops.project.paths import NoProjectError

    try:
        from rung_ops.project import keyless
        from rung_ops.project.version import refuse_other_version
        from rung_ops.system import key_names

        refuse_other_version()
        if name in KEYLESS:
            code = keyless.without_keys("rung_ops", words, key_names.OF_LOG)
            if code is not None:
                return code
        if VERBS[name].first:
            importlib.import_module(VERBS[name].first)
        module, _, function = VERBS[name].target.partition(":")
        run = getattr(importlib.import_module(f"rung_ops.{module}"), function or "main")
        own = words[len(name.split()) :]
        if own and not inspect.signature(run).parameters:
            return _takes_no_arguments(name, own)
        sys.argv = [f"rung-ops {name}", *own]
        return int(run() or OK)
    except NoProjectError as error:
        print(error, file=sys.stderr)
        return USAGE
    except StageError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("rung_ops"):
            raise
        print(
            f"`rung-ops {name}` needs the package `{error.name}`, which is not installed: run "
            f"`uv sync`, or add the extra `{VERBS[name].extra}` of rung-ops.",
            file=sys.stderr,
        )
        return USAGE


def _takes_no_arguments(name: str, given: list[str]) -> int:
    """Explain a verb whose function has no parameters, instead of running it all the same."""
    said = f"usage: rung-ops {name}"
    if given[0] in ("-h", "--help"):
        print(f"{said}\n\n{VERBS[name].help[:1].upper()}{VERBS[name].help[1:]}.")
        return OK
    print(f"{said}\nIt takes no arguments, got: {' '.join(given)}", file=sys.stderr)
    return USAGE


def usage() -> str:
    """List all verbs, a line each."""
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {verb.help}" for name, verb in VERBS.items()]
    return "\n".join(["usage: rung-ops VERB [ARGUMENTS]", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
