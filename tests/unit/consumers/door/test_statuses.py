"""Each answer of the door, over a real socket."""

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from structlog.testing import capture_logs

from consumers.door.tokens import line_of
from consumers.door.words import STATUSES
from consumers.imaging.heatmap import png_of
from radstream.logs import ALLOWED_KEYS
from schemas.words import Reason
from tests.running import until
from tests.unit.consumers.door.site import DICOM, Answer, Site, image, opened, part

PROBABILITY = 1 / (1 + 2.718281828459045**-2)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Open one for the tests that only ask."""
    with opened() as one:
        yield one


def is_problem(answer: Answer, status: int) -> bool:
    """Say whether an answer is a problem as RFC 9457 writes it."""
    return (answer.status, answer.headers["content-type"], answer.body["status"]) == (
        status,
        "application/problem+json",
        status,
    )


def test_an_image_is_answered(site: Site) -> None:
    """Probabilities, finding, threshold, model and the disclaimers."""
    answer = site.predict("2.0")

    assert answer.status == 200
    assert answer.body["probabilities"]["PNEUMONIA"] == pytest.approx(PROBABILITY)
    shown = {name: answer.body[name] for name in ("model", "model_version", "finding", "threshold", "outcome", "lane")}
    assert shown == {
        "model": "m",
        "model_version": "1.0.0",
        "finding": "PNEUMONIA",
        "threshold": 0.6,
        "outcome": "evaluated",
        "lane": "routine",
    }
    assert answer.body["disclaimers"] == ["not for diagnostic use", "needs clinical review"]


def test_a_heat_map_for_who_asks() -> None:
    """The finding's, positive or not, as the log's images have it; nothing where nobody asks, null where none is."""
    evidence = np.arange(8, dtype=np.float32).reshape(2, 2, 2) ** 2
    with opened() as site:
        assert site.predict("2.0", "?heatmap=true").body["heatmap"] is None
        site.engine.evidence = evidence

        found = {order: site.predict(order, "?heatmap=true").body for order in ("2.0", "-2.0")}
        entries = site.batch(image("2.0"), image("view"), path="/v1/predict/batch?heatmap=true").body["results"]

        assert b64decode(found["2.0"]["heatmap"]) == png_of(evidence, 1)
        assert b64decode(found["-2.0"]["heatmap"]) == png_of(evidence, 0)
        assert [one.get("heatmap") for one in entries] == [found["2.0"]["heatmap"], None]
        assert "heatmap" not in site.predict("2.0").body
        assert is_problem(site.predict("2.0", "?heatmap=perhaps"), 400)


def test_the_lane_is_asked_for(site: Site) -> None:
    """`?lane=stat` goes to decoders and engine as STAT."""
    answer = site.predict("2.0", "?lane=stat")

    assert (answer.body["lane"], site.pool.seen[-1][0]) == ("stat", "stat")


@pytest.mark.parametrize("reason", list(Reason))
def test_an_image_that_is_not_evaluated_says_why(site: Site, reason: Reason) -> None:
    """The codes of INTERFACE.md, in a problem."""
    answer = site.predict(reason)

    status = {"unsupported_transfer_syntax": 415, "internal": 500}.get(reason, 422)
    assert is_problem(answer, status)
    assert (answer.body["reason"], answer.body["outcome"], answer.body["needs_review"]) == (
        reason,
        "not_evaluated",
        True,
    )
    assert answer.body["type"] == f"urn:radstream:reason:{reason}"


BOUND = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("path", "content", "kind", "status"),
    [
        ("/v1/predict", image("1"), "text/plain", 415),
        ("/v1/predict", image("1"), "", 415),
        ("/v1/predict", b"no image at all" * 20, "application/dicom", 415),
        ("/v1/predict", b"", "application/dicom", 415),
        ("/v1/predict", bytes(100_001), "application/dicom", 413),
        ("/v1/predict", b"--b--\r\n", BOUND, 400),
        ("/v1/predict", image("1"), BOUND, 400),
        ("/v1/predict", part(image("1")), BOUND, 400),
        ("/v1/predict", image("1"), "multipart/form-data", 400),
        ("/v1/predict", image("1"), "multipart/form-data; boundary=" + 300 * "b", 400),
        ("/v1/predict?lane=soon", image("1"), "application/dicom", 400),
        ("/v1/predict", image("nonsense"), "application/dicom", 500),
        ("/v1/models", b"", "application/dicom", 405),
        ("/v1/nothing", b"", "application/dicom", 404),
    ],
)
def test_what_is_wrong_is_a_problem(site: Site, path: str, content: bytes, kind: str, status: int) -> None:
    """Each with its status, none with a traceback."""
    answer = site.ask("POST", path, content, {"Content-Type": kind} if kind else {})

    assert is_problem(answer, status)
    assert "Traceback" not in json.dumps(answer.body)


def test_one_part_is_one_image(site: Site) -> None:
    """As `curl -F` sends it; a second part is one too many."""
    assert site.batch(image("2.0"), path="/v1/predict").status == 200
    assert is_problem(site.batch(image("2.0"), image("1.0"), path="/v1/predict"), 400)


def test_a_batch_has_an_entry_for_each_part(site: Site) -> None:
    """In their order; one that fails spoils no other."""
    answer = site.batch(image("2.0"), image("view"), b"nothing", image("-2.0"))

    assert answer.status == 200
    found = [one.get("finding") or one.get("reason") or one["status"] for one in answer.body["results"]]
    assert found == ["PNEUMONIA", "view", 415, "NORMAL"]


def test_more_parts_than_places_are_refused(site: Site) -> None:
    """A multipart bomb ends at the limit: no more than four images are ever held."""
    assert is_problem(site.batch(*[b""] * 500), 413)


def test_no_identifier_comes_back(site: Site) -> None:
    """Not the file's name, not the part's."""
    assert "DOE" not in json.dumps(site.batch(image("2.0"), image("view")).body)


def test_the_models_are_listed(site: Site) -> None:
    """Who answers, with digest and threshold."""
    (model,) = site.ask("GET", "/v1/models").body["models"]

    assert (model["model"], model["role"], model["digest"], model["threshold"]) == ("m", "champion", "1.0.0", 0.6)


def test_health(site: Site) -> None:
    """Live, and ready when a model is loaded."""
    assert site.ask("GET", "/health/live").body == {"live": True}
    assert site.ask("GET", "/health/ready").body == {"ready": True}


def test_answers_are_as_openapi_says(site: Site) -> None:
    """Prediction, problem, batch and list of models follow their published schemas."""
    document = site.ask("GET", "/openapi.json").body

    def check(answer: Answer, path: str, method: str) -> None:
        told = document["paths"][path][method]["responses"][str(answer.status)]["content"]
        schema = told["application/json"]["schema"] | {"components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.body)

    check(site.predict("2.0"), "/v1/predict", "post")
    check(site.predict("view"), "/v1/predict", "post")
    check(site.batch(image("2.0"), image("view")), "/v1/predict/batch", "post")
    check(site.ask("GET", "/v1/models"), "/v1/models", "get")
    statuses = {str(int(status)) for status in STATUSES}
    assert set(document["paths"]["/v1/predict"]["post"]["responses"]) == statuses


def test_without_a_model_nothing_is_answered() -> None:
    """503, and not ready."""
    with opened(is_loaded=False) as site:
        answer = site.predict("2.0")
        ready = site.ask("GET", "/health/ready")

    assert is_problem(answer, 503)
    assert (answer.headers["retry-after"], ready.status, ready.body) == ("1", 503, {"ready": False})


def test_an_answer_that_takes_too_long_is_a_504() -> None:
    """The place is given back; the image's result is nobody's."""
    with opened(answer_seconds=0.3) as site:
        assert is_problem(site.predict("hold"), 504)
        site.pool.let_go()
        until(lambda: site.predict("2.0").status == 200, 20, "never free again")


def test_a_full_room_is_a_429() -> None:
    """With Retry-After; as soon as a place is free the next is answered."""
    with opened() as site:
        waiting = [site.in_background(f"hold {number}") for number in range(4)]
        until(lambda: site.in_hand == 4, 20, "never full")
        refused = site.predict("2.0")

        def all_answered() -> bool:
            site.pool.let_go()
            return all(one.done() for one in waiting)

        until(all_answered, 20, "not answered")
        again = site.predict("2.0")

    assert refused.headers["retry-after"] == "1"
    assert [one.result().status for one in waiting] == [200] * 4
    assert again.status == 200


def test_bodies_in_hand_have_a_limit_together() -> None:
    """Memory is taken by the told length, before a byte is read."""
    with opened(pending_bytes=1_000) as site:
        assert is_problem(site.ask("POST", "/v1/predict", bytes(2_000), DICOM), 429)


def test_tokens_are_asked_for(tmp_path: Path) -> None:
    """A known bearer token is let in; none, another scheme and a wrong one are not. Health asks for none."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"# who\n{line_of('console', 'right')}\n")

    with opened(tokens) as site:
        given = {
            header: site.predict("2.0", Authorization=header).status
            for header in ("Bearer right", "bearer right", "Bearer wrong", "Basic right", "Bearer ", "")
        }
        challenge = site.predict("2.0").headers["www-authenticate"]
        others = [site.ask("GET", path).status for path in ("/v1/models", "/health/ready")]
        tokens.write_text(line_of("another", "new"))
        until(lambda: site.predict("2.0", Authorization="Bearer right").status == 401, 20, "still let in")
        renewed = site.predict("2.0", Authorization="Bearer new").status

    assert given == {
        "Bearer right": 200, "bearer right": 200, "Bearer wrong": 401, "Basic right": 401, "Bearer ": 401, "": 401,
    }  # fmt: skip
    assert challenge == "Bearer"
    assert others == [401, 200]
    assert renewed == 200


def test_requests_are_logged_without_their_images(site: Site) -> None:
    """One line each: how many, how large, how long."""
    with capture_logs() as said:
        site.batch(image("2.0"), image("view"))

    (line,) = (one for one in said if one["event"] == "prediction answered")
    assert (line["images"], line["bytes"], line["lane"]) == (2, 271, "routine")
    assert line.keys() <= ALLOWED_KEYS | {"log_level"}
