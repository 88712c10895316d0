"""Streamed bodies against an executor that sends anything. Tests name the clauses of SPEC.md that they are about."""

from __future__ import annotations

import asyncio
import threading
from unittest import mock

import protocol
from client import Request
from errors import (
    Dropped,
    LimitError,
    MalformedError,
    Overflow,
    RemoteError,
    SequenceError,
    WrongLength,
)
from executor import ClientTest, delta, result

MIB = 1024 * 1024


class Frames(ClientTest):
    async def test_frames_before_the_response_are_delivered_route_1(self) -> None:
        task, message = await self.call()
        request_id = message["params"]["requestId"]
        self.executor.says(delta(request_id, 1, b"a"), delta(request_id, 2, b"b", done=True), result(message["id"]))
        await self.assert_ends((await task).body, [b"a", b"b"], None)
        self.assert_holds()

    async def test_good_frames_stream_14_15_29(self) -> None:
        body, request_id = await self.stream()
        self.executor.says(
            delta(request_id, 1, b"a", error=None),
            delta(request_id, 2),
            delta(request_id, 3, b"b", done=False, unknown={}),
            delta(request_id, 4, b"c", done=True, error=None, errorKind=None),
        )
        await self.assert_ends(body, [b"a", b"b", b"c"], None)
        self.assert_holds()

    async def test_bytes_of_the_response_are_not_of_the_stream_response_16(self) -> None:
        task, message = await self.call()
        self.executor.says(
            result(message["id"], body="aGk="), delta(message["params"]["requestId"], 1, b"x", done=True)
        )
        await self.assert_ends((await task).body, [b"x"], None)

    async def test_errors_end_a_stream_behind_their_bytes_stream_16_17(self) -> None:
        for members in (
            {},
            {"done": False},
            {"done": True},
            {"done": True, "errorKind": "unheard-of"},
            {"errorKind": 1},
        ):
            for text in ("broke", ""):
                body, request_id = await self.stream()
                last = delta(request_id, 2, b"b", error=text, **members)
                self.executor.says(delta(request_id, 1, b"a"), last, delta(request_id, 3, b"c"))
                chunks, error = await self.drained(body)
                self.assertEqual((chunks, type(error), str(error)), ([b"a", b"b"], RemoteError, text))
        self.assert_holds()

    async def test_frames_behind_the_terminal_one_are_ignored_stream_18(self) -> None:
        for seq, members in ((2, {}), (2, {"done": True}), (1, {}), (2, {"error": "late"}), ("x", {})):
            body, request_id = await self.stream()
            self.executor.says(delta(request_id, 1, b"a", done=True), delta(request_id, seq, b"x", **members))
            await self.executor.handled()
            await self.assert_ends(body, [b"a"], None)

    async def test_wrong_numbers_end_a_stream_when_they_arrive_stream_20_21(self) -> None:
        wrong = [
            ([0], 0),
            ([2], 0),
            ([1, 3, 2], 1),
            ([1, 1], 1),
            ([1, 2, 2, 3], 2),
            ([1, 2, 1], 2),
            ([1, 2**64 - 1], 1),
        ]
        for numbers, good in wrong:
            for members in ({}, {"done": True}, {"error": "x"}):
                with self.subTest(numbers=numbers, members=members):
                    body, request_id = await self.stream()
                    self.executor.says(*(delta(request_id, number, b"x") for number in numbers[:good]))
                    self.executor.says(*(delta(request_id, number, b"bad", **members) for number in numbers[good:]))
                    await self.executor.handled()
                    self.assert_holds(routes=1, queued_bytes=256 * good)
                    await self.assert_ends(body, [b"x"] * good, SequenceError)

    async def test_malformed_deltas_end_the_stream_that_they_name_stream_22(self) -> None:
        other, other_id = await self.stream()
        missing = object()
        for member, values in {
            "seq": (missing, None, True, 2.0, "2", -1, 2**64, [2]),
            "deltaBase64": (missing, None, 1, "YQ", "YQ=", "YR==", "Y_==", " YQ==", "YQ==\n", "!", "é", [], "=="),
            "done": (None, 0, 1, "true", []),
            "error": (False, True, 0, [], {"message": "x"}),
        }.items():
            for value in values:
                with self.subTest(member=member, value=value):
                    body, request_id = await self.stream()
                    bad = delta(request_id, 2, b"b")
                    bad["params"][member] = value
                    if value is missing:
                        del bad["params"][member]
                    self.executor.says(delta(request_id, 1, b"a"), bad, delta(request_id, 2, b"b", done=True))
                    await self.assert_ends(body, [b"a"], MalformedError)
        self.executor.says(delta(other_id, 1, b"x", done=True))
        await self.assert_ends(other, [b"x"], None)
        self.assert_holds()

    async def test_deltas_of_no_open_stream_are_ignored_stream_24_route_2(self) -> None:
        body, request_id = await self.stream()
        dropped, dropped_id = await self.stream()
        dropped.drop()
        _, message = await self.call(buffered=True)
        number = request_id.removeprefix("http-")
        names = ["", "unknown", number, f"http-0{number}", request_id.upper(), f" {request_id}", dropped_id]
        for name in [*names, message["params"]["requestId"]]:
            self.executor.says(delta(name, 1, b"x"), delta(name, "x"), delta(name, 9, done=True))
            self.executor.says(delta(name, 1, b"x" * (MIB + 1)))
        self.executor.says(delta(request_id, 1, b"a", done=True))
        await self.assert_ends(body, [b"a"], None)
        self.assert_holds(calls=1)

    async def test_large_deltas_are_refused_undecoded_stream_23(self) -> None:
        other, other_id = await self.stream()
        for length, good in ((MIB, True), (MIB + 1, False), (MIB + 2, False), (MIB + 3, False), (5 * MIB, False)):
            body, request_id = await self.stream()
            self.executor.says(delta(request_id, 1, b"a"), delta(request_id, 2, b"x" * length))
            self.executor.says(delta(request_id, 3, done=True))
            await self.assert_ends(body, [b"a"] + [b"x" * length] * good, None if good else LimitError)
        body, request_id = await self.stream()
        with mock.patch.object(protocol, "decode_base64", side_effect=AssertionError("decoded")):
            self.executor.says(delta(request_id, 1, b"x" * (MIB + 4)))
            await self.assert_ends(body, [], LimitError)
        self.executor.says(delta(other_id, 1, b"y", done=True))
        await self.assert_ends(other, [b"y"], None)

    async def test_lengths_are_checked_stream_26_27(self) -> None:
        odd = ["", "+5", "-5", "5, 5", "5.0", " 5", "٥", "9" * 20, "9" * 5000]
        for method, status, headers, promised in [
            ("GET", 200, lengths("5"), True),
            ("GET", 404, lengths("5"), True),
            ("head", 200, lengths("5"), True),
            ("HEAD", 200, lengths("5"), False),
            ("CONNECT", 200, lengths("5"), False),
            *(("GET", status, lengths("5"), False) for status in (100, 101, 199, 204, 304)),
            ("GET", 200, lengths("5") + [{"name": "transfer-encoding", "value": "chunked"}], False),
            ("GET", 200, lengths("5", "5"), False),
            *(("GET", 200, lengths(value), False) for value in odd),
        ]:
            for sent in (0, 4, 5, 6):
                with self.subTest(method=method, status=status, headers=headers, sent=sent):
                    body, request_id = await self.stream(headers, Request(method, "http://h/"), status)
                    self.executor.says(delta(request_id, 1, b"x" * min(sent, 5)))
                    self.executor.says(delta(request_id, 2, b"y" * (sent - 5), done=True))
                    _, error = await self.drained(body)
                    self.assertEqual(type(error), WrongLength if promised and sent != 5 else type(None))
        for text, error in (("aGVsbG8=", type(None)), ("aGk=", WrongLength)):
            task, message = await self.call(buffered=True)
            self.executor.says(result(message["id"], 200, lengths("5"), text))
            await asyncio.wait({task})
            self.assertEqual(type(task.exception()), error)
        self.assert_holds()


