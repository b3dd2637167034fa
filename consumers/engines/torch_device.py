"""A torch network on the device that computes it. Copies and passes of several threads overlap on a GPU."""

import threading
from collections.abc import Callable, Sequence  # noqa: TC003 - read by people first
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from consumers.engines.engine import Batch


class OnDevice:
    """Runs a network, channels last, in float32 or half precision.

    On CUDA each calling thread has a stream and a pinned buffer of its own, so that one thread's copy runs beside the
    other's pass. On a CPU there is nothing to overlap, and the same code runs without both.
    """

    def __init__(self, network: torch.nn.Module, device: torch.device, *, half: bool = False) -> None:
        self._device = device
        self._type = torch.float16 if half else torch.float32
        placed = network.eval().to(device, self._type)
        self._network = placed.to(memory_format=torch.channels_last)
        self._own = threading.local()

    def run(self, batch: Batch) -> list[NDArray[np.float32]]:
        """Run float32 [N, 3, H, W]; give each of the network's outputs as float32 on the CPU."""
        with torch.inference_mode(), self._stream():
            images = self._staged(batch).to(self._device, non_blocking=True)
            images = images.to(self._type).contiguous(memory_format=torch.channels_last)
            outputs = cast("Callable[[torch.Tensor], Sequence[torch.Tensor]]", self._network)(images)
            # Copying to the CPU waits for this thread's stream and for no other.
            return [output.float().cpu().numpy() for output in outputs]

    def _stream(self) -> AbstractContextManager[object]:
        """Give this thread's stream."""
        if self._device.type != "cuda":
            return nullcontext()
        if not hasattr(self._own, "stream"):
            self._own.stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call] # torch ships no types for it
        return torch.cuda.stream(self._own.stream)

    def _staged(self, batch: Batch) -> torch.Tensor:
        """Give the batch in this thread's pinned memory, from which the device reads without the CPU's help."""
        source = torch.from_numpy(batch)
        if self._device.type != "cuda":
            return source
        room: torch.Tensor | None = getattr(self._own, "room", None)
        if room is None or len(room) < len(batch) or room.shape[1:] != source.shape[1:]:
            room = self._own.room = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
        return room[: len(batch)].copy_(source)
