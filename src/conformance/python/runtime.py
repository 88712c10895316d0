import argparse
import base64
import hashlib
import json
import os
import select
import shlex
import socket
import struct
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

MASK = bytes([0x37, 0xFA, 0x21, 0x3D])  # every frame of a client is masked; with what is its own affair
FRAME_BYTES = 1 << 20  # of a body in one delta
LOOK = 0.02  # seconds between two looks at a socket that somebody else may close
SHOWN = 300  # characters of a frame that are printed

# Strings of an expectation that match more than themselves.
ANY, ABSENT, TEXT = object(), object(), object()


class Failure(Exception):
    """A clause is broken: which, what it wants, what came instead."""


class Unjudged(Exception):
    """There is nothing to judge."""


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


def strict(text):
    """Reads JSON in which no key is repeated."""

    def pairs(members):
        if len({name for name, _ in members}) < len(members):
            raise ValueError("an object repeats a key")
        return dict(members)

    return json.loads(text, object_pairs_hook=pairs)


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
                if not select.select([], [self.sink], [], LOOK)[1]:
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
            if not self.paused and select.select([self.source], [], [], LOOK)[0]:
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
            if (opcode >= 8 and (size > 125 or not first & 0x80)) or (opcode == 0) != (message is not None and opcode < 8):
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


class Gone(Exception):
    """The other end of an origin's connection has closed it."""


class Origin:
    """A scripted HTTP origin: `script` is a list of (path, flags, actions)."""

    def __init__(self, peer, number):
        self.peer, self.number, self.script, self.counts = peer, number, [], {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.authority = "127.0.0.1:%d" % self.listener.getsockname()[1]

    def serve(self, script):
        self.script = script
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peer.tell(self.number, "accepted", None)
            threading.Thread(target=Exchange(self, sock).run, daemon=True).start()


class Exchange:
    """One connection to an origin."""

    def __init__(self, origin, sock):
        self.origin, self.sock, self.buffer = origin, sock, bytearray()
        self.path, self.written, self.blocked = "", 0, False

    def tell(self, kind, value):
        self.origin.peer.tell(self.origin.number, kind, value)

    def run(self):
        try:
            while self.exchange():
                pass
        except (Gone, OSError, ValueError, IndexError):
            pass
        self.sock.close()
        self.tell("closed", None)

    def more(self, limit=None):
        """Takes what comes; False if nothing came within the time."""
        if not select.select([self.sock], [], [], limit)[0]:
            return False
        data = self.sock.recv(65536)
        if not data:
            raise Gone
        self.buffer += data
        return True

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
            if self.buffer[:1] == b"\x16":
                if any("silent-tls" in flags for _, flags, _ in self.origin.script):
                    while True:
                        self.more()
                self.sock.sendall(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
                raise Gone
        part, _, rest = bytes(self.buffer).partition(mark)
        self.buffer = bytearray(rest)
        return part

    def exactly(self, size, end=None):
        while len(self.buffer) < size:
            if not self.more(None if end is None else max(0, end - time.monotonic())):
                break
        part = bytes(self.buffer[:size])
        del self.buffer[:size]
        return part

    def exchange(self):
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        method, target = lines[0].split(" ")[:2]
        headers = [(name, value.strip()) for name, colon, value in (line.partition(":") for line in lines[1:]) if colon]
        value = {name.lower(): value for name, value in reversed(headers)}
        self.path, self.written, self.blocked = target.split("?")[0], 0, False
        fitting = [entry for entry in self.origin.script if entry[0] == self.path]
        early = any("early" in flags for _, flags, _ in fitting)
        body = b""
        if value.get("transfer-encoding", "").lower() == "chunked":
            size = 1
            while size:
                size = int(self.until(b"\r\n").split(b";")[0], 16)
                body += self.exactly(size)
                self.until(b"\r\n")
        elif "content-length" in value:
            body = self.exactly(int(value["content-length"]), time.monotonic() + 0.1 if early else None)
        nth = self.origin.counts.get(self.path, 0)
        self.origin.counts[self.path] = nth + 1
        request = SimpleNamespace(method=method, target=target, headers=headers, body=body, path=self.path)
        self.tell("request", request)
        try:
            if not fitting:
                self.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                return True
            return self.answer(fitting[min(nth, len(fitting) - 1)][2]) and not early
        except (Gone, OSError):
            self.tell("aborted", self.path)
            raise Gone from None

    def answer(self, actions):
        """Does what the script says; whether the connection can be used again."""
        head, framing, trailers = b"", "close", b""

        def end_head():
            nonlocal head
            if head:
                self.write(head + b"\r\n")
            head = b""

        for action in actions:
            word, value = action[0], action[1] if len(action) > 1 else None
            if word == "header":
                if value[0].lower() == b"content-length" and framing == "close":
                    framing = "length"
                head += value[0] + b": " + value[1] + b"\r\n"
                continue
            if word == "chunked":
                head, framing = head + b"transfer-encoding: chunked\r\n", "chunked"
                continue
            if word == "trailer":
                trailers += value + b"\r\n"
                continue
            end_head()
            if word == "status":
                head = b"HTTP/1.1 " + value + b"\r\n"
                if value[:3] in (b"204", b"304"):
                    framing = "length"
            elif word == "chunk":
                for _ in range(action[2]):
                    self.chunk(value, framing)
                    if action[3]:
                        self.wait(lambda: False, action[3])
            elif word == "raw":
                self.write(value)
                framing = "close"
            elif word == "endless":
                pattern = fill(65536)
                while True:
                    self.chunk(pattern, framing)
            elif word == "wait":
                self.wait(lambda: value in self.origin.peer.released)
            elif word == "delay":
                self.wait(lambda: False, value)
            elif word == "hang":
                self.wait(lambda: False)
            elif word == "reset":
                linger(self.sock)
                return False
            elif word == "close":
                return False
        end_head()
        if framing == "chunked":
            self.write(b"0\r\n" + trailers + b"\r\n")
        return framing != "close"

    def chunk(self, data, framing):
        if framing != "chunked":
            self.write(data)
        elif data:
            self.write(b"%x\r\n" % len(data) + data + b"\r\n")
        self.written += len(data)

    def wait(self, done, limit=None):
        """Waits and notices meanwhile that the connection is closed."""
        end = None if limit is None else time.monotonic() + limit
        while not done() and (end is None or time.monotonic() < end):
            self.more(LOOK if end is None else min(LOOK, max(0, end - time.monotonic())))

    def write(self, data):
        view, progress = memoryview(data), time.monotonic()
        while view:
            readable, writable, _ = select.select([self.sock], [self.sock], [], LOOK)
            if readable:
                self.more(0)
            if writable:
                view, progress = view[self.sock.send(view[:65536]) :], time.monotonic()
            elif time.monotonic() - progress > 0.5 and not self.blocked:
                self.blocked = True
                self.tell("blocked", (self.path, self.written + len(data) - len(view)))
