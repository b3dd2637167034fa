"""How long a connection's reads and writes may wait."""

import socket
import ssl
import struct

_MICROSECONDS = 1_000_000


def limit_waiting(connection: socket.socket, seconds: float) -> None:
    """Let no read or write wait longer than this: by the kernel, which then takes MSG_WAITALL at its word.

    Python's own time-out makes a socket non-blocking, and each read a poll and a read of what happens to be there. TLS
    keeps it: its records are read by the library.
    """
    if isinstance(connection, ssl.SSLSocket):
        connection.settimeout(seconds)
        return
    connection.settimeout(None)
    limit = struct.pack("ll", int(seconds), int(seconds % 1 * _MICROSECONDS))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, limit)
