"""The scripted HTTP origin."""

import select
import socket
import threading
import time
from types import SimpleNamespace

from wire import LOOK, fill, linger, ready


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
        if not ready(self.sock, select.POLLIN, limit):
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
        fields = [line.partition(":") for line in lines[1:]]
        headers = [(name, value.strip()) for name, colon, value in fields if colon]
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
                        self.wait(limit=action[3])
            elif word == "raw":
                self.write(value)
                framing = "close"
            elif word == "endless":
                pattern = fill(65536)
                while True:
                    self.chunk(pattern, framing)
            elif word == "wait":
                self.wait(self.origin.peer.gate(value)[0])
            elif word == "delay":
                self.wait(limit=value)
            elif word == "hang":
                self.wait()
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

    def wait(self, gate=None, limit=None):
        """Waits for the end of a pipe, or for some time, and notices meanwhile that the connection is closed."""
        end = None if limit is None else time.monotonic() + limit
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        if gate is not None:
            poll.register(gate, select.POLLIN)
        while True:
            found = [fd for fd, _ in poll.poll(None if end is None else max(0, end - time.monotonic()) * 1000)]
            if not found or gate in found:
                return
            self.more(0)

    def write(self, data):
        view, progress = memoryview(data), time.monotonic()
        while view:
            found = ready(self.sock, select.POLLIN | select.POLLOUT, LOOK)
            if found & select.POLLIN:
                self.more(0)
            if found & select.POLLOUT:
                view, progress = view[self.sock.send(view[:65536]) :], time.monotonic()
            elif time.monotonic() - progress > 0.5 and not self.blocked:
                self.blocked = True
                self.tell("blocked", (self.path, self.written + len(data) - len(view)))
