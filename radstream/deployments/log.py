"""The log of deployments: read to its end, followed, and added to."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from time import monotonic
from uuid import uuid4

from confluent_kafka import KafkaError, TopicPartition

from radstream.broker.contract import Outgoing
from radstream.broker.kafka import CALL_SECONDS, reader, translate, translated
from radstream.broker.kafka_broker import KafkaBroker
from radstream.deployments.assignments import history
from radstream.deployments.next_assignment import Parts
from radstream.logs import get_log
from radstream.registry import RegistryIds
from radstream.settings import LEAST_LEAD_SECONDS, Settings
from schemas.codec import Codec
from schemas.errors import BadMessage, DeploymentRefused, KafkaDown
from schemas.model_deployed import ModelDeployed
from schemas.model_package import MANIFEST
from schemas.topics import MODEL_DEPLOYED

#: How far ahead of its writing a deployment takes effect: every member reads it before then, or stands still.
LEAD = timedelta(seconds=LEAST_LEAD_SECONDS)
_POLL_SECONDS = 0.1


class DeploymentLog:
    """What the log says of one model. One thread calls `refresh`; any thread looks at `past` and `confirmed_at`."""

    def __init__(self, settings: Settings, codec: Codec, model: str) -> None:
        self._client = reader(settings)
        self._codec = codec
        self._model = model
        self._position = 0
        self._values: list[bytes | None] = []  # read and not decoded yet: the registry may be away
        self.past: tuple[ModelDeployed, ...] = ()
        self.confirmed_at: datetime | None = None  # UTC: everything that was written before is in `past`

    def refresh(self) -> None:
        """Read to the end that the topic has now; raises KafkaDown, RegistryDown, and then changes nothing."""
        asked_at = datetime.now(UTC)
        self._read()
        records = []
        for value in self._values:
            try:
                records.append(self._codec.decode(value))
            except BadMessage:
                get_log().warning("deployment can't be read", topic=MODEL_DEPLOYED, model=self._model)
        self._values = []
        known = [one for one in records if isinstance(one, ModelDeployed)]
        if known:
            self.past = history([*self.past, *known], self._model)
        self.confirmed_at = asked_at

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def _read(self) -> None:
        """Read up to the end of a fetch that begins now.

        A new assignment makes librdkafka fetch anew and say where the end is.
        """
        with translated(MODEL_DEPLOYED):
            self._client.assign([TopicPartition(MODEL_DEPLOYED, 0, self._position)])
        deadline = monotonic() + CALL_SECONDS
        while monotonic() < deadline:
            one = self._client.poll(_POLL_SECONDS)
            error = None if one is None else one.error()
            if one is None:
                continue
            if error is None:
                value = one.value()
                self._values.append(value.encode() if isinstance(value, str) else value)
                self._position = int(one.offset() or 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code
                return
            elif not error.retriable():
                raise translate(error, MODEL_DEPLOYED)
        raise KafkaDown(f"{MODEL_DEPLOYED} fell silent before its end; see RADSTREAM_KAFKA_BOOTSTRAP")


def read_history(settings: Settings, model: str) -> tuple[ModelDeployed, ...]:
    """Read a model's assignments; raises KafkaDown, RegistryDown."""
    with closing(DeploymentLog(settings, Codec(RegistryIds(settings.schema_registry_url)), model)) as log:
        log.refresh()
        return log.past


def write_deployment(  # noqa: PLR0913 - what a record says, each by its name
    settings: Settings,
    model: str,
    make: Callable[[Sequence[ModelDeployed]], Parts | None],
    *,
    reason: str,
    actor: str,
    packages: Mapping[str, str] | None = None,
    lead: timedelta = LEAD,
) -> ModelDeployed | None:
    """Add an assignment: `make` gives its parts from the history, None where nothing is to be done.

    1. read the log to its end
    2. write, with the revision that was seen in force
    3. read again: of two that raced the first in the log counts

    `packages`: the hashes of versions that no record has named yet. Raises DeploymentRefused when another writer was
    first, KafkaDown, RegistryDown.
    """
    codec = Codec(RegistryIds(settings.schema_registry_url))
    with closing(DeploymentLog(settings, codec, model)) as log:
        log.refresh()
        parts = make(log.past)
        if parts is None:
            return None
        made = _record(model, log.past, parts, {**_known(log.past), **(packages or {})}, lead)
        made = replace(made, reason=reason, actor=actor)
        value = codec.encode(MODEL_DEPLOYED, made)
        KafkaBroker(settings).writer().write([Outgoing(topic=MODEL_DEPLOYED, key=model.encode(), value=value)])
        log.refresh()
        if made.deployment_id not in {one.deployment_id for one in log.past}:
            raise DeploymentRefused(
                f"{model}: somebody else deployed revision {made.revision} at the same time; nothing was changed: "
                "`radstream model list` shows what is in force"
            )
    return made


def deploy_first(settings: Settings) -> ModelDeployed | None:
    """Record the configured package as the first champion where the log names none: a step of `radstream up`.

    It takes effect at once and for everything received before: until now that package answered without a record.
    """
    folder = settings.model_dir

    def first(past: Sequence[ModelDeployed]) -> Parts | None:
        return None if past else Parts(champion=folder.name)

    try:
        return write_deployment(
            settings,
            folder.parent.name,
            first,
            reason="the configured package",
            actor="radstream up",
            packages=package_digest(folder),
            lead=timedelta(0),
        )
    except DeploymentRefused:
        return None  # two at a time: the other one wrote it


def package_digest(folder: Path) -> dict[str, str]:
    """Give a package's version and its manifest's hash; nothing where there is none, and any package would do."""
    try:
        return {folder.name: sha256((folder / MANIFEST).read_bytes()).hexdigest()}
    except OSError:
        return {}


def digest_of(past: Sequence[ModelDeployed], version: str) -> str | None:
    """Give the hash of a version's manifest as it was last deployed; None where no record has it."""
    return next((one.packages[version] for one in reversed(past) if version in one.packages), None)


def _known(past: Sequence[ModelDeployed]) -> dict[str, str]:
    return {version: digest for one in past for version, digest in one.packages.items()}


def _record(
    model: str, past: Sequence[ModelDeployed], parts: Parts, digests: Mapping[str, str], lead: timedelta
) -> ModelDeployed:
    now = datetime.now(UTC)
    revision = past[-1].revision if past else 0
    named = {version for version in (parts.champion, parts.canary, parts.shadow) if version is not None}
    return ModelDeployed(
        deployment_id=uuid4(),
        model=model,
        revision=revision + 1,
        expected_previous=revision,
        champion=parts.champion,
        canary=parts.canary,
        canary_share=parts.canary_share,
        shadow=parts.shadow,
        withdrawn=parts.withdrawn,
        packages={version: digest for version, digest in digests.items() if version in named},
        deployed_at=now,
        effective_from=now + lead,
    )
