"""The two transports. Each has three methods:

- `receive` waits for the next message; `None` is the end in good order, a `TransportError` any other end
- `send` writes one message
- `close` closes, within `CLOSE_SECONDS`; with `violation` because the executor broke the protocol
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Mapping, Sequence

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, WebSocketException
from websockets.frames import CloseCode

from errors import HandshakeTimeout, TransportError
from protocol import MESSAGE_BYTES

OPEN_SECONDS = 10.0
"""How long a websocket may take to open."""

CLOSE_SECONDS = 1.0
"""How long an executor may take to close its side."""

READ_BYTES = 65_536
"""How much is read from a pipe at once."""

# The websocket library would log whole messages, and with them what calls hold in secret.
_SILENT = logging.Logger("silent")
_SILENT.disabled = True


class _Connection(ClientConnection):
    """A connection that ends soon after the executor closed its side, whatever it does with its socket then."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.protocol.close_expected():
            self._abort_soon()

    def eof_received(self) -> None:
        super().eof_received()
        self._abort_soon()

    def _abort_soon(self) -> None:
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


class _Connect(connect):
    """Opens a connection to this executor and to no other: a redirect is a failure."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class WebSocketTransport:
    """One websocket message is one message."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, url: str) -> WebSocketTransport:
        """Connects. No `Origin`, no extensions, no proxy; the executor sends the pings."""
        try:
            connection = await _Connect(
                url,
                compression=None,
                create_connection=_Connection,
                logger=_SILENT,
                max_size=MESSAGE_BYTES,
                open_timeout=OPEN_SECONDS,
                ping_interval=None,
                close_timeout=CLOSE_SECONDS,
                proxy=None,
            )
        except TimeoutError:
            raise HandshakeTimeout(f"no websocket within {OPEN_SECONDS:g} seconds") from None
        except (OSError, WebSocketException) as error:
            raise TransportError(f"no websocket could be opened: {type(error).__name__}") from error
        return cls(connection)

    async def receive(self) -> bytes | None:
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosedOK:
            return None
        except ConnectionClosed as error:
            raise TransportError("the websocket broke, or was not closed in good order") from error

    async def send(self, message: bytes) -> None:
        try:
            await self._connection.send(message, text=True)
        except ConnectionClosed as error:
            raise TransportError("the websocket was closed") from error

    async def close(self, violation: bool) -> None:
        # An executor that does not read leaves no room for the close frame.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.close(CloseCode.PROTOCOL_ERROR if violation else CloseCode.NORMAL_CLOSURE)
        self._connection.transport.abort()


class StdioTransport:
    """A child process; one line of its standard streams is one message."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._framer = LineFramer()
        self._lines: deque[bytes] = deque()

    @classmethod
    async def open(cls, argv: Sequence[str], env: Mapping[str, str]) -> StdioTransport:
        """Starts the executor; it inherits the environment, with `env` in addition."""
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=pipe, stdout=pipe, env={**os.environ, **env}, limit=READ_BYTES
            )
        except OSError as error:
            raise TransportError(f"the executor could not be started: {type(error).__name__}") from error
        return cls(process)

    async def receive(self) -> bytes | None:
        while not self._lines:
            data = await self._process.stdout.read(READ_BYTES)
            if not data:
                return None
            self._lines.extend(self._framer.feed(data))
        return self._lines.popleft()

    async def send(self, message: bytes) -> None:
        try:
            self._process.stdin.write(message + b"\n")
            await self._process.stdin.drain()
        except OSError as error:
            raise TransportError("the executor closed its standard input") from error

    async def close(self, violation: bool) -> None:
        # The end of its input tells the executor to end; one that does not is killed.
        self._process.stdin.close()
        ending = asyncio.create_task(self._discard())
        await asyncio.wait({ending}, timeout=CLOSE_SECONDS)
        if not ending.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await asyncio.wait({ending}, timeout=CLOSE_SECONDS)
        ending.cancel()

    async def _discard(self) -> None:
        """Waits for the end of the process; a full pipe would keep it from ending."""
        while await self._process.stdout.read(READ_BYTES):
            pass
        await self._process.wait()


class LineFramer:
    """Cuts bytes into lines that end with LF or CRLF, however they are divided. Blank lines are skipped."""

    def __init__(self, line_bytes: int = MESSAGE_BYTES) -> None:
        self._line_bytes = line_bytes
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end in these bytes. What follows the last of them is held, up to the bound."""
        lines = []
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._hold(end)
            line = bytes(self._pending).removesuffix(b"\r")
            self._pending.clear()
            if line.strip():
                lines.append(line)
        self._hold(rest)
        return lines

    def _hold(self, piece: bytes) -> None:
        self._pending += piece
        # The CR of a line end does not count.
        if len(self._pending) - self._pending.endswith(b"\r") > self._line_bytes:
            raise TransportError(f"the executor sent a line of more than {self._line_bytes} bytes")
