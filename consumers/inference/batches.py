"""Which images go through an engine together. Pure: no threads, and the time is an argument."""

from collections import deque
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from consumers.lanes.queue import EVERYBODY, Turns
from schemas.words import Lane

M = TypeVar("M", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is due: it is full, or its oldest image has waited long enough."""

    images: int = 8  # most images of a batch (count)
    age_s: float = 0.0  # longest wait for more images; pays only where a batch is faster than its images (seconds)


class Batches(Generic[M, T]):
    """Images that wait for an engine, by lane and model: a batch holds one lane's images for one model.

    STAT goes first; of ten batches in a row one is routine's when routine has one due.
    """

    def __init__(self, limits: BatchLimits, images_of: Callable[[M], int]) -> None:
        """`images_of(model)` is the most images that this model takes at one time, below the limit of all."""
        self._limits = limits
        self._images_of = images_of
        self._turns = Turns()
        self._waiting: dict[Lane, dict[M, deque[tuple[float, T]]]] = {lane: {} for lane in Lane}

    def __len__(self) -> int:
        return sum(len(items) for models in self._waiting.values() for items in models.values())

    def put(self, lane: Lane, model: M, item: T, now: float) -> None:
        """Let an image wait."""
        self._waiting[lane].setdefault(model, deque()).append((now, item))

    def take(self, now: float, taken: Collection[Lane] = EVERYBODY, *, held: bool = False) -> tuple[M, list[T]] | None:
        """Give the next batch for who takes these lanes, oldest image first; None when none is due (`Turns.choose`)."""
        due = {lane: model for lane in Lane if (model := self._due(lane, now)) is not None}
        lane = self._turns.choose(due.keys(), taken, held=held)
        if lane is None:
            return None
        model = due[lane]
        items = self._waiting[lane][model]
        batch = [items.popleft()[1] for _ in range(min(len(items), self._most(model)))]
        if not items:
            del self._waiting[lane][model]
        return model, batch

    def waiting(self, lane: Lane) -> int:
        """Say how many images of a lane wait."""
        return sum(map(len, self._waiting[lane].values()))

    def due_at(self) -> float | None:
        """Give the time at which a batch will be due if no image comes; None when nothing waits."""
        oldest = [items[0][0] for models in self._waiting.values() for items in models.values()]
        return min(oldest) + self._limits.age_s if oldest else None

    def _due(self, lane: Lane, now: float) -> M | None:
        """Name the model whose batch has waited longest among those that are due."""
        due = [
            (items[0][0], model)
            for model, items in self._waiting[lane].items()
            if len(items) >= self._most(model) or now >= items[0][0] + self._limits.age_s
        ]
        return min(due, key=lambda one: one[0])[1] if due else None

    def _most(self, model: M) -> int:
        return max(1, min(self._limits.images, self._images_of(model)))
