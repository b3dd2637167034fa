"""How a package is written: whole or not at all, and never over another."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.errors import WrongCall


def refuse_existing(folder: Path) -> None:
    """Raise WrongCall where a package stands already: a version never changes."""
    if folder.exists():
        raise WrongCall(f"{folder} is there already, and a version never changes: choose another --version")


def write_package(files: Mapping[str, bytes], folder: Path) -> None:
    """Write a package whole or not at all; raises WrongCall where one stands already."""
    refuse_existing(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        for name, content in files.items():
            (draft / name).write_bytes(content)
        draft.chmod(0o755)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def document(fields: Mapping[str, Any]) -> bytes:
    """Return a JSON file's bytes."""
    return (json.dumps(fields, indent=2) + "\n").encode()
