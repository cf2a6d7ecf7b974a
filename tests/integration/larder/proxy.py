"""A proxy in front of Redis, in this process, that can keep back for a while what passes."""

import contextlib
import socket
import threading

from larder.wait import wait_until

CHUNK = 65536


class Proxy:
    """Passes on what comes; from a marked request on, answers or requests wait while held."""

    def __init__(self, socket_path):
        self.target = str(socket_path)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.open = threading.Event()
        self.open.set()
        self.mark = None
        self.hold_requests = False
        self.held = 0
        self.replaced = (b"", b"")  # in answers; of one length
        self.threads = []
        self._start(self._accept)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.server.getsockname()[1]}"

    def _start(self, run, *args):
        self.threads.append(threading.Thread(target=run, args=args, daemon=True))
        self.threads[-1].start()

    def _accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return  # closed
            redis = socket.socket(socket.AF_UNIX)
            redis.connect(self.target)
            self._start(self._pump, client, redis, True)
            self._start(self._pump, redis, client, False)

    def _pump(self, source, sink, request):
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if request and self.mark is not None and self.mark in data:
                    self.mark = None
                    self.held += 1
                    self.open.clear()
                if not request and self.replaced[0]:
                    data = data.replace(*self.replaced)
                if request == self.hold_requests:
                    self.open.wait()
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        source.close()

    def answers_held(self, mark):
        """From the first request that holds `mark` on, no answer gets through until the end."""
        return self._hold(mark, False)

    def requests_held(self, mark):
        """The first request that holds `mark`, and all that follow, wait until the end."""
        return self._hold(mark, True)

    @contextlib.contextmanager
    def _hold(self, mark, requests):
        self.hold_requests, self.held, self.mark = requests, 0, mark
        try:
            yield
        finally:
            self.mark = None
            self.open.set()

    def wait_held(self):
        wait_until(lambda: self.held, what="the request has come")

    def close(self):
        """Once those who use it have ended."""
        self.open.set()
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for thread in self.threads:
            thread.join(10)
