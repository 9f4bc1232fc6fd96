"""The source of a release is its own: apart from other releases, and from the project."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from machinery.tests.in_project import printed
from rung_ops import contract
from rung_ops.model import source_import
from rung_ops.model.bundle import BundleError, read_manifest

PACKAGE = "sample_package"
ROWS = pl.DataFrame({"number": [1, 2, 3]})


def release(folder: Path, **modules: str) -> Path:
    """Write a release that holds source only."""
    home = folder / "src" / PACKAGE
    home.mkdir(parents=True)
    (home / "__init__.py").write_text("")
    for name, text in modules.items():
        path = home / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def evaluated(folder: Path) -> list[int]:
    return ROWS.select(source_import.features_of(folder, PACKAGE)).to_series().to_list()


def times(factor: int) -> dict[str, str]:
    """A feature whose factor is in another module of the package."""
    return {
        "features": (
            "import polars as pl\n"
            f"from {PACKAGE}.constants import FACTOR\n"
            "FEATURES = [pl.col('number') * FACTOR]\n"
        ),
        "constants": f"FACTOR = {factor}\n",
    }


def test_nothing_of_the_process_is_changed(tmp_path: Path) -> None:
    modules, path = set(sys.modules), list(sys.path)

    evaluated(release(tmp_path / "one", **times(10)))

    new = set(sys.modules) - modules
    assert not [name for name in new if not name.startswith(source_import.PREFIX)]
    assert path == sys.path
    assert not list(tmp_path.rglob("*.pyc"))


def test_the_package_that_is_installed_is_neither_seen_nor_replaced(
    tmp_path: Path, release_folder: Path
) -> None:
    package = read_manifest(release_folder)["package"]
    installed = sys.modules[contract.Row.__module__]

    theirs = source_import.module_of(release_folder, package, "dataset")

    assert theirs is not installed
    assert theirs.Row is not contract.Row
    assert str(release_folder) in str(theirs.__file__)
    assert sys.modules[contract.Row.__module__] is installed


@pytest.mark.parametrize(
    "imported",
    [
        f"from {PACKAGE}.constants import FACTOR",
        f"from {PACKAGE} import constants; FACTOR = constants.FACTOR",
        f"import {PACKAGE}.constants; FACTOR = {PACKAGE}.constants.FACTOR",
        f"import {PACKAGE}.constants as named; FACTOR = named.FACTOR",
        "from .constants import FACTOR",
        "from . import constants; FACTOR = constants.FACTOR",
        f"from {PACKAGE}.inner.deep import FACTOR",
        "from .inner.deep import FACTOR",
    ],
)
def test_every_way_to_import_leads_to_the_same_release(tmp_path: Path, imported: str) -> None:
    text = f"import polars as pl\n{imported}\nFEATURES = [pl.col('number') * FACTOR]\n"
    for factor in (2, 3):
        folder = release(
            tmp_path / str(factor),
            features=text,
            constants=f"FACTOR = {factor}\n",
            inner__deep=f"FACTOR = {factor}\n",
        )

        assert evaluated(folder) == [factor, 2 * factor, 3 * factor]


def test_a_function_that_imports_when_it_runs_still_finds_its_own_release(tmp_path: Path) -> None:
    text = (
        "import polars as pl\n"
        "def scaled(value: int) -> int:\n"
        f"    from {PACKAGE} import constants\n"
        "    return value * constants.FACTOR\n"
        "FEATURES = [pl.col('number').map_elements(scaled, return_dtype=pl.Int64)]\n"
    )
    folders = [
        release(tmp_path / str(factor), features=text, constants=f"FACTOR = {factor}\n")
        for factor in (2, 3)
    ]
    features = [source_import.features_of(folder, PACKAGE) for folder in folders]

    assert ROWS.select(features[0]).to_series().to_list() == [2, 4, 6]
    assert ROWS.select(features[1]).to_series().to_list() == [3, 6, 9]


def test_releases_can_be_imported_from_many_threads(tmp_path: Path) -> None:
    folders = [release(tmp_path / str(factor), **times(factor)) for factor in range(1, 9)]

    with ThreadPoolExecutor(32) as threads:
        results = list(threads.map(evaluated, folders * 4))

    assert results == [[factor, 2 * factor, 3 * factor] for factor in range(1, 9)] * 4


def test_a_folder_is_read_again_when_it_changed_and_only_then(tmp_path: Path) -> None:
    folder = release(tmp_path / "one", **times(10))
    first = source_import.module_of(folder, PACKAGE, "features")
    assert source_import.module_of(folder, PACKAGE, "features") is first

    (folder / "src" / PACKAGE / "constants.py").write_text("FACTOR = 30\n")

    assert evaluated(folder) == [30, 60, 90]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_package\n", "no_such_package"),
        ("FEATURES = [\n", "SyntaxError"),
        ("raise SystemError('no disk')\n", "SystemError: no disk"),
        ("FEATURES = []\n", "not a list of expressions"),
        ("FEATURES = ['number']\n", "not a list of expressions"),
        ("features = []\n", "not a list of expressions"),
    ],
)
def test_useless_source_is_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    folder = release(tmp_path / "one", features=text)

    with pytest.raises(BundleError, match=reason) as error:
        source_import.features_of(folder, PACKAGE)
    assert source_import.PREFIX not in str(error.value)


def test_a_release_without_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="has no source"):
        source_import.features_of(tmp_path, PACKAGE)


def test_what_a_service_imports_of_a_release_is_its_features_alone(release_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from rung_ops.model import bundle, source_import\n"
        f"folder = Path({str(release_folder)!r})\n"
        "features = source_import.features_of(folder, bundle.read_manifest(folder)['package'])\n"
        "print(len(features), [name for name in ('pandera', 'sklearn', 'mlflow', 'model_signing')"
        " if name in sys.modules])\n"
    )

    assert printed(code).split() == [str(len(contract.FEATURES)), "[]"]
