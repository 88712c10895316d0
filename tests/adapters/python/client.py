"""An asyncio client of the executor HTTP protocol: `Client.request` for whole responses, `Client.stream` for pieces.

| file | concept |
|---|---|
| `client.py` | one connection: its handshake, its calls and its two loops |
| `streams.py` | what waits for the consumers of bodies, and how each body ends |
| `protocol.py` | what stands on the wire |
| `transport.py` | websocket and stdio |
| `errors.py` | why something failed |
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import protocol
from errors import (
    ClientError,
    Disconnected,
    HandshakeTimeout,
    LimitError,
    MalformedError,
    OutcomeUnknown,
    RequestError,
    RpcError,
    TransportError,
    WrongLength,
)
from streams import Body, Streams
from transport import StdioTransport, WebSocketTransport

CLIENT_NAME = "exec-http-python"

CALLS = 16_384
"""Calls in flight on one connection, and likewise bodies that are held; a further one is refused."""

POSTED_BYTES = 1024 * 1024
"""Bytes of answers to the executor's own requests that may wait until it reads them."""

HANDSHAKE_SECONDS = 10.0
"""How long the handshake may take."""

LAST_FRAMES_SECONDS = 5.0
"""How long reading goes on after writing has failed."""

CLOSED_HERE = "connection closed by this client"


class Transport(Protocol):
    """What `transport.py` says of both transports."""

    async def receive(self) -> bytes | None: ...
    async def send(self, message: bytes) -> None: ...
    async def close(self, violation: bool) -> None: ...


@dataclass(frozen=True)
class Header:
    """A header of a request. With `value_env_var` its value ends with that variable of the executor's environment."""

    name: str
    value: str
    value_env_var: str | None = None


@dataclass(frozen=True)
class Request:
    """One HTTP request."""

    method: str
    url: str
    headers: Sequence[Header] = ()
    body: bytes | None = None
    timeout_ms: int | None = None
    """The time that the executor gives the exchange; the client itself never gives up."""
    redirect: str | None = None
    """`follow`, `stop`, or what the executor does by itself."""
    request_id: str | None = None
    """The application's name for its call. The wire never sees it: every call there has an id that is used once."""


@dataclass(frozen=True)
class Response:
    """A response with its whole body."""

    status: int
    headers: list[tuple[str, bytes]]
    body: bytes


@dataclass(frozen=True)
class StreamedResponse:
    """A response whose body is still to be received."""

    status: int
    headers: list[tuple[str, bytes]]
    body: Body


class Census(NamedTuple):
    """What a connection holds."""

    routes: int
    """Streams whose end was not received, and that were not dropped."""
    calls: int
    """Requests without an answer."""
    queued_bytes: int
    """Bytes that wait in streams; a small frame counts as `streams.FRAME_CHARGE_BYTES`."""


class _Call:
    """A request that waits for its answer."""

    def __init__(self, message: dict[str, Any]) -> None:
        self._message = message
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.sent = False

    def encode(self) -> bytes | None:
        """The frame to send now; `None` when the call was given up before, or cannot be sent."""
        if self.answer.done():
            return None
        try:
            frame = protocol.encode_message(self._message)
        except ClientError as error:
            self.answer.set_exception(error)
            return None
        self.sent = True
        return frame


