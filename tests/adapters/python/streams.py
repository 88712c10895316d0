"""The streams of one connection: which frames wait for their consumers, and how each stream has ended.

One lock guards everything, so that a stream can be dropped on any thread; all other calls come from the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque

from errors import ClientError, Disconnected, Dropped, Overflow, RemoteError, SequenceError, WrongLength
from protocol import Delta

QUEUE_FRAMES = 256
"""Data frames that may wait in one stream; the data of a terminal frame has a place of its own."""

QUEUE_BYTES = 16 * 1024 * 1024
"""Bytes that may wait in all streams of a connection."""

FRAME_CHARGE_BYTES = 256
"""What a waiting frame costs of `QUEUE_BYTES` at least, so that tiny frames cannot pile up for free."""


class _Stream:
    """One stream, ahead of its consumer by the frames that wait."""

    __slots__ = ("ended", "error", "expected", "frames", "held", "waiter")

    def __init__(self) -> None:
        self.expected = 1
        """The `seq` that the next frame must have."""
        self.frames: deque[bytes] = deque()
        """What waits; it comes before the end."""
        self.held = 0
        """What `frames` are charged."""
        self.ended = False
        """Whether there is an outcome, which is final."""
        self.error: ClientError | None = None
        """Why the stream failed; `None` once it has ended means that the body is whole."""
        self.waiter: asyncio.Future[None] | None = None
        """The consumer, while it waits."""

    def end(self, error: ClientError | None) -> None:
        """Ends the stream behind its waiting frames."""
        self.ended, self.error = True, error
        self.wake()

    def wake(self) -> None:
        """Lets the consumer look again."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            # A loop that is closed has nobody left to wake.
            with contextlib.suppress(RuntimeError):
                waiter.get_loop().call_soon_threadsafe(_resolve, waiter)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Streams:
    """All streams of a connection, by `requestId`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, _Stream] = {}
        self._held = 0

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def queued_bytes(self) -> int:
        """What all waiting frames are charged; at most `QUEUE_BYTES`."""
        return self._held

    def open(self, request_id: str) -> None:
        """Adds a stream, before its request is sent."""
        with self._lock:
            self._streams[request_id] = _Stream()

    def release(self, request_id: str) -> None:
        """Forgets a stream with all that waits in it. On any thread, and no matter how often."""
        with self._lock:
            stream = self._streams.pop(request_id, None)
            if stream is not None:
                self._held -= stream.held
                stream.wake()

    def deliver(self, request_id: str, delta: Delta) -> None:
        """Takes a frame: its data waits, its `seq` and its end are judged at once. Ignored unless it is open."""
        with self._lock:
            stream = self._streams.get(request_id)
            if stream is None or stream.ended:
                return
            if delta.seq != stream.expected:
                stream.end(SequenceError(f"frame {delta.seq} came where {stream.expected} was due"))
                return
            stream.expected += 1
            overflow = self._queue(stream, delta) if delta.data else None
            if delta.error is not None:
                # A body that failed anyway keeps its own reason.
                stream.end(RemoteError(delta.error))
            elif overflow is not None or delta.done:
                stream.end(overflow)
            elif delta.data:
                stream.wake()

    def fail(self, request_id: str, error: ClientError) -> None:
        """Ends one stream behind its waiting frames. Ignored unless the stream is open."""
        with self._lock:
            stream = self._streams.get(request_id)
            if stream is not None and not stream.ended:
                stream.end(error)

    def disconnect(self, reason: str) -> None:
        """Ends every stream that has not ended, behind its waiting frames."""
        with self._lock:
            for stream in self._streams.values():
                if not stream.ended:
                    stream.end(Disconnected(reason))

    async def receive(self, request_id: str) -> bytes | None:
        """Waits for the next bytes; `None` is the clean end. Nothing is taken before it is returned."""
        while True:
            with self._lock:
                stream = self._streams.get(request_id)
                if stream is None:
                    raise Dropped("the stream was dropped")
                if stream.frames:
                    frame = stream.frames.popleft()
                    stream.held -= _charge(frame)
                    self._held -= _charge(frame)
                    return frame
                if stream.error is not None:
                    raise stream.error
                if stream.ended:
                    return None
                if stream.waiter is not None and not stream.waiter.done():
                    raise RuntimeError("a stream has one consumer at a time")
                waiter = stream.waiter = asyncio.get_running_loop().create_future()
            await waiter

    def _queue(self, stream: _Stream, delta: Delta) -> Overflow | None:
        """Lets data wait; an overflow says why it may not."""
        if len(stream.frames) >= QUEUE_FRAMES and not delta.is_terminal:
            return Overflow(f"the body was not read: {QUEUE_FRAMES} frames waited")
        charge = _charge(delta.data)
        if not self._make_room(charge, stream.held):
            return _bytes_overflow()
        stream.frames.append(delta.data)
        stream.held += charge
        self._held += charge
        return None

    def _make_room(self, charge: int, held: int) -> bool:
        """Ends streams that hold more than `held`, the largest first, until the charge fits; none in vain."""
        missing = self._held + charge - QUEUE_BYTES
        if missing <= 0:
            return True
        payers = [stream for stream in self._streams.values() if stream.held > held]
        payers.sort(key=lambda stream: stream.held, reverse=True)
        if sum(stream.held for stream in payers) < missing:
            return False
        for stream in payers:
            if missing <= 0:
                break
            missing -= stream.held
            self._held -= stream.held
            stream.held = 0
            stream.frames.clear()
            stream.end(_bytes_overflow())
        return True


def _charge(frame: bytes) -> int:
    return max(len(frame), FRAME_CHARGE_BYTES)


def _bytes_overflow() -> Overflow:
    return Overflow(f"the body was not read: {QUEUE_BYTES} bytes waited on the connection")


class Body:
    """The body of a streamed response. Read it to its end, or drop it."""

    def __init__(self, streams: Streams, request_id: str, promised: int | None) -> None:
        self._streams = streams
        self._request_id = request_id
        self._promised = promised
        self._received = 0
        self._ended = False
        self._error: ClientError | None = None

    async def receive(self) -> bytes | None:
        """Waits for the next bytes; `None` is the clean end, after which the body is whole.

        An end and an error stay: every later call returns them again. A receive may be cancelled and repeated at any
        point; it loses and repeats nothing.
        """
        if not self._ended:
            try:
                chunk = await self._streams.receive(self._request_id)
                self._check_length(chunk)
                if chunk is not None:
                    return chunk
            except ClientError as error:
                self._error = error
            self._ended = True
            self._streams.release(self._request_id)
        if self._error is not None:
            # The traceback of an earlier call would grow with every later one.
            raise self._error.with_traceback(None)
        return None

    def drop(self) -> None:
        """Lets go of the body: nothing of it is held when this returns. On any thread, with or without a loop."""
        self._streams.release(self._request_id)

    def _check_length(self, chunk: bytes | None) -> None:
        self._received += len(chunk or b"")
        if self._promised is None:
            return
        if self._received > self._promised or (chunk is None and self._received < self._promised):
            raise WrongLength(f"{self._received} bytes of a body whose content-length is {self._promised}")
