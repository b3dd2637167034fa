"""From an event and what a model saw to the one result (promises 3 and 6). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np

from consumers.decoding.frames import Decoded
from consumers.engines.engine import Inference
from consumers.imaging.decision import Operating, decide
from consumers.results.worth import UNKNOWN_WORTH, Worth, disagreement, uncertainty
from schemas.errors import NotEvaluable
from schemas.identity import result_id
from schemas.inference_completed import InferenceCompleted
from schemas.instance_received import InstanceReceived
from schemas.words import Outcome, Reason, ReviewReason, Role

#: How many numbers of the model's inner view a result carries at most.
PROJECTION = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Which model version a result is of, and in which part of which deployment."""

    model: str
    version: str
    deployment_revision: int = 0  # before any deployment was recorded
    role: Role = Role.CHAMPION
    worth: Worth = UNKNOWN_WORTH  # what the model knows of its own limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering(Named):
    """One that is loaded and answers."""

    operating: Operating


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a result is made for: the event, which revision of the result, and the time spent so far."""

    event: InstanceReceived
    revision: int
    completed_at: datetime  # UTC
    stage_ms: Mapping[str, float]
    supersedes: UUID | None = None  # the visible result that a replay or recall takes the place of


def evaluated(
    asked: Asked,
    by: Answering,
    image: Decoded,
    answer: Inference,
    heatmap_key: str | None = None,
) -> InferenceCompleted:
    """Make the result of an image that the model looked at; `answer` is one row.

    A person should look when the tags leave the scope open, when a quality check flagged the film, when the probability
    lies near the threshold, when an ensemble's members don't find the same, or when the film is unlike the model's own;
    `review_reasons` says which.

    Raises NotEvaluable (internal) for an answer that is no number: it would pass for the negative class.
    """
    logits, members = answer.logits[0], None if answer.members is None else answer.members[0]
    if not np.isfinite(logits).all():
        raise NotEvaluable(Reason.INTERNAL, f"{by.model} {by.version} gave logits that are no numbers")
    decision = decide(logits, by.operating)
    numbers = [float(number) for number in answer.projection[0][:PROJECTION]]
    strangeness = None if by.worth.novelty is None else by.worth.novelty.score(numbers, image.statistics)
    doubts = (
        *((ReviewReason.SCOPE_UNSTATED,) if image.needs_review else ()),
        *image.flags,
        *by.worth.doubts(
            decision.probabilities[by.operating.positive],
            strangeness,
            () if members is None else members[:, by.operating.classes.index(by.operating.positive)].tolist(),
        ),
    )
    return _result(
        asked,
        by,
        outcome=Outcome.EVALUATED,
        probabilities=decision.probabilities,
        finding=decision.finding,
        threshold=by.operating.threshold,
        needs_review=bool(doubts),
        review_reasons=doubts,
        uncertainty=uncertainty(list(decision.probabilities.values())),
        disagreement=None if members is None else disagreement(members),
        out_of_distribution=strangeness,
        image_statistics=image.statistics,
        projection=numbers,
        quality=image.quality,
        acquisition=image.acquisition,
        clock_skew_seconds=clock_skew_seconds(asked.event, image),
        heatmap_key=heatmap_key,
    )


def clock_skew_seconds(event: InstanceReceived, image: Decoded) -> float | None:
    """Give receipt minus the modality's own acquisition time; None where that can't be told."""
    return None if image.acquired_at is None else event.received_at.timestamp() - image.acquired_at


def not_evaluated(asked: Asked, by: Named, reason: Reason, doubts: Sequence[ReviewReason] = ()) -> InferenceCompleted:
    """Make the result of an image that the model did not look at: nobody may rely on it, so a person looks.

    `doubts` say what was wrong with the film where its quality is the reason.
    """
    because = (ReviewReason.NOT_EVALUATED, *doubts)
    return _result(asked, by, outcome=Outcome.NOT_EVALUATED, needs_review=True, review_reasons=because, reason=reason)


def _result(asked: Asked, by: Named, **differing: object) -> InferenceCompleted:
    event = asked.event
    named = result_id(event.event_id, by.model, by.version, by.role)
    return InferenceCompleted(
        result_id=named,
        result_revision=asked.revision,
        supersedes=None if asked.supersedes == named else asked.supersedes,
        model=by.model,
        model_version=by.version,
        deployment_revision=by.deployment_revision,
        role=by.role,
        completed_at=asked.completed_at,
        stage_ms=asked.stage_ms,
        **{name: getattr(event, name) for name in COPIED},
        **differing,  # type: ignore[arg-type] # each name and value stands in the two callers above
    )


#: What a result takes over from its event, name for name.
COPIED = (
    "event_id", "object_key", "sha256", "transfer_syntax_uid", "study_pseudonym", "instance_pseudonym", "lane", "site",
    "received_at", "identity_changed", "calling_ae", "modality", "manufacturer", "model_name", "station_hash",
    "view_position", "sex", "age_band",
)  # fmt: skip
