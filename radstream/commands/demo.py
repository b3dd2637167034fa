"""`radstream demo`: radiographs go in by C-STORE, results come out, on the whole real system."""

import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from radstream.commands import demo_report
from radstream.commands.demo_fates import Fate, Fates
from radstream.commands.demo_labels import quality, read_labels
from radstream.commands.demo_system import running_system
from radstream.commands.output import console
from radstream.commands.results import table_row
from radstream.commands.send_files import Film, files_of, film_of
from radstream.commands.send_scu import SUCCESS, Pace, Peer, send_films
from radstream.commands.times import now
from radstream.journal.journal import pseudonyms_of
from radstream.lag.lag import measure
from radstream.phantoms.dicom import write_phantoms
from radstream.reconciliation import accounts
from radstream.results import follow
from radstream.settings import Settings, process_environment
from radstream.windows import latest_windows
from schemas.errors import WrongCall
from schemas.window_evaluated import WindowEvaluated

PHANTOMS = 48
CALLING_AE = "RADSTREAM_DEMO"
#: Phantoms come as a busy department sends them; real files as fast as they are taken.
PHANTOMS_PER_SECOND = 10.0
ASSOCIATIONS = 2
#: Every so many phantoms one is STAT.
STAT_EVERY = 8

POLL_SECONDS = 0.2
#: No result for so long means that something is wrong (seconds).
PATIENCE_SECONDS = 60.0
#: How long the streams may take to count what was completed (seconds): some ticks.
WINDOWS_SECONDS = 20.0
#: So many arrivals are shown one by one, then each so-manieth.
SHOWN_ARRIVALS = 60
THEN_EVERY = 100

DAY_SECONDS = 86_400

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class Images:
    """What a demo sends."""

    films: Sequence[Film]
    not_dicom: Sequence[Path]
    stat: frozenset[Path]
    pace: Pace


@app.command()
def demo(
    *,
    data: Annotated[
        Path | None, typer.Option(exists=True, help="Your own DICOM, PNG or JPEG files; else phantoms.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the system running.")] = False,
    count: Annotated[int, typer.Option(min=1, help="How many phantoms.")] = PHANTOMS,
    seed: Annotated[int | None, typer.Option(help="Of the phantoms; else a new one each run.")] = None,
) -> None:
    """Start the system, send radiographs, show results, latency, lag and drift, and stop it again.

    Exit 0 only if every acknowledged image has its result and nothing was refused.
    """
    chosen = secrets.randbelow(2**31) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="radstream-demo-") as name, ThreadPoolExecutor(1) as aside:
        folder = Path(name)
        if data is None:
            console.print(
                f"{count} phantoms, seed {chosen}: synthetic chests, no patients. No accuracy is shown for them."
            )
        prepared = aside.submit(lambda: _files(data, folder) if data else _phantoms(folder, count, chosen))
        with running_system(process_environment(), keep=keep) as settings:
            complete = run(prepared.result(), settings, data)
    if not complete:
        raise typer.Exit(1)


def run(images: Images, settings: Settings, data: Path | None) -> bool:
    """Send, watch and report; say whether nothing was refused and nothing is without its result."""
    began = now()
    fates = Fates(images.films, images.not_dicom, pseudonyms_of(settings)[0])
    counted_before = _counted(settings)
    console.print(f"Sending {len(images.films)} images by C-STORE to {settings.ae_title} on port {settings.dicom_port}")
    senders = _send(images, settings, fates)
    _watch(fates, settings, since=None if data else began)
    for sender in senders:
        sender.join(POLL_SECONDS)
    _report(fates.all(), settings, began, data)
    fresh = sum(one.result is not None and one.result.received_at >= began for one in fates.all())
    demo_report.show_windows(_windows(settings, counted_before + fresh))
    counts = fates.counts()
    complete = counts["acknowledged"] == counts["results"] == counts["all"]
    console.print(
        f"{counts['all']} files: {counts['acknowledged']} acknowledged, {counts['results']} of them with a result, "
        f"{counts['refused']} refused. {'Complete.' if complete else 'NOT complete.'} Not for diagnostic use."
    )
    return complete


def _files(data: Path, folder: Path) -> Images:
    files = files_of([data])
    if not files:
        raise WrongCall(f"{data} holds no file to send")
    films = {file: film_of(file, folder) for file in files}
    return Images(
        films=[film for film in films.values() if film],
        not_dicom=[file for file, film in films.items() if film is None],
        stat=frozenset(),
        pace=Pace(associations=2 * ASSOCIATIONS),
    )


