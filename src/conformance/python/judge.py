"""What holds on every connection: the frames of the peer are well formed, asked for, and in order."""

import json
from types import SimpleNamespace

from wire import unb64

FRAME_BYTES = 1 << 20  # of a body in one delta
VALUES, LEVELS = 262144, 128  # in one message
RESULT = "a result with status, headers and bodyBase64"
ABSENT = object()


class Failure(Exception):
    """A clause is broken: which, what it wants, what came instead."""


def refuse(text):
    raise ValueError("%s is no JSON number" % text)


def finite(text):
    return float(text) if abs(float(text)) != float("inf") else refuse(text)


def strict(text):
    """Reads JSON, within bounds, in which no key is repeated and every number and every character exists."""

    def pairs(members):
        if len({name for name, _ in members}) < len(members):
            raise ValueError("an object repeats a key")
        return dict(members)

    whole = json.loads(text, object_pairs_hook=pairs, parse_constant=refuse, parse_float=finite)
    level, levels, count = [whole], 0, 0
    while level:
        count, levels = count + len(level), levels + 1
        objects = [inner for value in level if isinstance(value, dict) for inner in value.values()]
        level = objects + [inner for value in level if isinstance(value, list) for inner in value]
    if count > VALUES or levels > LEVELS:
        raise ValueError("more than %d values or %d levels" % (VALUES, LEVELS))
    json.dumps(whole, ensure_ascii=False).encode()  # fails for half a surrogate pair
    return whole


def is_id(value):
    return isinstance(value, str) or (type(value) is int and -(1 << 63) <= value < 1 << 63)


