"""Add-ons: distributions that bring verbs, a guard of the service, checks; the core names none.

A distribution names an `Addon` in the entry-point group `rung_ops.addons`, by the add-on's name; see
docs/addons.md. One that is installed is active, if the project has the path that it names. One that
`addons` of `[tool.rung]` lists is active too, and stops every verb while it is not installed: what
should guard must never be missing in silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Verb(NamedTuple):
    """A verb of `rung-ops`.

    Attributes:
        target: `MODULE` or `MODULE:FUNCTION`, imported when the verb is typed; without FUNCTION
            `main`. It returns an exit code or nothing.
        extra: of the distribution, that installs what it needs.
        help: one line.
        first: a package to import before MODULE, but not for `--help`. skops looks for each of a
            thousand functions in all modules that are loaded: before the thousand of MLflow it
            takes a second less.
        is_keyless: it runs code of the project, and neither signs nor pushes anything, so it runs
            in a process without keys, but for those of the prediction log.
        is_alone: no add-on has a say in it, so it runs also where one that is listed is missing.
    """

    target: str
    extra: str
    help: str
    first: str = ""
    is_keyless: bool = False
    is_alone: bool = False


class Backend(NamedTuple):
    """What scores rows in the place of this process.

    Attributes:
        target: `MODULE:FUNCTION`; takes input, output and what it has to call before it writes, as
            `rung_ops.batch.predict.in_process` does, and returns what that returns.
        extra: of the distribution, that installs what it needs.
    """

    target: str
    extra: str


@dataclass(frozen=True, kw_only=True)
class Addon:
    """What an add-on brings. Targets are `MODULE:FUNCTION`, imported when they are called.

    Attributes:
        summary: what it is for, in one line of `rung-ops --help`.
        verbs: by name, of one word or two.
        path: of a file or folder that the projects have which use it, such as `ops/ray.toml`; empty
            for one that is used wherever it is installed.
        policies: readers of the files in ops/ that it brings, by file; `rung-ops policies` calls them.
        guard: a module for the service: `routes(service)` are answered too, `state_reader(folder)`
            says what may be served, and with `IS_GOVERNED` callers have to say who they are.
        keys: public keys of the project that it verifies with. While they are there and it is not
            installed, the service answers this machine alone.
        notify: `(subject, message)`, called where the project's hook `notify` is.
        monitor_check: `(predictions)`, called where the project's hook `monitor_check` is.
        model_format: `(root)`, raises StageError where a model in a format of the
            project's own may not be released.
        scoring: backends of `rung-ops predict --backend NAME`, by name.
        before_writing: `()`, a context manager that lends what maps blocks of scored rows to the rows
            that `rung-ops predict` writes, by any backend; it raises StageError where nothing
            may be written, and ends before the output gets its name.
        stages: files like dvc.yaml that each of several models has.
        documents: `()`, the names of the files that each of several models has for itself.
        checks: verbs that `poe models --check` runs for each model that has `path`.
        reports: names of files in reports/ that no model card contains: they are about more than
            the run, and longer.
        report_sections: headings of the page that `poe reports` writes; below each stand the sentences
            `lead` and `outcome` of a JSON file in reports/.
        stage_functions: functions that stages import from `rung_ops.stages`, by name.
        approval: what a person does with a release that waits in shadow.
        stand_in: a module for a replay: `prepare(folder)`, `is_required()`, `waiting()` and
            `approve(release)` do what a person does otherwise.
    """

    summary: str
    verbs: Mapping[str, Verb] = field(default_factory=dict)
    path: str = ""
    policies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    guard: str = ""
    keys: tuple[str, ...] = ()
    notify: str = ""
    monitor_check: str = ""
    model_format: str = ""
    scoring: Mapping[str, Backend] = field(default_factory=dict)
    before_writing: str = ""
    stages: tuple[str, ...] = ()
    documents: str = ""
    checks: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    report_sections: Mapping[str, str] = field(default_factory=dict)
    stage_functions: Mapping[str, str] = field(default_factory=dict)
    approval: str = ""
    stand_in: str = ""