def lengths(*values: str) -> list[dict]:
    return [{"name": "Content-Length", "value": value} for value in values]


class Queues(ClientTest):
    async def test_one_frame_too_many_ends_that_stream_only_route_8(self) -> None:
        slow, slow_id = await self.stream()
        other, other_id = await self.stream()
        self.executor.says(*(delta(slow_id, seq, b"x") for seq in range(1, 259)), delta(slow_id, 259, done=True))
        self.executor.says(delta(other_id, 1, b"y", done=True))
        await self.executor.handled()
        await self.assert_ends(slow, [b"x"] * 256, Overflow)
        await self.assert_ends(other, [b"y"], None)
        self.assert_holds()

    async def test_the_terminal_frame_has_a_place_of_its_own_route_9_route_12(self) -> None:
        terminals = [({"done": True}, b"", None), ({"done": True}, b"z", None), ({"error": "x"}, b"z", RemoteError)]
        for members, last, error in terminals:
            body, request_id = await self.stream()
            self.executor.says(*(delta(request_id, seq, b"x") for seq in range(1, 257)))
            self.executor.says(delta(request_id, 257, last, **members))
            await self.executor.handled()
            await self.assert_ends(body, [b"x"] * 256 + [last] * bool(last), error)
        self.assert_holds()

    async def fill(self, count: int, request_id: str, start: int = 1) -> None:
        """Sends so many frames of 1 MiB."""
        self.executor.says(*(delta(request_id, seq, b"x" * MIB) for seq in range(start, start + count)))
        await self.executor.handled()

    async def test_the_stream_that_holds_most_pays_route_10_route_11(self) -> None:
        hoarder, hoarder_id = await self.stream()
        small, small_id = await self.stream()
        other, other_id = await self.stream()
        await self.fill(2, small_id)
        await self.fill(14, hoarder_id)
        self.assert_holds(routes=3, queued_bytes=16 * MIB)
        self.executor.says(delta(other_id, 1, b"y", done=True))
        await self.executor.handled()
        self.assert_holds(routes=3, queued_bytes=2 * MIB + 256)
        await self.assert_ends(hoarder, [], Overflow)
        await self.assert_ends(other, [b"y"], None)
        self.executor.says(delta(small_id, 3, done=True))
        await self.assert_ends(small, [b"x" * MIB] * 2, None)
        self.assert_holds()

    async def test_the_arriving_stream_pays_when_it_holds_most_route_11(self) -> None:
        hoarder, hoarder_id = await self.stream()
        small, small_id = await self.stream()
        await self.fill(2, small_id)
        await self.fill(15, hoarder_id)
        self.assert_holds(routes=2, queued_bytes=16 * MIB)
        await self.assert_ends(hoarder, [b"x" * MIB] * 14, Overflow)
        self.executor.says(delta(small_id, 3, b"y", done=True))
        await self.assert_ends(small, [b"x" * MIB] * 2 + [b"y"], None)
        self.assert_holds()

    async def test_outcomes_are_kept_when_the_budget_is_used_up_route_12(self) -> None:
        full, full_id = await self.stream()
        clean, clean_id = await self.stream()
        failed, failed_id = await self.stream()
        await self.fill(16, full_id)
        self.executor.says(delta(clean_id, 1, done=True), delta(failed_id, 1, error="broke"))
        self.executor.says(delta(full_id, 17, b"no room", error="last"))
        await self.executor.handled()
        await self.assert_ends(clean, [], None)
        await self.assert_ends(failed, [], RemoteError)
        await self.assert_ends(full, [b"x" * MIB] * 16, RemoteError)
        self.assert_holds()

    async def test_an_ended_stream_that_hoards_pays_too_route_12(self) -> None:
        ended, ended_id = await self.stream()
        other, other_id = await self.stream()
        await self.fill(16, ended_id)
        self.executor.says(delta(ended_id, 17, done=True), delta(other_id, 1, b"y", done=True))
        await self.executor.handled()
        await self.assert_ends(ended, [], Overflow)
        await self.assert_ends(other, [b"y"], None)
        self.assert_holds()

    async def test_every_way_out_returns_the_budget_route_10(self) -> None:
        for way in ("consume", "drop", "fail"):
            body, request_id = await self.stream()
            await self.fill(16, request_id)
            if way == "drop":
                body.drop()
            else:
                self.executor.says(delta(request_id, 17 if way == "consume" else 99, done=True))
                await self.drained(body)
            self.assert_holds()

    async def test_tiny_frames_are_charged_limit_14(self) -> None:
        _, request_id = await self.stream()
        self.executor.says(delta(request_id, 1, b"x"), delta(request_id, 2), delta(request_id, 3, b"y" * 300))
        await self.executor.handled()
        self.assert_holds(routes=1, queued_bytes=556)

    async def test_a_stream_that_is_read_never_overflows_route_13(self) -> None:
        unread, unread_id = await self.stream()
        body, request_id = await self.stream()
        reading = asyncio.create_task(self.drained(body))
        for seq in range(1, 2001):
            self.executor.says(delta(unread_id, seq, b"u"), delta(request_id, seq, b"x"))
        self.executor.says(delta(request_id, 2001, done=True))
        self.assertEqual(await reading, ([b"x"] * 2000, None))
        await self.assert_ends(unread, [b"u"] * 256, Overflow)


