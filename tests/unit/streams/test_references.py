"""Drift is judged against the reference of the package that answers, wherever it lies."""

import io
import json
from hashlib import sha256
from pathlib import Path

import pytest

from radstream.objects.stores import MemoryObjects
from schemas.errors import ObjectStoreDown
from schemas.model_package import MANIFEST, REFERENCE, package_key
from streams.packages import DeployedPackages
from streams.references import Reference, References

Files = dict[str, bytes]


def package(seven: int) -> Files:
    """Make the two files that say how windows are measured."""
    histogram = {"edges": [0, 0.5, 1], "counts": [0, seven, 3, 0, 1]}
    reference = json.dumps({"features": {"score": histogram}, "n": seven + 4}).encode()
    manifest = {"classes": ["CLEAR", "SHADED"], "files": {REFERENCE: sha256(reference).hexdigest()}}
    return {REFERENCE: reference, MANIFEST: json.dumps(manifest).encode()}


class Site:
    """A folder of models, an object store, and what was deployed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects = MemoryObjects()
        self.deployed: str | None = None
        self.asked = 0

    def in_folder(self, files: Files) -> None:
        """Lay a package beside the configured one."""
        folder = self.root / "chest" / "1.0.0"
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)

    def in_store(self, files: Files) -> None:
        """Put a package into the object store."""
        for name, content in files.items():
            self.objects.put(package_key("chest", "1.0.0", name), io.BytesIO(content), len(content))

    def deploy(self, files: Files) -> None:
        """Record a package."""
        self.deployed = sha256(files[MANIFEST]).hexdigest()

    def references(self) -> References:
        """Give the references of a worker that begins now."""

        def objects() -> MemoryObjects:
            self.asked += 1
            return self.objects

        return References(DeployedPackages(self.root, lambda _model, _version: self.deployed, objects))

    def first_bin(self) -> int | None:
        """Say what a new worker reads: which package it is shows in its first bin."""
        counts = self.references().of("chest", "1.0.0").counts
        return counts["score"]["b0"] if counts else None


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site without packages."""
    return Site(tmp_path / "models")


def test_a_package_gives_edges_counts_and_the_negative_class(site: Site) -> None:
    """reference.json and manifest.json of a model package say how its windows are measured."""
    site.in_folder(package(7))

    reference = site.references().of("chest", "1.0.0")

    assert reference.counts == {"score": {"b0": 7, "b1": 3, "nan": 1}}
    assert (reference.measure.edges["score"], reference.measure.negative) == ((0, 0.5, 1), "CLEAR")


def test_the_folder_counts_where_it_holds_what_was_deployed(site: Site) -> None:
    """Then nothing is fetched."""
    site.in_folder(package(7))
    site.deploy(package(7))

    assert (site.first_bin(), site.asked) == (7, 0)


def test_what_was_deployed_is_fetched_where_no_folder_has_it(site: Site) -> None:
    """Also where a folder of that name holds another package, or a damaged one."""
    site.deploy(package(9))
    site.in_store(package(9))
    assert site.first_bin() == 9

    site.in_folder(package(7))
    assert site.first_bin() == 9

    site.in_folder(package(9) | {REFERENCE: package(7)[REFERENCE]})
    assert site.first_bin() == 9


def test_other_bytes_are_no_reference(site: Site) -> None:
    """A store that holds another manifest, or another reference than the manifest names: windows go without."""
    site.deploy(package(9))
    assert site.first_bin() is None

    site.in_store(package(7))
    assert site.first_bin() is None

    site.in_store(package(9) | {REFERENCE: package(7)[REFERENCE]})
    assert site.first_bin() is None


def test_a_store_that_is_away_is_asked_again(site: Site) -> None:
    """Nothing is remembered of a failure: default edges would part a window's histograms in two."""
    site.deploy(package(9))
    site.in_store(package(9))
    away = True

    class Objects(MemoryObjects):
        def get(self, key: str) -> bytes:
            if away:
                raise ObjectStoreDown(key)
            return site.objects.get(key)

    references = References(DeployedPackages(site.root, lambda _model, _version: site.deployed, Objects))
    with pytest.raises(ObjectStoreDown):
        references.of("chest", "1.0.0")
    assert not references.knows("chest", "1.0.0")

    away = False
    assert references.of("chest", "1.0.0").counts["score"]["b0"] == 9
    assert references.knows("chest", "1.0.0")


@pytest.mark.parametrize("model", ["unheard-of", "../etc", ""])
def test_a_model_without_a_package_gets_default_edges(site: Site, model: str) -> None:
    """A model name from the log never leads out of the folder of models."""
    assert site.references().of(model, "..") == Reference()
