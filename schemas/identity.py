"""Who an image, a result and a patient are: pure functions (ARCHITECTURE.md, "Identity")."""

import hashlib
import hmac
from dataclasses import dataclass, field
from uuid import UUID, uuid5

#: The namespace of every UUIDv5 of ours. Frozen for ever: a change would rename all events.
NAMESPACE = UUID("8f1c7d6e-2b54-5c1a-9a35-5d1f0c4e7a11")

#: PS3.5 6.2: 16 bytes, so the patient's identity and its issuer can't be confused by concatenation.
_SEPARATOR = b"\0"


def data_set_hasher(transfer_syntax_uid: str) -> "hashlib._Hash":
    """Start the SHA-256 that identifies a data set: feed it the bytes as they were received.

    >>> hasher = data_set_hasher("1.2.840.10008.1.2.1")
    >>> hasher.update(b"")
    >>> hasher.hexdigest()[:16]
    '208c81611a9bd7f9'
    """
    return hashlib.sha256(transfer_syntax_uid.encode("ascii") + _SEPARATOR)


def event_id(instance_pseudonym: str, sha256: str) -> UUID:
    """Name the event of one image: the same UID and the same bytes give the same event."""
    return uuid5(NAMESPACE, f"event\n{instance_pseudonym}\n{sha256}")


def result_id(event: UUID, model: str, model_version: str, role: str) -> UUID:
    """Name the one visible result of an event, a model version and a role (promise 2)."""
    return uuid5(NAMESPACE, f"result\n{event}\n{model}\n{model_version}\n{role}")


def window_id(model: str, model_version: str, slice_name: str, window_seconds: int, start_unix: int) -> UUID:
    """Name a window: its revisions share this id."""
    return uuid5(NAMESPACE, f"window\n{model}\n{model_version}\n{slice_name}\n{window_seconds}\n{start_unix}")


def dead_letter_id(group: str, source_topic: str, partition: int, offset: int) -> UUID:
    """Name a dead letter, so that writing it twice writes it once."""
    return uuid5(NAMESPACE, f"dead-letter\n{group}\n{source_topic}\n{partition}\n{offset}")


def object_key(sha256: str) -> str:
    """Say where an image lies in the bucket.

    >>> object_key("ab12")
    'instances/ab/ab12.dcm'
    """
    return f"instances/{sha256[:2]}/{sha256}.dcm"


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Keyed pseudonyms (HMAC-SHA-256). Without the key nobody can tell whose they are.

    >>> Pseudonyms(b"k" * 32, "1").uid("1.2.3")
    '2.25.330128418958304695822425440426586043573'
    """

    key: bytes = field(repr=False)
    key_id: str

    def uid(self, uid: str) -> str:
        """Turn a UID into `2.25.` and the integer of the first 128 bits of its HMAC: a valid UID (PS3.5 B.2)."""
        return f"2.25.{int.from_bytes(self._mac(b'uid', uid.encode())[:16], 'big')}"

    def patient(self, issuer_or_site: str, patient_id: str) -> str:
        """Turn a Patient ID and its issuer (else the site) into 64 hex digits."""
        return self._mac(b"patient", issuer_or_site.encode(), patient_id.encode()).hex()

    def station(self, serial: str) -> str:
        """Turn a device's serial number or station name into 16 hex digits."""
        return self._mac(b"station", serial.encode()).hex()[:16]

    def _mac(self, *parts: bytes) -> bytes:
        return hmac.digest(self.key, _SEPARATOR.join(parts), "sha256")
