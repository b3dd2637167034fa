"""Faust's Kafka transport, set right where it would lose or repeat (each seen or read in faust-streaming 0.15.3).

1. It reads committed records only; Faust does so only in its own exactly-once mode, and then loses in other ways.
2. What was handled is said by the handler, and only that is committed. Faust infers it from acknowledgements and gaps
   of offsets: over transaction markers its commits crawl, after a record at offset 0 they stand still for ever, and
   a record that is skipped while partitions move counts as acknowledged.
3. Resuming a flow that was never suspended drops nothing. Faust's empties its queues then, of records that were read
   since the tables were recovered: they are not read again.
4. A flush ends when everything was sent. Faust's gives up after a tenth of a second without a sent message, and an
   offset could be committed before its table entry is in the log.
"""

import asyncio
from typing import Any, ClassVar

import aiokafka  # type: ignore[import-untyped]
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from mode.utils.queues import FlowControlEvent

from schemas.errors import RadStreamError
from streams.turns import Turns

#: Between two looks whether the partitions have come to rest (seconds).
_WAIT_SECONDS = 0.02
_FETCH_WAIT_MS = 100


class SteadyFlow(FlowControlEvent):
    """A flow control that keeps what came in while it was active: `app.flow_control`."""

    def resume(self) -> None:
        """Resume what was suspended; the queues are emptied of what they held before."""
        if not self.is_active():
            super().resume()


class RecordsSkipped(RadStreamError):
    """Records were read and then lost on their way to the handler: the worker ends, and its successor reads them."""

    cause = "records_skipped"


class CommittedConsumerThread(driver.AIOKafkaConsumerThread):
    """A consumer thread whose client reads committed records."""

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        client = super()._create_worker_consumer(transport)
        client._isolation_level = "read_committed"  # noqa: SLF001 - both are read when the client starts
        client._fetch_max_wait_ms = _FETCH_WAIT_MS  # noqa: SLF001 - Faust's 1500 ms delay whatever was just resumed
        return client


class CommittedConsumer(driver.Consumer):
    """A consumer that commits what was handled, partition by partition and in order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turns: Turns[TP] = Turns()
        self._deliver = self.callback
        self.callback = self._noted

    async def is_ours(self, message: Message) -> bool:
        """Say whether a record may be handled; wait while that is open.

        While partitions move, and until the tables are recovered, nothing is handled. What was read before they moved
        is dropped, for it is read again. Nothing else may be: a later record's offset would be committed over it.
        """
        while self.app.rebalancing and message.generation_id == self.app.consumer_generation_id:  # noqa: ASYNC110 - no event
            await asyncio.sleep(_WAIT_SECONDS)
        return message.generation_id == self.app.consumer_generation_id

    def in_turn(self, message: Message) -> bool:
        """Say whether a record is the next of those that were delivered: none between may have been skipped."""
        return self._turns.is_next(message.tp, message.offset)

    def handled(self, message: Message) -> None:
        """Note that a record, and with it all before it in its partition, was handled."""
        self._turns.handle(message.tp, message.offset)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was handled: whoever reads on starts at what was committed."""
        self._turns.forget()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Begin anew: what came in since the last generation ended is read again."""
        self._turns.forget()
        await super().on_partitions_assigned(assigned, generation_id)

    async def _noted(self, message: Message) -> None:
        if self.app.topics.acks_enabled_for(message.topic):
            self._turns.deliver(message.tp, message.offset)
        await self._deliver(message)

    def ack(self, message: Message) -> bool:
        """Let go of a record; that it was handled is said elsewhere."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Any:
        return (tp for tp in self._turns.partitions if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._turns.to_commit(tp)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Keep no gaps: nothing asks for them."""

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return CommittedConsumerThread(self, loop=self.loop, beacon=self.beacon)


class FlushingProducer(driver.Producer):
    """A producer whose flush leaves nothing behind."""

    async def flush(self) -> None:
        """Wait until everything that was handed over is in the log."""
        while self.buffer.size and not self.should_stop:
            await self.buffer.flush()
        await super().flush()


class CommittedTransport(driver.Transport):
    """The transport of both: `app.transport` and `app.producer_transport`."""

    Consumer: ClassVar[type[driver.Consumer]] = CommittedConsumer
    Producer: ClassVar[type[driver.Producer]] = FlushingProducer
