"""An adapter between the conformance suite and a client library: a line in, a call of the library, a line out.

Fill in what is marked BLANK, from the top down. The rest of this file is the protocol, and is complete: it needs Python 3.11 and nothing else.
Whatever a blank raises is reported as the library's error; `print(..., file=sys.stderr)` is shown with a case that fails.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import threading
import traceback
from dataclasses import dataclass
from typing import Any


class Blank(Exception):
    """A part of this adapter that is not written yet."""


# BLANK 1: who the library is. What it does not declare here is not judged. Features that work as soon as the blanks do:
# "abandon" (a cancelled `receive` loses nothing), "cancel" (a call is a task that can be cancelled), "foreign-drop" (`drop`
# may be called on any thread), "buffered" (blank 4), "census" (blank 8), "error-kinds" (blank 9).
HELLO = {
    "control": 1,
    "adapter": "my-adapter 1",
    "library": "my-library 0.0.0",
    "language": "python",
    "transports": ["ws", "stdio"],
    "features": [],
    "limits": {},
}


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


async def open_websocket(url: str) -> Any:
    """BLANK 2: connects, makes the handshake, and returns the library's connection."""
    raise Blank("blank 2: open a connection")


async def open_stdio(argv: list[str], env: dict[str, str]) -> Any:
    """BLANK 2: lets the library start its executor, `argv` with `env` added to what it inherits; else as above."""
    raise Blank("blank 2: open a connection")


async def call_streamed(connection: Any, request: Request) -> tuple[int, list[tuple[str, str]], Any]:
    """BLANK 3: makes a call whose body comes in pieces: status, headers in order, and the library's body."""
    raise Blank("blank 3: start a streamed call")


async def call_buffered(connection: Any, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
    """BLANK 4: makes a call whose response has its whole body. Only with the feature "buffered"."""
    raise Blank("blank 4: start a buffered call")


async def receive(body: Any) -> bytes | None:
    """BLANK 5: receives the next chunk, or None at the clean end. Called again behind an end or an error."""
    raise Blank("blank 5: receive a chunk")


def drop(body: Any) -> None:
    """BLANK 6: lets go of a body without reading on."""
    raise Blank("blank 6: drop a body")


async def close(connection: Any) -> None:
    """BLANK 7: closes a connection."""
    raise Blank("blank 7: close a connection")


def census(connection: Any) -> dict[str, int]:
    """BLANK 8: what the library holds for a connection: routes, and if it can tell calls and queuedBytes. Only with "census"."""
    raise Blank("blank 8: count what the library holds")


def failure_of(error: Exception) -> dict[str, Any]:
    """BLANK 9: which kind an error of the library is; "rpc" also has the executor's `code`. Only with "error-kinds"."""
    return {"kind": "other", "message": str(error)}


# From here on nothing is to be filled in.

LINE_BYTES = 8 * 1024 * 1024
DATA_BYTES = 65_536
Reply = tuple[str, dict[str, Any]]


class Op:
    """A call: its worker makes it, and then reads its body when it is told to."""

    def __init__(self) -> None:
        self.reads: asyncio.Queue[tuple[float, float, bool]] = asyncio.Queue()
        self.body: Any = None
        self.answered = False
        self.worker: asyncio.Task[None] | None = None


class Adapter:
    """Carries out commands. All names of the suite live as long as the process."""

    def __init__(self) -> None:
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
        return "hello", HELLO

    async def _on_open(self, command: dict[str, Any]) -> Reply:
        try:
            if command["transport"] == "ws":
                connection = await open_websocket(command["url"])
            else:
                connection = await open_stdio(command["argv"], command["env"])
        except Blank:
            raise
        except Exception as error:
            return "failed", failure_of(error)
        self._connections[command["conn"]] = connection
        return "opened", {}

    async def _on_request(self, command: dict[str, Any]) -> Reply:
        connection, request = self._connections[command["conn"]], request_of(command)
        op = self._ops[command["op"]] = Op()
        op.worker = asyncio.create_task(self._work(command["op"], op, connection, request, command["stream"]))
        return "ok", {}

    async def _on_read(self, command: dict[str, Any]) -> Reply:
        chunks, size = command.get("max", 1), command.get("bytes", float("inf"))
        self._ops[command["op"]].reads.put_nowait((chunks, size, command.get("abandon", False)))
        return "ok", {}

    async def _on_drain(self, command: dict[str, Any]) -> Reply:
        self._ops[command["op"]].reads.put_nowait((float("inf"), float("inf"), False))
        return "ok", {}

    async def _on_drop(self, command: dict[str, Any]) -> Reply:
        op = self._ops[command["op"]]
        op.worker.cancel()
        if op.body is not None and command.get("foreign", False):
            # The event loop stands still meanwhile: the drop cannot lean on it.
            thread = threading.Thread(target=drop, args=[op.body])
            thread.start()
            thread.join()
        elif op.body is not None:
            drop(op.body)
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
        return "census", census(self._connections[command["conn"]])

    async def _on_close(self, command: dict[str, Any]) -> Reply:
        await close(self._connections[command["conn"]])
        return "ok", {}

    async def _on_bye(self, command: dict[str, Any]) -> Reply:
        return "ok", {}

    async def _work(self, name: str, op: Op, connection: Any, request: Request, stream: bool) -> None:
        """Makes the call of an op; then every further step is a read that was asked for."""
        try:
            status, pairs, body = await (call_streamed if stream else call_buffered)(connection, request)
        except Exception as error:
            self._tell("call-failed", op=name, **failure_of(error))
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
            chunk = await (receive_abandoned(body) if abandon else receive(body))
        except Exception as error:
            self._tell("stream-failed", op=name, **failure_of(error))
            return None
        if chunk is None:
            self._tell("end", op=name)
            return None
        self._tell("chunk", op=name, **bytes_of(chunk))
        return len(chunk)

    def _tell(self, event: str, **members: Any) -> None:
        self._events += 1
        write({"n": self._events, "event": event, **members})


async def receive_abandoned(body: Any) -> bytes | None:
    """Gives up a receive at the first moment at which it waits, and receives again; what is there at once counts."""
    attempt = asyncio.create_task(receive(body))
    try:
        # The attempt runs to its first wait, or to its end.
        await asyncio.sleep(0)
    finally:
        attempt.cancel()
    await asyncio.wait({attempt})
    return await receive(body) if attempt.cancelled() else attempt.result()


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


async def main() -> None:
    lines = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await Adapter().run(lines)


if __name__ == "__main__":
    asyncio.run(main())
