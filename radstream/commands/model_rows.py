"""How `radstream model` prints: the fields of INTERFACE.md, or a table."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from consumers.models.composition import places
from radstream.commands.output import console, print_json, print_table
from radstream.commands.times import now, rfc3339
from radstream.deployments.log import digest_of
from radstream.deployments.recalls import Recalled
from radstream.settings import Settings
from schemas.model_deployed import ModelDeployed
from schemas.words import Role

WITHDRAWN = "withdrawn"
FIELDS = ("model", "version", "role", "share", "since", "effective_from", "revision", "metrics")


def rows_of(past: Sequence[ModelDeployed], metrics: Callable[[str], Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    """Give the newest assignment the fields of INTERFACE.md, a row a version and role."""
    last = past[-1]
    parts = [
        (last.champion, str(Role.CHAMPION), 1.0 - last.canary_share),
        (last.canary, str(Role.CANARY), last.canary_share),
        (last.shadow, str(Role.SHADOW), 1.0),
        *((version, WITHDRAWN, 0.0) for version in last.withdrawn),
    ]
    return [
        {
            "model": last.model,
            "version": version,
            "role": role,
            "share": round(share, 6),
            "since": rfc3339(_since(past, version, role)),
            "effective_from": rfc3339(last.effective_from),
            "revision": last.revision,
            "metrics": metrics(version),
        }
        for version, role, share in parts
        if version is not None
    ]


def _since(past: Sequence[ModelDeployed], version: str, role: str) -> datetime:
    """Say since when a version has its role without a break."""
    found = past[-1]
    for one in reversed(past):
        plays: Mapping[str, Sequence[str | None]] = {
            Role.CHAMPION: [one.champion],
            Role.CANARY: [one.canary],
            Role.SHADOW: [one.shadow],
            WITHDRAWN: one.withdrawn,
        }
        if version not in plays[role]:
            break
        found = one
    return found.effective_from


def show(*pasts: Sequence[ModelDeployed], as_json: bool) -> None:
    """Print the newest assignment of each model, by its history."""
    found = places(Settings.from_environment())

    def metrics(past: Sequence[ModelDeployed], version: str) -> Mapping[str, Any] | None:
        """Read the test metrics out of the package, where it is at hand."""
        manifest = found.manifest(past[-1].model, version, digest_of(past, version))
        return None if manifest is None else manifest.described.get("metrics", {}).get("test", {})

    rows = [row for past in pasts if past for row in rows_of(past, partial(metrics, past))]
    if as_json:
        for row in rows:
            print_json(row)
        return
    shown = [row | {"metrics": _auc(row["metrics"]), "share": f"{row['share']:.0%}"} for row in rows]
    print_table("", shown, FIELDS)
    if coming := max(
        (past[-1].effective_from for past in pasts if past and past[-1].effective_from > now()), default=None
    ):
        console.print(f"Images received from {rfc3339(coming)} on; what waits goes on as it was.")


def _auc(metrics: Mapping[str, Any] | None) -> str | None:
    found = (metrics or {}).get("auc")
    return None if found is None else f"AUC {found['value']:.4f}"


def show_ensemble(folder: Path, described: Mapping[str, Any], *, as_json: bool) -> None:
    """Print an ensemble that was made."""
    row = {
        "model": described["name"],
        "version": described["version"],
        "members": [one["version"] for one in described["members"]],
        "temperature": described["calibration"]["temperature"],
        "threshold": described["threshold"]["value"],
        "metrics": described["metrics"].get("test"),
        "package": str(folder),
    }
    if as_json:
        print_json(row)
        return
    print_table("", [row | {"members": " ".join(row["members"]), "metrics": _auc(row["metrics"])}], tuple(row))
    console.print(f"`radstream model deploy {row['model']} {row['version']}` lets it answer.")


def recalled_row(one: Recalled) -> dict[str, Any]:
    """Say what a recall did with one result."""
    return {
        "model": one.result.model,
        "version": one.by.version,
        "role": str(one.by.role),
        "revision": one.by.revision,
        "supersedes": str(one.result.result_id),
        "event_id": str(one.result.event_id),
        "lane": str(one.result.lane),
        "received_at": rfc3339(one.result.received_at),
        "state": "revised" if one.sent else "event_expired",
    }
