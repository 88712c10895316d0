"""The adapter between the conformance suite and `client.py`: a line in, a call of the library, a line out."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import threading
from collections.abc import Coroutine
from importlib.metadata import version
from typing import Any

import protocol
import streams
from client import CLIENT_NAME, Client, Header, Request
from errors import ClientError, RpcError
from streams import Body

LINE_BYTES = 8 * 1024 * 1024
"""The longest command."""

CHUNK_BYTES = 65_536
"""The longest chunk whose bytes are told and not only their hash."""

HELLO = {
    "control": 1,
    "adapter": f"{CLIENT_NAME}-adapter 1",
    "library": f"{CLIENT_NAME} 1 (websockets {version('websockets')})",
    "language": "python",
    "transports": ["ws", "stdio"],
    "features": [
        "error-kinds",
        "census",
        "abandon",
        "cancel",
        "foreign-drop",
        "caller-ids",
        "header-env-vars",
        "redirect-policy",
        "close-events",
        "buffered",
    ],
    "limits": {
        "queueFrames": streams.QUEUE_FRAMES,
        "queueBytes": streams.QUEUE_BYTES,
        "frameBytes": protocol.DELTA_BYTES,
    },
}

Reply = tuple[str, dict[str, Any]]


class Unsupported(Exception):
    """The library, or this adapter, cannot do that."""


class Op:
    """A call: its worker makes it, and then reads its body when it is told to."""

    def __init__(self) -> None:
        self.reads: asyncio.Queue[tuple[float, float, bool]] = asyncio.Queue()
        self.body: Body | None = None
        self.worker: asyncio.Task[None] | None = None


class Adapter:
    """Carries out commands. All names of the suite live as long as the process."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._ops: dict[str, Op] = {}
        self._events = 0
        self._waiting: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self, lines: asyncio.StreamReader) -> None:
        """Carries out what the suite writes, until it says `bye` or ends."""
        while line := await lines.readline():
            command = json.loads(line)
            name = command.get("command")
            if name in ("open", "close", "sync"):
                # These wait for the network, and hold up nothing behind them.
                task = asyncio.create_task(self._carry_out(command))
                for tasks in (self._waiting, self._closing) if name == "close" else (self._waiting,):
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
            else:
                await self._carry_out(command)
            if name == "bye":
                break

    async def _carry_out(self, command: dict[str, Any]) -> None:
        try:
            handler = getattr(self, f"_on_{command.get('command')}", None)
            if handler is None:
                raise Unsupported("unknown command")
            reply, members = await handler(command)
        except Unsupported as error:
            reply, members = "unsupported", {"reason": str(error)}
        except ClientError as error:
            reply, members = "error", {"where": "library", "message": str(error)}
        except Exception as error:
            reply, members = "error", {"where": "adapter", "message": f"{type(error).__name__}: {error}"}
        write({"id": command["id"], "reply": reply, **members})

    async def _on_hello(self, command: dict[str, Any]) -> Reply:
        return "hello", HELLO

    async def _on_open(self, command: dict[str, Any]) -> Reply:
        try:
            match command["transport"]:
                case "ws":
                    client = await Client.connect_websocket(command["url"])
                case "stdio":
                    client = await Client.connect_stdio(command["argv"], command["env"])
                case _:
                    raise Unsupported("unknown transport")
        except ClientError as error:
            return "failed", failure_of(error)
        self._clients[command["conn"]] = client
        self._spawn(self._tell_closed(command["conn"], client))
        return "opened", {}

    async def _on_request(self, command: dict[str, Any]) -> Reply:
        client, request, stream = self._clients[command["conn"]], request_of(command), command["stream"]
        op = self._ops[command["op"]] = Op()
        op.worker = asyncio.create_task(self._work(command["op"], op, client, request, stream))
        return "ok", {}

    async def _on_read(self, command: dict[str, Any]) -> Reply:
        chunks, size = command.get("max", 1), command.get("bytes", float("inf"))
        return self._read(command, chunks, size, command.get("abandon", False))

    async def _on_drain(self, command: dict[str, Any]) -> Reply:
        return self._read(command, float("inf"), float("inf"), False)

    async def _on_drop(self, command: dict[str, Any]) -> Reply:
        op = self._ops[command["op"]]
        op.worker.cancel()
        if op.body is not None and command.get("foreign", False):
            # The event loop stands still meanwhile: the drop cannot lean on it.
            thread = threading.Thread(target=op.body.drop)
            thread.start()
            thread.join()
        elif op.body is not None:
            op.body.drop()
        await asyncio.wait({op.worker})
        return "ok", {}

    async def _on_cancel(self, command: dict[str, Any]) -> Reply:
        op = self._ops[command["op"]]
        if op.body is None:
            op.worker.cancel()
            await asyncio.wait({op.worker})
        return "ok", {}

    async def _on_sync(self, command: dict[str, Any]) -> Reply:
        if self._closing:
            await asyncio.wait(self._closing)
        # Tasks that were woken earlier run first: every idle worker has its next read with the library now.
        await asyncio.sleep(0)
        return "ok", {}

    async def _on_census(self, command: dict[str, Any]) -> Reply:
        census = self._clients[command["conn"]].census()
        return "census", {"routes": census.routes, "calls": census.calls, "queuedBytes": census.queued_bytes}

    async def _on_close(self, command: dict[str, Any]) -> Reply:
        await self._clients[command["conn"]].close()
        return "ok", {}

    async def _on_bye(self, command: dict[str, Any]) -> Reply:
        return "ok", {}

    def _read(self, command: dict[str, Any], chunks: float, size: float, abandon: bool) -> Reply:
        op = self._ops[command["op"]]
        if op.worker.done():
            raise LookupError("this call has no stream")
        op.reads.put_nowait((chunks, size, abandon))
        return "ok", {}

    async def _work(self, name: str, op: Op, client: Client, request: Request, stream: bool) -> None:
        """Makes the call of an op; then every further step is a read that was asked for."""
        try:
            response = await (client.stream(request) if stream else client.request(request))
        except ClientError as error:
            self._tell("call-failed", op=name, **failure_of(error))
            return
        headers = [{"name": key, "value": value.decode(errors="replace")} for key, value in response.headers]
        if not stream:
            self._tell("response", op=name, status=response.status, headers=headers, **bytes_of(response.body))
            return
        op.body = response.body
        self._tell("response", op=name, status=response.status, headers=headers)
        while True:
            chunks, size, abandon = await op.reads.get()
            while chunks > 0 and size > 0:
                received = await self._receive(name, op.body, abandon)
                if received is None:
                    break
                chunks, size, abandon = chunks - 1, size - received, False

    async def _receive(self, name: str, body: Body, abandon: bool) -> int | None:
        """One receive of the library, and how many bytes it gave; None behind an end or an error."""
        try:
            chunk = await (receive_abandoned(body) if abandon else body.receive())
        except ClientError as error:
            self._tell("stream-failed", op=name, **failure_of(error))
            return None
        if chunk is None:
            self._tell("end", op=name)
            return None
        self._tell("chunk", op=name, **bytes_of(chunk))
        return len(chunk)

    async def _tell_closed(self, name: str, client: Client) -> None:
        await client.closed()
        self._tell("closed", conn=name)

    def _tell(self, event: str, **members: Any) -> None:
        self._events += 1
        write({"n": self._events, "event": event, **members})

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)


