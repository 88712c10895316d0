"""The adapter as a process, against `docs/adapter.md` and an executor played by the test."""

from __future__ import annotations

import asyncio
import json
import sys
import unittest
from pathlib import Path

from executor import delta, limit_time, result
from test_transport import CHILD, Peer, port_of

HERE = Path(__file__).parent
PROTOCOL = HERE.parents[2] / "docs" / "adapter.md"

EVENTS = {
    "response": {"op", "status", "headers"},
    "call-failed": {"op", "kind", "message"},
    "chunk": {"op", "bytes", "sha256"},
    "end": {"op"},
    "stream-failed": {"op", "kind", "message"},
    "closed": {"conn"},
}


class Adapter(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        limit_time(self)
        self.text = PROTOCOL.read_text()
        self.ids = self.events = 0
        self.told: list[dict] = []
        pipe = asyncio.subprocess.PIPE
        program = [sys.executable, str(HERE / "adapter.py")]
        self.process = await asyncio.create_subprocess_exec(*program, stdin=pipe, stdout=pipe, limit=8 * 1024 * 1024)
        self.addAsyncCleanup(self.process.wait)
        self.addCleanup(self.process.stdin.close)

    async def asyncTearDown(self) -> None:
        self.process.stdin.close()
        async with asyncio.timeout(2):
            self.assertEqual(await self.process.wait(), 0)

    async def next_line(self) -> dict:
        """The next reply or event; an event must be as the protocol says."""
        line = json.loads(await self.process.stdout.readline())
        if "event" in line:
            self.events += 1
            self.assertEqual(line["n"], self.events)
            self.assertLessEqual(EVENTS[line["event"]], set(line))
            if "kind" in line:
                self.assertIn(f"| `{line['kind']}` |", self.text)
        return line

    async def ask(self, command: str, **members: object) -> dict:
        """Writes a command; returns its reply. Events on the way are kept."""
        self.ids += 1
        line = {"id": self.ids, "command": command, **members}
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        while "event" in (reply := await self.next_line()):
            self.told.append(reply)
        self.assertEqual(reply["id"], self.ids)
        return reply

    async def event(self) -> dict:
        """The oldest event that was not seen yet."""
        return self.told.pop(0) if self.told else await self.next_line()

    async def open(self, conn: str) -> Peer:
        """Opens a connection to this test."""
        arrived: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = Peer(reader, writer)
            await peer.upgrade()
            await peer.handshake()
            arrived.set_result(peer)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.addCleanup(server.close)
        url = f"ws://127.0.0.1:{port_of(server)}/"
        self.assertEqual((await self.ask("open", conn=conn, transport="ws", url=url))["reply"], "opened")
        peer = await arrived
        self.addCleanup(peer.writer.close)
        return peer

    async def request(self, op: str, peer: Peer, **members: object) -> dict:
        """Starts a call; returns what reached the executor."""
        described = {"stream": True, "method": "GET", "url": "http://origin.invalid/", "headers": [], **members}
        self.assertEqual((await self.ask("request", conn="c", op=op, **described))["reply"], "ok")
        return await peer.next()

    async def test_the_exchange_of_the_protocol(self) -> None:
        exchange = self.text.split("```text\n")[1].split("```")[0].splitlines()
        lines = [(line[0], json.loads(line[2:])) for line in exchange]

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = Peer(reader, writer)
            self.addCleanup(writer.close)
            await peer.upgrade()
            await peer.handshake()
            message = await peer.next()
            peer.says(result(message["id"]))
            peer.says(delta(message["params"]["requestId"], 1, b"hi"))
            peer.says(delta(message["params"]["requestId"], 2, done=True))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.addCleanup(server.close)
        for direction, line in lines:
            if direction == ">":
                line = {**line, "url": f"ws://127.0.0.1:{port_of(server)}/"} if line["command"] == "open" else line
                self.process.stdin.write(json.dumps(line).encode() + b"\n")
                continue
            said = await self.next_line()
            if line.get("reply") == "hello":
                self.assertEqual(set(said), set(line))
                for feature in said["features"] + list(said["limits"]):
                    self.assertIn(f"| `{feature}` |", self.text)
                continue
            self.assertEqual(said, line)

    async def test_replies_to_what_cannot_be_done(self) -> None:
        hello = await self.ask("hello", control=[1], suite="x", unknown={})
        self.assertEqual({**hello, "id": 0}, {**await self.ask("hello", control=[1], suite="x"), "id": 0})
        self.assertEqual((await self.ask("frobnicate"))["reply"], "unsupported")
        self.assertEqual((await self.ask("open", conn="x", transport="carrier pigeon"))["reply"], "unsupported")
        for command in ("read", "drain", "drop", "cancel", "census", "close", "request"):
            reply = await self.ask(command, op="nobody", conn="nobody")
            self.assertEqual((reply["reply"], reply["where"]), ("error", "adapter"))
        failed = await self.ask("open", conn="x", transport="stdio", argv=["/"], env={})
        self.assertEqual((failed["reply"], set(failed)), ("failed", {"id", "reply", "kind", "message"}))
        self.assertEqual((await self.ask("bye"))["reply"], "ok")
        async with asyncio.timeout(2):
            self.assertEqual(await self.process.wait(), 0)

    async def test_reads_are_pulled_and_stick(self) -> None:
        peer = await self.open("c")
        fill = {"patternBase64": "YWJj", "bytes": 4}
        message = await self.request("o", peer, bodyFill=fill, timeoutMs=7, redirect="stop", requestId="mine")
        params = message["params"]
        self.assertEqual((params["bodyBase64"], params["timeoutMs"], params["redirectPolicy"]), ("YWJjYQ==", 7, "stop"))
        self.assertNotEqual(params["requestId"], "mine")
        headers = [{"name": "a", "value": "caf\ufffd", "valueBase64": "Y2Fm6Q=="}]
        peer.says(result(message["id"], 200, headers))
        response = await self.event()
        self.assertEqual(response["headers"], [{"name": "a", "value": "caf\ufffd"}])
        sizes = (1, 65_536, 65_537)
        for seq, size in enumerate(sizes, 1):
            peer.says(delta(params["requestId"], seq, b"x" * size))
        peer.says(delta(params["requestId"], 4, b"last", error="broke"))
        peer.says(result("nobody"))
        while (await self.ask("census", conn="c"))["queuedBytes"] != 256 + 65_536 + 65_537 + 256:
            pass
        self.assertEqual(self.told, [])
        await self.ask("read", op="o", max=2, abandon=True)
        await self.ask("read", op="o", max=9, bytes=65_537)
        chunks = [await self.event() for _ in sizes]
        told = [(chunk["bytes"], "dataBase64" in chunk) for chunk in chunks]
        self.assertEqual(told, [(1, True), (65_536, True), (65_537, False)])
        await self.ask("drain", op="o")
        self.assertEqual((await self.event())["bytes"], 4)
        for _ in range(2):
            failed = await self.event()
            self.assertEqual((failed["event"], failed["kind"], failed["message"]), ("stream-failed", "remote", "broke"))
            await self.ask("read", op="o", max=2)
        await self.event()
        self.assertEqual((await self.ask("census", conn="c"))["routes"], 0)

    async def test_abandoned_reads_cancels_and_drops(self) -> None:
        peer = await self.open("c")
        first, second, third = [await self.request(op, peer) for op in ("o1", "o2", "o3")]
        self.assertEqual((await self.ask("cancel", op="o1"))["reply"], "ok")
        for message in (first, second, third):
            peer.says(result(message["id"]))
        self.assertEqual([(await self.event())["op"] for _ in range(2)], ["o2", "o3"])
        await self.ask("read", op="o2", abandon=True, max=2)
        await self.ask("read", op="o3")
        await self.ask("sync")
        census = await self.ask("census", conn="c")
        self.assertEqual((census["routes"], census["calls"], census["queuedBytes"]), (2, 0, 0))
        await self.ask("drop", op="o3", foreign=True)
        self.assertEqual((await self.ask("census", conn="c"))["routes"], 1)
        for seq in (1, 2):
            for message in (first, second, third):
                peer.says(delta(message["params"]["requestId"], seq, b"x"))
        chunks = [await self.event() for _ in range(2)]
        self.assertEqual([(chunk["op"], chunk["event"]) for chunk in chunks], [("o2", "chunk")] * 2)
        self.assertEqual((await self.ask("read", op="o3"))["reply"], "error")
        await self.request("o4", peer)
        self.assertEqual((await self.ask("close", conn="c"))["reply"], "ok")
        self.assertEqual({(await self.event())["event"] for _ in range(2)}, {"closed", "call-failed"})
        await self.ask("read", op="o2")
        self.assertEqual((await self.event())["kind"], "disconnected")
        self.assertEqual((await self.ask("census", conn="c"))["routes"], 0)

    async def test_buffered_calls_and_stdio(self) -> None:
        program = "assert os.environ['GIVEN']\nanswer['result']['bodyBase64'] = 'aGk='\nwrite(answer)\nread()"
        argv = [sys.executable, "-c", CHILD + program]
        opened = await self.ask("open", conn="c", transport="stdio", argv=argv, env={"GIVEN": "1"})
        self.assertEqual(opened["reply"], "opened")
        call = {"conn": "c", "stream": False, "method": "GET", "url": "http://origin.invalid/", "headers": []}
        await self.ask("request", op="o1", **call)
        response = await self.event()
        self.assertEqual((response["event"], response["bytes"], response["dataBase64"]), ("response", 2, "aGk="))
        await self.ask("request", op="o2", **{**call, "bodyBase64": "eHh4" * 1_500_000})
        ends = [await self.event() for _ in range(2)]
        self.assertEqual({end["event"] for end in ends}, {"call-failed", "closed"})
        self.assertEqual([end["kind"] for end in ends if "kind" in end], ["unknown-outcome"])
        await self.ask("request", op="o3", **call)
        self.assertEqual((await self.event())["kind"], "disconnected")


if __name__ == "__main__":
    unittest.main()
