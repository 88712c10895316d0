"""An executor played by a test, and what all tests of the client need."""

from __future__ import annotations

import asyncio
import base64
import json
import unittest

from client import Client, Request
from errors import ClientError, TransportError
from streams import Body

GET = Request("GET", "http://origin.invalid/")

TEST_SECONDS = 20.0
"""How long one test may take."""


class Executor:
    """A transport whose other end is the test."""

    def __init__(self) -> None:
        self.arriving: asyncio.Queue[bytes | TransportError | None] = asyncio.Queue()
        self.sent: asyncio.Queue[dict] = asyncio.Queue()
        self.writable = asyncio.Event()
        self.writable.set()
        self.violation: bool | None = None
        self.fences = 0

    async def receive(self) -> bytes | None:
        item = await self.arriving.get()
        if isinstance(item, TransportError):
            raise item
        return item

    async def send(self, message: bytes) -> None:
        await self.writable.wait()
        self.sent.put_nowait(json.loads(message))

    async def close(self, violation: bool) -> None:
        self.violation = violation

    def says(self, *messages: dict | bytes) -> None:
        for message in messages:
            self.arriving.put_nowait(message if isinstance(message, bytes) else json.dumps(message).encode())

    def ends(self) -> None:
        self.arriving.put_nowait(None)

    async def handled(self) -> None:
        """Waits until the client has handled all that was said: it answers in order."""
        self.fences += 1
        self.says({"id": f"fence {self.fences}", "method": "fence"})
        answer = await self.sent.get()
        assert answer["id"] == f"fence {self.fences}" and answer["error"]["code"] == -32601, answer


def delta(request_id: str, seq: int, data: bytes = b"", **members: object) -> dict:
    params = {"requestId": request_id, "seq": seq, "deltaBase64": base64.b64encode(data).decode(), **members}
    return {"method": "http/request/bodyDelta", "params": params}


def result(call_id: object, status: object = 200, headers: object = (), body: object = "") -> dict:
    return {"id": call_id, "result": {"status": status, "headers": headers, "bodyBase64": body}}


def limit_time(test: unittest.IsolatedAsyncioTestCase) -> None:
    """Makes a test that waits in vain fail. The warnings of the loop about slow steps are of no use here."""
    loop = asyncio.get_running_loop()
    loop.set_debug(False)
    timer = loop.call_later(TEST_SECONDS, lambda: [task.cancel() for task in asyncio.all_tasks()])
    test.addCleanup(timer.cancel)


class ClientTest(unittest.IsolatedAsyncioTestCase):
    """What all tests need: a connected client and its executor."""

    async def asyncSetUp(self) -> None:
        limit_time(self)
        await self.renew()

    async def renew(self) -> None:
        """Starts afresh."""
        self.client, self.executor = await self.connect({"sessionId": "s"})

    async def connect(self, answer: object) -> tuple[Client, Executor]:
        executor = Executor()
        connecting = asyncio.create_task(Client.connect(executor))
        initialize = await executor.sent.get()
        self.assertEqual(
            (initialize["method"], initialize["params"]), ("initialize", {"clientName": "exec-http-python"})
        )
        executor.says({"id": initialize["id"], "result": answer})
        client = await connecting
        self.addAsyncCleanup(client.close)
        self.assertEqual(await executor.sent.get(), {"method": "initialized", "params": {}})
        return client, executor

    async def call(self, request: Request = GET, buffered: bool = False) -> tuple[asyncio.Task, dict]:
        """Starts a call; returns it and what reached the executor."""
        task = asyncio.create_task(self.client.request(request) if buffered else self.client.stream(request))
        self.addAsyncCleanup(asyncio.gather, task, return_exceptions=True)
        self.addAsyncCleanup(self.client.close)
        return task, await self.executor.sent.get()

    async def stream(self, headers: object = (), request: Request = GET, status: int = 200) -> tuple[Body, str]:
        """Makes a streamed call; returns its body and its requestId."""
        task, message = await self.call(request)
        self.executor.says(result(message["id"], status, headers))
        return (await task).body, message["params"]["requestId"]

    async def drained(self, body: Body) -> tuple[list[bytes], ClientError | None]:
        """All chunks and the error or clean end, which has to stay."""
        chunks = []
        try:
            while (chunk := await body.receive()) is not None:
                chunks.append(chunk)
            self.assertIsNone(await body.receive())
            return chunks, None
        except ClientError as error:
            with self.assertRaises(type(error)) as again:
                await body.receive()
            self.assertIs(again.exception, error)
            return chunks, error

    async def assert_ends(self, body: Body, chunks: list[bytes], error: type[ClientError] | None) -> None:
        ended = await self.drained(body)
        self.assertEqual((ended[0], ended[1] and type(ended[1])), (chunks, error))

    def assert_holds(self, routes: int = 0, calls: int = 0, queued_bytes: int = 0) -> None:
        self.assertEqual(self.client.census(), (routes, calls, queued_bytes))