async def receive_abandoned(body: Body) -> bytes | None:
    """Gives up a receive at the first moment at which it waits, and receives again; what is there at once counts."""
    attempt = asyncio.create_task(body.receive())
    try:
        # The attempt runs to its first wait, or to its end.
        await asyncio.sleep(0)
    finally:
        attempt.cancel()
    await asyncio.wait({attempt})
    return await body.receive() if attempt.cancelled() else attempt.result()


def request_of(command: dict[str, Any]) -> Request:
    """The request that a command describes."""
    body = None
    if "bodyBase64" in command:
        body = base64.b64decode(command["bodyBase64"])
    elif "bodyFill" in command:
        pattern, count = base64.b64decode(command["bodyFill"]["patternBase64"]), command["bodyFill"]["bytes"]
        body = (pattern * (count // len(pattern) + 1))[:count]
    return Request(
        method=command["method"],
        url=command["url"],
        headers=[Header(header["name"], header["value"], header.get("valueEnvVar")) for header in command["headers"]],
        body=body,
        timeout_ms=command.get("timeoutMs"),
        redirect=command.get("redirect"),
        request_id=command.get("requestId"),
    )


def failure_of(error: ClientError) -> dict[str, Any]:
    """What a reply or an event says about an error of the library."""
    code = {"code": error.code} if isinstance(error, RpcError) else {}
    return {"kind": error.kind, "message": str(error), **code}


def bytes_of(data: bytes) -> dict[str, Any]:
    """The members that stand for bytes."""
    members: dict[str, Any] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if len(data) <= CHUNK_BYTES:
        members["dataBase64"] = base64.b64encode(data).decode()
    return members


def write(line: dict[str, Any]) -> None:
    """Writes one line, at once."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def main() -> None:
    lines = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await Adapter().run(lines)


if __name__ == "__main__":
    asyncio.run(main())
