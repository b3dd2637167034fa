"""Who answers is a pure function of the deployments, the study and the receipt."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radstream.deployments.assignments import Chosen, choose, history, is_canary, shadow_of
from radstream.deployments.next_assignment import Parts, newly_named, rollback, without
from schemas.errors import DeploymentRefused
from schemas.model_deployed import ModelDeployed
from schemas.words import Role

AT = datetime(2026, 11, 21, 6, tzinfo=UTC)
MODEL, STUDY = "m", "2.25.7"
VERSIONS = ("1.0.0", "1.1.0", "2.0.0", "2.1.0")


def record(revision: int, champion: str = "1.0.0", minute: float = 0, **changed: object) -> ModelDeployed:
    """Make a record that is effective so many minutes after AT."""
    made = ModelDeployed(
        deployment_id=uuid4(),
        model=MODEL,
        revision=revision,
        expected_previous=revision - 1,
        champion=champion,
        deployed_at=AT,
        effective_from=AT + timedelta(minutes=minute),
    )
    return replace(made, **changed)  # type: ignore[arg-type] # a test's own words


def after(minutes: float) -> datetime:
    """Give the receipt of an image so many minutes after AT."""
    return AT + timedelta(minutes=minutes)


versions = st.sampled_from(VERSIONS)
records = st.builds(
    ModelDeployed,
    deployment_id=st.builds(uuid4),
    model=st.sampled_from([MODEL, "other"]),
    revision=st.integers(1, 6),
    expected_previous=st.integers(0, 5),
    champion=versions,
    canary=st.none() | versions,
    canary_share=st.floats(-0.1, 1.1),
    shadow=st.none() | versions,
    withdrawn=st.lists(versions, max_size=2),
    deployed_at=st.just(AT),
    effective_from=st.integers(0, 60).map(after),
)
logs = st.lists(records, max_size=12)
#: Whole histories: what a row of wishes makes.
chains = st.lists(st.tuples(records, st.integers(0, 60)), min_size=1, max_size=8).map(
    lambda given: history(
        [
            replace(one, model=MODEL, revision=place, expected_previous=place - 1, canary_share=0.5)
            for place, (one, _) in enumerate(given, 1)
        ],
        MODEL,
    )
)
receipts = st.integers(-5, 65).map(after)


def test_the_revision_that_is_effective_at_the_receipt_answers() -> None:
    """Not the newest one that is known: what was received before goes on as it was."""
    past = history([record(1), record(2, "2.0.0", minute=10)], MODEL)

    assert choose(past, STUDY, after(9.99)) == Chosen("1.0.0", Role.CHAMPION, 1)
    assert choose(past, STUDY, after(10)) == Chosen("2.0.0", Role.CHAMPION, 2)


def test_what_was_received_before_any_deployment_has_the_first_champion() -> None:
    """A backlog that is older than the first record is answered."""
    assert choose(history([record(1, minute=5)], MODEL), STUDY, AT) == Chosen("1.0.0", Role.CHAMPION, 1)


def test_without_a_deployment_nobody_is_chosen() -> None:
    """The configured package's turn is another's to tell."""
    assert choose((), STUDY, AT) is None


def test_of_two_that_raced_the_first_in_the_log_wins() -> None:
    """The second expected what is no more, and stays void when later ones follow."""
    first, second = record(2, "1.1.0"), record(2, "2.0.0")

    assert [one.champion for one in history([record(1), first, second, record(3, "2.1.0")], MODEL)] == [
        "1.0.0",
        "1.1.0",
        "2.1.0",
    ]


@pytest.mark.parametrize(
    "spoiled",
    [
        {"canary": "2.0.0", "canary_share": 1.5},
        {"withdrawn": ["1.0.0"]},
        {"canary": "2.0.0", "canary_share": 0.5, "withdrawn": ["2.0.0"]},
        {"champion": ""},
        {"revision": 3},
        {"model": "other"},
    ],
)
def test_a_record_that_makes_no_sense_is_void(spoiled: dict[str, object]) -> None:
    """For every reader alike."""
    assert len(history([record(1), replace(record(2), **spoiled)], MODEL)) == 1  # type: ignore[arg-type] # as above


def test_a_rollback_sends_waiting_receipts_to_the_successor() -> None:
    """An image received under the withdrawn version, not answered yet, is answered by the one after it."""
    past = (record(1), record(2, "2.0.0", minute=10))
    back = rollback(past)
    past = (*past, record(3, back.champion, minute=20, withdrawn=back.withdrawn))

    assert back.withdrawn == ("2.0.0",)
    assert choose(past, STUDY, after(15)) == Chosen("1.0.0", Role.CHAMPION, 3)
    assert choose(past, STUDY, after(5)) == Chosen("1.0.0", Role.CHAMPION, 1)


def test_a_second_rollback_goes_one_further_back() -> None:
    """A version that was withdrawn never comes back by itself."""
    past = (record(1), record(2, "1.1.0"), record(3, "2.0.0"))
    past = (*past, record(4, "1.1.0", withdrawn=["2.0.0"]))

    assert rollback(past).champion == "1.0.0"
    with pytest.raises(DeploymentRefused, match="no champion before"):
        rollback((*past, record(5, "1.0.0", withdrawn=["2.0.0", "1.1.0"])))


def test_a_rollback_withdraws_the_canary_first() -> None:
    """The champion, which most studies have, stays."""
    past = (record(1), record(2, canary="2.0.0", canary_share=0.2, shadow="1.1.0"))

    assert rollback(past) == Parts(champion="1.0.0", shadow="1.1.0", withdrawn=("2.0.0",))


def test_deploying_a_withdrawn_version_lifts_that() -> None:
    """On purpose, and for earlier receipts too."""
    parts = Parts(champion="1.0.0", withdrawn=("2.0.0", "2.1.0")).deploy("2.0.0")

    assert (parts.champion, parts.withdrawn) == ("2.0.0", ("2.1.0",))


def test_a_shadow_sees_what_another_answers() -> None:
    """Never the version that answers, nor one that was withdrawn, nor before its deployment."""
    past = history([record(1), record(2, shadow="2.0.0", minute=10)], MODEL)

    assert shadow_of(past, after(10), "1.0.0") == Chosen("2.0.0", Role.SHADOW, 2)
    assert shadow_of(past, after(9), "1.0.0") is None
    assert shadow_of(past, after(10), "2.0.0") is None
    assert shadow_of((*past, record(3, withdrawn=["2.0.0"], minute=20)), after(10), "1.0.0") is None


def test_the_hash_of_a_canary_stays_what_it_is() -> None:
    """Another one would move studies from one side to the other in the middle of a canary's life."""
    found = [number for number in range(40) if is_canary("chest-pneumonia", "2.0.0", f"2.25.{number}", 0.2)]

    assert found == [3, 4, 7, 11, 14, 19, 21, 29, 30, 35]


