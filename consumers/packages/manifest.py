"""manifest.json of a model package: its form, checked field by field."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from consumers.imaging.decision import Operating
from consumers.imaging.inputs import InputSpec
from consumers.packages.ensembles import ENSEMBLE, FEWEST, MOST, Member, ensemble_version
from schemas.errors import ModelRefused

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
VERSION = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}(-[a-z0-9.-]{1,32})?")
SHA256 = re.compile(r"[0-9a-f]{64}")
#: What a graph's weights and activations are: where the manifest says nothing, float32.
PRECISIONS = frozenset({"float32", "int8"})
#: Networks larger than this are no radiograph classifier of ours (pixels a side).
MAX_SIDE = 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a package says of itself. `described` holds the whole document: metrics, data, split, training run.

    Its form: name, version, architecture; input {height, width, mean [3], std [3]}; classes, the first one negative;
    positive; threshold {value, rule, ...}; calibration {temperature, ...}; metrics {part: {...}};
    data; split; training; precision {graph, ...}, absent: float32;
    members [{version, manifest: its SHA-256}], of an ensemble alone, whose architecture is `ensemble`;
    self_test {logits}: the answer to `self_test_image`; files {name: SHA-256 in hex}.
    """

    name: str
    version: str
    architecture: str
    input: InputSpec
    operating: Operating
    self_test_logits: tuple[float, ...]
    files: Mapping[str, str]
    described: Mapping[str, Any]
    precision: str = "float32"
    members: tuple[Member, ...] = ()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read and check; raises ModelRefused and says which field is wrong."""
        try:
            fields = json.loads(text)
            manifest = cls(
                name=_matching(NAME, fields["name"], "name"),
                version=_matching(VERSION, fields["version"], "version"),
                architecture=str(fields["architecture"]),
                input=_input_spec(fields["input"]),
                operating=_operating(fields),
                self_test_logits=tuple(float(logit) for logit in fields["self_test"]["logits"]),
                files={str(name): _matching(SHA256, sha256, "files") for name, sha256 in fields["files"].items()},
                described=fields,
                precision=_precision(fields),
                members=_members(fields),
            )
        except KeyError as error:
            raise ModelRefused(f"manifest.json lacks the field {error}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelRefused(f"manifest.json can't be read: {error}") from error
        if len(manifest.self_test_logits) != len(manifest.operating.classes):
            raise ModelRefused("manifest.json: self_test has another number of logits than there are classes")
        manifest._check_ensemble()
        return manifest

    def _check_ensemble(self) -> None:
        """Raise ModelRefused for members without an ensemble, or an ensemble by another name than its own."""
        if bool(self.members) != (self.architecture == ENSEMBLE):
            raise ModelRefused(f"manifest.json: architecture {self.architecture!r} with {len(self.members)} members")
        if self.members:
            named = ensemble_version(self.members, self.operating.temperature, self.operating.threshold)
            if named != self.version:
                raise ModelRefused(f"manifest.json: version {self.version} of an ensemble that is {named}")


def _matching(pattern: re.Pattern[str], value: object, field: str) -> str:
    """Return the value if all of it has the form; raises ModelRefused."""
    text = str(value)
    if not pattern.fullmatch(text):
        raise ModelRefused(f"manifest.json: {field} {text[:80]!r} has not the form {pattern.pattern}")
    return text


def _input_spec(fields: Mapping[str, Any]) -> InputSpec:
    mean, std = tuple(map(float, fields["mean"])), tuple(map(float, fields["std"]))
    if len(mean) != 3 or len(std) != 3 or not all(deviation > 0 for deviation in std):  # noqa: PLR2004 - channels
        raise ModelRefused("manifest.json: input wants three means and three positive deviations")
    height, width = int(fields["height"]), int(fields["width"])
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise ModelRefused(f"manifest.json: input of {height} x {width} pixels; at most {MAX_SIDE} a side")
    return InputSpec(height, width, (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


def _precision(fields: Mapping[str, Any]) -> str:
    precision = str(fields.get("precision", {}).get("graph", "float32"))
    if precision not in PRECISIONS:
        raise ModelRefused(f"manifest.json: precision {precision[:80]!r} is none of {sorted(PRECISIONS)}")
    return precision


def _members(fields: Mapping[str, Any]) -> tuple[Member, ...]:
    found = tuple(
        Member(_matching(VERSION, one["version"], "members"), _matching(SHA256, one["manifest"], "members"))
        for one in fields.get("members", ())
    )
    if found and not FEWEST <= len({one.version for one in found}) == len(found) <= MOST:
        raise ModelRefused(f"manifest.json: an ensemble has {FEWEST} to {MOST} members, each once")
    return found


def _operating(fields: Mapping[str, Any]) -> Operating:
    classes = tuple(map(str, fields["classes"]))
    temperature, threshold = float(fields["calibration"]["temperature"]), float(fields["threshold"]["value"])
    if len(classes) < 2 or len(set(classes)) != len(classes) or fields["positive"] not in classes[1:]:  # noqa: PLR2004 - two classes
        raise ModelRefused("manifest.json: classes want the negative one first and the positive one among the rest")
    if not (temperature > 0 and 0 < threshold < 1):
        raise ModelRefused(f"manifest.json: temperature {temperature} or threshold {threshold} is out of range")
    return Operating(classes, str(fields["positive"]), temperature, threshold)
