"""STOW-RS's part of the conformance statement."""

from dicom_listener.stow.words import FAILURE_OF, MEDIA_TYPE, STATUSES, StowFailure


def stow() -> dict[str, str]:
    """Give the values that conformance.in.md names."""
    statuses = [f"| {status.value} {status.phrase} | {when} |" for status, when in STATUSES.items()]
    return {
        "stow_media_type": MEDIA_TYPE,
        "stow_statuses": "\n".join(statuses),
        "stow_failures": "\n".join(f"| {_words(one)} | 0x{one:04X} | {_statuses(one)} |" for one in StowFailure),
    }


def _words(failure: StowFailure) -> str:
    return failure.name.replace("_", " ").lower().replace("sop ", "SOP ")


def _statuses(failure: StowFailure) -> str:
    """Name the statuses of a C-STORE that come out as this failure."""
    return ", ".join(f"0x{status:04X}" for status, said in FAILURE_OF.items() if said is failure) or "-"
