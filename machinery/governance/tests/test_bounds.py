"""Outside of the change control plan, or where something is not known, no version passes."""

import math
from dataclasses import replace
from typing import Any

import pytest
import yaml

from rung_governance.approval import bounds, plan
from rung_governance.approval.bounds import Facts

BOUNDS = plan.Bounds(
    parameters={"model.C": {"least": 0.1, "most": 1}, "model.kind": {"one_of": ["a", "b"]}},
    unrestricted=("report.*",),
    approved=frozenset({"amount", "age", "job"}),
    may_be_left_out=frozenset({"job"}),
    may_be_added=frozenset({"months"}),
    never_read=frozenset({"sex"}),
    performance=(
        {"figure": "auc", "least": 0.7, "greatest_fall": 0.02},
        {"figure": "brier", "most": 0.21, "greatest_rise": 0.01},
    ),
    fairness=({"group": "age", "figure": "selection_rate", "greatest_difference": 0.2},),
)
FACTS = Facts(
    parameters={"model.C": "0.3", "model.kind": "a", "seed": "7", "report.slices": "x"},
    features=frozenset({"amount", "age", "job"}),
    columns=frozenset({"amount", "age", "job"}),
)
FIGURES: dict[str, tuple[Any, Any]] = {"auc": (0.75, 0.76), "brier": (0.17, 0.165)}
FAIRNESS = {"groups": {"age": {"differences": {"selection_rate": 0.1}}}}


def violations_of(
    challenger: Facts = FACTS,
    champion: Facts | None = FACTS,
    figures: dict[str, tuple[Any, Any]] = FIGURES,
    fairness: dict[str, Any] = FAIRNESS,
) -> list[str]:
    return bounds.violations(BOUNDS, challenger, champion, figures, fairness)


def test_a_version_within_every_bound_has_nothing_against_it() -> None:
    assert violations_of() == []


def assert_refused(reason: str, *changed: Any, **figures: Any) -> None:
    """Assert that this speaks against a version, or nothing where no reason is named."""
    found = violations_of(*changed, **figures)
    assert reason in "".join(found)
    assert bool(reason) == bool(found)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"model.C": "2"}, "the most that the plan allows is 1"),
        ({"model.C": "0.01"}, "the least that the plan allows is 0.1"),
        ({"model.C": "nan"}, "not a finite number"),
        ({"model.C": "large"}, "which is not a number"),
        ({"model.kind": "c"}, "the plan allows a, b"),
        ({"seed": "8"}, "seed was 7 and is 8"),
        ({"model.new": "1"}, "model.new was not set and is 1"),
        ({"model.C": "1"}, ""),
        ({"model.kind": "b"}, ""),
        ({"report.slices": "y"}, ""),
    ],
)
def test_a_parameter_may_change_as_the_plan_says(changed: dict[str, str], reason: str) -> None:
    assert_refused(reason, replace(FACTS, parameters={**FACTS.parameters, **changed}))


@pytest.mark.parametrize("name", ["model.C", "seed"])
def test_an_unknown_parameter_does_not_count_as_unchanged(name: str) -> None:
    left = {key: value for key, value in FACTS.parameters.items() if key != name}
    assert name in violations_of(replace(FACTS, parameters=left))[0]


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"amount", "age"}, ""),
        ({"amount", "age", "months"}, ""),
        ({"amount", "job"}, "feature age is missing"),
        ({"amount", "age", "income"}, "feature income was not approved"),
        (set(), "the version has no features"),
    ],
)
def test_features_come_and_go_as_the_plan_says(features: set[str], reason: str) -> None:
    assert_refused(reason, replace(FACTS, features=frozenset(features)))


