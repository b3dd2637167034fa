"""What the streams say of each window: the newest revision of each, read from the log."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, Message, TopicPartition

from radstream.broker import kafka
from radstream.registry import RegistryIds
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.errors import BadMessage
from schemas.topics import SLICE_PARTITIONS, WINDOW_EVALUATED
from schemas.window_evaluated import WindowEvaluated

if TYPE_CHECKING:
    from uuid import UUID


def latest_windows(settings: Settings, model: str | None = None) -> list[WindowEvaluated]:
    """Give each slice's current window of each length, in its newest revision; raise KafkaDown, RegistryDown.

    Sorted by model, version, slice and length. `model` leaves out all others.
    """
    newest: dict[tuple[str, str, str, int], WindowEvaluated] = {}
    for window in all_windows(settings, model):
        key = (window.model, window.model_version, window.slice, window.window_seconds)
        if key not in newest or window.window_start > newest[key].window_start:
            newest[key] = window
    return [newest[key] for key in sorted(newest)]


def all_windows(settings: Settings, model: str | None = None) -> list[WindowEvaluated]:
    """Give each window that the log holds in its newest revision, oldest first; raise KafkaDown, RegistryDown."""
    codec = Codec(RegistryIds(settings.schema_registry_url))
    newest: dict[UUID, WindowEvaluated] = {}
    for window in _decoded(codec, _messages(settings)):
        known = newest.get(window.window_id)
        if (model is None or window.model == model) and (known is None or window.revision >= known.revision):
            newest[window.window_id] = window
    return sorted(newest.values(), key=lambda window: (window.window_start, window.window_seconds, window.slice))


def _decoded(codec: Codec, messages: Iterable[Message]) -> Iterable[WindowEvaluated]:
    for message in messages:
        try:
            yield codec.decode(message.value())
        except BadMessage:
            continue  # a reader shows what can be read; whoever wrote it otherwise is not ours to judge


def _messages(settings: Settings) -> Iterable[Message]:
    """Read the topic from its beginning to the end that it has now."""
    client = kafka.reader(settings)
    try:
        with kafka.translated(WINDOW_EVALUATED):
            client.assign([TopicPartition(WINDOW_EVALUATED, one, 0) for one in range(SLICE_PARTITIONS)])
            waiting = set(range(SLICE_PARTITIONS))
            while waiting:
                message = client.poll(kafka.CALL_SECONDS)
                error = KafkaError(KafkaError._TIMED_OUT) if message is None else message.error()  # noqa: SLF001
                if error is not None and error.code() == KafkaError._PARTITION_EOF and message is not None:  # noqa: SLF001
                    waiting.discard(message.partition() or 0)
                elif error is not None:
                    raise kafka.translate(error, WINDOW_EVALUATED)
                elif message is not None:
                    yield message
    finally:
        client.close()
