"""What glibc keeps of freed memory, told where its own guess is wrong. Without effect on another C library."""

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGE_BLOCK_BYTES = 1024 * 1024
#: Blocks up to here are taken from the heap: glibc's own limit.
_ANY_BLOCK_BYTES = 32 * 1024 * 1024
#: The free end of the heap is kept up to here: the pictures of a usual film.
_KEPT_BYTES = 64 * 1024 * 1024


def frugal_memory() -> None:
    """Let large blocks go back to the system when they are freed, and give back now what loading needed.

    Else glibc keeps what the largest images and batches once took: 80 MB after some minutes of load.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)
        libc.malloc_trim(0)


def kept_memory() -> None:
    """Keep what a film's pictures took for the next film's.

    Else it goes back to the system after each film, and comes back page by page: 1,500 page faults, a third of a
    decoder's time.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, _ANY_BLOCK_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
