"""A package that isn't what its manifest says is refused, whole."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from consumers.packages.package import ModelPackage, load_package
from schemas.errors import ModelRefused
from schemas.model_package import FILES, MANIFEST

Document = dict[str, object]


def test_a_whole_package_loads_and_gives_its_files(package: ModelPackage) -> None:
    """Name, version, how logits are read, and bytes that were hashed."""
    assert (package.manifest.name, package.manifest.version) == ("tiny", "0.0.1")
    assert package.manifest.operating.negative == "NORMAL"
    assert all(package.read(name) for name in FILES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_changed_byte_is_refused(name: str, folder: Path) -> None:
    """In whichever file it is."""
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)

    with pytest.raises(ModelRefused, match=name):
        load_package(folder)


def test_a_file_that_changes_after_loading_is_refused_when_read(folder: Path) -> None:
    """What was verified is what is used."""
    package = load_package(folder)
    (folder / "model.onnx").write_bytes(b"another graph")

    with pytest.raises(ModelRefused, match="SHA-256"):
        package.read("model.onnx")


@pytest.mark.parametrize("name", [*sorted(FILES), MANIFEST])
def test_a_missing_file_is_refused(name: str, folder: Path) -> None:
    """Nothing is optional."""
    (folder / name).unlink()

    with pytest.raises(ModelRefused, match="missing"):
        load_package(folder)


@pytest.mark.parametrize(
    "name", ["network.py", "weights.pkl", "libcustom.so", "__init__.py", "model.onnx.data", "sub/"]
)
def test_a_file_of_another_kind_is_refused(name: str, folder: Path) -> None:
    """Code, pickles, libraries, external tensors and folders have no place in a package."""
    (folder / name).mkdir() if name.endswith("/") else (folder / name).write_bytes(b"x")

    with pytest.raises(ModelRefused, match="which no package has"):
        load_package(folder)


def test_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    """Even one to the right bytes: it could point elsewhere a moment later."""
    outside = tmp_path / "outside.onnx"
    (folder / "model.onnx").rename(outside)
    (folder / "model.onnx").symlink_to(outside)

    with pytest.raises(ModelRefused, match="no plain file"):
        load_package(folder)


CHANGES: dict[str, tuple[Callable[[Document], object], str]] = {
    "a path that escapes": (lambda m: m["files"].update({"../../etc/passwd": "0" * 64}), "exactly"),
    "a file left out": (lambda m: m["files"].pop("model.onnx"), "exactly"),
    "a hash that is none": (lambda m: m["files"].update({"model.onnx": "abc"}), "form"),
    "a name with a path": (lambda m: m.update(name="../evil"), "name"),
    "a version with a path": (lambda m: m.update(version="1.0.0/../.."), "version"),
    "an unknown architecture": (lambda m: m.update(architecture="os.system"), "architecture"),
    "one class": (lambda m: m.update(classes=["PNEUMONIA"]), "classes"),
    "the positive class first": (lambda m: m.update(positive="NORMAL"), "classes"),
    "no temperature": (lambda m: m.pop("calibration"), "calibration"),
    "a temperature of nothing": (lambda m: m["calibration"].update(temperature=0), "temperature"),
    "a threshold beyond one": (lambda m: m["threshold"].update(value=1.5), "threshold"),
    "a huge input": (lambda m: m["input"].update(height=10**6), "pixels"),
    "a deviation of nothing": (lambda m: m["input"].update(std=[0, 1, 1]), "deviations"),
    "two means": (lambda m: m["input"].update(mean=[0, 1]), "three means"),
    "words for numbers": (lambda m: m["input"].update(mean=["a", "b", "c"]), "can't be read"),
    "a self-test of three": (lambda m: m["self_test"].update(logits=[1, 2, 3]), "self_test"),
    "no self-test": (lambda m: m.pop("self_test"), "self_test"),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES.keys())
def test_a_manifest_that_makes_no_sense_is_refused(
    change: Callable[[Document], object], said: str, folder: Path, manifest: Document
) -> None:
    """The message says which field."""
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(ModelRefused, match=said):
        load_package(folder)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"x"', "{}", '{"name": "x"}', "\x00"])
def test_a_manifest_that_is_no_document_is_refused(text: str, folder: Path) -> None:
    """Whatever stands in the file."""
    (folder / MANIFEST).write_text(text)

    with pytest.raises(ModelRefused, match=r"manifest\.json"):
        load_package(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With the path in the message."""
    with pytest.raises(ModelRefused, match="nowhere"):
        load_package(tmp_path / "nowhere")
