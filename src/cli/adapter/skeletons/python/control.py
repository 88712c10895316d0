"""What the conformance suite and an adapter say to each other: a line in, a call of the library, a line out.

Nothing is to be filled in here; `adapter.py` has the calls of the library. It needs Python 3.11 and nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import threading
import traceback
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

LINE_BYTES = 8 * 1024 * 1024
"""The longest command."""

DATA_BYTES = 65_536
"""The longest chunk whose bytes are told and not only their hash."""

Reply = tuple[str, dict[str, Any]]


class Blank(Exception):
    """A part of the adapter that is not written yet."""


@dataclass(frozen=True)
class Request:
    """What the application asks for."""

    method: str
    url: str
    headers: list[dict[str, str]]
    """Each has `name` and `value`; with the feature "header-env-vars" it may have `valueEnvVar`."""
    body: bytes | None
    timeout_ms: int | None
    redirect: str | None
    """`follow`, `stop`, or what the library does by itself."""
    request_id: str | None
    """With the feature "caller-ids"."""


class Op:
    """A call: its worker makes it, and then reads its body when it is told to."""

    def __init__(self) -> None:
        self.reads: asyncio.Queue[tuple[float, float, bool]] = asyncio.Queue()
        self.body: Any = None
        self.answered = False
        self.worker: asyncio.Task[None] | None = None


class Adapter:
    """Carries out commands with the calls of `adapter.py`. All names of the suite live as long as the process."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._connections: dict[str, Any] = {}
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
        handler = getattr(self, f"_on_{command.get('command')}", None)
        try:
            reply, members = await handler(command) if handler else ("unsupported", {"reason": "unknown command"})
        except Blank as blank:
            reply, members = "unsupported", {"reason": str(blank)}
        except Exception as error:
            traceback.print_exception(error)
            reply, members = "error", {"where": "adapter", "message": f"{type(error).__name__}: {error}"}
        write({"id": command["id"], "reply": reply, **members})

    async def _on_hello(self, command: dict[str, Any]) -> Reply:
        return "hello", self._library.HELLO

    async def _on_open(self, command: dict[str, Any]) -> Reply:
        try:
            match command["transport"]:
                case "ws":
                    connection = await self._library.open_websocket(command["url"])
                case "stdio":
                    connection = await self._library.open_stdio(command["argv"], command["env"])
                case _:
                    raise Blank("unknown transport")
        except Blank:
            raise
        except Exception as error:
            return "failed", self._library.failure_of(error)
        self._connections[command["conn"]] = connection
        if "close-events" in self._library.HELLO["features"]:
            self._spawn(self._tell_closed(command["conn"], connection))
        return "opened", {}

    async def _on_request(self, command: dict[str, Any]) -> Reply:
        connection, request = self._connections[command["conn"]], request_of(command)
        op = self._ops[command["op"]] = Op()
        op.worker = asyncio.create_task(self._work(command["op"], op, connection, request, command["stream"]))
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
            thread = threading.Thread(target=self._library.drop, args=[op.body])
            thread.start()
            thread.join()
        elif op.body is not None:
            self._library.drop(op.body)
        await asyncio.wait({op.worker})
        return "ok", {}

    async def _on_cancel(self, command: dict[str, Any]) -> Reply:
        op = self._ops[command["op"]]
        if not op.answered:
            op.worker.cancel()
            await asyncio.wait({op.worker})
        return "ok", {}

    async def _on_sync(self, command: dict[str, Any]) -> Reply:
        if self._closing:
            await asyncio.wait(set(self._closing))
        # Tasks that were woken earlier run first: every idle worker has its next read with the library now.
        await asyncio.sleep(0)
        return "ok", {}

    async def _on_census(self, command: dict[str, Any]) -> Reply:
        return "census", self._library.census(self._connections[command["conn"]])

    async def _on_close(self, command: dict[str, Any]) -> Reply:
        await self._library.close(self._connections[command["conn"]])
        return "ok", {}

    async def _on_bye(self, command: dict[str, Any]) -> Reply:
        return "ok", {}

    def _read(self, command: dict[str, Any], chunks: float, size: float, abandon: bool) -> Reply:
        op = self._ops[command["op"]]
        if op.answered and op.worker.done():
            raise LookupError("this call has no stream")
        op.reads.put_nowait((chunks, size, abandon))
        return "ok", {}

    async def _work(self, name: str, op: Op, connection: Any, request: Request, stream: bool) -> None:
        """Makes the call of an op; then every further step is a read that was asked for."""
        try:
            call = self._library.call_streamed if stream else self._library.call_buffered
            status, pairs, body = await call(connection, request)
        except Exception as error:
            self._tell("call-failed", op=name, **self._library.failure_of(error))
            return
        headers = [{"name": key, "value": value} for key, value in pairs]
        op.answered = True
        if not stream:
            self._tell("response", op=name, status=status, headers=headers, **bytes_of(body))
            return
        op.body = body
        self._tell("response", op=name, status=status, headers=headers)
        while True:
            chunks, size, abandon = await op.reads.get()
            while chunks > 0 and size > 0:
                received = await self._receive(name, body, abandon)
                if received is None:
                    break
                chunks, size, abandon = chunks - 1, size - received, False

    async def _receive(self, name: str, body: Any, abandon: bool) -> int | None:
        """One receive of the library, and how many bytes it gave; None behind an end or an error."""
        try:
            chunk = await (self._receive_abandoned(body) if abandon else self._library.receive(body))
        except Exception as error:
            self._tell("stream-failed", op=name, **self._library.failure_of(error))
            return None
        if chunk is None:
            self._tell("end", op=name)
            return None
        self._tell("chunk", op=name, **bytes_of(chunk))
        return len(chunk)

    async def _receive_abandoned(self, body: Any) -> bytes | None:
        """Gives up a receive at the first moment at which it waits, and receives again; what is there at once counts."""
        attempt = asyncio.create_task(self._library.receive(body))
        try:
            # The attempt runs to its first wait, or to its end.
            await asyncio.sleep(0)
        finally:
            attempt.cancel()
        await asyncio.wait({attempt})
        return await self._library.receive(body) if attempt.cancelled() else attempt.result()

    async def _tell_closed(self, name: str, connection: Any) -> None:
        await self._library.closed(connection)
        self._tell("closed", conn=name)

    def _tell(self, event: str, **members: Any) -> None:
        self._events += 1
        write({"n": self._events, "event": event, **members})

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)


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
        headers=command["headers"],
        body=body,
        timeout_ms=command.get("timeoutMs"),
        redirect=command.get("redirect"),
        request_id=command.get("requestId"),
    )


def bytes_of(data: bytes) -> dict[str, Any]:
    """The members that stand for bytes."""
    members: dict[str, Any] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if len(data) <= DATA_BYTES:
        members["dataBase64"] = base64.b64encode(data).decode()
    return members


def write(line: dict[str, Any]) -> None:
    """Writes one line, at once."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def run(library: Any) -> None:
    """Serves the suite with the calls of that module."""
    asyncio.run(serve(library))


async def serve(library: Any) -> None:
    lines = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await Adapter(library).run(lines)