class Client:
    """Makes HTTP requests through the executor at the other end of one connection. No request is ever sent twice.

    A call may be cancelled at any point: its state is released, and what arrives for it later is ignored. All methods
    belong to the event loop; only `Body.drop` may be called from any thread.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._numbers = itertools.count(1)
        self._calls: dict[int, _Call] = {}
        self._streams = Streams()
        self._outbox: asyncio.Queue[_Call | bytes] = asyncio.Queue()
        self._posted_bytes = 0
        self._header_env_vars = False
        self._reason: str | None = None
        self._violated = False
        self._ended = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self._running = asyncio.create_task(self._run())

    @classmethod
    async def connect_websocket(cls, url: str) -> Client:
        """Connects to an executor that listens."""
        return await cls.connect(await WebSocketTransport.open(url))

    @classmethod
    async def connect_stdio(cls, argv: Sequence[str], env: Mapping[str, str]) -> Client:
        """Starts an executor, with `env` in addition to what it inherits."""
        return await cls.connect(await StdioTransport.open(argv, env))

    @classmethod
    async def connect(cls, transport: Transport) -> Client:
        """Makes the handshake. The transport is closed when that fails."""
        client = cls(transport)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await client._handshake()
        except TimeoutError:
            await client.close()
            raise HandshakeTimeout(f"no handshake within {HANDSHAKE_SECONDS:g} seconds") from None
        except OutcomeUnknown:
            # A handshake has no outcome that anybody has to know.
            raise Disconnected(client._reason) from None
        except BaseException:
            await client.close()
            raise
        return client

    async def request(self, request: Request) -> Response:
        """Sends a request and waits for the whole response; every HTTP status is one."""
        _, head = await self._exchange(request, stream=False)
        promised = head.promised_length(request.method)
        if promised is not None and promised != len(head.body):
            raise WrongLength(f"{len(head.body)} bytes of a body whose content-length is {promised}")
        return Response(head.status, head.headers, head.body)

    async def stream(self, request: Request) -> StreamedResponse:
        """Sends a request and returns when the head of the response is there; every HTTP status is one."""
        request_id, head = await self._exchange(request, stream=True)
        body = Body(self._streams, request_id, head.promised_length(request.method))
        return StreamedResponse(head.status, head.headers, body)

    def census(self) -> Census:
        """Counts what the connection holds."""
        return Census(len(self._streams), len(self._calls), self._streams.queued_bytes)

    async def closed(self) -> None:
        """Waits for the end of the connection, from whichever side it comes."""
        await self._ended.wait()

    async def close(self) -> None:
        """Closes the connection. Calls and streams end as with every other end of it."""
        self._end(CLOSED_HERE)
        self._reading.cancel()
        await asyncio.wait({self._running})

    async def _handshake(self) -> None:
        result = await self._call(next(self._numbers), "initialize", {"clientName": CLIENT_NAME})
        session_id = result.get("sessionId") if type(result) is dict else None
        if type(session_id) is not str or not session_id:
            raise MalformedError("the result of the handshake has no sessionId")
        flag: Any = result
        for member in ("environmentInfo", "capabilities", "httpHeaderEnvVars"):
            flag = flag.get(member) if type(flag) is dict else None
        self._header_env_vars = flag is True
        self._post({"method": "initialized", "params": {}})

    async def _exchange(self, request: Request, stream: bool) -> tuple[str, protocol.Head]:
        """Makes a call. The stream of its body exists before it is sent, and is gone when the call fails."""
        if self._reason is not None:
            raise _disconnected(self._reason, sent=False)
        if max(len(self._calls), len(self._streams), self._outbox.qsize()) >= CALLS:
            raise LimitError(f"{CALLS} calls are in flight, or in bodies that are held")
        number = next(self._numbers)
        request_id = f"http-{number}"
        params = self._params(request, request_id, stream)
        if stream:
            self._streams.open(request_id)
        try:
            return request_id, protocol.decode_result(await self._call(number, protocol.REQUEST_METHOD, params))
        except BaseException:
            self._streams.release(request_id)
            raise

    def _params(self, request: Request, request_id: str, stream: bool) -> dict[str, Any]:
        params: dict[str, Any] = {
            "method": request.method,
            "url": request.url,
            "headers": [self._header(header) for header in request.headers],
            "requestId": request_id,
            "streamResponse": stream,
        }
        if request.body is not None:
            params["bodyBase64"] = base64.b64encode(request.body).decode()
        if request.timeout_ms is not None:
            params["timeoutMs"] = request.timeout_ms
        if request.redirect is not None:
            params["redirectPolicy"] = request.redirect
        return params

    def _header(self, header: Header) -> dict[str, str]:
        params = {"name": header.name, "value": header.value}
        if header.value_env_var is not None:
            if not self._header_env_vars:
                # It would send the bare prefix to the origin.
                raise RequestError("the executor has not announced that it resolves variables in headers")
            params["valueEnvVar"] = header.value_env_var
        return params

    async def _call(self, number: int, method: str, params: dict[str, Any]) -> Any:
        call = self._calls[number] = _Call({"id": number, "method": method, "params": params})
        self._outbox.put_nowait(call)
        try:
            return await call.answer
        finally:
            del self._calls[number]

    def _post(self, message: dict[str, Any]) -> None:
        """Sends a message that has no answer. Reading must not wait for writing, so that what waits has a bound."""
        frame = protocol.encode_message(message)
        self._posted_bytes += len(frame)
        if self._posted_bytes > POSTED_BYTES:
            raise _Unusable(f"the executor left {POSTED_BYTES} bytes of answers unread")
        self._outbox.put_nowait(frame)

    async def _run(self) -> None:
        """Ends the connection when reading ends. When writing fails, what the executor sent before is still read."""
        writing = asyncio.create_task(self._write())
        try:
            await asyncio.wait({self._reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({self._reading}, timeout=LAST_FRAMES_SECONDS)
            if not self._reading.cancelled():
                self._end((self._reading if self._reading.done() else writing).result())
        finally:
            self._end(CLOSED_HERE)
            self._reading.cancel()
            writing.cancel()
            await asyncio.wait({self._reading, writing})
            await self._transport.close(self._violated)

    async def _write(self) -> str:
        """Writes until that fails, and says why."""
        while True:
            item = await self._outbox.get()
            frame = item.encode() if isinstance(item, _Call) else item
            if frame is None:
                continue
            try:
                await self._transport.send(frame)
            except TransportError as error:
                return f"transport failed: {error}"
            if frame is item:
                self._posted_bytes -= len(frame)

    async def _read(self) -> str:
        """Reads until the connection is of no more use, and says why. Never waits for a consumer."""
        while True:
            try:
                frame = await self._transport.receive()
            except TransportError as error:
                return f"transport failed: {error}"
            if frame is None:
                return "connection closed by the executor"
            try:
                self._handle(protocol.decode_message(frame))
            except (_Unusable, LimitError) as error:
                return str(error)
            except MalformedError as error:
                self._violated = True
                return f"the executor sent a frame that is not a message: {error}"
            # Many frames may be at hand: the consumers of these run before their queues are full.
            await asyncio.sleep(0)

    def _handle(self, message: protocol.Message) -> None:
        match message:
            case protocol.Result(call_id, value):
                self._answer(call_id, value, None)
            case protocol.Failure(None | protocol.UNREADABLE_ID):
                raise _Unusable("the executor could not read a frame of this client")
            case protocol.Failure(call_id, code, text):
                self._answer(call_id, None, RpcError(code, text))
            case protocol.Notification(protocol.DELTA_METHOD, params):
                self._deliver(params)
            case protocol.Notification():
                pass
            case protocol.PeerRequest(call_id):
                error = {"code": protocol.METHOD_NOT_FOUND, "message": "this client offers no methods"}
                self._post({"id": call_id, "error": error})

    def _answer(self, call_id: int | str, value: Any, error: RpcError | None) -> None:
        """Answers a call. What answers none, or one for the second time, is ignored."""
        call = self._calls.get(call_id)
        if call is None or call.answer.done():
            return
        if error is not None:
            call.answer.set_exception(error)
        else:
            call.answer.set_result(value)

    def _deliver(self, params: Any) -> None:
        """Hands a delta, or what is wrong with it, to the stream that it names."""
        request_id = protocol.delta_request_id(params)
        if request_id is None:
            raise MalformedError("a delta that names no stream")
        try:
            delta = protocol.decode_delta(params)
        except ClientError as error:
            self._streams.fail(request_id, error)
        else:
            self._streams.deliver(request_id, delta)

    def _end(self, reason: str) -> None:
        """Ends all that waits for the connection; the first reason stays."""
        if self._reason is not None:
            return
        self._reason = reason
        for call in self._calls.values():
            if not call.answer.done():
                call.answer.set_exception(_disconnected(reason, call.sent))
        self._streams.disconnect(reason)
        self._ended.set()


class _Unusable(Exception):
    """The connection is of no more use."""


def _disconnected(reason: str, sent: bool) -> Disconnected:
    if sent:
        return OutcomeUnknown(f"{reason}; the outcome is unknown: the request was sent and may have been carried out")
    return Disconnected(f"{reason}; the request was not sent")