def _phantoms(folder: Path, count: int, seed: int) -> Images:
    files = write_phantoms(folder, count, seed, now())
    return Images(
        films=[film for file in files if (film := film_of(file, folder))],
        not_dicom=[],
        stat=frozenset(files[STAT_EVERY // 2 :: STAT_EVERY]),
        pace=Pace(associations=ASSOCIATIONS, images_per_second=PHANTOMS_PER_SECOND),
    )


def _send(images: Images, settings: Settings, fates: Fates) -> list[threading.Thread]:
    """Send both lanes side by side, each in threads of its own."""
    peer = Peer(
        host="127.0.0.1", port=settings.dicom_port, called_ae=settings.ae_title, calling_ae=CALLING_AE, tls=None
    )

    def send(films: Sequence[Film], pace: Pace) -> None:
        for answer in send_films(films, peer, pace):
            fates.answered(answer)
            if answer.status != SUCCESS:
                console.print(f"refused  {answer.film.file.name}  {answer.status}", highlight=False)

    stat = [film for film in images.films if film.file in images.stat]
    routine = [film for film in images.films if film.file not in images.stat]
    stat_pace = Pace(stat=True, images_per_second=PHANTOMS_PER_SECOND / STAT_EVERY)
    senders = [
        threading.Thread(target=send, args=(films, pace), daemon=True)
        for films, pace in ((stat, stat_pace), (routine, images.pace))
        if films
    ]
    for sender in senders:
        sender.start()
    return senders


def _watch(fates: Fates, settings: Settings, since: datetime | None) -> None:
    """Show results as they arrive, until every answer and every result is there, or nothing moves any more."""
    shown = 0
    for result in follow(settings, since=since, wait=_pause(fates)):
        for one in fates.completed(result):
            shown += 1
            if shown <= SHOWN_ARRIVALS:
                console.print(_line(one), highlight=False)
            elif shown % THEN_EVERY == 0:
                console.print(f"{shown} results ...", highlight=False)


def _pause(fates: Fates) -> Callable[[], bool]:
    """Wait between two looks; False when all is there or for `PATIENCE_SECONDS` nothing changed."""
    moved, last = time.monotonic(), fates.counts()

    def wait() -> bool:
        nonlocal moved, last
        counts = fates.counts()
        if counts["answered"] == counts["all"] and counts["results"] == counts["acknowledged"]:
            return False
        if counts != last:
            moved, last = time.monotonic(), counts
        time.sleep(POLL_SECONDS)
        return time.monotonic() - moved < PATIENCE_SECONDS

    return wait


def _line(one: Fate) -> str:
    assert one.result is not None  # noqa: S101 - for the type checker: the line is a result's
    row = table_row(one.result)
    said = "  ".join(str(row[name]) for name in ("finding", "probability", "reason", "review") if row[name])
    return f"{row['completed']}  {one.file.name:<20}  {one.ending.split()[0]:<9}  {said}  {row['lane']}  {row['ms']} ms"


def _report(fates: Sequence[Fate], settings: Settings, began: datetime, data: Path | None) -> None:
    demo_report.show_ends(fates)
    demo_report.show_latency(fates, began)
    labels = read_labels(data) if data and data.is_dir() else {}
    if labels:
        said = [(labels[one.file], one.result.finding if one.result else None) for one in fates if one.file in labels]
        demo_report.show_quality(quality(said))
    demo_report.show_lag(measure(settings))
    demo_report.show_accounts(accounts(settings, began))


def _counted(settings: Settings) -> int:
    """Count what the newest window of a day holds, all slices together in one."""
    return sum(one.n for one in latest_windows(settings) if one.slice == "all" and one.window_seconds == DAY_SECONDS)


def _windows(settings: Settings, wanted: int) -> list[WindowEvaluated]:
    """Wait until the streams have counted what was completed; give the windows as they are then."""
    deadline = time.monotonic() + WINDOWS_SECONDS
    while _counted(settings) < wanted and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    if (counted := _counted(settings)) < wanted:
        console.print(f"The streams had counted {counted} of {wanted} results after {WINDOWS_SECONDS:.0f} s.")
    return latest_windows(settings)