@given(logs, st.data())
def test_members_that_read_the_same_log_agree(log: Sequence[ModelDeployed], data: st.DataObject) -> None:
    """However the log was cut into reads: the choice depends on the records alone."""
    cut = data.draw(st.integers(0, len(log)))
    known = history(log[:cut], MODEL)
    receipt = data.draw(receipts)

    assert history([*known, *log[cut:]], MODEL) == history(log, MODEL)
    assert choose(history([*known, *log[cut:]], MODEL), STUDY, receipt) == choose(history(log, MODEL), STUDY, receipt)


@given(chains, receipts, st.uuids())
def test_somebody_always_answers_and_it_is_nobody_who_was_withdrawn(
    past: Sequence[ModelDeployed], receipt: datetime, study: UUID
) -> None:
    """Whatever the history."""
    found = choose(past, str(study), receipt)

    assert (found is None) == (not past)
    assert found is None or found.version not in past[-1].withdrawn


@given(chains, receipts, st.integers(61, 90))
def test_a_later_deployment_that_withdraws_nothing_changes_no_earlier_receipt(
    past: Sequence[ModelDeployed], receipt: datetime, minute: int
) -> None:
    """A replay next week gets the version of today."""
    if past:
        newest = past[-1]
        later = replace(
            record(newest.revision + 1, newest.champion, minute),
            withdrawn=newest.withdrawn,
            shadow="3.0.0",
        )
        receipt = min(receipt, after(minute - 1))

        assert choose((*past, later), STUDY, receipt) == choose(past, STUDY, receipt)


@given(st.uuids(), st.floats(0, 1), st.floats(0, 1))
def test_a_study_stays_with_the_canary_while_the_share_grows(study: UUID, one: float, other: float) -> None:
    """And with the champion while it shrinks."""
    small, large = sorted((one, other))

    assert is_canary(MODEL, "2.0.0", str(study), large) or not is_canary(MODEL, "2.0.0", str(study), small)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_is_held(share: float) -> None:
    """Within five standard deviations of 20,000 draws: one false alarm in a million."""
    n = 20_000
    count = sum(is_canary(MODEL, "2.0.0", f"2.25.{number}", share) for number in range(n))

    assert abs(count - n * share) < 5 * (n * share * (1 - share)) ** 0.5


def test_another_canary_gets_other_studies() -> None:
    """Else the same patients would try out every version."""
    studies = [f"2.25.{number}" for number in range(400)]
    first = {one for one in studies if is_canary(MODEL, "2.0.0", one, 0.5)}
    second = {one for one in studies if is_canary(MODEL, "2.1.0", one, 0.5)}

    assert 60 < len(first & second) < 140


@given(st.lists(st.tuples(st.sampled_from(["deploy", "shadow", "canary", "back", "veto"]), versions), max_size=12))
def test_every_row_of_wishes_makes_a_sound_history(wishes: list[tuple[str, str]]) -> None:
    """Whatever a person asks for is either refused or makes a record that all readers count."""
    past = [record(1)]
    for wish, version in wishes:
        now = Parts.of(past[-1])
        try:
            match wish:
                case "deploy":
                    made = now.deploy(version)
                case "shadow":
                    made = now.show_unseen(version)
                case "canary":
                    made = now.share(version, 0.3)
                case "back":
                    made = rollback(past)
                case _:
                    made = without(past, version)
        except DeploymentRefused:
            continue
        past.append(
            record(
                len(past) + 1,
                made.champion,
                canary=made.canary,
                canary_share=made.canary_share,
                shadow=made.shadow,
                withdrawn=made.withdrawn,
            )
        )

    assert history(past, MODEL) == tuple(past)


def test_what_must_be_verified_is_what_is_new() -> None:
    """A version that looks at images already was verified when it began."""
    past = [record(1, shadow="1.1.0")]

    assert newly_named(past, Parts.of(past[0]).share("2.0.0", 0.1)) == {"2.0.0"}
    assert newly_named([], Parts(champion="1.0.0")) == {"1.0.0"}


REFUSED: Sequence[Callable[[Parts], Parts]] = (
    lambda now: now.share("1.0.0", 0.1),
    lambda now: now.share("2.0.0", 1.1),
    lambda now: now.show_unseen("1.0.0"),
)


@pytest.mark.parametrize("wish", REFUSED)
def test_a_wish_that_makes_no_sense_is_refused(wish: Callable[[Parts], Parts]) -> None:
    """In words, and nothing is written."""
    with pytest.raises(DeploymentRefused):
        wish(Parts(champion="1.0.0"))
