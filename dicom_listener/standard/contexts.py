"""The presentation contexts that the listener takes: every storage class in every standard syntax, and two services.

Pixels are stored as they came, so the sender's own order of syntaxes is ours: it sends what it has.
"""

from collections.abc import Iterable

from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom import AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined] # made at import

#: PS3.5 section 10 and annex A.
STANDARD_SYNTAXES = frozenset(str(uid) for uid in AllTransferSyntaxes)
STORAGE_CLASSES = frozenset(str(context.abstract_syntax) for context in AllStoragePresentationContexts)

_STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."
_SOME_STANDARD_SYNTAX = ["1.2.840.10008.1.2.1"]


def is_storage(sop_class_uid: str, *, unknown_classes: bool) -> bool:
    """Say whether objects of a class are taken; with `unknown_classes` also retired, private and unknown ones."""
    if sop_class_uid in STORAGE_CLASSES:
        return True
    uid = UID(sop_class_uid)
    known = uid.name != sop_class_uid  # by the standard's registry (PS3.6 annex A), retired ones included
    return unknown_classes and (not known or (_STORAGE_ROOT in sop_class_uid and uid.type == "SOP Class"))


def supported(
    requested: Iterable[PresentationContext], *, unknown_syntaxes: bool, unknown_classes: bool = False
) -> list[PresentationContext]:
    """Give what we support of what a peer asks for; pynetdicom compares the two and answers (PS3.8 9.3.3.2).

    With `unknown_syntaxes` private and unknown transfer syntaxes are taken too. A peer that asks for roles is told
    that it is the user and we the provider (PS3.7 D.3.3.4).
    """
    syntaxes: dict[str, list[str]] = {}
    for context in requested:
        if is_storage(str(context.abstract_syntax), unknown_classes=unknown_classes):
            known = syntaxes.setdefault(str(context.abstract_syntax), [])
            known += [
                str(uid)
                for uid in context.transfer_syntax
                if (unknown_syntaxes or uid in STANDARD_SYNTAXES) and uid not in known
            ]
    # A class whose syntaxes are all unknown is refused for its syntaxes, not for itself.
    storage = [build_context(uid, found or _SOME_STANDARD_SYNTAX) for uid, found in syntaxes.items()]
    for context in storage:
        context.scu_role, context.scp_role = True, False
    return [*storage, build_context(Verification), build_context(StorageCommitmentPushModel)]
