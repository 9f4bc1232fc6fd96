"""A release is used as it was verified, also when its files are replaced in the meantime."""

import contextlib
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from machinery.tests.release.conftest import FIRST
from rung_ops.model import bundle, source_import
from rung_ops.model import released as releases
from rung_ops.model.bundle import BundleError, ReleaseFiles
from rung_ops.project.service_settings import ANY_SPEED
from rung_ops.release import signing

RAN = "unsigned_code_ran"
UNSIGNED = f"\n\nimport pathlib\npathlib.Path(__file__).parents[2].with_name('{RAN}').touch()\n"


@pytest.fixture
def signed(two_candidates: Path, tmp_path: Path) -> Path:
    """A separate release."""
    return shutil.copytree(two_candidates / FIRST, tmp_path / "bundles" / FIRST)


def package_of(release: Path) -> str:
    return str(bundle.read_manifest(release)["package"])


def swap_after_verification(monkeypatch: pytest.MonkeyPatch, swap: Callable[[], object]) -> None:
    """Let an attacker act between the verification and the first use."""

    def verified_then_swapped(folder: Path, key: bytes) -> Any:
        result = bundle.open_verified(folder, key)
        swap()
        return result

    monkeypatch.setattr(releases, "open_verified", verified_then_swapped)


def names(release: Path) -> list[str]:
    return [path for path in bundle.paths_of(release) if path != bundle.SIGNATURE]


def test_no_file_that_was_replaced_after_the_verification_is_used(
    signed: Path, release_key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file it is: the release is refused, or the file is not one that a load reads."""
    refused = []
    for name in names(signed):
        complete = (signed / name).read_bytes()
        with monkeypatch.context() as patch:
            swap_after_verification(patch, lambda name=name: (signed / name).write_bytes(b"[]"))
            try:
                releases.load(signed, release_key, ANY_SPEED)
            except BundleError as error:
                assert f"{name} was changed after it was signed" in str(error)
                refused.append(name)
        (signed / name).write_bytes(complete)

    source = [path for path in names(signed) if path.startswith(bundle.SOURCE)]
    assert {bundle.CONTRACT, bundle.PARITY, bundle.METRICS, bundle.CARD, *source} <= set(refused)
    assert {bundle.ONNX, bundle.LIGHTGBM, bundle.SKOPS, bundle.CUSTOM} & set(refused)


def test_a_file_that_became_a_link_or_vanished_is_not_used(
    signed: Path, release_key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = signed / bundle.CONTRACT
    kept = path.with_name("kept.json")

    def link() -> None:
        path.rename(kept)
        path.symlink_to(kept)

    for swap in (link, path.unlink):
        with monkeypatch.context() as patch, pytest.raises(BundleError, match="contract.json"):
            swap_after_verification(patch, swap)
            releases.load(signed, release_key, ANY_SPEED)


def test_a_file_that_goes_while_the_folder_is_listed_is_a_release_not_to_use(
    signed: Path, release_key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = signed / ".draft"
    draft.touch()

    @contextlib.contextmanager
    def listed(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
        with os_scandir(folder) as entries:
            result = list(entries)
        draft.unlink(missing_ok=True)
        yield result

    os_scandir = os.scandir
    monkeypatch.setattr(os, "scandir", listed)
    with pytest.raises(BundleError, match=r"cannot be listed: .*\.draft"):
        releases.load(signed, release_key, ANY_SPEED)


def swap_again_and_again(features: Path, original: bytes) -> None:
    """Put unsigned code in the place of the features, and the signed code back, for ever."""
    draft = features.with_name(".draft")
    while True:
        for content in (original + UNSIGNED.encode(), original):
            draft.write_bytes(content)
            draft.rename(features)


def test_unsigned_code_never_runs_while_somebody_swaps_it_in_and_out(
    signed: Path, release_key: bytes
) -> None:
    features = signed / bundle.SOURCE / package_of(signed) / "features.py"
    attacker = multiprocessing.get_context("fork").Process(
        target=swap_again_and_again, args=(features, features.read_bytes()), daemon=True
    )
    attacker.start()
    loads = []
    try:
        for _ in range(30):
            try:
                loads.append(releases.load(signed, release_key, ANY_SPEED))
            except BundleError:
                continue
    finally:
        attacker.kill()
        attacker.join()

    assert not signed.with_name(RAN).exists()


def signed_source(
    directory: Path, private_key: bytes, original: Path, files: dict[str, str]
) -> Path:
    """Make a release with other source, and sign it."""
    made = shutil.copytree(original, directory / original.name)
    for name, text in files.items():
        (made / bundle.SOURCE / package_of(made) / name).write_text(text)
    manifest = bundle.read_manifest(made)
    manifest["files"] = bundle.files_of(made)
    from rung_ops.release.make import write_json

    write_json(made / bundle.MANIFEST, manifest)
    (made / bundle.SIGNATURE).unlink()
    signing.sign(made, private_key)
    return made


def verified(release: Path, key: bytes) -> ReleaseFiles:
    return bundle.open_verified(release, key)[1]


def test_a_table_beside_the_source_is_the_signed_one_whenever_it_is_read(
    signed: Path, tmp_path: Path, release_key: bytes, release_private_key: bytes
) -> None:
    reader = (
        "from pathlib import Path\n\n\n"
        "def table():\n    return Path(__file__).with_name('table.csv').read_text()\n"
    )
    made = signed_source(
        tmp_path / "made", release_private_key, signed, {"late.py": reader, "table.csv": "signed"}
    )
    package = package_of(made)
    module = source_import.module_of(verified(made, release_key), package, "late")
    (made / bundle.SOURCE / package / "table.csv").write_text("unsigned")

    assert module.table() == "signed"


def test_a_module_that_was_not_signed_cannot_be_imported(
    signed: Path, tmp_path: Path, release_key: bytes, release_private_key: bytes
) -> None:
    late = "def late():\n    from . import added\n\n    return added\n"
    made = signed_source(tmp_path / "made", release_private_key, signed, {"late.py": late})
    package = package_of(made)
    module = source_import.module_of(verified(made, release_key), package, "late")
    (made / bundle.SOURCE / package / "added.py").write_text("")

    with pytest.raises(ImportError, match="added"):
        module.late()


def test_the_files_of_a_custom_model_are_the_signed_ones_whenever_they_are_read(
    signed: Path, tmp_path: Path, release_key: bytes, release_private_key: bytes
) -> None:
    model = (
        "import polars as pl\n\n\n"
        "def save(model, path):\n    path.mkdir()\n\n\n"
        "def load(path):\n    return path\n\n\n"
        "def predict(model, features):\n"
        "    return [float((model / 'weight').read_text())] * features.height\n"
    )
    (signed / bundle.CUSTOM).mkdir()
    (signed / bundle.CUSTOM / "weight").write_text("2")
    made = signed_source(tmp_path / "made", release_private_key, signed, {"model.py": model})
    from rung_ops.model.predictors import predictor_of

    manifest = {"format": "custom", "package": package_of(made)}
    predict = predictor_of(verified(made, release_key), manifest)
    (made / bundle.CUSTOM / "weight").write_text("7")

    assert predict(pl.DataFrame({"a": [1, 2]})).tolist() == [2.0, 2.0]
