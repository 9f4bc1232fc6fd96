"""The strategy's arithmetic: the personas, the weights' file, and what holds for any answers."""

import shutil
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from rung.assess import phrases
from rung.assess.answers import Responses, read
from rung.assess.assessment import Assessment, assess, measure
from rung.assess.roadmap import TO_BUILD
from rung.assess.strategy import NO_CHOICE, Choice, Scan, from_answers, successful_mlops
from rung.assess.weights import PARTS, Answers, load
from rung.errors import RungError
from rung.levels.ladder import BLOCKS, TIERS
from rung.levels.ladder import load as load_levels
from tests.conftest import GAMES, ROOT, TEAM_SIZES, VENDORS, Render

WEIGHTS = load(ROOT / "levels")
LEVELS = load_levels(ROOT / "levels")
PERSONAS = ROOT / "docs" / "personas"
NAMES = sorted(file.stem for file in PERSONAS.glob("*.yml"))

F, D, T, S = "foundation", "data", "training", "serving"
O, X, G = "observability", "features", "governance"


def persona(name: str, **changes: tuple[str, ...]) -> Answers:
    return {**read(PERSONAS / f"{name}.yml", WEIGHTS).answers, **changes}


def assessed(answers: Answers, choice: Choice = NO_CHOICE, scan: Scan | None = None) -> Assessment:
    scan_by_game = (lambda _: scan) if scan else None
    return assess(Responses(answers, choice), WEIGHTS, LEVELS, scan_by_game)


def assessed_file(file: Path) -> Assessment:
    return assess(read(file, WEIGHTS), WEIGHTS, LEVELS)


def names(made: Assessment) -> list[str]:
    return [step.name for step in made.roadmap.steps]


def advised(made: Assessment, *steps: str) -> set[str]:
    """Name the capabilities of a roadmap, or of some of its steps."""
    chosen = [step for step in made.roadmap.steps if not steps or step.name in steps]
    return {item.capability.id for step in chosen for item in step.items}


any_answers = st.fixed_dictionaries(
    {
        name: st.lists(st.sampled_from(question.names()), min_size=1, max_size=4, unique=True).map(
            tuple
        )
        if question.several
        else st.sampled_from(question.names()).map(lambda each: (each,))
        for name, question in WEIGHTS.questions.items()
    }
)


