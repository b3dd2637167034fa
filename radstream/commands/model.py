"""`radstream model`: which versions answer; change that without a restart, take it back, revise what was wrong."""

import getpass
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from radstream.broker.kafka_broker import KafkaBroker
from radstream.broker.topic_reader import read_to_end
from radstream.commands.model_rows import recalled_row, show, show_ensemble
from radstream.commands.output import console, print_json, print_table, remarks, shortened
from radstream.deployments import recalls
from radstream.deployments.assignments import history
from radstream.deployments.log import deploy_first, digest_of, read_history, write_deployment
from radstream.deployments.next_assignment import Parts, rollback
from radstream.registry import RegistryIds
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.errors import BadMessage, DeploymentRefused
from schemas.model_deployed import ModelDeployed
from schemas.topics import MODEL_DEPLOYED, RECEIVED_OF
from schemas.words import Lane

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Model = Annotated[str, typer.Argument(metavar="M", help="Name of the model.")]
Version = Annotated[str, typer.Argument(metavar="V", help="A version of it.")]
Why = Annotated[str, typer.Option(help="Why, for the log; no patient data.")]
Upload = Annotated[bool, typer.Option(help="Put the package into the object store, for members elsewhere.")]

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_models(*, as_json: AsJson = False) -> None:
    """List what each model's newest deployment says of each version."""
    settings = Settings.from_environment()
    records = list(_records(settings))
    show(*(history(records, model) for model in sorted({one.model for one in records})), as_json=as_json)


@app.command()
def deploy(model: Model, version: Version, *, reason: Why = "", upload: Upload = True, as_json: AsJson = False) -> None:
    """Let a version answer every study; the one before it goes on until then."""
    show(_changed(model, version, lambda parts: parts.deploy(version), reason, upload=upload), as_json=as_json)


@app.command()
def ensemble(  # noqa: PLR0913 - one parameter an option
    model: Model,
    *,
    member: Annotated[list[str], typer.Option(help="A version; once for each, the one whose projection counts first.")],
    data: Annotated[Path | None, typer.Option(help="Labelled films that fix temperature and threshold.")] = None,
    threshold: Annotated[float | None, typer.Option(help="The threshold, where there are no films.")] = None,
    temperature: Annotated[float, typer.Option(help="The temperature, where there are no films.")] = 1.0,
    recall_wanted: Annotated[float, typer.Option("--recall", help="Recall to reach on validation.")] = 0.985,
    as_json: AsJson = False,
) -> None:
    """Make a package of several versions that answer as one, by the mean of their probabilities; then `deploy` it.

    Its version follows from its members, temperature and threshold.
    """
    from consumers.models.composition import places  # noqa: PLC0415 - an engine's import takes a second
    from radstream.commands.made_ensemble import EnsembleOrder, make_ensemble  # noqa: PLC0415

    found = places(Settings.from_environment())
    order = EnsembleOrder(
        members=[found.package(model, version, None) for version in member],
        out=found.root,
        data=data,
        threshold=threshold,
        temperature=temperature,
        recall_wanted=recall_wanted,
    )
    made = make_ensemble(order)
    show_ensemble(made.folder, made.manifest.described, as_json=as_json)


@app.command()
def shadow(  # noqa: PLR0913 - the options of INTERFACE.md, and why
    model: Model,
    version: Annotated[str | None, typer.Argument(metavar="[V]", help="A version of it; with --off none.")] = None,
    *,
    off: Annotated[bool, typer.Option("--off", help="End the shadow.")] = False,
    reason: Why = "",
    upload: Upload = True,
    as_json: AsJson = False,
) -> None:
    """Let a version look at every image beside the champion, into inference.shadowed alone."""
    if off == (version is not None):
        raise typer.BadParameter("name a version, or give --off: one of the two")
    show(_changed(model, version, lambda parts: parts.show_unseen(version), reason, upload=upload), as_json=as_json)


@app.command()
def canary(  # noqa: PLR0913 - the options of INTERFACE.md, and why
    model: Model,
    version: Version,
    *,
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the studies, 0 to 1; 0 ends it.")],
    reason: Why = "",
    upload: Upload = True,
    as_json: AsJson = False,
) -> None:
    """Let a version answer a share of the studies, always the same ones."""
    show(_changed(model, version, lambda parts: parts.share(version, share), reason, upload=upload), as_json=as_json)


