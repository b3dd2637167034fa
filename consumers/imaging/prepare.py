"""The one entry of this room: a DICOM object in, what a network reads out. Runs in a worker process."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation

from consumers.imaging.acquisition import acquired_at, acquisition
from consumers.imaging.codestreams import undecodable
from consumers.imaging.decode import check_pixels, check_syntax, decode_all
from consumers.imaging.part10 import read_part10, transfer_syntax_of
from consumers.imaging.preprocess import InputSpec, normalise, resize
from consumers.imaging.quality import quality_of
from consumers.imaging.scope import check_scope
from consumers.imaging.statistics import image_statistics
from consumers.imaging.windowing import follows_from_tags, to_grey
from schemas.errors import NotEvaluable
from schemas.words import Reason, ReviewReason


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image that is ready for a network, with the numbers that its result carries. Picklable."""

    tensor: NDArray[np.float32]  # [3, H, W], normalised
    statistics: Mapping[str, float]  # InferenceCompleted.image_statistics
    acquisition: Mapping[str, float]  # InferenceCompleted.acquisition
    needs_review: bool  # tags that tell the scope were missing
    acquired_at: float | None = None  # by the modality's clock (Unix seconds); None where that can't be told
    quality: Mapping[str, float] = field(default_factory=dict)  # InferenceCompleted.quality
    flags: tuple[ReviewReason, ...] = ()  # what the quality checks found


def prepare(part10: bytes | memoryview, spec: InputSpec) -> Prepared:
    """Turn a Part 10 file into a network's input; raises NotEvaluable, whose `reason` the result carries.

    1. transfer syntax: without a decoder the rest can't be read
    2. scope by tags: cheap, and most telling to a person
    3. pixels: their form, then the decoder
    4. grey levels, size, statistics
    5. quality: a film that shows nothing is not evaluated, one that shows it badly is flagged

    Picklable in and out, and nothing is kept between calls. A decoder may still crash the process on hostile bytes:
    that is why it runs in a worker. Never raises anything else for bad input. One thread a process: pydicom's and
    Python's warnings are silenced for the process while it runs.
    """
    (one,) = prepare_all(part10, (spec,))
    return one


def prepare_all(part10: bytes | memoryview, specs: Sequence[InputSpec]) -> list[Prepared]:
    """Turn a Part 10 file into the inputs of several networks: each, bit for bit, as `prepare` makes it alone.

    Parsed once, and decoded once where one size serves all: always, but for wavelets that two networks read at
    different halvings.
    """
    # pydicom's warnings quote values, which may be a patient's, and damaged ones are no news here.
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _prepare(part10, specs)


def _prepare(part10: bytes | memoryview, specs: Sequence[InputSpec]) -> list[Prepared]:
    check_syntax(transfer_syntax_of(part10)[0])
    parsed = read_part10(part10)
    try:
        needs_review = check_scope(parsed.dataset)
        _, _, cell = check_pixels(parsed)
        numbers, taken_at = acquisition(parsed.dataset), acquired_at(parsed.dataset)
        wanted = [(spec.height, spec.width) for spec in specs] if follows_from_tags(cell, parsed.dataset) else None
        frames = decode_all(parsed, wanted or [None] * len(specs))
        films = {id(frame): to_grey(frame, parsed.dataset) for frame in frames}
        greys = [resize(films[id(frame)], spec) for frame, spec in zip(frames, specs, strict=True)]
    except NotEvaluable:
        raise
    # pydicom converts values lazily, so any access to a damaged element may raise whatever its value leads to.
    except Exception as error:
        raise undecodable(f"data set can't be read ({type(error).__name__})") from error
    made = []
    for grey, spec in zip(greys, specs, strict=True):
        quality = quality_of(grey, (numbers["rows"], numbers["columns"]))
        if quality.grave:
            raise NotEvaluable(Reason.QUALITY, " ".join(quality.flags))
        statistics, tensor = image_statistics(grey), normalise(grey, spec)
        made.append(Prepared(tensor, statistics, numbers, needs_review, taken_at, quality.scores, quality.flags))
    return made
