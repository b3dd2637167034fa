"""Model packages: a folder that is verified before anything of it is used.

Nothing in a package can run code: weights are safetensors, the graph is ONNX, the architecture is a name that this
release knows, and a file of any other kind makes the whole package refused.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from consumers.imaging.networks import ARCHITECTURES
from consumers.manifest import Manifest
from schemas.errors import ModelRefused
from schemas.model_package import FILES, MANIFEST

#: The largest file that is read (bytes): a large network in float32, and no more.
MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_MANIFEST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A package whose files had the manifest's hashes when it was loaded, and have them again at each read."""

    folder: Path
    manifest: Manifest

    def read(self, name: str) -> bytes:
        """Return a file's bytes, hashed as read, so that what was verified is what is used; raises ModelRefused."""
        return _verified(self.folder, name, self.manifest.files.get(name, ""))


def load_package(folder: Path) -> ModelPackage:
    """Verify a package; raises ModelRefused, which names the file and the fault. The old model then goes on.

    1. the manifest's form
    2. the folder holds the known files and nothing else: no link, no folder, no other kind of file
    3. each file's SHA-256
    """
    manifest = Manifest.from_json(_bytes_of(folder / MANIFEST, MAX_MANIFEST_BYTES))
    if manifest.architecture not in ARCHITECTURES:
        raise ModelRefused(f"{folder.name}: architecture {manifest.architecture!r} is not known to this release")
    if manifest.files.keys() != FILES:
        odd = sorted(manifest.files.keys() ^ FILES)
        raise ModelRefused(f"{folder.name}: manifest.json must name exactly {sorted(FILES)}; these differ: {odd}")
    strange = sorted(entry.name for entry in folder.iterdir() if entry.name not in FILES | {MANIFEST})
    if strange:
        raise ModelRefused(f"{folder.name} holds {strange[:5]}, which no package has; nothing of it is loaded")
    for name, expected in manifest.files.items():
        _verified(folder, name, expected)
    return ModelPackage(folder, manifest)


def digest(content: bytes) -> str:
    """Return the SHA-256 in hex."""
    return sha256(content).hexdigest()


def _verified(folder: Path, name: str, expected: str) -> bytes:
    """Read a file and check its hash."""
    content = _bytes_of(folder / name, MAX_FILE_BYTES)
    found = digest(content)
    if found != expected:
        raise ModelRefused(f"{folder.name}/{name} has SHA-256 {found[:12]}…, the manifest says {expected[:12]}…")
    return content


def _bytes_of(path: Path, limit: int) -> bytes:
    """Read a plain file of at most `limit` bytes; a link could point out of the package."""
    try:
        if path.is_symlink() or not path.is_file():
            raise ModelRefused(f"{path} is missing or no plain file; is this a model package?")
        if path.stat().st_size > limit:
            raise ModelRefused(f"{path} has more than {limit} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ModelRefused(f"{path} can't be read: {error.strerror}") from error
