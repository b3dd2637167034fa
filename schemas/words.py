"""The closed vocabularies of the records: each is an Avro enum with a default."""

from enum import StrEnum, unique


@unique
class Lane(StrEnum):
    """How urgent an image is. An event keeps its first lane."""

    STAT = "stat"
    ROUTINE = "routine"


@unique
class Outcome(StrEnum):
    """Whether a model looked at the image."""

    EVALUATED = "evaluated"
    NOT_EVALUATED = "not_evaluated"


@unique
class Role(StrEnum):
    """In which part of a deployment a model answered."""

    CHAMPION = "champion"
    SHADOW = "shadow"
    CANARY = "canary"
    UNKNOWN = "unknown"  # a later version's role, read by this one


@unique
class Reason(StrEnum):
    """Why an image was not evaluated. Codes, never the text of an exception."""

    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"
    UNDECODABLE = "undecodable"
    NO_PIXELS = "no_pixels"
    UNSUPPORTED_PIXELS = "unsupported_pixels"
    MULTI_FRAME = "multi_frame"
    VIEW = "view"
    MODALITY = "modality"
    BODY_PART = "body_part"
    DECODER_CRASHED = "decoder_crashed"
    OBJECT_MISSING = "object_missing"
    OBJECT_CORRUPT = "object_corrupt"
    OBJECT_EXPIRED = "object_expired"
    QUALITY = "quality"
    INTERNAL = "internal"


@unique
class ReviewReason(StrEnum):
    """Why a person should look at an image before anybody relies on its result."""

    NOT_EVALUATED = "not_evaluated"
    SCOPE_UNSTATED = "scope_unstated"  # tags that tell whether the model knows such images are missing
    NEAR_THRESHOLD = "near_threshold"
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    TOO_SMALL = "too_small"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    LOW_CONTRAST = "low_contrast"
    CLIPPED = "clipped"
    CROPPED = "cropped"
    ROTATED = "rotated"
    MEMBERS_DISAGREE = "members_disagree"  # of an ensemble, some find it and others don't
    UNKNOWN = "unknown"  # a later version's reason, read by this one


@unique
class DriftKind(StrEnum):
    """What kind of shift a window shows."""

    PREVALENCE = "prevalence"
    APPEARANCE = "appearance"
    ACQUISITION = "acquisition"
    PERFORMANCE = "performance"
    UNKNOWN = "unknown"  # a later version's kind, read by this one
