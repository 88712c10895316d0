"""Bytes and frames: pipes that never block, and the client's half of RFC 6455."""

import base64
import functools
import os
import select
import socket
import struct
import threading
import time

MASK = bytes([0x37, 0xFA, 0x21, 0x3D])  # every frame of a client is masked; with what is its own affair
LOOK = 0.02  # seconds between two looks at a socket that somebody else may close


@functools.lru_cache()
def fill(length):
    """The fixed pattern, in which shifted and swapped blocks differ."""
    return bytes(((at + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) >> 56 for at in range(length))


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    """Standard base64 with padding; None for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        return None
    return data if b64(data) == text else None


def ready(fd, flags, limit=None):
    """Waits until one can read (POLLIN) or write (POLLOUT): the flags that hold, all of them at the end, 0 if none."""
    poll = select.poll()
    poll.register(fd, flags)
    found = poll.poll(None if limit is None else limit * 1000)
    if not found:
        return 0
    return flags if found[0][1] & (select.POLLHUP | select.POLLERR | select.POLLNVAL) else found[0][1]


class Pipe:
    """Whatever bytes come from and go to: a socket, or two pipes. Never blocks the script."""

    def __init__(self, source, sink, closer):
        self.source, self.sink, self.closer = source, sink, closer
        self.outgoing, self.changed, self.closed, self.paused = bytearray(), threading.Condition(), False, False
        self.writer = threading.Thread(target=self.write, daemon=True)
        self.writer.start()

    def write(self):
        while True:
            with self.changed:
                while not self.outgoing and not self.closed:
                    self.changed.wait()
                if self.closed:
                    return
                part = bytes(self.outgoing[:65536])
            try:
                if not ready(self.sink, select.POLLOUT, LOOK):
                    continue
                done = os.write(self.sink, part)
            except BlockingIOError:
                continue
            except (OSError, ValueError):
                return
            with self.changed:
                del self.outgoing[:done]
                self.changed.notify_all()

    def send(self, data):
        with self.changed:
            self.outgoing += data
            self.changed.notify_all()

    def flush(self, limit=2):
        with self.changed:
            self.changed.wait_for(lambda: not self.outgoing, limit)

    def read(self):
        """The next bytes; b"" at the end."""
        while not self.closed:
            if not self.paused and ready(self.source, select.POLLIN, LOOK):
                return os.read(self.source, 65536)
            if self.paused:
                time.sleep(LOOK)
        return b""

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.writer.join()
        self.closer()


def read_lines(pipe, tell):
    buffer = bytearray()
    while True:
        data = pipe.read()
        if not data:
            return tell("ended", "end of standard output")
        buffer += data
        while b"\n" in buffer:
            line, _, rest = buffer.partition(b"\n")
            buffer = bytearray(rest)
            tell("frame", (bytes(line.rstrip(b"\r")), False))


def ws_frame(opcode, payload, final=True):
    size = len(payload)
    head = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += struct.pack(">BH", 0x80 | 126, size)
    else:
        head += struct.pack(">BQ", 0x80 | 127, size)
    mask = (MASK * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
    return head + MASK + masked.to_bytes(size, "big")


def read_ws(pipe, buffer, tell):
    """Reads frames of RFC 6455 and answers pings."""
    message = None
    while True:
        while len(buffer) >= 2:
            first, second = buffer[0], buffer[1]
            opcode, size, start = first & 15, second & 127, 2
            if size >= 126:
                start = 4 if size == 126 else 10
                if len(buffer) < start:
                    break
                size = int.from_bytes(buffer[2:start], "big")
            if first & 0x70 or second & 0x80 or opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
                return tell("garbage", "a frame with reserved bits, a mask or a reserved opcode")
            control = opcode >= 8
            if (size > 125 or not first & 0x80) if control else (opcode == 0) != (message is not None):
                return tell("garbage", "a control frame or a fragment where none can be")
            if len(buffer) < start + size:
                break
            payload = bytes(buffer[start : start + size])
            del buffer[: start + size]
            if opcode == 8:
                tell("close", int.from_bytes(payload[:2], "big") if payload else None)
            elif opcode == 9:
                pipe.send(ws_frame(10, payload))
                tell("ping", payload)
            elif opcode == 10:
                tell("pong", payload)
            else:
                binary, sofar = message or (opcode == 2, b"")
                message = (binary, sofar + payload)
                if first & 0x80:
                    tell("frame", (message[1], message[0]))
                    message = None
        try:
            data = pipe.read()
        except OSError as error:
            return tell("ended", str(error))
        if not data:
            return tell("ended", "end of the TCP connection")
        buffer += data


def http_head(sock, request):
    """Sends a request head; returns the head of the response and what came behind it."""
    sock.sendall(request)
    buffer = b""
    while b"\r\n\r\n" not in buffer:
        data = sock.recv(65536)
        if not data:
            raise OSError("the connection ended within a head")
        buffer += data
    head, _, rest = buffer.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def linger(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
