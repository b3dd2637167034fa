"""A package that was made before, read again: its hashes checked, its manifest as a document."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from consumers.imaging.inputs import InputSpec
from schemas.errors import WrongCall
from schemas.model_package import FILES, MANIFEST


@dataclass(frozen=True, slots=True)
class MadePackage:
    """The manifest's document and every file's bytes."""

    described: Mapping[str, Any]
    files: Mapping[str, bytes]

    @property
    def spec(self) -> InputSpec:
        """What its network reads."""
        fields = self.described["input"]
        return InputSpec(fields["height"], fields["width"], tuple(fields["mean"]), tuple(fields["std"]))


def read_package(folder: Path) -> MadePackage:
    """Read a package; raises WrongCall where there is none, or a file is not the one that its manifest names."""
    try:
        described = json.loads((folder / MANIFEST).read_bytes())
        files = {name: (folder / name).read_bytes() for name in sorted(FILES)}
    except (OSError, ValueError) as error:
        raise WrongCall(f"{folder} can't be read as a model package ({error})") from error
    wrong = [name for name, content in files.items() if sha256(content).hexdigest() != described["files"].get(name)]
    if wrong:
        raise WrongCall(f"{folder}: {wrong} differ from the manifest's hashes")
    return MadePackage(described, files)
