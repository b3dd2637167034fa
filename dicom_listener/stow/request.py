"""What stands before a STOW-RS request's body: target, token, media types; and the door's terms."""

import secrets
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from dicom_listener.receiving.terms import LOOPBACK, Sender
from dicom_listener.standard.uids import well_formed
from dicom_listener.stow.parts import Strange
from dicom_listener.stow.words import MEDIA_TYPE
from radstream.settings import Settings
from schemas.errors import SettingInvalid
from schemas.words import Lane

_ACCEPTED = frozenset({MEDIA_TYPE, "application/json", "application/*", "*/*"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StowTerms:
    """Where the door is, who its senders are, and its limits."""

    address: str
    port: int
    calling_ae: str  # of every sender, in journal, routes and events
    called_ae: str
    token: str | None = field(repr=False)
    request_bytes: int
    requests: int  # at one time (count)
    idle_seconds: float
    sender_seconds: float  # all the time that one request may keep us waiting
    strange: Strange


def stow_terms(settings: Settings) -> StowTerms:
    """Give the door's terms; raise SettingInvalid for one that stands open beyond loopback."""
    if settings.stow_token is None and settings.stow_address not in LOOPBACK:
        raise SettingInvalid(
            f"RADSTREAM_STOW_ADDRESS={settings.stow_address} without RADSTREAM_STOW_TOKEN: beyond loopback set a "
            "token, and put a proxy that speaks TLS before the port"
        )
    return StowTerms(
        address=settings.stow_address,
        port=settings.stow_port,
        calling_ae=settings.stow_ae,
        called_ae=settings.ae_title,
        token=settings.stow_token,
        request_bytes=settings.stow_request_bytes,
        requests=settings.stow_requests,
        idle_seconds=settings.stow_idle_seconds,
        sender_seconds=settings.stow_sender_seconds,
        strange=Strange(settings.accept_unknown_classes, settings.accept_unknown_syntaxes),
    )


class Refused(Exception):
    """A request that is answered without its body."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


def admitted(target: str, headers: Message, terms: StowTerms) -> tuple[Sender, bytes]:
    """Give the sender and the boundary of a request that may be read; raise Refused."""
    token = str(headers.get("authorization", "")).encode("utf-8", "replace")
    if terms.token is not None and not secrets.compare_digest(token, f"Bearer {terms.token}".encode()):
        raise Refused(HTTPStatus.UNAUTHORIZED)
    parts = urlsplit(target)
    study, lane = _study(parts.path), _lane(parts.query)
    if not _accepts(headers.get_all("accept", [])):
        raise Refused(HTTPStatus.NOT_ACCEPTABLE)
    kind = headers.get_content_type()
    if kind != "multipart/related" or str(headers.get_param("type", "")).lower() != "application/dicom":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    boundary = headers.get_boundary()
    if not boundary:
        raise Refused(HTTPStatus.BAD_REQUEST)
    sender = Sender(calling_ae=terms.calling_ae, called_ae=terms.called_ae, lane=lane, study_instance_uid=study)
    return sender, boundary.encode("latin-1", "replace")


def _study(path: str) -> str | None:
    """Give the study of a target, None for any; raise Refused where it is none of ours."""
    match path.rstrip("/").split("/"):
        case ["", "studies"]:
            return None
        case ["", "studies", uid]:
            if well_formed(uid):
                return uid
            raise Refused(HTTPStatus.BAD_REQUEST)
    raise Refused(HTTPStatus.NOT_FOUND)


def _lane(query: str) -> Lane | None:
    asked = parse_qs(query).get("lane", [])
    try:
        return Lane(asked[-1]) if asked else None
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST) from error


def _accepts(fields: list[str]) -> bool:
    """Say whether an Accept header allows JSON (RFC 9110 12.5.1); none allows all."""
    ranges = [one.partition(";") for line in fields for one in line.lower().split(",") if one.strip()]
    allowed = [kind.strip() for kind, _, more in ranges if "q=0" not in more.replace(" ", "").split(";")]
    return not ranges or not _ACCEPTED.isdisjoint(allowed)
