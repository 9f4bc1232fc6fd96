"""params.toml is read into records: what is misspelt, missing or of another type is named, with its line."""

import re
from pathlib import Path

import pytest

from rung_ops.errors import StageError
from rung_ops.project import Project, use
from rung_ops.project.parameters import Parameters
from rung_ops.project.paths import parameters, params

WHOLE = """seed = 7
[split]
test_share = 0.25
[model]
bound = inf
[score]
metric = "auc"
higher_is_better = true
[report]
slices = ["origin"]
[fairness.groups]
age = [25]
"""


def read(folder: Path, text: str) -> Parameters:
    (folder / "params.toml").write_text(text)
    with use(Project.at(folder)):
        assert params().keys() >= {"seed", "score"}
        return parameters()


def test_a_table_of_the_projects_own_and_further_names_of_a_split_are_left_to_it(
    tmp_path: Path,
) -> None:
    ours = (
        'by = "shop"\ntest_size = 4\ntrain_from = 1\n[store]\nurl = "a"\n[reporting]\nto = "us"\n'
        "[models]\nn = 2\n[explainer]\nby = 1\n[prediction]\nof = 1\n"
    )

    found = read(tmp_path, WHOLE.replace("[split]\n", f"[ours]\nlimit = nan\n[split]\n{ours}[x]\n"))

    assert found.fairness.groups == {"age": [25]}
    assert (found.split.window, found.tune.trials, found.predict.most_missing) == ("all", 20, 0.5)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("seed = 7", "", r"params\.toml: object missing required field `seed`"),
        ("seed = 7", "seed = true", r"params\.toml:1: seed: expected `int`, got `bool`"),
        ("slices", "slicez", r"params\.toml:10: \[report\] .* `slicez`; did .* `slices`\?"),
        (
            '["origin"]',
            '"origin"',
            r"params\.toml:10: \[report\] slices: expected `array`, got `str`",
        ),
        ("[report]", "[reporting]", r"params\.toml:.* field `reporting`; did you mean `report`\?"),
        (
            "[fair",
            '[reports]\npositive = "a"\n[fair',
            r".*field `reports`; did you mean `report`\?",
        ),
        ("[fair", "[tunes]\ntrials = 1\n[fair", r"params\.toml:.* `tunes`; did you mean `tune`\?"),
        (
            "slices",
            '"slices(" = 1\nslices',
            r"params\.toml: \[report\] .* `slices\(`; did you mean `slices`\?",
        ),
        (
            "slices",
            "cost = 5\nslices",
            r"params\.toml:10: \[report\] .* `cost`\. Names of your own go into a table .*",
        ),
        ("true", "true\nhigher_is_betterr = 1", r"params\.toml:9: .* did .* `higher_is_better`\?"),
        (
            "[model]",
            "test_row = 0\n[model]",
            r"params\.toml:4: \[split\] .* `test_row`; did .*`test_rows`\?",
        ),
        (
            "[model]",
            "test_rows = 0\n[model]",
            r"params\.toml:4: \[split\] test_rows: expected `int` >= 1",
        ),
        ("0.25", "1.0", r"params\.toml:3: \[split\] test_share: expected `float` < 1.0"),
        (
            "[25]",
            '["old"]',
            r"params\.toml: \[fairness\] an item of groups: expected `float`, got `str`",
        ),
        (
            "[25]",
            "[nan]",
            r"params\.toml: `fairness\.groups\.age` is nan; expected a finite number",
        ),
        ("[split]\ntest_share = 0.25", "split = 1", r".*expected `object`, got `int`.*"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    with pytest.raises(StageError) as raised:
        read(tmp_path, WHOLE.replace(old, new, 1))

    assert re.fullmatch(sentence, str(raised.value)), str(raised.value)


def test_without_the_file_it_is_said_where_it_is(tmp_path: Path) -> None:
    with use(Project.at(tmp_path)), pytest.raises(StageError, match="restore it from git"):
        params()
