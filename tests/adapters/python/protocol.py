"""What stands on the wire: messages, deltas and results, read strictly and without I/O."""

from __future__ import annotations

import binascii
import json
import re
from typing import Any, NamedTuple

from errors import LimitError, MalformedError, RequestError

REQUEST_METHOD = "http/request"
DELTA_METHOD = "http/request/bodyDelta"

METHOD_NOT_FOUND = -32601
"""The code of an answer to a request that this library does not know."""

UNREADABLE_ID = -1
"""The id of an error answer to a frame that the executor could not read."""

DELTA_BYTES = 1024 * 1024
"""Bytes of a delta, decoded."""

MESSAGE_BYTES = 64 * 1024 * 1024
"""Bytes of a message, in both directions."""

MESSAGE_MARKS = 524_288
"""Commas and opening brackets of a message, which bound the objects that it becomes in memory."""

ERROR_CHARS = 65_536
"""Characters that are kept of an executor's error text."""

# Escapes of surrogates; only a message with one of them can hold an unpaired one.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


class PeerRequest(NamedTuple):
    """A request of the executor."""

    id: int | str


class Notification(NamedTuple):
    """A notification of the executor."""

    method: str
    params: Any


class Result(NamedTuple):
    """The answer to a request that succeeded."""

    id: int | str
    value: Any


class Failure(NamedTuple):
    """The answer to a request that failed; without an id when the executor could not read one."""

    id: int | str | None
    code: int
    message: str


Message = PeerRequest | Notification | Result | Failure


class Delta(NamedTuple):
    """One frame of a stream."""

    seq: int
    data: bytes
    done: bool
    error: str | None

    @property
    def is_terminal(self) -> bool:
        """Whether no frame may follow: an error ends a stream with and without `done`."""
        return self.done or self.error is not None


class Head(NamedTuple):
    """The result of a call: the head of the response and, of a buffered call, its body."""

    status: int
    headers: list[tuple[str, bytes]]
    body: bytes

    def promised_length(self, method: str) -> int | None:
        """How long the head says that its body is; `None` where it does not say it, or where it does not count."""
        if method in ("HEAD", "CONNECT") or self.status < 200 or self.status in (204, 304):
            return None
        lengths = [value for name, value in self.headers if name.lower() == "content-length"]
        chunked = any(name.lower() == "transfer-encoding" for name, _ in self.headers)
        # 20 digits hold every length of 64 bits. Digits of bytes are those of ASCII.
        if chunked or len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 20:
            return None
        length = int(lengths[0])
        return length if length < 2**64 else None


def encode_message(message: dict[str, Any]) -> bytes:
    """A message as it stands on the wire, without a line end."""
    try:
        frame = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise RequestError("the request holds text that is not Unicode") from None
    if len(frame) > MESSAGE_BYTES:
        raise LimitError(f"the request needs a message of {len(frame)} bytes, more than {MESSAGE_BYTES}")
    return frame


def decode_message(frame: bytes) -> Message:
    """Reads a frame; a `MalformedError` says why it is none of the four shapes."""
    value = _decode_json(frame)
    if type(value) is not dict:
        raise MalformedError("not a JSON object")
    if "method" in value:
        return _decode_call(value)
    error = value.get("error")
    if "result" in value and (error is None or value["result"] is not None):
        return Result(_decode_id(value), value["result"])
    if error is None:
        raise MalformedError("neither a request, a notification, a response nor an error")
    call_id = None if value.get("id", ...) is None else _decode_id(value)
    if type(error) is not dict or not _is_integer(error.get("code")) or type(error.get("message")) is not str:
        raise MalformedError("an error without an integer code and a text message")
    return Failure(call_id, error["code"], error["message"][:ERROR_CHARS])


def _decode_json(frame: bytes) -> Any:
    if len(frame) > MESSAGE_MARKS and sum(frame.count(mark) for mark in b",[{") > MESSAGE_MARKS:
        raise MalformedError("too many JSON values")
    try:
        text = frame.decode()
        value = json.loads(text, parse_constant=_refuse_constant)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise MalformedError("not JSON") from None
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _decode_call(value: dict[str, Any]) -> Message:
    method = value["method"]
    if type(method) is not str:
        raise MalformedError("a method that is not text")
    if "id" in value:
        return PeerRequest(_decode_id(value))
    return Notification(method, value.get("params"))


def _decode_id(value: dict[str, Any]) -> int | str:
    call_id = value.get("id")
    if type(call_id) is not str and not _is_integer(call_id):
        raise MalformedError("an id that is neither text nor a 64-bit integer")
    return call_id


def _is_integer(value: Any) -> bool:
    # By the exact type: True is an int to Python, and 1.0 is equal to 1.
    return type(value) is int and -(2**63) <= value < 2**63


def delta_request_id(params: Any) -> str | None:
    """The stream that a delta names, whatever the rest of it is."""
    request_id = params.get("requestId") if type(params) is dict else None
    return request_id if type(request_id) is str else None


def decode_delta(params: dict[str, Any]) -> Delta:
    """Reads a delta; its length is judged before anything is decoded."""
    encoded = params.get("deltaBase64")
    # The shortest text that is too long in any case; two more bytes may hide in the last group of one that is not.
    data = None
    if type(encoded) is not str or len(encoded) <= (DELTA_BYTES + 2) // 3 * 4:
        data = decode_base64("deltaBase64", encoded)
    if data is None or len(data) > DELTA_BYTES:
        raise LimitError(f"a frame of the body exceeds {DELTA_BYTES} bytes")
    seq, done, error = params.get("seq"), params.get("done", False), params.get("error")
    if type(seq) is not int or not 0 <= seq < 2**64:
        raise MalformedError("seq is not an unsigned integer")
    if type(done) is not bool:
        raise MalformedError("done is not a boolean")
    if error is not None and type(error) is not str:
        raise MalformedError("error is neither text nor null")
    return Delta(seq, data, done, error and error[:ERROR_CHARS])


def decode_result(result: Any) -> Head:
    """Reads the result of a call."""
    if type(result) is not dict:
        raise MalformedError("the result is not an object")
    status, headers = result.get("status"), result.get("headers")
    if type(status) is not int or not 100 <= status <= 999:
        raise MalformedError("status is not a number from 100 to 999")
    if type(headers) is not list:
        raise MalformedError("headers is not an array")
    body = decode_base64("bodyBase64", result.get("bodyBase64"))
    return Head(status, [_decode_header(header) for header in headers], body)


def _decode_header(header: Any) -> tuple[str, bytes]:
    if type(header) is not dict or type(header.get("name")) is not str or type(header.get("value")) is not str:
        raise MalformedError("a header without a text name and a text value")
    name, exact = header["name"], header.get("valueBase64")
    value = header["value"].encode() if exact is None else decode_base64("valueBase64", exact)
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        raise MalformedError("a header that HTTP does not allow")
    return name, value


def decode_base64(member: str, encoded: Any) -> bytes:
    """Reads base64. A legal text is the one that its own bytes encode to: no other padding, alphabet or white space."""
    try:
        if type(encoded) is str:
            data = binascii.a2b_base64(encoded)
            if binascii.b2a_base64(data, newline=False) == encoded.encode("ascii"):
                return data
    except ValueError:
        pass
    raise MalformedError(f"{member} is not standard base64 with padding")
