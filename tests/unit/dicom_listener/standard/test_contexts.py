"""What is supported of what a peer asks for."""

import pytest
from pynetdicom.presentation import PresentationContext, build_context

from dicom_listener.commitment.words import PUSH_MODEL
from dicom_listener.standard.contexts import STANDARD_SYNTAXES, is_storage, supported

CHEST, VERIFICATION, FIND = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.2.2.1"
EXPLICIT, JPEG, PRIVATE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50", "1.2.826.0.1.3680043.8.498.77.1"


def _offered(*contexts: PresentationContext, unknown: bool = False) -> dict[str, list[str]]:
    return {
        str(context.abstract_syntax): [str(uid) for uid in context.transfer_syntax]
        for context in supported(contexts, unknown_syntaxes=unknown)
    }


def test_the_senders_order_is_ours() -> None:
    """Over several contexts of one class, too."""
    offered = _offered(build_context(CHEST, [JPEG, EXPLICIT]), build_context(CHEST, [EXPLICIT]))

    assert offered[CHEST] == [JPEG, EXPLICIT]


def test_unknown_syntaxes_need_the_setting() -> None:
    """Else a class stays known, and its context is refused for the syntax."""
    assert PRIVATE not in _offered(build_context(CHEST, [PRIVATE]))[CHEST]
    assert _offered(build_context(CHEST, [PRIVATE]), unknown=True)[CHEST] == [PRIVATE]


def test_other_services_are_not_supported() -> None:
    """C-FIND is refused by its class; C-ECHO and storage commitment are always there."""
    assert set(_offered(build_context(FIND, [EXPLICIT]))) == {VERIFICATION, PUSH_MODEL}


def test_every_standard_syntax_is_taken() -> None:
    """The compressed ones that imaging can decode among them."""
    assert {JPEG, EXPLICIT, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"} <= STANDARD_SYNTAXES


@pytest.mark.parametrize(
    ("sop_class_uid", "taken"),
    [
        ("1.2.826.0.1.3680043.8.498.5", True),  # private
        ("1.2.840.10008.5.1.4.1.1.6", True),  # Ultrasound Image Storage, retired
        ("1.2.840.10008.5.1.4.1.2.2.1", False),  # Study Root Query/Retrieve
        ("1.2.840.10008.1.20.1", False),  # Storage Commitment Push Model
    ],
)
def test_unknown_classes_are_taken_when_told_to(sop_class_uid: str, taken: bool) -> None:  # noqa: FBT001
    """Private, unknown and retired storage classes by setting; a service that we know is never storage."""
    assert is_storage(sop_class_uid, unknown_classes=True) is taken
    assert not is_storage(sop_class_uid, unknown_classes=False)
