"""The transports against peers that write bytes by hand. Tests name the clauses of SPEC.md that they are about."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import struct
import sys
import unittest
from collections.abc import Awaitable, Callable
from unittest import mock

import transport
from client import Client, Header, Request
from errors import ClientError, Disconnected, OutcomeUnknown, TransportError
from executor import GET, delta, limit_time, result
from streams import Body
from transport import LineFramer

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Peer:
    """The executor's end of one websocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.head = b""

    async def upgrade(self) -> None:
        self.head = await self.reader.readuntil(b"\r\n\r\n")
        lines = self.head.lower().split(b"\r\n")
        index = next(index for index, line in enumerate(lines) if line.startswith(b"sec-websocket-key:"))
        key = self.head.split(b"\r\n")[index].split()[1]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        self.writer.write(b"HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\n")
        self.writer.write(b"sec-websocket-accept: " + accept + b"\r\n\r\n")

    async def handshake(self) -> None:
        initialize = await self.next()
        self.says({"id": initialize["id"], "result": {"sessionId": "s"}})
        assert await self.next() == {"method": "initialized", "params": {}}

    def frame(self, opcode: int, payload: bytes = b"", final: bool = True, claimed: int | None = None) -> None:
        """Writes a frame; its head may claim another length."""
        length = len(payload) if claimed is None else claimed
        self.writer.write(struct.pack(">BBQ", opcode | final << 7, 127, length) + payload)

    def says(self, message: dict, opcode: int = TEXT) -> None:
        self.frame(opcode, json.dumps(message).encode())

    async def next_frame(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        length = second & 127
        if length >= 126:
            length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(length)
        return first & 15, bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))

    async def next(self) -> dict:
        opcode, payload = await self.next_frame()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    def reset(self) -> None:
        """Closes the TCP connection with a reset."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class WebSocket(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        limit_time(self)
        patch = mock.patch.object(transport, "CLOSE_SECONDS", 0.2)
        patch.start()
        self.addCleanup(patch.stop)

    async def connect(self) -> tuple[Client, Peer]:
        arrived: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            arrived.set_result(Peer(reader, writer))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.addCleanup(server.close)
        connecting = asyncio.create_task(Client.connect_websocket(f"ws://127.0.0.1:{port_of(server)}/"))
        peer = await arrived
        self.addCleanup(peer.writer.close)
        await peer.upgrade()
        await peer.handshake()
        client = await connecting
        self.addAsyncCleanup(client.close)
        return client, peer

    async def stream(self, client: Client, peer: Peer) -> tuple[Body, str]:
        task = asyncio.create_task(client.stream(GET))
        message = await peer.next()
        peer.says(result(message["id"]))
        return (await task).body, message["params"]["requestId"]

    async def test_the_upgrade_has_no_origin_transport_22(self) -> None:
        _, peer = await self.connect()
        head = peer.head.lower()
        self.assertTrue(head.startswith(b"get / http/1.1\r\n"))
        for absent in (b"\r\norigin", b"\r\nsec-websocket-extensions"):
            self.assertNotIn(absent, head)

    async def test_fragments_binary_messages_and_pings_transport_9_11_14(self) -> None:
        client, peer = await self.connect()
        body, request_id = await self.stream(client, peer)
        first, second, third = (json.dumps(delta(request_id, seq, b"x" * seq)).encode() for seq in (1, 2, 3))
        peer.frame(TEXT, first[:7], final=False)
        peer.frame(PING, b"between")
        peer.frame(CONTINUATION, b"", final=False)
        peer.frame(CONTINUATION, first[7:])
        self.assertEqual(await peer.next_frame(), (PONG, b"between"))
        peer.frame(BINARY, second)
        peer.frame(BINARY, third[:1], final=False)
        peer.frame(CONTINUATION, third[1:])
        self.assertEqual([await body.receive() for _ in range(3)], [b"x", b"xx", b"xxx"])
        for seq in range(4, 400):
            peer.says(delta(request_id, seq, b"unread"))
        peer.frame(PING, b"while a queue is full")
        self.assertEqual(await peer.next_frame(), (PONG, b"while a queue is full"))

    async def test_every_end_ends_all_work_close_8_to_11(self) -> None:
        ends: dict[str, Callable[[Peer], object]] = {
            "close frame": lambda peer: peer.frame(CLOSE, b"\x03\xe8"),
            "close frame of an error": lambda peer: peer.frame(CLOSE, b"\x03\xf3"),
            "end of the TCP stream": lambda peer: peer.writer.write_eof(),
            "reset": lambda peer: peer.reset(),
            "half a frame": lambda peer: (peer.frame(TEXT, b"{", claimed=100), peer.writer.close()),
            "reserved opcode": lambda peer: peer.frame(3, b"x"),
            "stray continuation": lambda peer: peer.frame(CONTINUATION, b"x"),
            "text that is not UTF-8": lambda peer: peer.frame(TEXT, b'{"method":"\xff"}'),
            "empty message": lambda peer: peer.frame(TEXT),
        }
        for name, end in ends.items():
            with self.subTest(end=name):
                client, peer = await self.connect()
                body, request_id = await self.stream(client, peer)
                pending = asyncio.create_task(client.request(GET))
                await peer.next()
                peer.says(delta(request_id, 1, b"before"))
                await peer.writer.drain()
                self.assertEqual(await body.receive(), b"before")
                peer.says(delta(request_id, 2, b"last"))
                end(peer)
                with self.assertRaises(OutcomeUnknown):
                    await pending
                if name != "reset":
                    self.assertEqual(await body.receive(), b"last")
                    with self.assertRaises(Disconnected):
                        await body.receive()

    async def test_large_messages_end_the_connection_limit_12(self) -> None:
        with mock.patch.object(transport, "MESSAGE_BYTES", 1000):
            client, peer = await self.connect()
            body, request_id = await self.stream(client, peer)
            peer.frame(TEXT, json.dumps(delta(request_id, 1, b"x")).encode().ljust(1000))
            self.assertEqual(await body.receive(), b"x")
            peer.frame(TEXT, b" " * 600, final=False)
            peer.frame(CONTINUATION, b" " * 401)
            with self.assertRaises(Disconnected):
                await body.receive()
        client, peer = await self.connect()
        body, _ = await self.stream(client, peer)
        peer.frame(TEXT, b"", claimed=64 * 1024 * 1024 + 1)
        with self.assertRaises(Disconnected):
            await body.receive()

    async def test_a_peer_that_does_not_read_holds_nothing_up(self) -> None:
        for ends in (False, True):
            with self.subTest(ends=ends):
                await self.stall(ends)

    async def stall(self, ends: bool) -> None:
        client, peer = await self.connect()
        body, request_id = await self.stream(client, peer)
        stuck = asyncio.create_task(client.request(Request("PUT", "http://h/", body=b"x" * 20_000_000)))
        peer.says(delta(request_id, 1, b"x"))
        self.assertEqual(await body.receive(), b"x")
        if ends:
            peer.writer.write_eof()
        else:
            await client.close()
        with self.assertRaises(OutcomeUnknown):
            await stuck

    async def test_redirects_are_not_followed_route_20(self) -> None:
        elsewhere = mock.AsyncMock()
        other = await asyncio.start_server(elsewhere, "127.0.0.1", 0)

        async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            location = f"ws://127.0.0.1:{port_of(other)}/".encode()
            writer.write(b"HTTP/1.1 302 x\r\nlocation: " + location + b"\r\ncontent-length: 0\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(redirect, "127.0.0.1", 0)
        for closed in (other, server):
            self.addCleanup(closed.close)
        with self.assertRaises(TransportError):
            await Client.connect_websocket(f"ws://127.0.0.1:{port_of(server)}/")
        elsewhere.assert_not_called()

    async def test_nothing_of_a_call_is_logged_error_16(self) -> None:
        with self.assertNoLogs(level=1):
            client, peer = await self.connect()
            request = Request("PUT", "http://h/secret?secret", [Header("a", "secret")], b"secret")
            task = asyncio.create_task(client.stream(request))
            await peer.next()
            peer.reset()
            with self.assertRaises(OutcomeUnknown) as failed:
                await task
        self.assertNotIn("secret", repr(failed.exception))


def port_of(server: asyncio.Server) -> int:
    return server.sockets[0].getsockname()[1]


CHILD = """
import json, os, sys
def read():
    return json.loads(sys.stdin.buffer.readline())
