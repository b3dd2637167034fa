"""Why an association is refused, and what the peer is told (PS3.8 9.3.4, table 9-21)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """An A-ASSOCIATE-RJ and the cause that logs and metrics name."""

    cause: str
    result: int  # 1 permanent, 2 transient
    source: int  # 1 service user, 2 service provider (ACSE), 3 service provider (presentation)
    reason: int


PROTOCOL_VERSION = Refusal("protocol_version", 1, 2, 2)
APPLICATION_CONTEXT = Refusal("application_context", 1, 1, 2)
CALLING_AE = Refusal("calling_ae", 1, 1, 3)
CALLED_AE = Refusal("called_ae", 1, 1, 7)
#: The standard has no reason for a certificate that is not on a list.
CERTIFICATE = Refusal("certificate", 1, 1, 1)
#: PS3.7 D.3.3.7: rejected permanently, by the provider of the ACSE.
USER_IDENTITY = Refusal("user_identity", 1, 2, 1)
LIMIT = Refusal("limit", 2, 3, 2)
AE_LIMIT = Refusal("ae_limit", 2, 3, 2)
SHARE = Refusal("share", 2, 3, 2)
CONGESTION = Refusal("congestion", 2, 3, 1)
STOPPING = Refusal("stopping", 2, 3, 1)

BY_CAUSE = {
    one.cause: one
    for one in (
        PROTOCOL_VERSION,
        APPLICATION_CONTEXT,
        CALLING_AE,
        CALLED_AE,
        CERTIFICATE,
        USER_IDENTITY,
        LIMIT,
        AE_LIMIT,
        SHARE,
        CONGESTION,
        STOPPING,
    )
}