def told(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the teams of a page of docs/personas, and the other cells of their rows."""
    for line in (PERSONAS / page).read_text().splitlines():
        if line.startswith("|["):
            team, *cells = line[1:-1].split("|")
            yield team[1 : team.index("]")], cells


def rungs(made: Assessment) -> str:
    found = (made.strategy.start, made.strategy.target, made.strategy.north)
    return f"{made.strategy.game.name} {', '.join(str(rung.level) for rung in found)}"


def test_the_docs_say_what_rung_says_of_each_team() -> None:
    rows = list(told("README.md"))
    assert sorted(NAMES) == sorted(name for name, _ in rows)
    for name, (hand, because, says, differs) in rows:
        made = assessed_file(PERSONAS / f"{name}.yml")
        steps = [step for step in names(made) if step != "alignment" or step in hand]
        advice = f"{rungs(made)}: {', '.join(steps)}"
        assert advice == (hand if says == "the same" else says)
        assert because and bool(differs) == (advice != hand)


def test_the_docs_say_what_rung_says_of_twelve_more() -> None:
    rows = list(told("later/README.md"))
    assert 12 == len(rows) == len(list((PERSONAS / "later").glob("*.yml")))
    for name, (hand, first, _, because, says, points, differs) in rows:
        made = assessed_file(PERSONAS / f"later/{name}.yml")
        block = next(step for step in names(made) if step not in ("before use", "alignment"))
        assert f"{rungs(made)}: {block}" == (f"{hand}: {first}" if says == "the same" else says)
        assert because and bool(differs) == (points != "6")


def test_an_online_service_is_watched_in_its_first_year() -> None:
    slow = persona("doordash", models=("one",), pace=("years",), experiments=("online-tests",))
    made = from_answers(slow, WEIGHTS)
    blocks = [block.name for block in made.order]

    assert S in blocks and O in blocks and (3, 3) == (made.target.level, made.north.level)
    assert O not in [
        block.name for block in from_answers({**slow, "timing": ("batch",)}, WEIGHTS).order
    ]


def test_blocks_of_nearly_one_priority_are_a_tie() -> None:
    made = assessed_file(PERSONAS / "later/voice-bot.yml")

    assert ["observability can also come before features"] == phrases.ties(made)


@pytest.mark.parametrize(("compute", "tracking"), [("laptop", "local"), ("shared", "server")])
def test_a_few_laptops_need_no_tracking_server(compute: str, tracking: str) -> None:
    made = assessed(persona("churn-team", compute=(compute,)))

    assert tracking == made.project["tracking"]


SLOW = {"timing": ("batch",)}  # online, the target is rung 3 in any case
STEADY = SLOW | {"risk": ("balanced",), "decisions": ("team",), "collaboration": ("shared-goals",)}
POOR = {"data": ("files",), "experiments": ("notebooks",), "compute": ("laptop",)}
RIPE = {name: (WEIGHTS.questions[name].answers[3].name,) for name in WEIGHTS.start.questions}


@pytest.mark.parametrize(
    ("answers", "change", "rung", "levels", "because"),
    [
        (SLOW, {"business": ("absent",)}, "target", (3, 2), ""),
        (SLOW, {"size": ("one",)}, "target", (3, 2), ""),
        (STEADY, {"risk": ("bold",)}, "target", (2, 3), ""),  # two of three is not a fast pace
        # The mean of its technology is nearest to the bottom rung in both cases.
        (POOR | {"delivery": ("none",)}, {"delivery": ("ci",)}, "start", (0, 1), "the team has CI"),
        (RIPE, {"size": ("one",)}, "start", (2, 1), "at most rung 1 for one person"),
    ],
)
def test_an_answer_moves_a_rung(
    answers: dict[str, tuple[str, ...]],
    change: dict[str, tuple[str, ...]],
    rung: str,
    levels: tuple[int, int],
    because: str,
) -> None:
    before, after = (
        getattr(from_answers(persona("doordash", **given), WEIGHTS), rung)
        for given in (answers, answers | change)
    )

    assert levels == (before.level, after.level)
    assert because in "; ".join(after.because)


def test_doordash_says_of_each_answer_whether_the_talk_states_it() -> None:
    lines = (PERSONAS / "doordash.yml").read_text().splitlines()
    answers = [line for line in lines if not line.startswith("#")]

    assert len(WEIGHTS.questions) == len(answers)
    assert all(" # stated" in line or " # assumed" in line for line in answers)


def freedom(answers: Answers, choice: Choice = NO_CHOICE) -> tuple[bool, bool, frozenset[str]]:
    """Return what advice may not gain: velocity, rung 4 by itself; and what it may not lose."""
    made = assessed(answers, choice)
    velocity = made.project["use_case"] == "velocity"
    owed = frozenset(advised(made, "before use"))
    assert not (owed and velocity), "a project without the records that are owed"
    return velocity, velocity and 4 in (made.strategy.target.level, made.strategy.north.level), owed


def tightened(answers: Answers) -> Iterator[Answers]:
    """Yield the answers with one domain more, and with each greater harm."""
    domains, harms = WEIGHTS.questions["domain"], WEIGHTS.questions["harm"].names()
    regulated = domains.answer("regulated")
    assert regulated is not None
    for name in regulated.domains:
        yield {**answers, "domain": (*answers["domain"], name)}
    for harm in harms[harms.index(answers["harm"][0]) + 1 :]:
        yield {**answers, "harm": (harm,)}


def compare_freedom(answers: Answers, choice: Choice) -> None:
    velocity, alone, owed = freedom(answers, choice)
    for stricter in tightened(answers):
        then = freedom(stricter, choice)
        assert then[0] <= velocity and then[1] <= alone and then[2] >= owed, (answers, stricter)


@settings(max_examples=20)
@given(answers=any_answers, game=st.sampled_from([None, "velocity"]))
def test_a_stricter_domain_or_a_greater_harm_never_loosens_the_advice(
    answers: Answers, game: str | None
) -> None:
    compare_freedom(answers, Choice(game))


def test_the_stricter_of_any_two_domains_decides() -> None:
    names = WEIGHTS.questions["domain"].names()
    for harm in WEIGHTS.questions["harm"].names():
        mature = persona("real-time-bidding", harm=(harm,))
        one = {name: freedom({**mature, "domain": (name,)}) for name in names}
        for first, second in combinations(names, 2):
            velocity, alone, owed = freedom({**mature, "domain": (first, second)})
            both = (one[first], one[second])
            assert velocity == all(each[0] for each in both), (first, second, harm)
            assert alone == all(each[1] for each in both), (first, second, harm)
            assert owed >= both[0][2] | both[1][2], (first, second, harm)


def test_doordash_is_reckoned_as_on_paper() -> None:
    made = from_answers(persona("doordash"), WEIGHTS)
    by_name = {block.name: block for block in (*made.order, *made.left)}

    # 0.6 x 1/3 + 0.4 x 0.5, the strictest of its domains
    assert made.game.score.total == pytest.approx(0.4)
    assert made.adoption.total == pytest.approx(11 / 12)
    # (0.5 + 0.3 + 0.2 x 11/12 + 0.1 x 1/3 + 0.2 x (1 - 2 x 0.4)) x (1 - 0.1 x 2/3)
    assert by_name[S].priority == pytest.approx(0.98622, abs=1e-5)
    # (0.4 + 0.35 x 2/3 + 0.25 + 0.1 x 2/3) x (1 - 0.5 x 2/3)
    assert by_name[X].priority == pytest.approx(0.63333, abs=1e-5)


@given(answers=any_answers)
def test_for_any_answers_the_rungs_are_in_order(answers: Answers) -> None:
    made = from_answers(answers, WEIGHTS)

    assert 0 <= made.start.level <= made.target.level <= 4
    assert 1 <= made.north.level <= (3 if made.game.played == "governance" else 4)
    assert made.target.level <= max(made.start.level, made.north.level)
    assert answers["delivery"] != ("none",) or made.start.level == 0


@given(answers=any_answers)
def test_for_any_answers_every_sum_is_that_of_its_terms(answers: Answers) -> None:
    made = from_answers(answers, WEIGHTS)
    sums = [made.game.score, made.adoption, *(block.worth for block in (*made.order, *made.left))]

    for each in sums:
        assert each.total == pytest.approx(sum(term.points for term in each.terms))
        assert all(0 <= term.share <= 1 for term in each.terms)


@given(answers=any_answers)
def test_for_any_answers_blocks_come_after_their_prerequisites(answers: Answers) -> None:
    made = from_answers(answers, WEIGHTS)
    names = [block.name for block in made.order]

    assert sorted(names + [block.name for block in made.left]) == sorted(BLOCKS)
    assert F not in names or names[0] == F
    for place, block in enumerate(made.order):
        by_rung = made.target.level == 4 and block.name in WEIGHTS.keep.rung_4
        kept = block.priority >= WEIGHTS.keep.priority or by_rung
        assert kept or (block.name == O and S in names)
        for rule in block.after:
            assert rule.needs and set(rule.needs) <= set(names[:place])
    # Among blocks that wait for nothing, the one that counts more comes first.
    free = [block.priority for block in made.order if not block.after and block.name != F]
    assert all(more >= less for more, less in pairwise(free))


@given(answers=any_answers)
def test_for_any_answers_the_roadmap_fits_game_and_target(answers: Answers) -> None:
    made = assessed(answers)
    played, target = made.strategy.game.played, made.strategy.target.level

    assert made.roadmap.steps
    for step in made.roadmap.steps:
        assert step.to_do or step.tasks, "a step without content"
        assert step.owner and step.unlocks and 1 <= step.quarter <= 4 and step.days > 0
        for item in step.items:
            if step.name != "before use":
                assert item.rung <= target
                assert item.capability.rung(played) == item.rung
                comes = min(item.rung, WEIGHTS.early.get(item.capability.id, 4))
                assert (item.state == TO_BUILD) == (comes > made.strategy.start.level)
        assert all(item.rung > target for item in step.later)
    brought = advised(made)
    left = {each.what for each in made.roadmap.not_yet}
    if "legal-or-safety" in answers["harm"]:  # no version is tried on people who can be hurt
        assert "canary-or-ab-rollout" not in brought and "a canary or an A/B test" in left
    # What the target rests on is brought by a step, comes with the start, or is said beside.
    named = {name for capability in made.roadmap.keystones for name in capability.any_of}
    begins = {
        name
        for level in LEVELS
        for name, capability in level.capabilities.items()
        if (rung := capability.rung(played)) is not None
        and min(rung, WEIGHTS.early.get(name, rung)) <= made.strategy.start.level
    }
    for level in LEVELS[made.strategy.start.level + 1 : target + 1]:
        for group in level.keystones["both"]:
            assert (brought | named | begins).intersection(group)


@example(persona("doordash", experiments=("online-tests",)), "governance", 4)
@example(persona("doordash", experiments=("online-tests",)), "velocity", 4)
@example(read(PERSONAS / "independent/game.yml", WEIGHTS).answers, None, None)
@given(any_answers, st.sampled_from(GAMES), st.sampled_from([None, 2, 3, 4]))
def test_for_any_answers_nothing_is_built_before_what_it_needs(
    answers: Answers, game: str, target: int | None
) -> None:
    # Of most domains that are drawn the game is governance, whose steps wait for each other anyway.
    velocity = {"domain": ("search",), "harm": ("revenue",)}
    steps = assessed({**answers, **velocity}, Choice(game, target=target)).roadmap.steps
    until = {item.capability.id: number for number, step in enumerate(steps) for item in step.to_do}

    for number, step in enumerate(steps):
        if step.block:
            assert not step.block.needs & {later.name for later in steps[number:]}
        for item in step.to_do if step.block else ():
            assert all(until.get(need, 0) <= number for need in item.capability.needs)


def test_who_retrains_by_itself_works_on_training() -> None:
    assert T in names(assessed_file(PERSONAS / "independent/dubbing.yml"))


@pytest.mark.parametrize("domain", ["moderation", "fraud", "customer-experience"])
def test_what_restricts_people_is_not_promoted_by_a_policy(domain: str) -> None:
    game = read(PERSONAS / "independent/game.yml", WEIGHTS).answers
    made = assessed({**game, "domain": ("marketing", domain)}, Choice("velocity", target=4))
    refused = domain != "customer-experience"

    assert ("automated-promotion-policy" in advised(made)) != refused
    assert ("promotion by policy" in {entry.what for entry in made.roadmap.not_yet}) == refused


@pytest.mark.parametrize(
    ("answers", "advice"),
    [
        ({"domain": ("iot",)}, "with a way back"),
        ({"timing": ("batch",), "compute": ("laptop",)}, "a machine that is on"),
        (
            {"timing": ("batch",), "harm": ("legal-or-safety",)},
            "raise an alarm when it did not run",
        ),
        ({"timing": ("online",)}, ""),
    ],
)
def test_the_machines_of_a_device_and_of_a_scheduled_job_are_named(
    answers: Answers, advice: str
) -> None:
    named = phrases.infrastructure(
        assessed({**persona("churn-team", timing=("online",)), **answers})
    )

    assert any(advice in each for each in named) if advice else named == []


def test_the_machines_named_are_those_for_the_answers_that_count() -> None:
    ferry = read(PERSONAS / "independent/ferry.yml", WEIGHTS).answers
    named = phrases.infrastructure(assessed({**ferry, "timing": ("batch",)}))

    assert not any("few devices" in each for each in named)
    assert any("raise an alarm" in each for each in named)


def test_governance_waits_for_its_data_and_its_approvals() -> None:
    made = from_answers(persona("payments-fraud"), WEIGHTS)
    after = {
        block.name: {need for rule in block.after for need in rule.needs} for block in made.order
    }

    assert {D} == after[T]
    assert {G, T} == after[S]
    assert {S, T} == after[O] == after[X]


def test_weak_ci_puts_the_foundation_before_what_runs_in_it() -> None:
    made = from_answers(persona("doordash", delivery=("ci",)), WEIGHTS)

    assert [F, S, T, O, X] == [block.name for block in made.order]
    assert {F} == {need for rule in made.order[1].after for need in rule.needs}


def test_between_the_games_one_is_chosen_with_its_reason() -> None:
    made = from_answers(
        persona("doordash", domain=("ads", "forecasting"), harm=("customer-money",)), WEIGHTS
    )

    assert made.game.score.total == pytest.approx(0.5)
    assert ("hybrid", "governance") == (made.game.name, made.game.played)
    assert "between 0.40 and 0.60" in made.game.because


def test_fraud_with_customers_money_just_reaches_governance() -> None:
    made = from_answers(persona("doordash", domain=("fraud",), harm=("customer-money",)), WEIGHTS)

    assert ("governance", 0.6) == (made.game.name, made.game.score.total)


def test_one_and_a_half_goes_to_the_even_rung_in_spite_of_binary_fractions() -> None:
    # 2 x (1 + 1/3 + 1 + 2/3) / 4
    technology = {
        "data": ("streaming-and-catalogue",),
        "experiments": ("tracked",),
        "delivery": ("ml-cd",),
        "compute": ("managed",),
    }

    assert 2 == from_answers(persona("doordash", **technology), WEIGHTS).start.level


def test_a_scan_says_what_is_missing_where_technology_was_not_answered() -> None:
    coverage = dict.fromkeys(BLOCKS, 0.25) | {S: 1.0}
    scan = Scan(2, coverage, {"unit-tests": 1.0, "container-image": 0.25})
    people = {
        name: given
        for name, given in persona("doordash").items()
        if WEIGHTS.questions[name].part != "technology"
    }
    made = assessed(people, scan=scan)
    blocks = {block.name: block for block in (*made.strategy.order, *made.strategy.left)}
    items = {item.capability.id: item for step in made.roadmap.steps for item in step.items}

    assert made.measured
    assert 2 == made.strategy.start.level == made.project["level"]
    assert 4 == made.strategy.target.level
    assert 0 == blocks[S].gap and not blocks[S].kept
    assert 0.75 == blocks[F].gap and blocks[F].kept
    assert ("there", "to build") == (items["unit-tests"].state, items["container-image"].state)
    assert "the scan gives it 0.25 of 1" in items["container-image"].because


def test_a_scan_leaves_the_order_that_was_answered() -> None:
    scan = Scan(1, dict.fromkeys(BLOCKS, 0.5), {})
    before = assessed(persona("doordash"))
    after = assessed(persona("doordash"), scan=scan)

    assert not after.measured
    assert ["alignment", S, T, O, X] == names(before) == names(after)


@pytest.mark.parametrize("name", NAMES)
def test_duties_before_use_come_first_and_the_north_star_includes_them(name: str) -> None:
    answers = persona(name)
    made = assessed(answers)
    people = {"banking", "health", "public-services"} & set(answers["domain"])

    if people or answers["domain"] == ("insurance",):
        assert "before use" == names(made)[0]
        owed = advised(made, "before use")
        of_people = {"human-oversight", "fairness-assessment", "technical-file"}
        assert owed & of_people == (of_people if people else set())
        assert max(item.rung for item in made.roadmap.steps[0].items) <= made.strategy.north.level
    else:
        assert "before use" not in names(made)


@pytest.mark.parametrize("target", [0, 1, 2, 3, 4])
def test_duties_are_reported_for_any_rung_and_game(target: int) -> None:
    answers = persona("hospital-triage", models=("one",), timing=("batch",))
    choice = Choice("velocity", 0, target)
    first = assessed(answers, choice).roadmap.steps[0]
    oversight = next(item for item in first.items if item.capability.id == "human-oversight")

    assert ("before use", "to build", target >= 3) == (
        first.name,
        oversight.state,
        oversight.brought,
    )


@pytest.mark.parametrize(
    ("domain", "harm", "absent"),
    [
        ("energy", "revenue", {"human-oversight", "fairness-assessment", "risk-register"}),
        ("energy", "legal-or-safety", {"fairness-assessment", "data-privacy-controls"}),
        ("insurance", "customer-money", {"fairness-assessment", "human-oversight"}),
        ("self-driving", "legal-or-safety", {"fairness-assessment", "data-privacy-controls"}),
    ],
)
def test_nothing_about_people_is_owed_where_no_people_are_judged(
    domain: str, harm: str, absent: set[str]
) -> None:
    answers = persona("retail-forecasting", domain=(domain, "forecasting"), harm=(harm,))

    assert not absent & {n for duty in WEIGHTS.duties_for(answers) for n in duty.ask}


@pytest.mark.parametrize(
    ("domain", "laws"),
    [
        ("public-services", {"EU AI Act Art. 27", "GDPR Art. 22 and 35"}),
        (
            "health",
            {
                "MDR (Regulation (EU) 2017/745) Art. 10 and 83, Annex VIII rule 11",
                "Federal Food, Drug, and Cosmetic Act (US) sections 510(k), 513(f)(2), 515 and 515C",
            },
        ),
        ("law-enforcement", {"Law Enforcement Directive (Directive (EU) 2016/680) Art. 11 and 27"}),
        (
            "hiring",
            {"EU AI Act Art. 9 to 15 and 26", "Privacy Act 1988 (Australia) APP 1.7 to 1.9"},
        ),
        ("banking", {"PRA SS1/23 principles 1 to 5", "OSFI Guideline E-23 model risk management"}),
        ("migration", {"Directive on Automated Decision-Making (Canada) section 6"}),
        (
            "education",
            {
                "UK GDPR, as amended in 2025 Art. 22A to 22D",
                "Personal Information Protection Law (China) Art. 55",
            },
        ),
    ],
)
def test_a_duty_names_law_article_date_and_who_owes_it(domain: str, laws: set[str]) -> None:
    duties = WEIGHTS.duties_for(persona("churn-team", domain=(domain,)))

    assert laws <= {f"{duty.law} {duty.article}" for duty in duties}
    assert all(duty.who and duty.since for duty in duties)
    assert ("GDPR" in {duty.law for duty in duties}) == (domain != "law-enforcement")


@pytest.mark.parametrize(
    ("domain", "law"),
    [
        ("ships", "Marine Equipment Directive (Directive 2014/90/EU)"),
        ("aviation", "Basic Regulation on civil aviation (Regulation (EU) 2018/1139)"),
        ("devices", "Cyber Resilience Act (Regulation (EU) 2024/2847)"),
        ("moderation", "Digital Services Act (Regulation (EU) 2022/2065)"),
        ("media", "EU AI Act"),
    ],
)
def test_the_law_of_a_product_is_named_and_that_of_another_is_not(domain: str, law: str) -> None:
    made = assessed(persona("churn-team", domain=(domain,)))
    laws = {duty.law for duty in WEIGHTS.duties_for({**made.answers, "harm": ("revenue",)})}
    strict = domain in ("ships", "aviation")

    assert laws == {law}
    of_laws = [duty for duty in WEIGHTS.duties if duty.law != "Care for people"]
    assert all(duty.article and duty.since and duty.who for duty in of_laws)
    assert made.strategy.game.played == ("governance" if strict else "velocity")
    assert any("counted as harm legal-or-safety" in each for each in made.contradictions) == strict


@pytest.mark.parametrize(("harm", "owed"), [("legal-or-safety", True), ("revenue", False)])
def test_the_safety_of_road_traffic_is_high_risk(harm: str, owed: bool) -> None:
    made = assessed(persona("churn-team", domain=("public-works",), harm=(harm,)))
    laws = {duty.law for duty in WEIGHTS.duties_for(made.answers)}

    assert ("EU AI Act" in laws) == ("technical-file" in advised(made)) == owed


def test_no_target_of_a_dangerous_case_is_below_its_duties() -> None:
    made = from_answers(persona("hospital-triage", models=("one",), timing=("batch",)), WEIGHTS)
    known = {
        name: capability for level in LEVELS for name, capability in level.capabilities.items()
    }
    owed = [known[name].rung("governance") for duty in WEIGHTS.duties for name in duty.ask]

    assert max(rung for rung in owed if rung is not None) == WEIGHTS.north.duties_at_least
    assert WEIGHTS.north.duties_at_least <= made.north.level


@pytest.mark.parametrize(
    ("answers", "choice", "message"),
    [
        ({"domain": ("self-driving",), "harm": ("annoyance",)}, Choice(), "counted as harm legal"),
        ({"domain": ("hiring",), "harm": ("annoyance",)}, Choice(), "counted as harm revenue"),
        ({"harm": ("legal-or-safety",), "risk": ("bold",)}, Choice(), "tried and undone"),
        ({"pace": ("days",), "decisions": ("committee",)}, Choice(), "a committee decides"),
        (
            {"domain": ("banking",), "harm": ("revenue",), "size": ("one",)},
            Choice(),
            "cannot validate",
        ),
        (
            {"harm": ("legal-or-safety",), "experiments": ("online-tests",)},
            Choice(),
            "tried on people",
        ),
        (
            {"harm": ("legal-or-safety",), "decisions": ("team",)},
            Choice(),
            "no one outside the team",
        ),
        ({"experience": ("expert",), "delivery": ("none",)}, Choice(), "yet it has no CI"),
        ({}, Choice(target=4), "the target, rung 4, is above the north star, rung 2"),
    ],
)
def test_contradictions_are_reported(answers: Answers, choice: Choice, message: str) -> None:
    made = assessed(answers, choice)

    assert any(message in each for each in made.contradictions)


def test_a_self_driving_car_is_governed_for_any_answer_about_harm() -> None:
    made = assessed({"domain": ("self-driving",), "harm": ("annoyance",)})

    assert ("governance", "before use") == (made.strategy.game.name, names(made)[0])
    assert ("annoyance",) == made.answers["harm"]
    assert phrases.game(made).endswith("(self-driving, legal-or-safety)")


def test_who_contradicts_the_harm_is_not_sent_up_faster_for_it() -> None:
    made = assessed_file(PERSONAS / "independent/ferry.yml")

    assert 2 == made.strategy.target.level


@pytest.mark.parametrize("answer", ["apart", "handover"])
def test_everybody_aligns_first_and_those_who_work_apart_take_longer(answer: str) -> None:
    made = assessed(persona("doordash", collaboration=(answer,)))
    first = made.roadmap.steps[0]

    assert "alignment" == first.name and "docs/use_case.md" in first.tasks[0]
    assert (answer == "apart") == any("RACI" in task for task in first.tasks) == (first.days > 5)


def test_where_nothing_is_left_the_advice_is_to_stay_and_what_for() -> None:
    points = {name: 1.0 for level in LEVELS for name in level.capabilities}
    scan = Scan(4, dict.fromkeys(BLOCKS, 1.0), points)
    made = assessed(persona("doordash"), scan=scan)

    assert ["stay"] == names(made)
    assert "--min-level 4" in made.roadmap.steps[0].tasks[0]


def test_a_choice_overrules_and_the_answers_are_shown_beside_it() -> None:
    made = from_answers(persona("doordash"), WEIGHTS, choice=Choice("governance", 0, 1))

    assert ("governance", 0, 1) == (made.game.name, made.start.level, made.target.level)
    assert "you chose it; the answers say velocity" in made.game.because
    assert "you chose it; the answers say rung 1" in made.start.because[0]
    assert 3 == made.north.level, "governance has no rung 4 as its star"


def test_the_four_arguments_are_the_talks() -> None:
    answers = persona("doordash")
    parts: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, question in WEIGHTS.questions.items():
        parts.setdefault(question.part, {})[name] = answers[name]

    assert ["use_case", "culture", "technology", "people"] == list(parts)
    made = successful_mlops(
        parts["use_case"], parts["culture"], parts["technology"], parts["people"], weights=WEIGHTS
    )
    assert made == from_answers(answers, WEIGHTS)


def test_there_are_four_questions_for_each_of_the_talks_parts_each_with_its_reason() -> None:
    parts = [question.part for question in WEIGHTS.questions.values()]
    assert [part for part in PARTS for _ in range(4)] == parts
    for question in WEIGHTS.questions.values():
        shares = [answer.share for answer in question.answers]
        assert shares == sorted(shares) and (0, 1) == (shares[0], shares[-1])
        assert 4 == len(set(shares))
        assert question.ask.endswith("?") or question.several
        assert question.why.endswith(".")
        assert len(set(question.names())) == len(question.names())


@pytest.mark.parametrize("team_size", TEAM_SIZES)
@pytest.mark.parametrize("use_case", GAMES)
def test_copiers_default_level_agrees_on_the_answers_they_share(
    use_case: str, team_size: str
) -> None:
    questions = yaml.safe_load((ROOT / "levels" / "questions.yml").read_text())
    default = Environment().from_string(questions["level"]["default"])
    expected = int(default.render(use_case=use_case, team_size=team_size))
    domain = {"velocity": ("commerce",), "governance": ("regulated",)}[use_case]
    harm = {"velocity": ("annoyance",), "governance": ("legal-or-safety",)}[use_case]
    taken = WEIGHTS.project["team_size"].take
    sizes = [name for name, size in taken.items() if size == team_size]

    assert sizes
    for size in sizes:
        shared = {"domain": domain, "harm": harm, "size": (size,)}
        made = assessed(shared)
        wanted = {"use_case": use_case, "team_size": team_size, "level": expected}
        assert wanted.items() <= made.project.items()


def test_every_answer_is_handed_to_new_as_an_answer_that_it_has() -> None:
    questions = yaml.safe_load((ROOT / "levels" / "questions.yml").read_text())
    for name, new in WEIGHTS.project.items():
        assert set(WEIGHTS.questions[new.question].names()) == set(new.take)
        choices = VENDORS if name == "ci" else questions[name]["choices"].values()
        assert set(new.take.values()) <= set(choices)


@pytest.mark.parametrize("rung", sorted(set(WEIGHTS.early.values())))
@pytest.mark.parametrize("game", GAMES)
def test_what_comes_early_is_there_from_that_rung_on(render: Render, game: str, rung: int) -> None:
    scanned = measure(render(use_case=game, level=rung, team_size="team"), game)
    asked = {
        name
        for level in LEVELS
        for name, each in level.capabilities.items()
        if each.rung(game) is not None
    }

    for name, since in WEIGHTS.early.items():
        if since <= rung and name in asked:
            assert scanned.points[name] >= TIERS["used"], name


def test_the_forms_of_what_is_owed_come_with_the_project_that_is_named(render: Render) -> None:
    made = assessed(persona("hospital-triage"))
    project = render(use_case="governance", level=3, impact_metric="Hours waited")
    forms = {path for item in made.roadmap.steps[0].items for path in item.records}

    assert "governance/oversight.md" in forms and all(list(project.glob(path)) for path in forms)
    assert made.project["documents"] == "now"
    assert phrases.commands(made)[0][0].endswith("-d documents=now")
    for governed in (False, True):
        scan = Scan(1, dict.fromkeys(BLOCKS, 0.5), {}, rung=True, governed=governed)
        command = phrases.commands(assessed(persona("hospital-triage"), scan=scan))[0][0]
        assert governed == ("use_case=governance" not in command)
        assert command.endswith("-d documents=now")
    page = (project / "docs/use_case.md").read_text()
    assert page.endswith(".\n\n## Impact metric\nHours waited\n")


def test_what_a_step_is_made_of_is_known() -> None:
    known = {name for level in LEVELS for name in level.capabilities}

    assert {name for duty in WEIGHTS.duties for name in duty.ask} <= known
    assert WEIGHTS.early.keys() <= known
    assert {*BLOCKS, "before use", "alignment", "stay"} == set(WEIGHTS.steps)
    assert set(BLOCKS) == set(WEIGHTS.worth)
    assert "Hien Luu" in WEIGHTS.source


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("questions:", "queries:", "unknown field `queries`"),
        ("{of: always, weight: 1}", "{of: luck, weight: 1}", "'luck' is not one of domain, harm"),
        ("harm: [annoyance], timing", "harm: [gloom], timing", "'gloom' is not one of annoyance"),
        ("keep: {from", "keep: [{from", "cannot be read as YAML"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    file = tmp_path / "strategy.yml"
    text = (ROOT / "levels" / "strategy.yml").read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))

    with pytest.raises(RungError) as failure:
        load(tmp_path)

    assert str(file) in str(failure.value)
    assert message in str(failure.value)


def test_a_duty_of_no_domain_names_its_file(tmp_path: Path) -> None:
    for name in ("strategy.yml", "duties.yml"):
        shutil.copy(ROOT / "levels" / name, tmp_path)
    file = tmp_path / "duties.yml"
    file.write_text(file.read_text().replace("biometrics:", "astrology:", 1))

    with pytest.raises(RungError, match="'astrology' is not one of") as failure:
        load(tmp_path)

    assert str(file) in str(failure.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RungError, match=r"strategy\.yml is missing"):
        load(tmp_path)


def test_prerequisites_that_wait_for_each_other_are_named(tmp_path: Path) -> None:
    for name in ("strategy.yml", "duties.yml"):
        shutil.copy(ROOT / "levels" / name, tmp_path)
    file = tmp_path / "strategy.yml"
    data: dict[str, Any] = yaml.safe_load(file.read_text())
    data["after"].append({"block": S, "needs": [O], "where": "always", "because": "a loop"})
    file.write_text(yaml.safe_dump(data))

    with pytest.raises(RungError, match="features, observability, serving wait for each other"):
        from_answers(persona("doordash"), load(tmp_path))
