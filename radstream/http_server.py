"""The small HTTP server of probes and doors: a thread for each connection."""

from http.server import ThreadingHTTPServer
from socketserver import TCPServer


class HttpServer(ThreadingHTTPServer):
    """Listens when it is made; raises OSError."""

    daemon_threads = True
    #: Connections that may wait while the interpreter is busy.
    request_queue_size = 64

    def server_bind(self) -> None:
        """Bind, and ask no name server who we are.

        HTTPServer asks, between bind and listen, in the resolver's own time: until then every client is refused.
        """
        TCPServer.server_bind(self)
