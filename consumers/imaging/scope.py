"""Whether an image is one that the model knows: a frontal film of a chest. By its tags, before any pixel is decoded.

A tag that says otherwise rules the image out. A tag that is missing does not: the image is evaluated and a person is
asked to look. The SOP class decides nothing: films come as Secondary Capture from many a digitiser.
"""

import re

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from schemas.errors import NotEvaluable
from schemas.words import Reason

#: PS3.3 C.7.3.1.1.1: computed radiography, digital radiography, and film digitised or not told apart.
MODALITIES = frozenset({"CR", "DX", "RG"})
#: Words of Body Part Examined (PS3.16 L) that mean the chest.
CHEST = frozenset({"CHEST", "THORAX", "LUNG", "LUNGS", "RIBS"})
#: View Position (PS3.3 C.8.11.5), and the words that makers write there.
FRONTAL = frozenset({"PA", "AP", "FRONTAL", "POSTERO ANTERIOR", "ANTERO POSTERIOR"})
#: Anatomic Region Sequence: chest in SNOMED RT and CT (PS3.16 CID 4031).
CHEST_CODES = frozenset({"T-D3000", "51185008", "T-D3050", "43799004", "T-28000", "39607008"})
#: View Code Sequence (PS3.16 CID 4010): antero-posterior and postero-anterior in SNOMED RT and CT.
FRONTAL_CODES = frozenset({"R-10206", "399348003", "R-10214", "272479007"})
#: Patient Orientation of the rows (PS3.3 C.7.6.1.1.1): to the left or right is frontal, to front or back is lateral.
SIDEWAYS = frozenset("LR")


def check_scope(dataset: Dataset) -> bool:
    """Return whether a person should look because tags are missing; raises NotEvaluable (modality, body_part, view)."""
    answers = (_modality(dataset), _body_part(dataset), _view(dataset))
    for_processing = _text(dataset, "PresentationIntentType") == "FOR PROCESSING"
    return for_processing or not all(answers)


def _modality(dataset: Dataset) -> bool:
    """Return whether the tag is there; raises when it names another modality."""
    modality = _text(dataset, "Modality")
    if modality and modality not in MODALITIES:
        raise NotEvaluable(Reason.MODALITY)
    return bool(modality)


def _body_part(dataset: Dataset) -> bool:
    """Return whether tag or code plainly say chest; raises when they say something else."""
    words = set(re.findall("[A-Z]+", _text(dataset, "BodyPartExamined")))
    codes = _codes(dataset, "AnatomicRegionSequence")
    if words and not words & CHEST:
        raise NotEvaluable(Reason.BODY_PART)
    if not words and codes and not codes & CHEST_CODES:
        raise NotEvaluable(Reason.BODY_PART)
    # "CHEST ABDOMEN" shows a chest and more: evaluated, and looked at.
    return len(words) == 1 or (not words and bool(codes))


def _view(dataset: Dataset) -> bool:
    """Return whether tag, code or orientation say frontal; raises when they say another view."""
    position = " ".join(re.findall("[A-Z]+", _text(dataset, "ViewPosition")))
    if position:
        if position not in FRONTAL:
            raise NotEvaluable(Reason.VIEW)
        return True
    codes = _codes(dataset, "ViewCodeSequence")
    if codes:
        if not codes & FRONTAL_CODES:
            raise NotEvaluable(Reason.VIEW)
        return True
    rows = _text(dataset, "PatientOrientation")[:1]
    if rows and rows not in SIDEWAYS:
        raise NotEvaluable(Reason.VIEW)
    return bool(rows)


def _text(dataset: Dataset, keyword: str) -> str:
    """Return an element's first value in upper case, empty where it is absent."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    if not isinstance(value, str) and hasattr(value, "__getitem__"):
        value = value[0] if len(value) else ""
    return str(value).strip().upper()


def _codes(dataset: Dataset, keyword: str) -> set[str]:
    """Return the code values of a sequence's items."""
    items = dataset.get(keyword)
    if not isinstance(items, Sequence):
        return set()
    return {str(item.get("CodeValue", "")) for item in items} - {""}
