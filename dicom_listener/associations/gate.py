"""Who may have an association (PS3.8 9.3.4), in the order in which a peer is told."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined] # made at import

from dicom_listener.associations.porch import Caller
from dicom_listener.processes.link import Arbiter
from dicom_listener.receiving.routes import Route
from dicom_listener.standard.contexts import supported
from dicom_listener.standard.refusals import (
    APPLICATION_CONTEXT,
    CALLED_AE,
    CALLING_AE,
    CERTIFICATE,
    USER_IDENTITY,
    Refusal,
)
from dicom_listener.users import Users
from radstream.settings import Settings

if TYPE_CHECKING:
    from pynetdicom.association import ServiceUser

#: PS3.7 annex A.2.1.
DICOM_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
OTHER = "other"


class Gate:
    """Asks of a request all that is asked before contexts are negotiated."""

    def __init__(self, settings: Settings, routes: Iterable[Route], arbiter: Arbiter) -> None:
        routes = tuple(routes)
        self.users = Users(settings.user_identity) if settings.user_identity else None
        self._settings = settings
        self._arbiter = arbiter
        self._called = {settings.ae_title, *(one.called_ae for one in routes if one.called_ae)}
        self._allowed = frozenset(settings.allowed_aes)
        self._named = (self._allowed - {"*"}) | {one.calling_ae for one in routes if one.calling_ae}
        #: In this order; the arbiter is last, because its yes takes a slot.
        self._checks: tuple[tuple[Callable[[Caller, ServiceUser], bool], Refusal], ...] = (
            (self._speaks_dicom, APPLICATION_CONTEXT),
            (self._calls_us, CALLED_AE),
            (self._is_allowed, CALLING_AE),
            (self._shows_certificate, CERTIFICATE),
            (self._is_user, USER_IDENTITY),
        )

    def refusal_of(self, caller: Caller, requestor: "ServiceUser") -> Refusal | None:
        """Say why a request is refused; None lets it in, and it has a slot."""
        for holds, refusal in self._checks:
            if not holds(caller, requestor):
                return refusal
        return self._arbiter.ask(caller.connection, requestor.ae_title, verification_only=_only_verifies(requestor))

    def contexts_for(self, requested: Iterable[PresentationContext]) -> list[PresentationContext]:
        """Give what we support of what is asked for."""
        return supported(
            requested,
            unknown_syntaxes=self._settings.accept_unknown_syntaxes,
            unknown_classes=self._settings.accept_unknown_classes,
        )

    def label(self, calling_ae: str) -> str:
        """Give the name of a sender for metrics: those that settings name, else `other`."""
        return calling_ae if calling_ae in self._named else OTHER

    @staticmethod
    def _speaks_dicom(_caller: Caller, requestor: "ServiceUser") -> bool:
        request = requestor.primitive
        return request is not None and str(request.application_context_name) == DICOM_APPLICATION_CONTEXT

    def _calls_us(self, _caller: Caller, requestor: "ServiceUser") -> bool:
        request = requestor.primitive
        return not self._settings.check_called_ae or (request is not None and request.called_ae_title in self._called)

    def _is_allowed(self, _caller: Caller, requestor: "ServiceUser") -> bool:
        return "*" in self._allowed or requestor.ae_title in self._allowed

    def _shows_certificate(self, caller: Caller, _requestor: "ServiceUser") -> bool:
        allowed = self._settings.allowed_certificates
        return not allowed or caller.tls is None or caller.fingerprint in allowed

    def _is_user(self, _caller: Caller, requestor: "ServiceUser") -> bool:
        if self.users is None:
            return True
        asked = requestor.user_identity
        return asked is not None and self.users.may_enter(
            asked.user_identity_type or 0, asked.primary_field or b"", asked.secondary_field or b""
        )


def _only_verifies(requestor: "ServiceUser") -> bool:
    request = requestor.primitive
    contexts = request.presentation_context_definition_list if request else []
    return bool(contexts) and all(context.abstract_syntax == Verification for context in contexts)
