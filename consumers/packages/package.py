"""Model packages: a folder that is verified before anything of it is used.

Nothing in a package can run code: weights are safetensors, the graph is ONNX, the architecture is a name that this
release knows, and a file of any other kind makes the whole package refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from consumers.imaging.networks import ARCHITECTURES
from consumers.packages.ensembles import Member
from consumers.packages.manifest import Manifest
from schemas.errors import ModelRefused
from schemas.model_package import ENSEMBLE_FILES, FILES, MANIFEST

#: The largest file that is read (bytes): a large network in float32, and no more.
MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_MANIFEST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A package whose files had the manifest's hashes when it was loaded, and have them again at each read."""

    folder: Path
    manifest: Manifest
    digest: str  # SHA-256 of manifest.json in hex, which holds the hash of every other file
    members: tuple["ModelPackage", ...] = ()  # of an ensemble, verified too

    def read(self, name: str) -> bytes:
        """Return a file's bytes, hashed as read, so that what was verified is what is used; raises ModelRefused."""
        return _verified(self.folder, name, self.manifest.files.get(name, ""))


def load_package(folder: Path, find: Callable[[Member], ModelPackage] | None = None) -> ModelPackage:
    """Verify a package; raises ModelRefused, which names the file and the fault. The old model then goes on.

    1. the manifest's form
    2. the folder holds the known files and nothing else: no link, no folder, no other kind of file
    3. each file's SHA-256
    4. of an ensemble each member, in the same way: `find` gives it, by default out of the folder beside this one
    """
    document = _bytes_of(folder / MANIFEST, MAX_MANIFEST_BYTES)
    manifest = Manifest.from_json(document)
    if not manifest.members and manifest.architecture not in ARCHITECTURES:
        raise ModelRefused(f"{folder.name}: architecture {manifest.architecture!r} is not known to this release")
    known = files_of(manifest)
    if manifest.files.keys() != known:
        odd = sorted(manifest.files.keys() ^ known)
        raise ModelRefused(f"{folder.name}: manifest.json must name exactly {sorted(known)}; these differ: {odd}")
    strange = sorted(entry.name for entry in folder.iterdir() if entry.name not in known | {MANIFEST})
    if strange:
        raise ModelRefused(f"{folder.name} holds {strange[:5]}, which no package has; nothing of it is loaded")
    for name, expected in manifest.files.items():
        _verified(folder, name, expected)
    found = find or (lambda member: load_package(folder.parent / member.version))
    members = tuple(fitting(manifest, one, found(one)) for one in manifest.members)
    return ModelPackage(folder, manifest, digest(document), members)


def files_of(manifest: Manifest) -> frozenset[str]:
    """Name the files that a package has besides its manifest."""
    return ENSEMBLE_FILES if manifest.members else FILES


def fitting(ensemble: Manifest, named: Member, found: ModelPackage) -> ModelPackage:
    """Give a member; raise ModelRefused for one that is not the one that the ensemble names, or can't answer in it."""
    title, manifest = f"{ensemble.name} {ensemble.version}", found.manifest
    if (manifest.name, manifest.version, found.digest) != (ensemble.name, named.version, named.digest):
        raise ModelRefused(f"{title}: its member {named.version} is another package than the one that it was made of")
    if manifest.members:
        raise ModelRefused(f"{title}: its member {named.version} is an ensemble itself")
    reads = (manifest.input, manifest.operating.classes, manifest.operating.positive)
    if reads != (ensemble.input, ensemble.operating.classes, ensemble.operating.positive):
        raise ModelRefused(f"{title}: its member {named.version} has another input or other classes")
    return found


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
