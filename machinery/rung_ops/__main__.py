"""The command `rung-ops`: one verb for everything that tasks, stages, CI jobs and images call.

`eval "$(_RUNG_OPS_COMPLETE=bash_source rung-ops)"` lets bash complete verbs and options; likewise
`zsh_source` and `fish_source`.
"""

import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Mapping

from rung_ops.addons import Verb
from rung_ops.errors import OpsError
from rung_ops.project import active_addons
from rung_ops.system import uncaught  # noqa: F401
from rung_ops.system.processes import importing, quietly
from rung_ops.verbs import ALSO_SHARED, VERBS

OK, USAGE = 0, 2  # exit codes
HELP = {"-h", "--help"}
COMPLETE = "_RUNG_OPS_COMPLETE"  # what the shell wants, such as bash_source
SERVE = "--serve-stages"  # what stage_process.shared() starts


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; return its exit code. It ends quietly where its output goes to `head`."""
    return quietly(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    """Run one verb: one word or two, as `tracking sync`; what follows is its own."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if instruction := os.environ.get(COMPLETE):
            from rung_ops.completion import answer

            return answer(_tables(), COMPLETE, instruction)
        if not words or words[0] in HELP:
            print(usage())
            return OK if words else USAGE
        if words[0] == "--version":
            from rung_ops import __version__

            print(f"rung-ops {__version__}")
            return OK
        if words[0] == SERVE:
            from rung_ops.project import stage_process

            return stage_process.serve(int(words[1]), _run)
        tables = _tables()
        for name in (" ".join(words[:2]), words[0]):
            for owner, verbs in tables.items():
                if name in verbs:
                    return _run_verb(owner, name, verbs[name], words)
        names = [name for verbs in tables.values() for name in verbs]
        # Add-ons had verbs such as `ray predict` that are the core's now.
        near = [name for word in words[1:2] if (name := word.partition("-")[0]) in names]
        typed = (" ".join(words[:2]), words[0])
        near += [match for text in typed for match in difflib.get_close_matches(text, names, n=1)]
        meant = f"; did you mean `{near[0]}`?" if near else "."
        count = 2 if any(name.startswith(f"{words[0]} ") for name in names) else 1
        print(
            f"`rung-ops {' '.join(words[:count])}` does not exist{meant}\n\n{usage()}",
            file=sys.stderr,
        )
        return USAGE
    except OpsError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _tables() -> dict[str, Mapping[str, Verb]]:
    """Return the verbs of the library and of the add-ons, by who brings them."""
    return {"rung-ops": VERBS, **active_addons.verb_tables(VERBS)}


def _run_verb(owner: str, name: str, verb: Verb, words: list[str]) -> int:
    try:
        # Imported here: a verb loads what it needs, and `rung-ops --help` nothing.
        from rung_ops.project.paths import refuse_other_version

        refuse_other_version()
        if not verb.is_alone:
            active_addons.refuse_missing()
        if verb.is_keyless or name in os.environ.get(ALSO_SHARED, "").split():
            from rung_ops.project import keyless, stage_process
            from rung_ops.system import key_names

            code = stage_process.delegated(words)
            if code is None and verb.is_keyless:
                code = keyless.without_keys("rung_ops", words, key_names.OF_LOG)
            if code is not None:
                return code
        module, _, function = verb.target.partition(":")
        with importing():
            if verb.first and not HELP.intersection(words):
                importlib.import_module(verb.first)
            run = getattr(importlib.import_module(module), function or "main")
        own = words[len(name.split()) :]
        if own and not inspect.signature(run).parameters:
            return _takes_no_arguments(name, verb, own)
        sys.argv = [f"rung-ops {name}", *own]
        return int(run() or OK)
    except (OpsError, OSError):
        raise
    except ModuleNotFoundError as error:
        package = active_addons.missing_package(error, verb.target)
        if not package:
            raise
        text = active_addons.how_to_install(package, owner, verb.extra)
        print(f"`rung-ops {name}` {text}", file=sys.stderr)
        return USAGE
    except Exception:
        if verb.is_keyless:  # the others import no code of the project into this process
            from rung_ops.checks import promises

            promises.refuse_broken()
        raise


def _takes_no_arguments(name: str, verb: Verb, arguments: list[str]) -> int:
    """Explain a verb whose function has no parameters, instead of running it all the same."""
    line = f"usage: rung-ops {name}"
    if arguments[0] in HELP:
        print(f"{line}\n\n{verb.help[:1].upper()}{verb.help[1:]}.")
        return OK
    print(f"{line}\nIt takes no arguments, got: {' '.join(arguments)}", file=sys.stderr)
    return USAGE


def usage() -> str:
    """List all verbs, a line each; those of an add-on that the project uses below its name."""
    tables: dict[str, Mapping[str, Verb]] = {"": VERBS}
    for name, addon in active_addons.shown().items():
        tables[f"{name}: {addon.summary}"] = addon.verbs
    width = max(len(name) for verbs in tables.values() for name in verbs)
    lines = ["usage: rung-ops VERB [ARGUMENTS]"]
    for title, verbs in tables.items():
        lines += ["", title] if title else [""]
        lines += [f"  {name:<{width}}  {verb.help}" for name, verb in verbs.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