@app.command("rollback")
def roll_back(
    model: Model, *, reason: Annotated[str, typer.Option(help="Why; no patient data.")], as_json: AsJson = False
) -> None:
    """Withdraw the canary, else the champion: the one before answers, also what waits already."""
    settings = Settings.from_environment()
    write_deployment(settings, model, _existing(model), reason=reason, actor=getpass.getuser())
    past = read_history(settings, model)
    show(past, as_json=as_json)
    if not as_json:
        gone = past[-1].withdrawn[-1]
        console.print(f"Its results stand: `radstream model recall {model} --version {gone}` revises them.")


@app.command()
def recall(
    model: Model,
    *,
    version: Annotated[str, typer.Option(help="The version that was withdrawn.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List its results, send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give each result of a withdrawn version a revision by the version that takes its place.

    Exit status 1 when the event of a result is no longer in the log.
    """
    settings = Settings.from_environment()
    found = recalls.recall(settings, model, version, send=not dry_run)
    rows = [recalled_row(one) for one in found]
    if as_json:
        for row in rows:
            print_json(row)
    else:
        shown = [row | {"supersedes": shortened(row["supersedes"])} for row in rows]
        print_table("", shown, ("model", "version", "role", "revision", "supersedes", "lane", "received_at", "state"))
        console.print(f"{len(rows)} results of {version}; `radstream results` shows their revisions as they arrive.")
    if gone := sum(not one.sent for one in found):
        remarks.print(f"radstream: {gone} of {len(found)} events are no longer in the log; their results stand")
        raise typer.Exit(1)


def _changed(
    model: str, version: str | None, wish: Callable[[Parts], Parts], reason: str, *, upload: bool
) -> Sequence[ModelDeployed]:
    """Change an assignment, and give the model's history after it.

    1. verify the package as a member will, and put it where every member finds it
    2. a model without a deployment: its groups begin at the log's end of now
    3. write, and read back whether it counts; what is so already is not written again
    """
    settings = Settings.from_environment()
    past = _begun(settings, model)
    digests = {} if version is None else _verified(settings, past, model, version, upload=upload)

    def parts(found: Sequence[ModelDeployed]) -> Parts | None:
        if found:
            now, then = Parts.of(found[-1]), wish(Parts.of(found[-1]))
            return None if then == now else then
        if version is None or wish(Parts(champion="")).champion != version:
            raise DeploymentRefused(f"{model} has no champion yet: `radstream model deploy {model} V` first")
        return Parts(champion=version)

    lead = timedelta(seconds=settings.deploy_lead_seconds)
    write_deployment(settings, model, parts, reason=reason, actor=getpass.getuser(), packages=digests, lead=lead)
    return read_history(settings, model)


def _begun(settings: Settings, model: str) -> tuple[ModelDeployed, ...]:
    """Give a model's history; the configured one's begins with the package that answers without a record."""
    past = read_history(settings, model)
    if past:
        return past
    for lane in Lane:
        KafkaBroker(settings).begin_group(f"inference.{model}.{lane}", [RECEIVED_OF[lane]], at_end=True)
    if model == settings.model_dir.parent.name and settings.model_dir.exists():
        deploy_first(settings)
    return read_history(settings, model)


def _verified(
    settings: Settings, past: Sequence[ModelDeployed], model: str, version: str, *, upload: bool
) -> dict[str, str]:
    """Verify, load and self-test a package; raises ModelRefused, also where a known version has other bytes now."""
    from consumers.models.composition import places  # noqa: PLC0415 - an engine's import takes a second
    from consumers.models.loaded import load_model  # noqa: PLC0415
    from consumers.packages.places import put_package  # noqa: PLC0415
    from radstream.objects.stores import s3_objects  # noqa: PLC0415

    package = places(settings).package(model, version, digest_of(past, version))
    loaded = load_model(package, settings.engine)
    if upload:
        put_package(s3_objects(settings), package)
    return {version: loaded.digest}


def _existing(model: str) -> Callable[[Sequence[ModelDeployed]], Parts]:
    def parts(past: Sequence[ModelDeployed]) -> Parts:
        if not past:
            raise DeploymentRefused(f"{model} was never deployed: `radstream model list` shows what was")
        return rollback(past)

    return parts


def _records(settings: Settings) -> list[ModelDeployed]:
    codec = Codec(RegistryIds(settings.schema_registry_url))
    found = []
    for message in read_to_end(settings, MODEL_DEPLOYED):
        try:
            found.append(codec.decode(message.value))
        except BadMessage:
            continue  # void for every reader
    return [one for one in found if isinstance(one, ModelDeployed)]
