"""`python -m training`: the service; `python -m training fit`: train a package from a folder of labelled films."""

import json
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from radstream.service import EXIT_FAILED, run_service
from schemas.errors import RadStreamError
from training.service import run as run_training

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback(invoke_without_command=True)
def service(context: typer.Context) -> None:
    """Run the service when no command is given."""
    if context.invoked_subcommand is None:
        raise typer.Exit(run_service("training", run_training))


@app.command("fit")
def fit_command(  # noqa: PLR0913, PLR0917 - one parameter an option of the command
    data: Annotated[Path, typer.Option(help="Folder with labels.csv (file, label, patient) and its images.")],
    out: Annotated[Path, typer.Option(help="Folder of model packages.")] = Path("models"),
    name: Annotated[str, typer.Option(help="Name of the model.")] = "chest-pneumonia",
    version: Annotated[str, typer.Option(help="Version; one that exists is never overwritten.")] = "1.0.0",
    architecture: Annotated[str, typer.Option(help="See consumers/imaging/networks.py.")] = "efficientnet_lite0",
    classes: Annotated[str, typer.Option(help="Classes, the negative one first.")] = "NORMAL,PNEUMONIA",
    external: Annotated[list[Path] | None, typer.Option(help="Other sites' folders, only measured on.")] = None,
    pixels: Annotated[
        int | None, typer.Option(help="Side of the network's input (pixels); without it the architecture's own.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Time limit of the fit; the schedule ends by then.")] = 25.0,
    epochs: Annotated[int, typer.Option(help="Times through the training part.")] = 11,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")] = 20_261_121,
    imagenet: Annotated[bool, typer.Option(help="Start from ImageNet weights.")] = True,  # noqa: FBT002 - Typer's form
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,  # noqa: FBT002 - Typer's form
) -> None:
    """Train, calibrate, measure and write a model package."""
    # torch takes seconds and hundreds of megabytes: the service and --help go without.
    from training.fit import Clocks, Order, fit  # noqa: PLC0415
    from training.memory import keep_freed_memory  # noqa: PLC0415
    from training.recipe import Recipe  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    keep_freed_memory()
    small_epochs = round(epochs * Recipe().small_epochs / Recipe().epochs)
    recipe = Recipe(epochs=epochs, small_epochs=small_epochs, minutes=minutes, threads=threads, seed=seed)
    named = tuple(part.strip() for part in classes.split(","))
    order = Order(data, out, name, version, architecture, named, tuple(external or ()), pixels, imagenet, recipe)
    try:
        report = fit(order, Clocks(time.monotonic, lambda: datetime.now(UTC), uuid4()))
    except RadStreamError as error:
        typer.echo(f"training: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from error
    typer.echo(json.dumps(report) if as_json else _readable(report))


@app.command("quality")
def quality_command(
    site: Annotated[list[Path], typer.Option(help="A site's folder with labels.csv; once for each.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("consumers/imaging/quality.json"),
    classes: Annotated[str, typer.Option(help="Classes, the negative one first.")] = "NORMAL,PNEUMONIA",
) -> None:
    """Fit the image quality checks, write their limits, print what they cost on good films and find on damaged ones."""
    from training.quality import document_of, read_sites  # noqa: PLC0415 - scikit-learn takes a second

    try:
        document = document_of(read_sites(site, [part.strip() for part in classes.split(",")]))
    except RadStreamError as error:
        typer.echo(f"training: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from error
    out.write_text(json.dumps(document) + "\n", "utf-8")
    typer.echo(_readable({name: part for name, part in document.items() if name != "pose"}))


@app.command("reissue")
def reissue_command(
    package: Annotated[Path, typer.Argument(help="Folder of the package.")],
    data: Annotated[Path, typer.Option(help="The folder that it was trained on.")],
    version: Annotated[str, typer.Option(help="The new version; one that exists is never overwritten.")],
    out: Annotated[Path, typer.Option(help="Folder of model packages.")] = Path("models"),
) -> None:
    """Give a package's weights to a new version whose reference says what is strange to the model, and a near miss."""
    from training.reissue import reissue  # noqa: PLC0415 - torch takes seconds

    try:
        typer.echo(json.dumps(reissue(package, data, out, version)))
    except RadStreamError as error:
        typer.echo(f"training: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from error


@app.command("quantise")
def quantise_command(  # noqa: PLR0913, PLR0917 - one parameter an option of the command
    package: Annotated[Path, typer.Option(help="Folder of the float32 package.")],
    data: Annotated[Path, typer.Option(help="Folder of the films that it was made from (labels.csv).")],
    version: Annotated[str, typer.Option(help="Version of the int8 package, as 1.0.0-int8.")],
    out: Annotated[Path, typer.Option(help="Folder of model packages.")] = Path("models"),
    films: Annotated[int, typer.Option(help="Films of the training part to calibrate on (64 to 128 are enough).")] = 96,
    seed: Annotated[int, typer.Option(help="Seed of their choice.")] = 20_261_121,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,  # noqa: FBT002 - Typer's form
) -> None:
    """Make an int8 package of a float32 one; refused when AUC falls by 0.002 or 1 % of decisions change."""
    from training.quantise import QuantiseOrder, quantise  # noqa: PLC0415 - as above

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    try:
        report = quantise(QuantiseOrder(package, data, out, version, films, seed), datetime.now(UTC))
    except RadStreamError as error:
        typer.echo(f"training: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from error
    typer.echo(json.dumps(report) if as_json else _readable(report))
    if report["reasons"]:
        raise typer.Exit(EXIT_FAILED)


def _readable(report: dict[str, object]) -> str:
    return json.dumps(report, indent=2)


if __name__ == "__main__":
    app()
