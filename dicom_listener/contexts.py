"""The presentation contexts that the listener takes: every storage class in every standard syntax, and two services.

Pixels are stored as they came, so the sender's own order of syntaxes is ours: it sends what it has.
"""

from collections.abc import Iterable

from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined] # made at import

#: PS3.5 section 10 and annex A.
STANDARD_SYNTAXES = frozenset(str(uid) for uid in AllTransferSyntaxes)
STORAGE_CLASSES = frozenset(str(context.abstract_syntax) for context in AllStoragePresentationContexts)

_SOME_STANDARD_SYNTAX = ["1.2.840.10008.1.2.1"]


def supported(requested: Iterable[PresentationContext], *, unknown_syntaxes: bool) -> list[PresentationContext]:
    """Give what we support of what a peer asks for; pynetdicom compares the two and answers (PS3.8 9.3.3.2).

    With `unknown_syntaxes` private and unknown transfer syntaxes are taken too.
    """
    syntaxes: dict[str, list[str]] = {}
    for context in requested:
        if context.abstract_syntax in STORAGE_CLASSES:
            known = syntaxes.setdefault(str(context.abstract_syntax), [])
            known += [
                str(uid)
                for uid in context.transfer_syntax
                if (unknown_syntaxes or uid in STANDARD_SYNTAXES) and uid not in known
            ]
    # A class whose syntaxes are all unknown is refused for its syntaxes, not for itself.
    storage = [build_context(uid, found or _SOME_STANDARD_SYNTAX) for uid, found in syntaxes.items()]
    return [*storage, build_context(Verification), build_context(StorageCommitmentPushModel)]
