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


def _readable(report: dict[str, object]) -> str:
    return json.dumps(report, indent=2)


if __name__ == "__main__":
    app()