class Connection:
    """One connection to the peer as its frames tell it, and the rules that hold on every one."""

    def __init__(self, ws):
        self.ws, self.pipe = ws, None
        self.calls, self.answers, self.streams, self.malformed, self.pongs = [], [], [], [], []
        self.unreadable, self.close_frame, self.ended, self.credit, self.last = 0, None, None, False, "nothing"
        self.closing, self.doubtful = False, []

    def sent(self, text, at):
        try:
            message = strict(text)
            method, ident = message["method"], message.get("id", ABSENT)
            good = isinstance(method, str) and (ident is ABSENT or is_id(ident))
        except (ValueError, KeyError, TypeError, RecursionError):
            message, good = {}, False
        params = message.get("params") if isinstance(message, dict) else None
        params = params if isinstance(params, dict) else {}
        if not good or (ident is ABSENT and method not in ("initialized", "http/request/credit")):
            self.unreadable += 1
            self.doubtful.append(text)
        elif ident is ABSENT and method == "http/request/credit":
            self.allow(params.get("requestId"), params.get("bytes"))
        elif ident is not ABSENT:
            http = method == "http/request"
            name = params.get("requestId") if http or method == "http/request/cancel" else None
            streamed = http and params.get("streamResponse") is True
            call = SimpleNamespace(id=ident, method=method, http=http, name=name, streamed=streamed, sent=at)
            call.answered, call.refused, call.credit = None, False, params.get("creditBytes") if streamed else None
            self.calls.append(call)

    def allow(self, name, more):
        """Credit for the open stream of that name, or else for the call that waits for its answer."""
        holders = [stream for stream in reversed(self.streams) if stream.name == name and not stream.terminal]
        calls = [call for call in self.calls if call.name == name and call.http and not call.answered]
        holders = holders or [call for call in calls if call.credit is not None]
        if holders and holders[0].credit is not None and type(more) is int and more > 0:
            holders[0].credit += more

    def received(self, data, binary, number, at):
        text = data.decode("utf-8", "backslashreplace")
        self.last = text

        def require(good, clause, expected):
            if not good:
                raise Failure(clause, expected, text)

        require(not binary, "TRANSPORT-10", "messages as text")
        try:
            message = strict(data.decode())
        except (ValueError, RecursionError) as error:
            require(self.ws, "TRANSPORT-7", "nothing but messages on standard output")
            raise Failure("ENVELOPE-1", "a message; this is no JSON: %s" % error, text) from None
        require(isinstance(message, dict), "ENVELOPE-1", "a message; this is no object")
        if message.get("method") == "http/request/bodyDelta":
            return self.delta(message.get("params") or {}, require, at, text)
        if "method" in message:
            require(not self.answers, "ENVELOPE-20", "nothing unasked but body deltas")
            return None
        ident, error = message.get("id"), message.get("error")
        require("result" in message or error is not None, "ENVELOPE-1", "a request, notification, response or error")
        require(ident is None or is_id(ident), "ENVELOPE-1", "an id that is a string or an integer")
        fitting = [call for call in self.calls if call.id == ident and type(call.id) is type(ident)]
        waiting = [call for call in fitting if not call.answered]
        if error is not None:
            good = isinstance(error, dict) and type(error.get("code")) is int
            good = good and isinstance(error.get("message"), str) and error["message"]
            require(good, "ERROR-1", "an error with an integer code and a message")
            if ident in (None, -1) and not waiting:
                self.malformed.append((error["code"], text))
                fine = len(self.malformed) <= self.unreadable
                return require(fine, "ENVELOPE-19", "no error for a malformed frame, as there was none")
        if not waiting and any(json.dumps(ident) in frame for frame in self.doubtful):
            self.answers.append(SimpleNamespace(id=ident, message=message, text=text, number=number, taken=False))
            return None
        require(waiting, "ENVELOPE-19", "one answer for each request, and none for what was not asked")
        call, result = waiting[0], message.get("result")
        call.answered, call.refused = at, error is not None
        self.answers.append(SimpleNamespace(id=ident, message=message, text=text, number=number, taken=False))
        if error is not None or not isinstance(result, dict):
            return require(error is not None or not call.http, "RESPONSE-1", RESULT)
        if call.method == "initialize":
            self.credit = (result.get("capabilities") or {}).get("httpBodyCredit") is True
        if call.method == "http/request/cancel" and result.get("cancelled") is True:
            open_streams = [stream for stream in self.streams if stream.name == call.name and not stream.terminal]
            require(not open_streams, "CANCEL-6", "the terminal frame of a cancelled stream before the answer")
        if call.http:
            if call.streamed:
                credit = call.credit if self.credit else None
                stream = SimpleNamespace(name=call.name, id=call.id, seq=1, credit=credit, frames=0, answered=at)
                stream.first, stream.terminal, stream.taken, stream.data = None, None, False, bytearray()
                self.streams.append(stream)
            headers, body = result.get("headers"), result.get("bodyBase64")
            good = type(result.get("status")) is int and 100 <= result["status"] <= 999 and isinstance(headers, list)
            for entry in headers if good else []:
                good = good and isinstance(entry, dict)
                good = good and isinstance(entry.get("name"), str) and isinstance(entry.get("value"), str)
            require(good and isinstance(body, str), "RESPONSE-1", RESULT)
            require(unb64(body) is not None, "PARAMS-17", "a bodyBase64 of standard base64 with padding")
            require(not (call.streamed and body), "RESPONSE-3", "an empty bodyBase64 for a streamed call")
        return None

    def delta(self, params, require, at, text):
        name = params.get("requestId")
        require(isinstance(name, str), "PARAMS-7", "a delta with the requestId of its call")
        of_name = [stream for stream in self.streams if stream.name == name]
        stream = next((stream for stream in reversed(of_name) if not stream.terminal), None)
        if stream is None:
            calls = [call for call in self.calls if call.http and call.name == name]
            early = any(call.streamed and not call.answered for call in calls)
            refused = any(call.streamed and call.refused for call in calls)
            require(not early, "ORDER-1", "the response before the first frame of its stream")
            require(not of_name, "STREAM-3", "no frame behind the terminal frame")
            require(not refused, "STREAM-7", "no frame for a call that was answered with an error")
            require(not calls, "RESPONSE-4", "no frame for a buffered call")
            require(False, "ENVELOPE-20", "no frame for a stream that was not asked for")
        seq, data, done, error = (params.get(m) for m in ("seq", "deltaBase64", "done", "error"))
        require(type(seq) is int and seq >= 0, "STREAM-1", "a delta with an integer seq")
        data = unb64(data)
        require(data is not None, "PARAMS-17", "a delta with standard base64 with padding")
        require(seq == stream.seq, "STREAM-1", "seq %d" % stream.seq)
        require(len(data) <= FRAME_BYTES, "STREAM-6", "at most 1,048,576 bytes in a frame")
        if stream.credit is not None:
            expected = "at most %d bytes, as no more were allowed" % stream.credit
            require(len(data) <= stream.credit, "CREDIT-2", expected)
            stream.credit -= len(data)
        require("done" not in params or isinstance(done, bool), "STREAM-4", "done as a boolean")
        require(error is None or isinstance(error, str), "STREAM-9", "error as a text or null")
        stream.seq, stream.first = seq + 1, stream.first or at
        stream.frames += 1
        stream.data += data
        if done:
            stream.terminal = SimpleNamespace(error=error, kind=params.get("errorKind"), text=text)
        require(done or error is None, "STREAM-4", "done with error")
