"""Where a model's packages lie: a folder beside the configured one, the object store, and a cache of what came from it.

Keys in the object store: `models/NAME/VERSION/FILE`.
"""

import io
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from consumers.packages.ensembles import Member
from consumers.packages.manifest import Manifest
from consumers.packages.package import ModelPackage, digest, files_of, load_package
from radstream.objects.stores import Objects
from schemas.errors import ModelRefused, ObjectMissing
from schemas.model_package import MANIFEST, package_key


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one process."""

    root: Path  # holds NAME/VERSION
    cache: Path  # what was fetched; may be removed at any time
    objects: Callable[[], Objects]

    def package(self, model: str, version: str, expected: str | None) -> ModelPackage:
        """Find a package and verify it, in the object store where no folder has it.

        `expected` is the SHA-256 (hex) of its manifest.json, None where any will do. Raises ModelRefused (it is
        nowhere, damaged, or other than expected), ObjectStoreDown. An ensemble's members are found likewise.
        """
        folder = self._folder(model, version, expected)
        if folder is None:
            return self._fetched(model, version, expected)
        return self._loaded(folder, model, version)

    def manifest(self, model: str, version: str, expected: str | None) -> Manifest | None:
        """Read what a package says of itself, unverified but for its hash; None where it is at no place here."""
        folder = self._folder(model, version, expected)
        return None if folder is None else Manifest.from_json((folder / MANIFEST).read_bytes())

    def _folder(self, model: str, version: str, expected: str | None) -> Path | None:
        """Find the folder of the expected package; one of the same name with other bytes is passed over."""
        for folder in (self.root / model / version, self.cache / model / version):
            found = _manifest_digest(folder)
            if found is not None and expected in {None, found}:
                return folder
        return None

    def _loaded(self, folder: Path, model: str, version: str) -> ModelPackage:
        def member(named: Member) -> ModelPackage:
            return self.package(model, named.version, named.digest)

        return _checked(load_package(folder, member), model, version)

    def _fetched(self, model: str, version: str, expected: str | None) -> ModelPackage:
        """Fetch a package.

        1. into a folder of its own, so that a process that dies leaves no half package
        2. verified there
        3. moved to its place
        """
        place = self.cache / model / version
        place.parent.mkdir(parents=True, exist_ok=True)
        objects = self.objects()
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fetching-") as name:
            fetched = Path(name) / version
            fetched.mkdir()
            described = self._object(objects, model, version, MANIFEST)
            if expected not in {None, digest(described)}:
                raise ModelRefused(f"{model} {version} has another manifest.json than the one that was deployed")
            (fetched / MANIFEST).write_bytes(described)
            for file in sorted(files_of(Manifest.from_json(described))):
                (fetched / file).write_bytes(self._object(objects, model, version, file))
            self._loaded(fetched, model, version)
            shutil.rmtree(place, ignore_errors=True)
            fetched.rename(place)
        return self._loaded(place, model, version)

    def _object(self, objects: Objects, model: str, version: str, file: str) -> bytes:
        try:
            return objects.get(package_key(model, version, file))
        except ObjectMissing as error:
            raise ModelRefused(
                f"{model} {version}: {package_key(model, version, file)} is not in the object store, and "
                f"{self.root / model / version} is not the package that was deployed"
            ) from error


def put_package(objects: Objects, package: ModelPackage) -> None:
    """Put a verified package into the object store, its manifest last: what is named there is whole.

    An ensemble's members go before it.
    """
    for member in package.members:
        put_package(objects, member)
    for file in (*sorted(files_of(package.manifest)), MANIFEST):
        body = (package.folder / MANIFEST).read_bytes() if file == MANIFEST else package.read(file)
        objects.put(package_key(package.manifest.name, package.manifest.version, file), io.BytesIO(body), len(body))


def _manifest_digest(folder: Path) -> str | None:
    try:
        return digest((folder / MANIFEST).read_bytes())
    except OSError:
        return None


def _checked(package: ModelPackage, model: str, version: str) -> ModelPackage:
    """Raise ModelRefused for a package that is another than its place says."""
    found = (package.manifest.name, package.manifest.version)
    if found != (model, version):
        raise ModelRefused(f"the package at {model} {version} says that it is {found[0]} {found[1]}")
    return package