class Consumers(ClientTest):
    async def test_an_abandoned_receive_loses_nothing_route_15(self) -> None:
        body, request_id = await self.stream()
        seen = []
        for seq in range(1, 6):
            for said_first in (True, False):
                attempt = asyncio.create_task(body.receive())
                await asyncio.sleep(0)
                if said_first and seq < 5:
                    self.client._deliver(delta(request_id, seq, bytes([seq]))["params"])
                attempt.cancel()
                await asyncio.wait({attempt})
                if not attempt.cancelled():
                    seen.append(attempt.result())
        self.executor.says(delta(request_id, 5, b"end", done=True))
        chunks, error = await self.drained(body)
        self.assertEqual((seen + chunks, error), ([b"\1", b"\2", b"\3", b"\4", b"end"], None))

    async def test_a_drop_releases_everything_on_any_thread_route_5_route_6(self) -> None:
        # Then the loop refuses what only its own thread may do.
        asyncio.get_running_loop().set_debug(True)
        for foreign in (False, True):
            for waiting in (0, 3):
                body, request_id = await self.stream()
                self.executor.says(*(delta(request_id, seq, b"x" * 300) for seq in range(1, waiting + 1)))
                await self.executor.handled()
                receiving = None if waiting else asyncio.create_task(body.receive())
                await asyncio.sleep(0)
                if foreign:
                    thread = threading.Thread(target=body.drop)
                    thread.start()
                    thread.join()
                else:
                    body.drop()
                self.assert_holds()
                if receiving:
                    with self.assertRaises(Dropped):
                        await receiving
                self.executor.says(delta(request_id, waiting + 1, b"late"), delta(request_id, waiting + 2, done=True))
                await self.assert_ends(body, [], Dropped)
                self.assert_holds()

    async def test_ended_streams_leave_nothing_route_16(self) -> None:
        for _ in range(300):
            body, request_id = await self.stream()
            self.executor.says(delta(request_id, 1, b"x", done=True))
            await self.drained(body)
        body.drop()
        self.assert_holds()
