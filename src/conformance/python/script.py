"""The steps of a script, and what each of them expects."""

import argparse
import base64
import hashlib
import json
import os
import shlex
import socket
import struct
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

from judge import ABSENT, Connection, Failure
from origin import Origin
from wire import LOOK, Pipe, b64, http_head, linger, read_lines, read_ws, unb64, ws_frame

SHOWN = 300  # characters of a frame that are printed
WAITING = 1024  # events that wait for the script

# What matches more than itself in the JSON of an expectation; ABSENT is another.
ANY, TEXT = object(), object()


class Unjudged(Exception):
    """There is nothing to judge."""


class Set:
    """Matches a text and keeps it."""

    def __init__(self, name):
        self.name = name


class Not:
    """Matches another text than the one that was kept."""

    def __init__(self, name):
        self.name = name


def shown(text):
    head = "".join(c if c.isprintable() else "\\x%02x" % ord(c) for c in text[:SHOWN])
    return head if len(text) <= SHOWN else head + "... (%d characters)" % len(text)


class Peer:
    """The executor under test, the origins, and the script that is being run."""

    def __init__(self, command, url, step_limit, case_limit):
        self.command, self.url, self.process = command, url, None
        self.start, self.step_limit, self.end = time.monotonic(), step_limit, time.monotonic() + case_limit
        self.events, self.changed, self.number = [], threading.Condition(), 0
        self.connections, self.released, self.gates, self.marks, self.burst_of = {}, set(), {}, {}, None
        self.exited, self.met, self.warning, self.malformed_allowed = None, self.start, None, False
        self.origins = [Origin(self, 0), Origin(self, 1)]
        self.seen = [SimpleNamespace(accepted=0, closed=0, requests=[], aborted=[], blocked=[]) for _ in range(2)]
        refuses = socket.socket()
        refuses.bind(("127.0.0.1", 0))  # bound and not listening
        self.refuses, self.v = refuses, SimpleNamespace(closed="http://127.0.0.1:%d" % refuses.getsockname()[1])
        self.v.authority, self.v.authority2 = (origin.authority for origin in self.origins)
        self.v.origin, self.v.origin2 = "http://" + self.v.authority, "http://" + self.v.authority2
        self.source, self.clause, self.flags = "", None, {}

    # What happens: threads tell, the script takes.

    def tell(self, who, kind, value):
        with self.changed:
            self.changed.wait_for(lambda: len(self.events) < WAITING)
            self.events.append((time.monotonic(), who, kind, value))
            self.changed.notify_all()

    def say(self, at, text):
        print("%9.3f  %s" % (at - self.start, shown(text)), flush=True)

    def take(self, event):
        at, who, kind, value = event
        self.number += 1
        if isinstance(who, int):
            seen = self.seen[who]
            if kind in ("accepted", "closed"):
                setattr(seen, kind, getattr(seen, kind) + 1)
            else:
                {"request": seen.requests, "aborted": seen.aborted, "blocked": seen.blocked}[kind].append(value)
                what = "%s %s" % (value.method, value.target) if kind == "request" else value
                self.say(at, "origin%s: %s %s" % ("2" if who else "", kind, what))
            return
        if kind == "exited":
            self.exited = value
            return self.say(at, "the process has ended with status %s" % value)
        connection, prefix = self.connections[who], "" if who == "main" else who + " "
        what = value[0].decode("utf-8", "replace") if kind == "frame" else "%s %s" % (kind, value)
        self.say(at, prefix + "<- " + what)
        if kind == "frame":
            connection.received(value[0], value[1], self.number, at)
        elif kind == "pong":
            connection.pongs.append(value)
        elif kind == "close":
            connection.close_frame = (value,)
            if not connection.closing:
                connection.closing = True
                connection.pipe.send(ws_frame(8, struct.pack(">H", 1000)))
        elif kind in ("ended", "garbage"):
            connection.ended = value
            if kind == "garbage":
                raise Failure("ENVELOPE-1", "frames of the transport", value)

    def drain(self):
        with self.changed:
            events = list(self.events)  # what comes meanwhile is for later: somebody may never stop
            self.events.clear()
            self.changed.notify_all()
        for event in events:
            self.take(event)

    def line(self, source, clause, **flags):
        """The next line of the script, and who promises it."""
        self.flush_burst_before(source)
        self.source, self.clause, self.flags = source, clause, flags
        print("           " + shown(source), flush=True)
        self.drain()

    def each(self, first, last):
        return range(first, last + 1)

    def fail(self, came):
        if self.flags.get("should"):
            self.warning = self.warning or (self.clause, self.source, came)
        else:
            raise Failure(self.clause, self.source, came)

    def until(self, check, connection=None, limit=None):
        """Waits until check() is true; it may fail by raising ValueError with what came instead."""
        limit = self.step_limit if limit is None else limit
        end = min(self.end, time.monotonic() + limit)
        while True:
            self.drain()
            try:
                if check():
                    self.met = time.monotonic()
                    return
            except ValueError as came:
                return self.fail(str(came))
            if connection and self.flags.get("or_malformed") and self.take_malformed(connection):
                return
            if connection and connection.ended is not None:
                if self.exited is None and self.process and not connection.ws:
                    with self.changed:  # the exit status tells a crash from an orderly end
                        self.changed.wait_for(lambda: self.events, 0.25)
                    self.drain()
                if self.flags.get("or_closed"):
                    return
                crash = "; the process ended with status %s" % self.exited if self.exited else ""
                return self.fail("the end of the connection by the peer: %s%s" % (connection.ended, crash))
            with self.changed:
                if not self.events and not self.changed.wait_for(lambda: self.events, max(0, end - time.monotonic())):
                    more = "; the last frame was: %s" % connection.last if connection else ""
                    return self.fail("nothing within %d ms%s" % (limit * 1000, more))

    # Steps: connections.

    def start_process(self, ws):
        env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        env.update(ENV)
        port = None
        if any("{addr}" in word or "{port}" in word for word in self.command):
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
        listen = "ws://127.0.0.1:0" if ws else "stdio"
        fill_in = {"{addr}": "127.0.0.1:%s" % port, "{port}": str(port), "{listen}": listen}
        command = list(self.command)
        for name, value in fill_in.items():
            command = [word.replace(name, value) for word in command]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True
        )
        threading.Thread(target=lambda: self.tell("process", "exited", self.process.wait()), daemon=True).start()
        if not ws:
            return
        if port:
            self.url = "ws://127.0.0.1:%d" % port
        while not self.url:
            line = self.process.stdout.readline().decode("utf-8", "replace")
            if not line:
                raise Unjudged("the peer ended before it printed a ws:// URL")
            words = [word[word.index("ws://") :] for word in line.split() if "ws://" in word]
            self.url = words[0].rstrip(".,;\"')]>") if words else None
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def connect(self, name, ws):
        if self.command and not self.process:
            self.start_process(ws)
        connection = self.connections[name] = Connection(ws)

        def told(kind, value):
            self.tell(name, kind, value)

        if not ws:
            out, into = self.process.stdout.fileno(), self.process.stdin.fileno()
            os.set_blocking(into, False)
            connection.pipe = Pipe(out, into, self.process.stdin.close)
            threading.Thread(target=read_lines, args=(connection.pipe, told), daemon=True).start()
            return
        address, _, path = self.url[len("ws://") :].partition("/")
        host, _, port = address.rpartition(":")
        end = time.monotonic() + 15
        while True:
            try:
                sock = socket.create_connection((host.strip("[]"), int(port)), 5)
                break
            except OSError:
                if not self.process or time.monotonic() > end:
                    raise
                time.sleep(LOOK)
        self.v.peer = address
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        head = "GET /%s HTTP/1.1\r\nhost: %s\r\nconnection: Upgrade\r\nupgrade: websocket\r\n" % (path, address)
        head += "sec-websocket-version: 13\r\nsec-websocket-key: %s\r\n\r\n" % key
        answer, rest = http_head(sock, head.encode())
        accept = b64(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        if " 101" not in answer.split("\r\n")[0] or accept not in answer:
            raise Unjudged("the peer does not upgrade: " + answer.split("\r\n")[0])
        sock.setblocking(False)
        connection.pipe, connection.sock = Pipe(sock.fileno(), sock.fileno(), sock.close), sock
        threading.Thread(target=read_ws, args=(connection.pipe, bytearray(rest), told), daemon=True).start()

    def handshake(self, name):
        """`initialize` and `initialized`; without them there is nothing to judge."""
        session = TEXT if name != "main" else Set("sessionId")
        ident = "handshake-" + name
        try:
            self.flags = {}
            params = {"clientName": "exec-http conformance"}
            self.send({"id": ident, "method": "initialize", "params": params}, name)
            self.clause, self.source = "HANDSHAKE-2", "the handshake"
            self.answer(ident, [("result", {"sessionId": session}, [])], name, limit=5)
        except Failure as failure:
            if self.connections[name].ended is None and "nothing within" not in failure.args[2]:
                raise
            raise Unjudged("no handshake: " + failure.args[2]) from None
        self.send({"method": "initialized", "params": {}}, name)

    def write(self, name, data):
        if self.burst_of and self.burst_of[0] == name:
            self.burst_of[1].extend(data)
        elif self.connections[name].pipe:
            self.connections[name].pipe.send(data)

    def send(self, message, on="main"):
        self.frame(json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode(), on=on)

    def frame(self, data, form="frame", parts=1, on="main"):
        connection = self.connections[on]
        lines = [line for line in data.split(b"\n") if line] if form == "bytes" and not connection.ws else [data]
        for line in lines:
            self.say(time.monotonic(), ("" if on == "main" else on + " ") + "-> " + line.decode("utf-8", "replace"))
            connection.sent(line.decode("utf-8", "backslashreplace"), time.monotonic())
        if form == "bytes":
            return self.write(on, data)
        size = max(1, -(-len(data) // max(1, parts)))
        if form == "fragments" and connection.ws:
            pieces = [data[at : at + size] for at in range(0, len(data), size)]
            for nth, piece in enumerate(pieces):
                self.write(on, ws_frame(0 if nth else 1, piece, nth + 1 == len(pieces)))
                if nth == 0 and len(pieces) > 1:
                    self.write(on, ws_frame(9, b"between"))
            return None
        if connection.ws:
            whole = ws_frame(2 if form == "binary" else 1, data)
        else:
            whole = data + (b"\r\n" if form == "crlf" else b"\n")
        if form != "split":
            return self.write(on, whole)
        size = max(1, -(-len(whole) // max(1, parts)))
        for at in range(0, len(whole), size):
            self.write(on, whole[at : at + size])
            self.connections[on].pipe.flush()
            time.sleep(0.001)
        return None

    def burst(self, on="main"):
        self.burst_of = (on, bytearray())

    def flush_burst_before(self, source):
        if self.burst_of and "-> " not in source.split('"')[0]:
            (name, data), self.burst_of = self.burst_of, None
            self.write(name, bytes(data))

    def ping(self, payload, on="main"):
        self.write(on, ws_frame(9, payload))

    def close(self, on="main"):
        connection = self.connections[on]
        if not connection.ws:
            return self.eof(on)
        connection.closing = True
        self.write(on, ws_frame(8, struct.pack(">H", 1000)))

    def eof(self, on="main"):
        connection = self.connections[on]
        connection.pipe.flush()
        if connection.ws:
            connection.sock.shutdown(socket.SHUT_WR)
        else:
            self.process.stdin.close()

    def drop(self, on="main"):
        connection = self.connections[on]
        connection.pipe.flush(0.2)
        if connection.ws:
            linger(connection.sock)
        time.sleep(2 * LOOK)  # whoever reads it has looked up
        connection.pipe.closed = True
        time.sleep(2 * LOOK)
        connection.pipe.close()
        if not connection.ws:
            self.process.stdout.close()

    def pause(self, on="main"):
        self.connections[on].pipe.paused = True

    def resume(self, on="main"):
        self.connections[on].pipe.paused = False

    def signal(self, number):
        self.process.send_signal(number)

    def gate(self, name):
        """A pipe whose end is the release of that name."""
        with self.changed:
            if name not in self.gates:
                self.gates[name] = os.pipe()
            return self.gates[name]

    def release(self, name):
        if name not in self.released:
            self.released.add(name)
            os.close(self.gate(name)[1])

    def probe(self, request, status):
        host, _, port = self.v.peer.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port)), self.step_limit) as sock:
            head, _ = http_head(sock, request)
        if int(head[9:12]) != status:
            self.fail("status " + head[9:12])

    def mark(self, name):
        self.marks[name] = time.monotonic()

    def elapsed(self, name, below=None, at_least=None):
        seconds = self.met - self.marks[name]
        if (below is not None and seconds > below) or (at_least is not None and seconds < at_least):
            self.fail("%d ms" % (seconds * 1000))

    # Steps: what is expected.

    def answer(self, ident, outcomes, on="main", limit=None):
        connection = self.connections[on]

        def check():
            fitting = [a for a in connection.answers if not a.taken and a.id == ident and type(a.id) is type(ident)]
            if not fitting:
                return False
            fitting[0].taken, faults = True, []
            for outcome in outcomes:
                fault = self.mismatch(outcome, fitting[0])
                if not fault:
                    return True
                faults.append(fault)
            raise ValueError("%s - %s" % ("; ".join(faults), shown(fitting[0].text)))

        self.until(check, connection, limit)

    def mismatch(self, outcome, answer):
        shape, wanted, conditions = outcome
        error, result = answer.message.get("error"), answer.message.get("result")
        if shape in ("status", "result") and error is not None:
            return "an error"
        if shape == "error" and error is None:
            return "a result"
        if shape == "status" and result.get("status") not in wanted:
            return "another status"
        if shape == "error" and error["code"] not in wanted:
            return "code %d" % error["code"]
        fault = self.differs(wanted, result) if shape == "result" else None
        result = result if isinstance(result, dict) else {}
        entries = [(entry["name"], entry["value"].encode()) for entry in result.get("headers") or []]
        kind = ((error or {}).get("data") or {}).get("kind") if isinstance((error or {}).get("data"), dict) else None
        return fault or self.unmet(conditions, entries, unb64(result.get("bodyBase64")), kind, answer.text)

    def unmet(self, conditions, entries, body, kind, text, request=None):
        """The first condition that does not hold, in words."""
        for word, *wanted in conditions:
            if word == "body" and body != wanted[0]:
                return "a body of %d bytes that differs from the %d expected" % (len(body or b""), len(wanted[0]))
            if word == "header":
                values = [value for name, value in entries if name.lower() == wanted[0].lower()]
                if values != wanted[1]:
                    return "header %s is %s" % (wanted[0], values)
            if word == "kind" and kind not in wanted[0]:
                return "kind %s" % kind if kind else "no kind"
            if word == "lacks" and wanted[0].decode("utf-8", "replace") in text:
                return "a text with %r" % wanted[0]
            if word == "method" and request.method != wanted[0]:
                return "method " + request.method
            if word == "target" and request.target != wanted[0].decode():
                return "target " + request.target
        return None

    def differs(self, wanted, value, present=True):
        place = "%s instead of %s" % (json.dumps(value) if present else "nothing", wanted)
        if wanted is ABSENT:
            return place if present else None
        if not present:
            return place
        if wanted is ANY or isinstance(wanted, (Set, Not)) or wanted is TEXT:
            if wanted is not ANY and not (isinstance(value, str) and value):
                return place
            if isinstance(wanted, Set):
                setattr(self.v, wanted.name, value)
            return place if isinstance(wanted, Not) and getattr(self.v, wanted.name, None) == value else None
        if isinstance(wanted, dict) and isinstance(value, dict):
            faults = (self.differs(inner, value.get(name), name in value) for name, inner in wanted.items())
            return next((fault for fault in faults if fault), None)
        if isinstance(wanted, list) and isinstance(value, list) and len(wanted) == len(value):
            faults = (self.differs(inner, item) for inner, item in zip(wanted, value))
            return next((fault for fault in faults if fault), None)
        return None if type(wanted) is type(value) and wanted == value else place

    def stream(self, name, on, judge):
        """Waits for the next stream of that name; judge(stream) says whether it is as far as it has to be."""
        connection = self.connections[on]

        def check():
            found = next((stream for stream in connection.streams if not stream.taken and stream.name == name), None)
            if found:
                return judge(found, found.data)
            calls = [call for call in connection.calls if call.http and call.streamed and call.name == name]
            if calls and calls[-1].refused:
                raise ValueError(next(a.text for a in reversed(connection.answers) if a.id == calls[-1].id))
            return False

        self.until(check, connection)

    def compare(self, wanted, data):
        if wanted is not None and wanted != data:
            raise ValueError("%d bytes that begin %r" % (len(data), bytes(data[:100])))
        return True

    def part(self, name, wanted, on="main"):
        def judge(stream, data):
            if len(data) < len(wanted) and not stream.terminal:
                return False
            return self.compare(wanted, data[: len(wanted)])

        self.stream(name, on, judge)

    def deltas(self, name, wanted, frames=None, on="main"):
        def judge(stream, data):
            if not stream.terminal:
                return False
            stream.taken = True
            if stream.terminal.error is not None:
                raise ValueError(stream.terminal.text)
            if frames is not None and frames != stream.frames:
                raise ValueError("%d frames" % stream.frames)
            return self.compare(wanted, data)

        self.stream(name, on, judge)

    def failed(self, name, wanted, conditions, on="main"):
        def judge(stream, data):
            if not stream.terminal:
                return False
            stream.taken = True
            if not stream.terminal.error:
                raise ValueError("no error: " + stream.terminal.text)
            fault = self.unmet(conditions, [], None, stream.terminal.kind, stream.terminal.text)
            if fault:
                raise ValueError("%s - %s" % (fault, stream.terminal.text))
            return self.compare(wanted, data)

        self.stream(name, on, judge)

    def take_malformed(self, connection):
        if not connection.malformed:
            return False
        code, text = connection.malformed.pop(0)
        connection.unreadable -= 1
        if code not in (-32600, -32700):
            raise ValueError(text)
        return True

    def malformed(self, on="main"):
        self.until(lambda: self.take_malformed(self.connections[on]), self.connections[on])

    def allow_malformed(self):
        self.malformed_allowed = True

    def pong(self, payload, on="main"):
        pongs = self.connections[on].pongs
        self.until(lambda: payload in pongs and (pongs.remove(payload) or True), self.connections[on])

    def close_frame(self, code=None, on="main"):
        connection = self.connections[on]

        def check():
            if connection.close_frame and code is not None and connection.close_frame != (code,):
                raise ValueError("a close frame with status %s" % connection.close_frame[0])
            return connection.close_frame is not None

        self.until(check, connection)

    def ended(self, on="main"):
        self.until(lambda: self.connections[on].ended is not None)

    def exit(self, code=None):
        def check():
            if self.exited is not None and code is not None and self.exited != code:
                raise ValueError("exit status %d" % self.exited)
            return self.exited is not None

        self.until(check)

    def before(self, first, second, on="main"):
        numbers = [next((a.number for a in self.connections[on].answers if a.id == i), None) for i in (first, second)]
        if None in numbers or numbers[0] > numbers[1]:
            self.fail("the other order")

    def first_delta(self, buffered, streamed, below, on="main"):
        def median(values):
            return sorted(values)[len(values) // 2] if values else 0

        connection = self.connections[on]
        calls = [call for call in connection.calls if call.answered and call.id in buffered]
        base = median([call.answered - call.sent for call in calls])
        streams = [stream for stream in connection.streams if stream.first and stream.id in streamed]
        gap = median([stream.first - stream.answered for stream in streams])
        if gap >= below + 2 * base:
            self.fail("a median of %.1f ms; buffered calls take %.1f ms" % (gap * 1000, base * 1000))

    def origin(self, number, what, *wanted):
        seen = self.seen[number]

        def count(have):
            if have > wanted[-1]:
                raise ValueError("%d %s" % (have, what))
            return have == wanted[-1]

        def check():
            if what == "count":
                return count(sum(request.path == wanted[0] for request in seen.requests))
            if what == "connections":
                return count(seen.accepted)
            if what == "idle":
                return seen.accepted == seen.closed
            if what == "aborted":
                return seen.aborted.count(wanted[0]) >= wanted[1]
            if what == "blocked":
                written = [written for path, written in seen.blocked if path == wanted[0]]
                if written and written[0] >= wanted[1]:
                    raise ValueError("%d bytes handed over" % written[0])
                return bool(written)
            path, nth, conditions = wanted
            of_path = [request for request in seen.requests if request.path == path]
            if len(of_path) < (nth or 1):
                return False
            request = of_path[nth - 1 if nth else -1]
            entries = [(name, value.encode("latin-1")) for name, value in request.headers]
            head = "\n".join([request.target] + ["%s: %s" % header for header in request.headers])
            fault = self.unmet(conditions, entries, request.body, None, head, request)
            if fault:
                raise ValueError("a request with " + fault)
            return True

        self.until(check)

    def finish(self):
        """What the end of the script shows to be wrong."""
        self.drain()
        for connection in self.connections.values():
            if connection.malformed and not self.malformed_allowed:
                text = connection.malformed[0][1]
                raise Failure("ENVELOPE-19", "errors of id -1 only where the script awaits them", text)
        if self.warning:
            raise Failure(*self.warning)

    def stop(self):
        if self.process and self.process.poll() is None:
            for end in (self.process.terminate, self.process.kill):
                end()
                try:
                    return self.process.wait(2)
                except subprocess.TimeoutExpired:
                    pass
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", metavar="ws://HOST:PORT", help="an executor that runs already")
    parser.add_argument("--ws", action="store_true", help="the command listens on a websocket whose URL it prints")
    argv, command = sys.argv[1:], []
    if "--" in argv:
        argv, command = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    if len(command) == 1:
        command = shlex.split(command[0])
    arguments = parser.parse_args(argv)
    url = arguments.url
    if bool(url) == bool(command) or (url and not url.startswith("ws://")):
        parser.error("give either a ws:// URL, or -- and a command")
    ws = bool(url) or arguments.ws or any("{addr}" in word or "{port}" in word for word in command)
    if ONLY and ONLY != ("ws" if ws else "stdio"):
        parser.error("this script is about %s" % ONLY)
    if NEEDS_PROCESS and not command:
        parser.error("this script needs a command: it is about the process")
    peer = Peer(command, url, STEP_SECONDS, CASE_SECONDS)
    try:
        script(peer, ws)
        peer.finish()
    except Failure as failure:
        clause, expected, came = failure.args
        print("REPRODUCED: %s: expected %s; came %s" % (clause or "timeout", expected, shown(str(came))))
        status = 1
    except (Unjudged, OSError) as error:
        print("not judged: %s" % shown(str(error)))
        status = 3
    except Exception as error:  # a peer that this program cannot read has not reproduced anything
        print("not judged: %s: %s" % (type(error).__name__, shown(str(error))))
        status = 3
    else:
        print("not reproduced")
        status = 0
    peer.stop()
    sys.stdout.flush()
    os._exit(status)  # threads that wait for somebody end with us
