"""Results and panes for the tests of the streams."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from schemas.inference_completed import InferenceCompleted
from schemas.pane_updated import Histogram, PaneUpdated
from schemas.words import Lane, Outcome, Role

#: The first minute of an hour, so that offsets in minutes stay in one window of 5 minutes, an hour, a day.
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def result(**changed: Any) -> InferenceCompleted:
    """Make a result: evaluated, from the champion, received at noon and done a second later."""
    received_at = changed.get("received_at", NOON)
    made = InferenceCompleted(
        result_id=uuid4(),
        event_id=uuid4(),
        object_key="instances/ab/ab.dcm",
        sha256="ab",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        study_pseudonym="2.25.1",
        instance_pseudonym="2.25.2",
        model="chest",
        model_version="1.0.0",
        deployment_revision=1,
        role=Role.CHAMPION,
        outcome=Outcome.EVALUATED,
        probabilities={"NORMAL": 0.25, "PNEUMONIA": 0.75},
        finding="PNEUMONIA",
        threshold=0.5,
        needs_review=False,
        lane=Lane.ROUTINE,
        site="north",
        received_at=received_at,
        completed_at=received_at + timedelta(seconds=1),
        stage_ms={},
        image_statistics={"mean": 100.0, "standard_deviation": 50.0},
        manufacturer="Acme",
    )
    return replace(made, **changed)


def pane(*, offset: int, n: int, partition: int = 0, minute: int = 0, **changed: Any) -> PaneUpdated:
    """Make a pane of `n` evaluated results, `minute` minutes after noon."""
    made = PaneUpdated(
        model="chest",
        model_version="1.0.0",
        slice="all",
        pane_start=NOON + timedelta(minutes=minute),
        source_topic="inference.completed",
        source_partition=partition,
        last_offset=offset,
        n=n,
        histograms={
            "outcome": Histogram(edges=(), counts={"evaluated": n}),
            "score": Histogram(edges=(0.0, 0.5, 1.0), counts={"b1": n}),
        },
    )
    return replace(made, **changed)
