"""`radstream send`: films to a listener by C-STORE."""

import ssl
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from radstream.commands.output import console, print_json, print_table, remarks, shortened
from radstream.commands.send_files import Film, files_of, film_of
from radstream.commands.send_scu import ABORTED, NOT_DICOM, SUCCESS, Answer, Pace, Peer, send_films
from radstream.settings import Settings
from schemas.errors import WrongCall

COLUMNS = ("file", "sop_instance_uid", "study_instance_uid", "status", "ack_ms")
CALLING_AE = "RADSTREAM_SEND"
#: How many files a person sees one by one; the rest is counted.
SHOWN = 20

Row = dict[str, str | float | None]

app = typer.Typer()


@app.command()
def send(  # noqa: PLR0913 - the options of INTERFACE.md
    paths: Annotated[list[Path], typer.Argument(help="Files or folders: DICOM, PNG, JPEG.", exists=True)],
    *,
    stat: Annotated[bool, typer.Option("--stat", help="Ask for the STAT lane (DIMSE Priority HIGH).")] = False,
    associations: Annotated[int, typer.Option(min=1, max=64, help="How many at a time.")] = 1,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Images a second, at most.")] = None,
    host: Annotated[str, typer.Option(help="Where the listener is.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Its port; else RADSTREAM_DICOM_PORT, by TLS RADSTREAM_DICOM_TLS_PORT.")
    ] = None,
    ae_title: Annotated[str | None, typer.Option(help="Its AE title; else RADSTREAM_AE_TITLE.")] = None,
    calling_ae: Annotated[str, typer.Option(help="Our AE title.")] = CALLING_AE,
    tls: Annotated[bool, typer.Option("--tls", help="Call by TLS.")] = False,
    tls_ca: Annotated[Path | None, typer.Option(help="Certificates to trust, PEM; else the system's.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Our certificate and its key, PEM.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Send files as they stand; exit 1 when anything was not accepted."""
    settings = Settings.from_environment()
    peer = Peer(
        host=host,
        port=port or (settings.dicom_tls_port if tls else settings.dicom_port),
        called_ae=ae_title or settings.ae_title,
        calling_ae=calling_ae,
        tls=tls_context(tls_ca, tls_cert) if tls else None,
    )
    pace = Pace(associations=associations, images_per_second=rate, stat=stat)
    rows = []
    with tempfile.TemporaryDirectory(prefix="radstream-send-") as wrapped:
        for row in _watched(send_paths(paths, peer, pace, Path(wrapped)), shown=not as_json):
            rows.append(row)
            if as_json:
                print_json(row)
    _conclude(rows, peer, as_json=as_json)


def send_paths(paths: list[Path], peer: Peer, pace: Pace, wrapped: Path) -> Iterator[Row]:
    """Send files and folders; yield one row a file, first those that are no image."""
    films: list[Film] = []
    for file in files_of(paths):
        film = film_of(file, wrapped)
        if film is None:
            yield {"file": str(file), **dict.fromkeys(COLUMNS[1:]), "status": NOT_DICOM}
        else:
            films.append(film)
    for answer in send_films(films, peer, pace) if films else ():
        yield row_of(answer)


def row_of(answer: Answer) -> Row:
    """Give an answer the fields of INTERFACE.md."""
    return {
        "file": str(answer.film.file),
        "sop_instance_uid": answer.film.sop_instance_uid,
        "study_instance_uid": answer.film.study_instance_uid,
        "status": answer.status,
        "ack_ms": answer.ack_ms,
    }


def tls_context(authorities: Path | None, certificate: Path | None) -> ssl.SSLContext:
    """Trust what the person named, else what the system trusts (PS3.15 B.9: TLS 1.2 or later)."""
    try:
        context = ssl.create_default_context(cafile=authorities)
        if certificate is not None:
            context.load_cert_chain(certificate)
    except (OSError, ssl.SSLError) as error:
        raise WrongCall(f"{authorities or certificate} can't be used for TLS: {type(error).__name__}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _watched(rows: Iterator[Row], *, shown: bool) -> Iterator[Row]:
    """Show progress on a terminal while the rows come."""
    if not shown:
        yield from rows
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=remarks, transient=True) as progress:
        task = progress.add_task("sending", total=None)
        for row in rows:
            progress.advance(task)
            yield row


def _conclude(rows: list[Row], peer: Peer, *, as_json: bool) -> None:
    """Say how it went and leave with the exit status."""
    counted = Counter(str(row["status"]) for row in rows)
    if not as_json and rows:
        print_table("", [_shown(row) for row in rows[:SHOWN]], COLUMNS)
        if len(rows) > SHOWN:
            console.print(f"... and {len(rows) - SHOWN} more")
        console.print(", ".join(f"{count} {status}" for status, count in counted.most_common()))
    if not rows:
        raise WrongCall("nothing to send: no file in what was named")
    if counted[ABORTED] == len(rows):
        raise WrongCall(f"no association with {peer.called_ae} at {peer.host}:{peer.port}: is the listener up there?")
    if counted[SUCCESS] != len(rows):
        raise typer.Exit(1)


def _shown(row: Row) -> Row:
    """Shorten what a table has no room for."""
    uids = {name: shortened(str(row[name] or "")) for name in ("sop_instance_uid", "study_instance_uid")}
    return row | uids | {"file": Path(str(row["file"])).name}
