"""The vault: identifiers at rest, sealed with AES-256-GCM (NIST SP 800-38D)."""

import json
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import BadMessage

_NONCE_BYTES = 12


class Vault:
    """Seals small values. `aad` binds a value to its place, so that a row's seal opens nowhere else."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal_bytes(self, plain: bytes, aad: str) -> bytes:
        """Encrypt: 12 bytes of random nonce, then ciphertext and tag."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, aad.encode())

    def open_bytes(self, sealed: bytes, aad: str) -> bytes:
        """Decrypt; raise BadMessage when the key, the place or the bytes are others."""
        try:
            return self._aead.decrypt(bytes(sealed[:_NONCE_BYTES]), bytes(sealed[_NONCE_BYTES:]), aad.encode())
        except (InvalidTag, ValueError) as error:
            raise BadMessage(
                f"{len(sealed)} sealed bytes don't open: is RADSTREAM_VAULT_KEY the one they were sealed with?"
            ) from error

    def seal(self, values: Mapping[str, str], aad: str) -> bytes:
        """Encrypt named values."""
        return self.seal_bytes(json.dumps(dict(values)).encode(), aad)

    def open(self, sealed: bytes, aad: str) -> dict[str, str]:
        """Decrypt named values."""
        return dict(json.loads(self.open_bytes(sealed, aad)))
