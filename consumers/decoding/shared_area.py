"""Memory that a decoder process shares with its owner: pixels and tensors cross without being copied."""

import mmap
import os
from contextlib import suppress

#: What an area keeps between two images (bytes): more than a usual film. The rest goes back to the system.
KEPT_BYTES = 64 * 1024 * 1024


class SharedArea:
    """A stretch of anonymous memory, taken from the system page by page as it is written (Linux: memfd).

    The size is an upper bound and costs nothing. Both sides may write; what is read from it is checked like a message.
    """

    def __init__(self, size_bytes: int, descriptor: int | None = None) -> None:
        """Make an area, or open the one behind an inherited descriptor."""
        if descriptor is None:
            descriptor = os.memfd_create("radstream", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, size_bytes)
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, size_bytes)

    def view(self, start: int, size_bytes: int) -> memoryview:
        """See a part of it; raises ValueError where it would reach beyond the end."""
        if not 0 <= start <= start + size_bytes <= len(self._map):
            raise ValueError(f"bytes {start} to {start + size_bytes} of {len(self._map)}")
        return memoryview(self._map)[start : start + size_bytes]

    def trim(self, used_bytes: int) -> None:
        """Give back what a large image took, so that nobody is larger for ever; its bytes are zero afterwards."""
        if used_bytes > KEPT_BYTES:
            self._map.madvise(mmap.MADV_REMOVE, KEPT_BYTES, used_bytes - KEPT_BYTES)

    def close(self) -> None:
        """Let go of it; its pages go when the other side lets go too."""
        with suppress(BufferError):  # somebody still looks at it; the mapping goes with him
            self._map.close()
        os.close(self.descriptor)
