"""The forms of the door's answers, for OpenAPI."""

from typing import Literal

from pydantic import BaseModel, Field

from schemas.words import Lane, Outcome, Reason, ReviewReason, Role


class Prediction(BaseModel):
    """What a model says of one image. Nothing here says which image it was."""

    model: str
    model_version: str
    deployment_revision: int = Field(description="The deployment that assigned the model; 0: before any was recorded.")
    role: Role
    outcome: Outcome
    probabilities: dict[str, float] = Field(description="Calibrated, by class; they sum to 1.")
    finding: str = Field(description="The class at the threshold, or the negative class.")
    threshold: float = Field(description="Probability from which the positive class is found.")
    needs_review: bool = Field(description="A person should look before anybody relies on this.")
    review_reasons: list[ReviewReason]
    uncertainty: float | None
    disagreement: float | None = Field(description="Of an ensemble: the part of it that its members differ by.")
    out_of_distribution: float | None
    lane: Lane
    heatmap: str | None = Field(
        None,
        description="With `heatmap=true` alone: base64 of a small grey PNG, where on the film the finding comes from "
        "(enlarge it over the film); null where the network gives none.",
    )
    latency_ms: float = Field(description="From the whole body to the answer (milliseconds).")
    stage_ms: dict[str, float] = Field(description="Where that time went (milliseconds).")
    disclaimers: list[str]


class ProblemDetails(BaseModel):
    """Why there is no prediction (RFC 9457)."""

    type: str = Field(description="`about:blank`, or `urn:radstream:reason:<reason>`.")
    title: str
    status: int
    detail: str
    outcome: Outcome | None = None
    reason: Reason | None = Field(None, description="Why the image was not evaluated.")
    needs_review: bool | None = None
    disclaimers: list[str] | None = None


class Batch(BaseModel):
    """One entry an image, in the order of the request's parts."""

    results: list[Prediction | ProblemDetails]
    disclaimers: list[str]


class Model(BaseModel):
    """A model that answers."""

    model: str
    model_version: str
    role: Role
    deployment_revision: int
    digest: str = Field(description="SHA-256 of the package's manifest, which holds the hash of every other file.")
    engine: str
    architecture: str
    members: list[str] = Field(description="Of an ensemble: the versions that answer in it.")
    input: dict[Literal["height", "width"], int]
    classes: list[str]
    positive: str
    threshold: float
    metrics: dict[str, object] = Field(description="As the manifest says them, by part of the data.")


class Models(BaseModel):
    """The models that answer, the champion first."""

    models: list[Model]
    disclaimers: list[str]
