"""The listener's part, done by hand: an image in the object store and its event in the log."""

import io
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from confluent_kafka import TopicPartition
from pydicom import Dataset

from consumers.decoding.claim_check import data_set_at
from consumers.serve_inference import group_name
from radstream.broker.contract import Outgoing
from radstream.broker.kafka import consumer, last_stable_offsets
from radstream.broker.kafka_broker import KafkaBroker
from radstream.objects.stores import s3_objects
from radstream.registry import RegistryIds
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.identity import Pseudonyms, data_set_hasher, event_id, object_key
from schemas.instance_received import InstanceReceived
from schemas.topics import RECEIVED_OF, STUDY_PARTITIONS
from schemas.words import Lane


def part10(dataset: Dataset) -> tuple[bytes, bytes]:
    """Write a data set as a Part 10 file: the head (preamble and file meta) and the data set's bytes."""
    whole = io.BytesIO()
    dataset.save_as(whole, enforce_file_format=True)
    at = data_set_at(whole.getvalue())
    return whole.getvalue()[:at], whole.getvalue()[at:]


def skip_to_the_end(settings: Settings, model: str) -> None:
    """Let a model's groups, without members, begin behind what the log holds: others left it there."""
    for lane in Lane:
        with closing(consumer(settings, group_name(model, lane), group_protocol="classic")) as client:
            ends = last_stable_offsets(client, RECEIVED_OF[lane], STUDY_PARTITIONS)
            places = [TopicPartition(RECEIVED_OF[lane], partition, end) for partition, end in ends.items()]
            client.commit(offsets=places, asynchronous=False)


class Sender:
    """Publishes images and records as the listener would."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.objects = s3_objects(settings)
        self.codec = Codec(RegistryIds(settings.schema_registry_url))
        self._pseudonyms = Pseudonyms(settings.require_pseudonym_key(), "1")
        self._writer = KafkaBroker(settings).writer()

    def send(
        self, dataset: Dataset, lane: Lane = Lane.ROUTINE, *, body: bytes | None = None, store: bool = True
    ) -> InstanceReceived:
        """Store an image and publish its event; `body` replaces the data set's bytes."""
        event, whole = self.event(dataset, lane, body)
        if store:
            self.put(event, whole)
        self.publish(event)
        return event

    def put(self, event: InstanceReceived, whole: bytes) -> None:
        """Store an object, whatever its event says of it."""
        self.objects.put(event.object_key, io.BytesIO(whole), len(whole))

    def event(self, dataset: Dataset, lane: Lane, body: bytes | None = None) -> tuple[InstanceReceived, bytes]:
        """Make an image's event, and the bytes of its object."""
        head, data = part10(dataset)
        data = data if body is None else body
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        hasher = data_set_hasher(syntax)
        hasher.update(data)
        sha256 = hasher.hexdigest()
        instance = self._pseudonyms.uid(str(dataset.SOPInstanceUID))
        event = InstanceReceived(
            event_id=event_id(instance, sha256),
            instance_pseudonym=instance,
            study_pseudonym=self._pseudonyms.uid(str(dataset.get("StudyInstanceUID", uuid4().int))),
            key_id="1",
            revision=1,
            object_bucket=self.settings.s3_bucket,
            object_key=object_key(sha256),
            size_bytes=len(head) + len(data),
            sha256=sha256,
            transfer_syntax_uid=syntax,
            sop_class_uid=str(dataset.SOPClassUID),
            lane=lane,
            site="SITE",
            received_at=datetime.now(UTC),
            calling_ae="TEST",
            modality=dataset.get("Modality"),
            manufacturer=dataset.get("Manufacturer"),
        )
        return event, head + data

    def publish(self, event: InstanceReceived, headers: Mapping[str, bytes] | None = None, **changed: Any) -> None:
        """Publish an event."""
        event = replace(event, **changed)
        topic = RECEIVED_OF[event.lane]
        given = {"event-time": event.received_at.isoformat().encode(), **(headers or {})}
        self.publish_bytes(topic, event.study_pseudonym.encode(), self.codec.encode(topic, event), given)

    def publish_bytes(self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes] | None = None) -> None:
        """Publish any bytes."""
        self.publish_records([Outgoing(topic=topic, key=key, value=value, headers=headers or {})])

    def publish_records(self, records: Sequence[Outgoing]) -> None:
        """Publish many at once."""
        self._writer.write(records)