def test_a_feature_of_another_name_may_not_read_what_is_forbidden() -> None:
    challenger = replace(FACTS, columns=FACTS.columns | {"sex"})
    assert violations_of(challenger) == ["a feature reads sex, which the plan forbids"]


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, "0.9", True])
@pytest.mark.parametrize("name", ["auc", "brier"])
@pytest.mark.parametrize("whose", [0, 1])
def test_a_figure_that_is_missing_or_no_number_refuses(name: str, whose: int, missing: Any) -> None:
    pair = [*FIGURES[name]]
    pair[whose] = missing
    assert name in violations_of(figures=FIGURES | {name: (pair[0], pair[1])})[0]
    assert name in violations_of(figures={key: FIGURES[key] for key in FIGURES if key != name})[0]


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"auc": (0.69, 0.69)}, "auc is 0.6900, and the least"),
        ({"auc": (0.73, 0.76)}, "allows it to fall by 0.02"),
        ({"brier": (0.22, 0.22)}, "brier is 0.2200, and the most"),
        ({"brier": (0.18, 0.165)}, "allows it to rise by 0.01"),
        ({"auc": (0.90, 0.76)}, ""),
        ({"brier": (0.10, 0.165)}, ""),
    ],
)
def test_figures_have_bounds_of_their_own_and_against_the_champion(
    figures: dict[str, tuple[Any, Any]], reason: str
) -> None:
    assert_refused(reason, figures=FIGURES | figures)


@pytest.mark.parametrize("scale", [0.001, 1, 43.7, 1e6])
@pytest.mark.parametrize(("worse", "refused"), [(1.019, False), (1.021, True)])
@pytest.mark.parametrize(("change", "sign"), [("greatest_rise", 1), ("greatest_fall", -1)])
def test_a_change_may_be_a_share_of_the_champions_figure(
    scale: float, worse: float, refused: bool, change: str, sign: int
) -> None:
    bounded = replace(BOUNDS, performance=({"figure": "mae", "most": 1e9, change: "2 %"},))
    figures = {"mae": (sign * worse * scale, sign * scale)}

    violations = bounds.violations(bounded, FACTS, FACTS, figures, FAIRNESS)

    assert bool(violations) is refused
    assert not violations or f"to {change.removeprefix('greatest_')} by 2 %" in violations[0]


def test_the_first_version_is_compared_with_no_champion() -> None:
    first: dict[str, tuple[Any, Any]] = {"auc": (0.75, None), "brier": (0.17, None)}
    assert violations_of(champion=None, figures=first) == []


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"groups": {}},
        {"groups": {"sex": {"differences": {"selection_rate": 0.1}}}},
        {"groups": {"age": {"differences": {}}}},
        {"groups": {"age": {"differences": {"selection_rate": None}}}},
        {"groups": {"age": {"differences": {"selection_rate": math.nan}}}},
    ],
)
def test_a_difference_that_is_not_known_refuses(report: dict[str, Any]) -> None:
    assert "nothing is known of selection_rate by age" in violations_of(fairness=report)[0]


def test_a_difference_between_groups_has_its_bound() -> None:
    report = {"groups": {"age": {"differences": {"selection_rate": 0.21}}}}
    expected = "fairness: selection_rate differs by 0.210 by age; 0.2 is allowed"
    assert violations_of(fairness=report) == [expected]


def test_of_several_classes_each_is_judged_so_that_the_worst_decides() -> None:
    def of(manager: float | None) -> list[str]:
        differences = {"skilled": {"selection_rate": 0.1}, "manager": {"selection_rate": manager}}
        return violations_of(fairness={"groups": {"age": {"differences": differences}}})

    assert of(0.2) == []
    assert of(0.21) == [
        "fairness: selection_rate of manager differs by 0.210 by age; 0.2 is allowed"
    ]
    assert of(None) == [
        "fairness: nothing is known of selection_rate of manager by age, which the plan bounds"
    ]


def test_a_bound_may_be_of_one_class_alone() -> None:
    differences = {"skilled": {"selection_rate": 0.1}, "manager": {"selection_rate": 0.3}}
    report = {"classes": ["skilled", "manager"], "groups": {"age": {"differences": differences}}}

    def of(name: str) -> list[str]:
        bound = BOUNDS.fairness[0] | {"class": name}
        return list(bounds.group_violations([bound], report))

    assert of("skilled") == []
    assert "selection_rate of manager differs by 0.300 by age" in of("manager")[0]
    assert of("director") == [
        "fairness: class of the plan names director, and the classes are skilled, manager",
        "fairness: nothing is known of selection_rate of director by age, which the plan bounds",
    ]


