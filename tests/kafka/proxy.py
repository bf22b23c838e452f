"""A proxy before a real broker that makes it say what a broker says that has just started, or has hung.

For a moment such a broker knows of no brokers at all, not even itself: its metadata then has topics, and no
one who holds them. Everything else is passed on as it is.
"""

from __future__ import annotations

import socket
import struct
import threading
from types import TracebackType
from typing import Self

METADATA = 3
FIND_COORDINATOR = 10
FLEXIBLE = 9  # the version of metadata from which on lengths are varints and answers have tagged fields


class KafkaProxy:
    """Stands before the one broker of the PLAINTEXT `address`, and puts itself in its place in what it says.

    While `forgetful` is set, metadata names no brokers. `forgotten` counts such answers about topics, which
    alone make a client forget.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.forgetful = threading.Event()
        self.forgotten = 0
        self._broker = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect."""
        host, port = self._listener.getsockname()
        return host, port

    @property
    def bootstrap(self) -> str:
        """The address that clients are meant to use."""
        return "{}:{}".format(*self.address)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                broker = socket.create_connection(self._broker)
            except OSError:
                return
            self._sockets += [client, broker]
            asked: dict[int, int] = {}  # correlation -> what was asked for
            for source, sink, back in ((client, broker, False), (broker, client, True)):
                threading.Thread(target=self._pump, args=(source, sink, asked, back), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, asked: dict[int, int], back: bool) -> None:
        """Pass on what comes from `source`, frame by frame, until one of the two ends."""
        try:
            with source, sink, source.makefile("rb") as frames:
                while head := frames.read(4):
                    frame = frames.read(struct.unpack(">i", head)[0])
                    if back:
                        api = asked.pop(struct.unpack_from(">i", frame)[0], None)
                        if api is not None:
                            frame = self._changed(frame, api)
                    else:
                        api, version, correlation = struct.unpack_from(">hhi", frame)
                        if api in (METADATA, FIND_COORDINATOR):
                            assert api != METADATA or version >= FLEXIBLE, version
                            asked[correlation] = api
                    sink.sendall(struct.pack(">i", len(frame)) + frame)
        except OSError:
            pass  # the other side has ended

    def _changed(self, frame: bytes, api: int) -> bytes:
        if api == METADATA and self.forgetful.is_set():
            frame, topics = _without_brokers(frame)
            self.forgotten += topics
            return frame
        real, own = (host.encode() + struct.pack(">i", port) for host, port in (self._broker, self.address))
        return frame.replace(real, own)


def _without_brokers(frame: bytes) -> tuple[bytes, bool]:
    """An answer with metadata, less its list of brokers; and whether it has topics."""
    start = 4 + 1 + 4  # correlation, no tagged fields, throttling
    count, end = _varint(frame, start)
    for _ in range(count - 1):
        host, end = _varint(frame, end + 4)
        rack, end = _varint(frame, end + host - 1 + 4)
        tags, end = _varint(frame, end + max(0, rack - 1))
        assert not tags
    cluster, after = _varint(frame, end)
    topics, _ = _varint(frame, after + max(0, cluster - 1) + 4)
    return frame[:start] + b"\1" + frame[end:], topics > 1


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """The unsigned varint at `place`, and where it ends."""
    value = shift = 0
    while True:
        value |= (data[place] & 0x7F) << shift
        place += 1
        shift += 7
        if data[place - 1] < 0x80:
            return value, place
