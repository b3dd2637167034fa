"""Routes: the lane and site of an image, by who sent it to whom and how urgent it says it is."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_listener.standard.command_set import HIGH_PRIORITY
from schemas.errors import SettingInvalid
from schemas.words import Lane

_CONDITIONS = frozenset({"called_ae", "calling_ae", "priority", "procedure_priority"})
_GIVES = frozenset({"lane", "site"})
_PRIORITIES = {"MEDIUM": 0, "HIGH": HIGH_PRIORITY, "LOW": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What routes look at."""

    called_ae: str
    calling_ae: str
    priority: int  # DIMSE Priority (0000,0700)
    procedure_priority: str | None  # Requested Procedure Priority (0040,1003), upper case


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One line of the table: each condition that is set must hold; `site` None is the calling AE."""

    lane: Lane
    site: str | None = None
    called_ae: str | None = None
    calling_ae: str | None = None
    priority: int | None = None
    procedure_priority: str | None = None

    def matches(self, sent: Sent) -> bool:
        """Say whether every condition holds."""
        return (
            self.called_ae in {None, sent.called_ae}
            and self.calling_ae in {None, sent.calling_ae}
            and self.priority in {None, sent.priority}
            and self.procedure_priority in {None, sent.procedure_priority}
        )


#: The table where RADSTREAM_ROUTES is not set.
DEFAULT_ROUTES: tuple[Route, ...] = (
    Route(called_ae="RADSTREAM_STAT", lane=Lane.STAT),
    Route(priority=HIGH_PRIORITY, lane=Lane.STAT),
    Route(procedure_priority="STAT", lane=Lane.STAT),
    Route(procedure_priority="HIGH", lane=Lane.STAT),
    Route(lane=Lane.ROUTINE),
)


def route(routes: Sequence[Route], sent: Sent) -> tuple[Lane, str]:
    """Give lane and site by the first route that matches; routine and the calling AE where none does.

    >>> route(DEFAULT_ROUTES, Sent(called_ae="RADSTREAM_STAT", calling_ae="ER", priority=0, procedure_priority=None))
    (<Lane.STAT: 'stat'>, 'ER')
    """
    found = next((one for one in routes if one.matches(sent)), Route(lane=Lane.ROUTINE))
    return found.lane, found.site or sent.calling_ae


def read_routes(path: Path | None) -> tuple[Route, ...]:
    """Read `[[route]]` tables from a TOML file; raise SettingInvalid with what is wrong in it.

    A table gives `lane` and `site` (either may be absent: routine, the calling AE) under `called_ae`, `calling_ae`,
    `priority` (LOW, MEDIUM, HIGH) and `procedure_priority`.
    """
    if path is None:
        return DEFAULT_ROUTES
    try:
        tables = tomllib.loads(path.read_text("utf-8")).get("route", [])
        return tuple(_route(table) for table in tables)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingInvalid(f"RADSTREAM_ROUTES={path} can't be used ({error}); see docs/settings.md") from error


def _route(table: dict[str, str]) -> Route:
    if unknown := set(table) - _CONDITIONS - _GIVES:
        raise ValueError(f"{', '.join(sorted(unknown))} is no part of a route")
    return Route(
        lane=Lane(table.get("lane", Lane.ROUTINE)),
        site=table.get("site"),
        called_ae=table.get("called_ae"),
        calling_ae=table.get("calling_ae"),
        priority=None if "priority" not in table else _PRIORITIES[table["priority"].upper()],
        procedure_priority=table["procedure_priority"].upper() if "procedure_priority" in table else None,
    )
