"""Rows below gRPC: bare connections, and frames of HTTP/2 that no client would send.

What becomes of a connection is a word: ENDED (closed, or a GOAWAY with an error), REFUSED (a stream was reset, or
answered with an error), LIVES (a call on it, or beside it, is answered).
"""

from __future__ import annotations

import functools
import random
import socket
import ssl
import struct
import time
import zlib
from typing import Callable, Iterator, Optional

import hpack
from answers import CODES, Answer
from dormouse.v1 import timer_pb2 as pb
from send import BASE

LIMIT_S = 20.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS_TYPE, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
END_STREAM, END_HEADERS = 1, 4
MISSING = "pools/default/timers/missing"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: dormouse\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
)

BOMB_BYTES = 1 << 29

Send = Callable[[object, object], Answer]


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


PING = _frame(6, 0, 0, bytes(8))
SETTINGS = _frame(SETTINGS_TYPE, 0, 0)


class Connection:
    """One bare connection."""

    def __init__(self, member) -> None:
        self.socket = socket.create_connection(member.host_and_port, LIMIT_S)
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def greet(self) -> None:
        self.socket.sendall(PREFACE + SETTINGS)

    def send(self, data: bytes) -> bool:
        """Whether it could be sent."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def frames(self, limit_s: float = LIMIT_S) -> Iterator[tuple[int, int, int, bytes]]:
        """What the server sends, until it closes or is silent for so long."""
        until = time.monotonic() + limit_s
        while True:
            while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
                self.socket.settimeout(max(until - time.monotonic(), 0.001))
                received = self.socket.recv(1 << 16)
                if not received:
                    raise ConnectionResetError("it was closed")
                self.buffer += received
            length = int.from_bytes(self.buffer[:3], "big")
            kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
            payload, self.buffer = self.buffer[9 : 9 + length], self.buffer[9 + length :]
            yield kind, flags, stream, payload

    def headers(self, method: str = "GetTimer", **further: str) -> bytes:
        """The encoded headers of a call."""
        fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", f"/dormouse.v1.TimerService/{method}"),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *((name.replace("_", "-"), value) for name, value in further.items()),
        ]
        return self.encoder.encode(fields, huffman=False)

    def ends(self, limit_s: float = LIMIT_S) -> Answer:
        """ENDED if the server closes the connection, or says GOAWAY with an error."""
        try:
            for kind, _, _, payload in self.frames(limit_s):
                if kind == GOAWAY and payload[4:8] != b"\0\0\0\0":
                    return Answer("ENDED")
        except TimeoutError:
            return Answer("LIVES", message="the connection stays open")
        except OSError:
            return Answer("ENDED")
        return Answer("LIVES")

    def status(self, stream: int, limit_s: float = LIMIT_S) -> Answer:
        """The code of gRPC with which a stream is answered, or what became of it instead."""
        try:
            for kind, flags, number, payload in self.frames(limit_s):
                if kind == GOAWAY and payload[4:8] != b"\0\0\0\0":
                    return Answer("ENDED")
                if kind == RST_STREAM and number == stream:
                    return Answer("REFUSED")
                if kind == HEADERS:
                    fields = dict(self.decoder.decode(payload))
                    if number == stream and "grpc-status" in fields:
                        return Answer(
                            CODES.get(int(fields["grpc-status"]), "?"), message=fields.get("grpc-message", "")
                        )
                    if number == stream and flags & END_STREAM:
                        return Answer("REFUSED", message=f"HTTP status {fields.get(':status')}")
        except TimeoutError:
            return Answer("silence")
        except OSError:
            return Answer("ENDED")
        return Answer("silence")


def _message(body: bytes, compressed: int = 0, claimed: Optional[int] = None) -> bytes:
    return struct.pack(">BI", compressed, len(body) if claimed is None else claimed) + body


def _called(member, message: bytes, method: str = "GetTimer", **headers: str) -> Answer:
    """The answer to one call on a connection of its own."""
    with Connection(member) as connection:
        connection.greet()
        connection.send(_frame(HEADERS, END_HEADERS, 1, connection.headers(method, **headers)))
        for at in range(0, len(message), 16_384):
            connection.send(_frame(DATA, 0, 1, message[at : at + 16_384]))
            # Who is answered before the end of a long message stops, as every client does.
            if len(message) > 16_384 and (early := connection.status(1, limit_s=0.1)).code != "silence":
                return early
        connection.send(_frame(DATA, END_STREAM, 1))
        return connection.status(1)


# ---- encodings and deadlines


def with_timeout(text: str, method: str = "GetTimer") -> Send:
    requests = {"GetTimer": pb.GetTimerRequest(name=MISSING), "CreateTimer": pb.CreateTimerRequest(timer=BASE)}

    def send(stage, member) -> Answer:
        return _called(member, _message(requests[method].SerializeToString()), method, grpc_timeout=text)

    return send


def claimed_length(length: int) -> Send:
    def send(stage, member) -> Answer:
        return _called(member, _message(b"x", claimed=length))

    return send


@functools.cache
def _bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = bytes(1 << 20)
    return b"".join(packer.compress(piece) for _ in range(BOMB_BYTES >> 20)) + packer.flush()


def compressed_bomb(encoding: str) -> Send:
    """Many zeros as few bytes; whoever unpacks them grows by more than stage.py allows."""

    def send(stage, member) -> Answer:
        headers = {"grpc_encoding": encoding} if encoding else {}
        return _called(member, _message(_bomb(), compressed=1), **headers)

    return send


# ---- other protocols


def speaks(text: bytes) -> Send:
    """Something else than HTTP/2: it is not answered with a success, and the connection ends."""

    def send(stage, member) -> Answer:
        with Connection(member) as connection:
            connection.send(text)
            heard = b""
            try:
                while received := connection.socket.recv(1 << 16):
                    heard += received
            except TimeoutError:
                return Answer("LIVES", message="the connection stays open")
            except OSError:
                pass
            return (
                Answer("ANSWERED", message=repr(heard))
                if heard.startswith((b"HTTP/1.1 2", b"HTTP/1.1 1"))
                else Answer("ENDED")
            )

    return send


def speaks_tls(stage, member) -> Answer:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Connection(member) as connection:
        try:
            context.wrap_socket(connection.socket)
        except TimeoutError:
            return Answer("LIVES", message="the handshake is left open")
        except (ssl.SSLError, OSError):
            return Answer("ENDED")
    return Answer("ANSWERED")


def speaks_at_random(stage, member) -> Answer:
    chance = random.Random(11)
    for _ in range(20):
        answer = speaks(chance.randbytes(64))(stage, member)
        if answer.code != "ENDED":
            return answer
    return answer


def speaks_at_random_after_the_preface(stage, member) -> Answer:
    chance = random.Random(13)
    for _ in range(20):
        with Connection(member) as connection:
            connection.greet()
            connection.send(chance.randbytes(20_000))
            answer = connection.ends()
            if answer.code != "ENDED":
                return answer
    return answer


def says_half(stage, member) -> Answer:
    with Connection(member) as connection:
        connection.send(PREFACE[:10])
        return _beside(member)


def _beside(member) -> Answer:
    """Whether somebody else is answered meanwhile."""
    answer = _called(member, _message(pb.GetTimerRequest(name=MISSING).SerializeToString()))
    return Answer("LIVES") if answer.code == "NOT_FOUND" else answer


def silent_connections(count: int) -> Send:
    def send(stage, member) -> Answer:
        connections = [Connection(member) for _ in range(count)]
        answer = _beside(member)
        for connection in connections:
            connection.socket.close()
        return answer

    return send


def frame(kind: int, flags: int, stream: int, payload: bytes) -> Send:
    """One frame after the preface, for which the connection ends."""

    def send(stage, member) -> Answer:
        with Connection(member) as connection:
            connection.greet()
            connection.send(_frame(kind, flags, stream, payload))
            return connection.ends()

    return send


def frame_of_the_largest_length(stage, member) -> Answer:
    with Connection(member) as connection:
        connection.greet()
        connection.send(b"\xff\xff\xff" + struct.pack(">BBI", DATA, 0, 1) + b"x" * 1000)
        return connection.ends()


def window_overflow(stage, member) -> Answer:
    with Connection(member) as connection:
        connection.greet()
        connection.send(_frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 31) - 1)) * 2)
        return connection.ends()


# ---- floods


def streams(count: int) -> Send:
    """So many streams that are opened and left open, whatever the server's settings allow."""

    def send(stage, member) -> Answer:
        with Connection(member) as connection:
            connection.greet()
            for number in range(count):
                block = connection.headers()
                if not connection.send(_frame(HEADERS, END_HEADERS, 2 * number + 1, block)):
                    break
            beside = _beside(member)
            if beside.code != "LIVES":
                return Answer(f"others are not answered: {beside}")
            try:
                for kind, _, _, payload in connection.frames():
                    if kind == RST_STREAM:
                        return Answer("REFUSED")
                    if kind == GOAWAY and payload[4:8] != b"\0\0\0\0":
                        return Answer("ENDED")
            except TimeoutError:
                return Answer("LIVES", message="all streams are open")
            except OSError:
                return Answer("ENDED")
            return Answer("LIVES")

    return send


