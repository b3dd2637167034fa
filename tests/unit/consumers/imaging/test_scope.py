"""Which images the model knows, by their tags."""

import pytest
from pydicom.dataset import Dataset

from consumers.imaging.scope import check_scope
from schemas.errors import NotEvaluable
from schemas.words import Reason

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def film(**tags: object) -> Dataset:
    """Make a frontal chest film; None takes a tag away."""
    ds = Dataset()
    for keyword, value in ({"Modality": "DX", "BodyPartExamined": "CHEST", "ViewPosition": "PA"} | tags).items():
        if value is not None:
            setattr(ds, keyword, value)
    return ds


def code(value: str) -> list[Dataset]:
    """Make a code sequence of one item."""
    item = Dataset()
    item.CodeValue = value
    return [item]


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"Modality": "CR", "ViewPosition": "AP"},
        {"Modality": "CR", "SOPClassUID": SECONDARY_CAPTURE},
        {"BodyPartExamined": "LUNG"},
        {"BodyPartExamined": "THORAX"},
        {"BodyPartExamined": None, "AnatomicRegionSequence": code("51185008")},
        {"ViewPosition": None, "ViewCodeSequence": code("R-10206")},
        {"ViewPosition": "", "PatientOrientation": ["L", "F"]},
    ],
)
def test_a_frontal_chest_film_is_in_scope(tags: dict[str, object]) -> None:
    """The class doesn't decide; synonyms and codes count."""
    assert check_scope(film(**tags)) is False


@pytest.mark.parametrize(
    "tags",
    [
        {"Modality": None},
        {"Modality": ""},
        {"BodyPartExamined": None},
        {"ViewPosition": None},
        {"ViewPosition": ""},
        {"Modality": None, "BodyPartExamined": None, "ViewPosition": None},
        {"BodyPartExamined": "CHEST ABDOMEN"},
        {"PresentationIntentType": "FOR PROCESSING"},
    ],
)
def test_missing_or_vague_tags_ask_for_a_person(tags: dict[str, object]) -> None:
    """The image is evaluated, and a person is asked to look."""
    assert check_scope(film(**tags)) is True


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, Reason.MODALITY),
        ({"Modality": "MG"}, Reason.MODALITY),
        ({"Modality": "OT"}, Reason.MODALITY),
        ({"Modality": "SR"}, Reason.MODALITY),
        ({"BodyPartExamined": "HAND"}, Reason.BODY_PART),
        ({"BodyPartExamined": "ABDOMEN"}, Reason.BODY_PART),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": code("T-D8700")}, Reason.BODY_PART),
        ({"ViewPosition": "LL"}, Reason.VIEW),
        ({"ViewPosition": "RL"}, Reason.VIEW),
        ({"ViewPosition": "LATERAL"}, Reason.VIEW),
        ({"ViewPosition": "LLD"}, Reason.VIEW),
        ({"ViewPosition": "RLO"}, Reason.VIEW),
        ({"ViewPosition": None, "ViewCodeSequence": code("R-10236")}, Reason.VIEW),
        ({"ViewPosition": None, "PatientOrientation": ["A", "F"]}, Reason.VIEW),
        ({"Modality": "CT", "BodyPartExamined": "HEAD", "ViewPosition": "LL"}, Reason.MODALITY),
    ],
)
def test_what_the_model_does_not_know_gets_its_reason(tags: dict[str, object], reason: Reason) -> None:
    """The first that is wrong of modality, body part, view."""
    with pytest.raises(NotEvaluable) as refused:
        check_scope(film(**tags))

    assert refused.value.reason is reason
