"""Where packages come from: what was deployed, or nothing."""

import io
import json
import shutil
from pathlib import Path

import pytest

from consumers.packages.package import digest, load_package
from consumers.packages.places import Places, put_package
from radstream.objects.stores import MemoryObjects
from schemas.errors import ModelRefused
from schemas.model_package import GRAPH, MANIFEST

SHIPPED = Path("models/chest-pneumonia/1.0.0")
MODEL, VERSION = "chest-pneumonia", "1.0.0"
EXPECTED = digest((SHIPPED / MANIFEST).read_bytes())


@pytest.fixture
def objects() -> MemoryObjects:
    """Give an object store."""
    return MemoryObjects()


@pytest.fixture
def places(tmp_path: Path, objects: MemoryObjects) -> Places:
    """Give places without a package."""
    return Places(tmp_path / "root", tmp_path / "cache", lambda: objects)


def test_the_folder_beside_the_configured_one_comes_first(places: Places) -> None:
    """Nothing is fetched, and the expected hash is compared."""
    folder = shutil.copytree(SHIPPED, places.root / MODEL / VERSION)

    assert places.package(MODEL, VERSION, None).folder == folder
    assert places.package(MODEL, VERSION, EXPECTED).folder == folder


def test_a_package_is_fetched_once_and_verified(places: Places, objects: MemoryObjects) -> None:
    """Then it lies in the cache, and no half of another one beside it."""
    put_package(objects, load_package(SHIPPED))

    fetched = places.package(MODEL, VERSION, EXPECTED)
    objects.remove(f"models/{MODEL}/{VERSION}/{GRAPH}")

    assert fetched.read(GRAPH) == (SHIPPED / GRAPH).read_bytes()
    assert places.package(MODEL, VERSION, EXPECTED).folder == fetched.folder
    assert [one.name for one in (places.cache / MODEL).iterdir()] == [VERSION]


def test_the_same_number_with_other_bytes_is_refused(places: Places, objects: MemoryObjects) -> None:
    """In a folder it is passed over, in the object store it is refused."""
    put_package(objects, load_package(SHIPPED))
    shutil.copytree(SHIPPED, places.root / MODEL / VERSION)

    with pytest.raises(ModelRefused, match=r"another manifest\.json"):
        places.package(MODEL, VERSION, "0" * 64)


def test_a_package_that_is_nowhere_is_refused(places: Places) -> None:
    """With the places that were looked at."""
    with pytest.raises(ModelRefused, match="not in the object store"):
        places.package(MODEL, "9.9.9", None)


def test_a_damaged_download_is_refused_and_not_kept(places: Places, objects: MemoryObjects) -> None:
    """The next try fetches it anew."""
    put_package(objects, load_package(SHIPPED))
    objects.put(f"models/{MODEL}/{VERSION}/{GRAPH}", io.BytesIO(b"damaged"), 7)

    with pytest.raises(ModelRefused, match="SHA-256"):
        places.package(MODEL, VERSION, EXPECTED)
    put_package(objects, load_package(SHIPPED))

    assert places.package(MODEL, VERSION, EXPECTED).manifest.version == VERSION


def test_a_package_under_another_name_is_refused(places: Places) -> None:
    """What lies at 2.0.0 must say that it is 2.0.0."""
    shutil.copytree(SHIPPED, places.root / MODEL / "2.0.0")

    with pytest.raises(ModelRefused, match=r"says that it is chest-pneumonia 1\.0\.0"):
        places.package(MODEL, "2.0.0", None)


def test_a_manifest_is_read_where_it_lies(places: Places) -> None:
    """For listings: nothing is fetched or hashed."""
    assert places.manifest(MODEL, VERSION, None) is None
    folder = shutil.copytree(SHIPPED, places.root / MODEL / VERSION)
    named = json.loads((folder / MANIFEST).read_bytes())["version"]

    found = places.manifest(MODEL, VERSION, EXPECTED)

    assert found is not None
    assert found.version == named