# Ten women and a hundred men; two of each are managers.
RARE: dict[str, Any] = {
    "classes": ["skilled", "manager"],
    "smallest_group": 5,
    "groups": {
        "sex": {
            "values": {"female": {}, "male": {}},
            "differences": {
                "skilled": {"true_positive_rate": 0.1},
                "manager": {"true_positive_rate": None},
            },
        }
    },
    "too_small": {"sex": {"female, true_positive_rate of manager": 2}},
    "not_measured": {"sex": {"true_positive_rate of manager": {"female": 1, "male": 2}}},
}
OF_SEX = {"group": "sex", "figure": "true_positive_rate", "greatest_difference": 0.3}
MANAGERS = "fairness: true_positive_rate of manager by sex is not measured: 1 row of female, 2 rows of male"


def test_a_class_of_too_few_rows_is_refused_with_the_line_that_lets_it_pass() -> None:
    (refusal,) = bounds.group_violations([OF_SEX], RARE)

    assert refusal == (
        f"{MANAGERS}. Two groups need 5 rows (smallest_group under [fairness]): bring more test rows, "
        "or say in governance/change_control_plan.yaml that it may be so, by this line for the bound: "
        "`- {group: sex, figure: true_positive_rate, greatest_difference: 0.3, "
        "may_be_unmeasured: [manager]}`"
    )
    assert bounds.unmeasured([OF_SEX], RARE) == ([], [])
    (bound,) = yaml.safe_load(refusal.split("`")[1])
    assert list(bounds.group_violations([bound], RARE)) == []
    assert bounds.unmeasured([bound], RARE) == ([f"{MANAGERS}, as the plan allows"], [])


def test_a_class_that_may_be_unmeasured_is_bounded_as_soon_as_it_is_not() -> None:
    bound = OF_SEX | {"may_be_unmeasured": ["manager"]}
    differences = {"skilled": {"true_positive_rate": 0.1}, "manager": {"true_positive_rate": 0.4}}
    measured = {**RARE, "groups": {"sex": {"differences": differences}}, "not_measured": {}}

    assert "true_positive_rate of manager differs by 0.400" in "".join(
        bounds.group_violations([bound], measured)
    )


def test_what_no_bound_is_of_is_named_too() -> None:
    bound = OF_SEX | {"class": "skilled"}
    assert list(bounds.group_violations([bound], RARE)) == []
    assert bounds.unmeasured([bound], RARE) == ([], [f"{MANAGERS}, and no plan bounds it"])


def test_of_groups_that_are_too_small_the_plan_cannot_allow_it() -> None:
    bound = OF_SEX | {"may_be_unmeasured": ["manager", "skilled"]}
    small = RARE | {"too_small": {"sex": {"female": 4}}}

    (refusal,) = bounds.group_violations([bound], small)

    assert refusal.startswith(MANAGERS)
    assert "cut sex into fewer groups under [fairness.groups] in params.toml" in refusal
    assert "remove this bound from governance/change_control_plan.yaml: `- {group: sex," in refusal


@pytest.mark.parametrize(
    ("report", "is_"),
    [(RARE, "and the classes are skilled, manager"), (FAIRNESS, "and there are no classes")],
)
def test_a_class_that_does_not_exist_is_not_allowed_to_be_unmeasured(
    report: dict[str, Any], is_: str
) -> None:
    bound = BOUNDS.fairness[0] | {"may_be_unmeasured": ["manger"]}
    refusals = "".join(bounds.group_violations([bound], report))
    assert f"fairness: may_be_unmeasured of the plan names manger, {is_}" in refusals


def test_of_one_number_the_refusal_names_the_rows_and_the_bound() -> None:
    report = {
        "smallest_group": 30,
        "groups": {"age": {"values": {"a": {}, "b": {}}, "differences": {"mean_error": None}}},
        "too_small": {"age": {"b": 12}},
        "not_measured": {"age": {"mean_error": {"a": 88, "b": 12}}},
    }
    bound = {"group": "age", "figure": "mean_error", "greatest_difference": 2}

    (refusal,) = bounds.group_violations([bound], report)

    assert "mean_error by age is not measured: 88 rows of a, 12 rows of b. Two groups" in refusal
    assert refusal.endswith("`- {group: age, figure: mean_error, greatest_difference: 2}`")