def write(*parts):
    for part in parts:
        sys.stdout.buffer.write(part if isinstance(part, bytes) else json.dumps(part).encode() + b"\\n")
        sys.stdout.buffer.flush()
write({"id": read()["id"], "result": {"sessionId": "s"}})
assert read()["method"] == "initialized"
message = read()
call_id, request_id = message["id"], message["params"]["requestId"]
answer = {"id": call_id, "result": {"status": 200, "headers": [], "bodyBase64": ""}}
def delta(seq, **members):
    params = {"requestId": request_id, "seq": seq, "deltaBase64": "eA==", **members}
    return {"method": "http/request/bodyDelta", "params": params}
"""


class Stdio(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        limit_time(self)

    async def run_child(self, program: str, see: Callable[[Client], Awaitable[None]], status: int = 0) -> None:
        client = await Client.connect_stdio([sys.executable, "-c", CHILD + program], {"GIVEN": "to the child"})
        process = client._transport._process
        try:
            await see(client)
        finally:
            await client.close()
        self.assertEqual(process.returncode, status)

    async def drained(self, client: Client) -> tuple[int, ClientError | None]:
        """How many bytes the body of one call has, and its error."""
        body, count = (await client.stream(GET)).body, 0
        try:
            while chunk := await body.receive():
                count += len(chunk)
            return count, None
        except ClientError as error:
            return count, error

    async def test_lines_transport_1_to_4(self) -> None:
        async def see(client: Client) -> None:
            self.assertEqual(await self.drained(client), (5, None))

        await self.run_child(
            """
