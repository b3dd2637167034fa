"""The composition of one process's models: log, places, shelf and follower, from the settings."""

from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic

from consumers.models.deployed import Deployed, Follower
from consumers.models.loaded import LoadedModel, load_model
from consumers.models.shelf import Shelf
from consumers.packages.places import Places
from radstream.deployments.log import DeploymentLog, digest_of, write_deployment
from radstream.deployments.next_assignment import Parts, without
from radstream.objects.stores import s3_objects
from radstream.service import Health
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.errors import ModelRefused, RadStreamError
from schemas.model_deployed import ModelDeployed


def places(settings: Settings) -> Places:
    """Say where this process looks for packages: the configured one's neighbours, the cache, the object store."""
    return Places(settings.model_dir.parent.parent, settings.state_dir / "models", lambda: s3_objects(settings))


def deployed_models(settings: Settings, codec: Codec, health: Health) -> tuple[Deployed, Follower]:
    """Put the models together; nothing connects before `log.refresh`."""
    model = settings.model_dir.parent.name
    log = DeploymentLog(settings, codec, model)
    found = places(settings)

    def load(version: str) -> LoadedModel:
        try:
            package = found.package(model, version, digest_of(log.past, version))
            return load_model(package, settings.engine)
        except RadStreamError:
            raise
        # A full disk, memory that is short, a library's own error: whatever it is, this version is not served here.
        except Exception as error:
            raise ModelRefused(f"{model} {version} can't be loaded ({type(error).__name__})") from error

    def withdraw(version: str, reason: str) -> None:
        def parts(past: Sequence[ModelDeployed]) -> Parts | None:
            return None if not past or version in past[-1].withdrawn else without(past, version)

        write_deployment(settings, model, parts, reason=reason, actor=f"inference {settings.inference_slot}")

    shelf = Shelf(load, monotonic, settings.model_keep_seconds)
    assignments = Deployed(model=model, configured=settings.model_dir.name, log=log, shelf=shelf)
    return assignments, Follower(assignments, withdraw, lambda: datetime.now(UTC), health)
