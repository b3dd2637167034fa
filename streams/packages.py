"""The packages of the versions that answer: a folder's where it is the one that was deployed, else the object store's.

As the inference groups do: the hash of a version's manifest stands in its deployment, the hash of its reference in the
manifest. So drift is judged against the reference of the model that answers, whatever lies in a folder of that name.
"""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from radstream.logs import get_log
from radstream.objects.stores import Objects
from schemas.errors import ObjectMissing
from schemas.model_package import MANIFEST, REFERENCE, package_key
from streams.references import Documents


class DeployedPackages:
    """Finds packages. Calls block, so they belong in a thread."""

    def __init__(self, root: Path, deployed: Callable[[str, str], str | None], objects: Callable[[], Objects]) -> None:
        """`root` holds MODEL/VERSION; `deployed(model, version)` gives the deployed manifest's SHA-256 in hex."""
        self._root = root
        self._deployed = deployed
        self._objects = objects

    def documents(self, model: str, version: str) -> Documents | None:
        """Find a version's documents; None where no package fits. Raises KafkaDown, RegistryDown, ObjectStoreDown."""
        folder = self._root / model / version
        if self._root not in folder.parents or ".." in folder.parts:
            return None
        expected = self._deployed(model, version)
        here = _in_folder(folder)
        if expected is None or (here is not None and _is_whole(here, expected)):
            return here
        there = self._stored(model, version)
        if there is None or not _is_whole(there, expected):
            get_log().error("package not found: its windows have no reference", model=model, model_version=version)
            return None
        return there

    def _stored(self, model: str, version: str) -> Documents | None:
        objects = self._objects()
        try:
            manifest, reference = (objects.get(package_key(model, version, file)) for file in (MANIFEST, REFERENCE))
        except ObjectMissing:
            return None
        return Documents(manifest, reference)


def _in_folder(folder: Path) -> Documents | None:
    try:
        return Documents((folder / MANIFEST).read_bytes(), (folder / REFERENCE).read_bytes())
    except OSError:
        return None


def _is_whole(found: Documents, expected: str) -> bool:
    """Say whether a manifest is the expected one, and the reference the one that it names."""
    if sha256(found.manifest).hexdigest() != expected:
        return False
    named = json.loads(found.manifest)["files"][REFERENCE]
    return bool(named == sha256(found.reference).hexdigest())