write(b"\\n \\t\\r\\n", json.dumps(answer).encode(), b"\\r\\n", json.dumps(delta(1)).encode()[:9])
write(json.dumps(delta(1)).encode()[9:], b"\\n", b"\\r", b"\\n")
write(b"".join(json.dumps(delta(n)).encode() + b"\\n" for n in (2, 3)))
assert os.environ["GIVEN"] and os.environ["PATH"]
write(delta(4), delta(5, done=True), b"not a message")
sys.stdin.read()
""",
            see,
        )

    async def test_the_end_of_the_output_is_a_disconnect_close_9(self) -> None:
        async def see(client: Client) -> None:
            count, error = await self.drained(client)
            self.assertEqual((count, type(error)), (1, Disconnected))
            with self.assertRaises(Disconnected):
                await client.request(GET)

        for end, status in {
            "": 0,
            "os.close(1); sys.stdin.read(); os._exit(3)": 3,
            "os.kill(os.getpid(), 9)": -9,
            "write(json.dumps(delta(2)).encode())": 0,
        }.items():
            with self.subTest(end=end):
                await self.run_child(f"write(answer, delta(1))\n{end}\n", see, status)

    async def test_what_came_before_the_input_was_closed_is_read(self) -> None:
        async def see(client: Client) -> None:
            streaming = asyncio.create_task(self.drained(client))
            await asyncio.sleep(0)
            large = Request("PUT", "http://h/", body=b"x" * 5_000_000)
            with self.assertRaises(OutcomeUnknown):
                await client.request(large)
            count, error = await streaming
            self.assertEqual((count, type(error)), (300, Disconnected))

        await self.run_child(
            """
write(answer)
sys.stdin.buffer.read(1_000_000)
os.close(0)
write(*(delta(n) for n in range(1, 301)))
""",
            see,
        )

    async def test_long_lines_end_the_connection_limit_12(self) -> None:
        async def see(client: Client) -> None:
            count, error = await self.drained(client)
            self.assertEqual((count, type(error)), (2, Disconnected))

        await self.run_child(
            """
write(answer, delta(1), b" " * (64 * 1024 * 1024 - 1000) + json.dumps(delta(2)).encode().ljust(1000) + b"\\r\\n")
while True: write(b" " * 1_000_000)
""",
            see,
            -9,
        )

    async def test_an_executor_that_does_not_end_is_killed(self) -> None:
        async def see(client: Client) -> None:
            self.assertEqual(await self.drained(client), (1, None))

        await self.run_child("write(answer, delta(1, done=True))\nimport signal\nwhile True: signal.pause()", see, -9)

    async def test_an_executor_that_still_has_much_to_say_is_not_killed(self) -> None:
        async def see(client: Client) -> None:
            self.assertEqual(await self.drained(client), (1, None))

        await self.run_child("write(answer, delta(1, done=True))\nsys.stdin.read()\nwrite(b' ' * 5_000_000)", see)


class Framer(unittest.TestCase):
    def test_any_division_gives_the_same_lines(self) -> None:
        text = b'{"a":1}\r\n\n  \t\r\n\r\n{}\nx\ry\n\rz\nlast'
        for size in range(1, len(text) + 1):
            framer = LineFramer()
            lines = [line for start in range(0, len(text), size) for line in framer.feed(text[start : start + size])]
            self.assertEqual(lines, [b'{"a":1}', b"{}", b"x\ry", b"\rz"], size)

    def test_the_bound_counts_the_text_only(self) -> None:
        framer = LineFramer(4)
        self.assertEqual(framer.feed(b"1234\r\n1234\n1234\r"), [b"1234", b"1234"])
        self.assertEqual(framer.feed(b"\n"), [b"1234"])
        for pieces in ((b"12345\n",), (b"12345",), (b"123", b"45"), (b"1234\r", b"\r")):
            framer = LineFramer(4)
            with self.assertRaises(TransportError):
                for piece in pieces:
                    framer.feed(piece)


if __name__ == "__main__":
    unittest.main()