def rapid_reset(count: int) -> Send:
    """Streams that are opened and reset at once."""

    def send(stage, member) -> Answer:
        with Connection(member) as connection:
            connection.greet()
            for number in range(count):
                stream = 2 * number + 1
                opened = _frame(HEADERS, END_HEADERS, stream, connection.headers())
                if not connection.send(opened + _frame(RST_STREAM, 0, stream, struct.pack(">I", 8))):
                    break
            return connection.ends()

    return send


def flood(frame: bytes, count: int) -> Send:
    """So many frames of which no answer is read; others are answered meanwhile."""

    def send(stage, member) -> Answer:
        with Connection(member) as connection:
            connection.greet()
            connection.socket.settimeout(5)
            many = frame * 1000
            for _ in range(count // 1000):
                if not connection.send(many):
                    break
            return _beside(member)

    return send


def continuations(stage, member) -> Answer:
    """Headers that never end; nothing of them is kept."""
    with Connection(member) as connection:
        connection.greet()
        connection.send(_frame(HEADERS, 0, 1, connection.headers()))
        piece = connection.encoder.encode([(f"x-{n}", "y" * 100) for n in range(100)])
        for _ in range(5_000):
            if not connection.send(_frame(9, 0, 1, piece[:16_000])):
                break
        return connection.ends()


def large_headers(size: int) -> Send:
    def send(stage, member) -> Answer:
        with Connection(member) as connection:
            connection.greet()
            block = connection.headers(x_large="y" * size)
            connection.send(_frame(HEADERS, 0, 1, block[:16_000]))
            for at in range(16_000, len(block), 16_000):
                last = at + 16_000 >= len(block)
                connection.send(_frame(9, END_HEADERS if last else 0, 1, block[at : at + 16_000]))
            return connection.status(1)

    return send


def empty_data(stage, member) -> Answer:
    """A call whose message comes in frames without content."""
    with Connection(member) as connection:
        connection.greet()
        connection.send(_frame(HEADERS, END_HEADERS, 1, connection.headers()))
        for _ in range(200):
            if not connection.send(_frame(DATA, 0, 1) * 1000):
                return Answer("ENDED")
        return _beside(member)
