"""The client against an executor that sends anything. Tests name the clauses of SPEC.md that they are about."""

from __future__ import annotations

import asyncio
import functools
import unittest
from unittest import mock

import client as client_module
import protocol
from client import Client, Header, Request
from errors import (
    ClientError,
    Disconnected,
    HandshakeTimeout,
    LimitError,
    MalformedError,
    OutcomeUnknown,
    Overflow,
    RequestError,
    RpcError,
    TransportError,
)
from executor import GET, ClientTest, Executor, delta, result


class Connection(ClientTest):
    async def test_frames_that_are_no_message_end_all_work_envelope_22(self) -> None:
        frames = [
            b"", b" ", b"nonsense", b"[]", b'[{"method":"m"}]', b"7", b"null", b"{}", b'{"id":1}', b'{"result":1}',
            b'{"id":null,"method":"m"}', b'{"id":true,"result":{}}',
            b'{"id":2.0,"result":{}}', b'{"id":1,"error":null}',
            b'{"id":1e0,"method":"m"}', b'{"id":9223372036854775808,"method":"m"}',
            b'{"method":1}', b'{"id":2,"error":"x"}',
            b'{"id":2,"error":{"code":"x","message":""}}', b'{"id":2,"error":{"code":1}}', b'{"method":"m"} {}',
            b'\xef\xbb\xbf{"method":"m"}', b'{"method":"\xff"}',
            b'{"method":"m","x":"\\ud800"}', b'{"method":"m","x":NaN}',
            b'{"method":"m","x":' + b"[" * 100_000, b'{"method":"m","x":[' + b"0," * 600_000 + b"0]}",
            '{"method":"m"}'.encode("utf-16"),
        ]  # fmt: skip
        for frame in frames:
            with self.subTest(frame=frame[:60]):
                await self.renew()
                body, request_id = await self.stream()
                pending, _ = await self.call()
                self.executor.says(delta(request_id, 1, b"x"), frame)
                with self.assertRaises(OutcomeUnknown):
                    await pending
                await self.assert_ends(body, [b"x"], Disconnected)
                await self.client.close()
                self.assertTrue(self.executor.violation)
                self.assert_holds()

    async def test_unreadable_frames_of_the_client_end_all_work_envelope_23(self) -> None:
        for call_id in (-1, None):
            with self.subTest(id=call_id):
                await self.renew()
                pending, _ = await self.call()
                self.executor.says({"id": call_id, "error": {"code": -32600, "message": "malformed"}})
                with self.assertRaises(OutcomeUnknown):
                    await pending

    async def test_deltas_that_name_no_stream_end_all_work_stream_25(self) -> None:
        for params in ({}, {"params": None}, {"params": []}, {"params": {"seq": 1}}, {"params": {"requestId": 1}}):
            with self.subTest(params=params):
                await self.renew()
                body, _ = await self.stream()
                self.executor.says({"method": "http/request/bodyDelta", **params})
                await self.assert_ends(body, [], Disconnected)

    async def test_other_messages_are_ignored_or_refused_envelope_24_id_7(self) -> None:
        pending, message = await self.call(buffered=True)
        number = message["id"]
        self.executor.says(
            {"method": "unknown", "params": [1]},
            {"method": "http/request/cancel"},
            result(str(number)),
            result(number + 1000),
            {"id": "-1", "error": {"code": 1, "message": "x"}},
            {"id": "", "result": None},
            {"id": number, "method": "http/request/bodyDelta", "params": {}},
        )
        refused = await self.executor.sent.get()
        self.assertEqual((refused["id"], refused["error"]["code"], set(refused)), (number, -32601, {"id", "error"}))
        self.assertFalse(pending.done())
        extra = {"jsonrpc": "1.0", "result": {"x": [], **result(0)["result"]}, "error": None, "id": number, "trace": {}}
        self.executor.says(extra, result(number, 500), {"id": number, "error": {"code": 1, "message": "late"}})
        self.assertEqual((await pending).status, 200)
        await self.executor.handled()
        self.assert_holds()

    async def test_answers_that_are_not_read_are_bounded_limit_14(self) -> None:
        with mock.patch.object(client_module, "POSTED_BYTES", 1000):
            for _ in range(100):
                await self.executor.handled()
            self.executor.writable.clear()
            self.executor.says(*({"id": "x" * 50, "method": "m"} for _ in range(20)))
            await self.client.closed()
            with self.assertRaisesRegex(Disconnected, "unread"):
                await self.client.stream(GET)

    async def test_disconnects_end_all_work_close_8_to_13(self) -> None:
        for how in (None, TransportError("reset")):
            with self.subTest(how=how):
                await self.renew()
                ended, ended_id = await self.stream()
                empty, _ = await self.stream()
                partly, partly_id = await self.stream()
                full, full_id = await self.stream()
                over, over_id = await self.stream()
                sent, _ = await self.call()
                self.executor.says(delta(ended_id, 1, b"all", done=True), delta(partly_id, 1, b"x"))
                self.executor.says(*(delta(full_id, seq, b"x") for seq in range(1, 257)))
                self.executor.says(*(delta(over_id, seq, b"x") for seq in range(1, 258)))
                await self.executor.handled()
                self.executor.writable.clear()
                stuck = [asyncio.create_task(self.client.stream(GET)) for _ in range(2)]
                await asyncio.sleep(0)
                self.executor.arriving.put_nowait(how)
                with self.assertRaisesRegex(OutcomeUnknown, "outcome is unknown"):
                    await sent
                with self.assertRaisesRegex(OutcomeUnknown, "outcome is unknown"):
                    await stuck[0]
                with self.assertRaises(Disconnected) as unsent:
                    await stuck[1]
                self.assertEqual(unsent.exception.kind, "disconnected")
                with self.assertRaisesRegex(Disconnected, "not sent"):
                    await self.client.stream(GET)
                await self.assert_ends(ended, [b"all"], None)
                await self.assert_ends(empty, [], Disconnected)
                await self.assert_ends(partly, [b"x"], Disconnected)
                await self.assert_ends(full, [b"x"] * 256, Disconnected)
                await self.assert_ends(over, [b"x"] * 256, Overflow)
                await self.client.close()
                self.assertEqual(self.executor.violation, False)
                self.assert_holds()


class Handshake(ClientTest):
    async def test_refused_unreadable_and_silent_handshakes(self) -> None:
        for answer, error in [
            ({"error": {"code": -32600, "message": "no"}}, RpcError),
            ({"result": {}}, MalformedError),
            ({"result": None}, MalformedError),
            ({"result": {"sessionId": ""}}, MalformedError),
            ({"result": {"sessionId": 1}}, MalformedError),
            (None, Disconnected),
        ]:
            with self.subTest(answer=answer):
                executor = Executor()
                connecting = asyncio.create_task(Client.connect(executor))
                message = await executor.sent.get()
                executor.says({"id": message["id"], **answer}) if answer else executor.ends()
                with self.assertRaises(ClientError) as failed:
                    await connecting
                self.assertIs(type(failed.exception), error)
        with mock.patch.object(client_module, "HANDSHAKE_SECONDS", 0.01), self.assertRaises(HandshakeTimeout):
            await Client.connect(Executor())

    async def test_variables_are_sent_when_announced_params_27_handshake_17(self) -> None:
        request = Request("GET", "http://h/", [Header("a", "1"), Header("b", "Bearer ", "TOKEN")])
        flags = ({"capabilities": {"httpHeaderEnvVars": flag}} for flag in (False, None, 1, "true"))
        for info in (None, {}, [], {"capabilities": None}, {"capabilities": {}}, *flags):
            self.client, self.executor = await self.connect({"sessionId": "s", "environmentInfo": info})
            with self.assertRaises(RequestError):
                await self.client.stream(request)
            await self.executor.handled()
            self.assert_holds()
        announced = {"sessionId": "s", "environmentInfo": {"capabilities": {"httpHeaderEnvVars": True}}}
        self.client, self.executor = await self.connect(announced)
        _, message = await self.call(request)
        headers = [{"name": "a", "value": "1"}, {"name": "b", "value": "Bearer ", "valueEnvVar": "TOKEN"}]
        self.assertEqual(message["params"]["headers"], headers)


class Calls(ClientTest):
    async def test_params_and_ids_params_28_route_3_id_6(self) -> None:
        request = Request("PUT", "http://h/", [Header("a", "ü")], b"\0\xff", 2**64 - 1, "stop", request_id="mine")
        messages = [(await self.call(request, buffered))[1] for buffered in (True, False, True, False)]
        names = {message["params"].pop("requestId") for message in messages}
        numbers = {message["id"] for message in messages}
        self.assertEqual((len(names), len(numbers), "mine" in names), (4, 4, False))
        for message, streamed in zip(messages, (False, True, False, True)):
            self.assertEqual(set(message), {"id", "method", "params"})
            self.assertEqual(message["params"], {
                "method": "PUT", "url": "http://h/", "headers": [{"name": "a", "value": "ü"}], "bodyBase64": "AP8=",
                "timeoutMs": 2**64 - 1, "redirectPolicy": "stop", "streamResponse": streamed,
            })  # fmt: skip
        _, plain = await self.call()
        self.assertEqual(set(plain["params"]), {"method", "url", "headers", "requestId", "streamResponse"})

    async def test_answers_in_any_order_order_12(self) -> None:
        calls = [await self.call(buffered=True) for _ in range(3)]
        self.executor.says(*(result(message["id"], 200 + n) for n, (_, message) in reversed(list(enumerate(calls)))))
        self.assertEqual([(await task).status for task, _ in calls], [200, 201, 202])

    async def test_results_that_do_not_decode_fail_their_call_only_response_15(self) -> None:
        other, other_id = await self.stream()
        good = result(0)["result"]
        wrong = [None, [], "x", {}]
        wrong += [
            {**good, "headers": headers} for headers in (None, {}, [["a", "b"]], [{"name": "a"}], [{"value": "b"}])
        ]
        wrong += [{key: value for key, value in good.items() if key != missing} for missing in good]
        wrong += [{**good, "status": status} for status in (None, True, "200", 200.0, 0, 99, 1000, -200, 2**70)]
        bodies = (None, 1, "YQ", "YQ=", "YR==", "YQ==\n", "-_==", "Y Q=", "é", "=", "YWJj====")
        wrong += [{**good, "bodyBase64": body} for body in bodies]
        odd = [{"name": ""}, {"name": "a b"}, {"value": "b\r\nc: d"}, {"value": "\0"}, {"value": 1}]
        odd += [{"valueBase64": 1}, {"valueBase64": "!"}, {"valueBase64": "DQo="}]
        wrong += [{**good, "headers": [{"name": "a", "value": "b", **members}]} for members in odd]
        for value in wrong:
            for buffered in (False, True):
                with self.subTest(value=value, buffered=buffered):
                    task, message = await self.call(buffered=buffered)
                    self.executor.says({"id": message["id"], "result": value})
                    with self.assertRaises(MalformedError):
                        await task
                    self.assert_holds(routes=1)
        self.executor.says(delta(other_id, 1, b"x", done=True))
        await self.assert_ends(other, [b"x"], None)

    async def test_header_values_keep_their_bytes(self) -> None:
        task, message = await self.call(buffered=True)
        headers = [{"name": "a", "value": "caf\ufffd", "valueBase64": "Y2Fm6Q=="}, {"name": "a", "value": "é"}]
        self.executor.says(result(message["id"], 999, headers, "aGk="))
        response = await task
        self.assertEqual((response.status, response.body), (999, b"hi"))
        self.assertEqual(response.headers, [("a", b"caf\xe9"), ("a", "é".encode())])

    async def test_error_answers_release_the_route_route_7_route_19(self) -> None:
        for code in (-32603, -32000, -32601, 0, 2**63 - 1):
            task, message = await self.call()
            error = {"code": code, "message": "transport closed", "data": {"kind": "unheard-of"}}
            self.executor.says(delta(message["params"]["requestId"], 1, b"x"))
            self.executor.says({"id": message["id"], "error": error, "result": None})
            with self.assertRaisesRegex(RpcError, "transport closed") as failed:
                await task
            self.assertEqual(failed.exception.code, code)
            self.assert_holds()

    async def test_a_cancelled_call_leaves_nothing_route_4(self) -> None:
        for buffered in (False, True):
            task, message = await self.call(buffered=buffered)
            request_id = message["params"]["requestId"]
            self.executor.says(delta(request_id, 1, b"x"))
            await self.executor.handled()
            task.cancel()
            await asyncio.wait({task})
            self.assert_holds()
            self.executor.says(delta(request_id, 2, b"y", done=True), result(message["id"]), delta(request_id, 3, b"z"))
            await self.executor.handled()
            self.assert_holds()

    async def test_a_call_cancelled_beside_its_answer_leaves_nothing_route_4(self) -> None:
        for answered_first in (True, False):
            task, message = await self.call()
            answer = functools.partial(self.client._handle, protocol.Result(message["id"], result(0)["result"]))
            for step in (answer, task.cancel) if answered_first else (task.cancel, answer):
                step()
            await asyncio.wait({task})
            self.assertTrue(task.cancelled())
            self.assert_holds()

    async def test_a_call_cancelled_before_it_is_sent_is_not_sent(self) -> None:
        self.executor.writable.clear()
        first, second = (asyncio.create_task(self.client.stream(GET)) for _ in range(2))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second})
        self.executor.writable.set()
        await self.executor.sent.get()
        await self.executor.handled()
        self.assert_holds(routes=1, calls=1)
        first.cancel()

    async def test_requests_that_cannot_be_sent_fail_alone(self) -> None:
        with mock.patch.object(protocol, "MESSAGE_BYTES", 1000), self.assertRaises(LimitError):
            await self.client.stream(Request("PUT", "http://h/", body=b"x" * 1000))
        with self.assertRaises(RequestError):
            await self.client.stream(Request("GET", "http://h/", [Header("a", "\ud800")]))
        with mock.patch.object(client_module, "CALLS", 2):
            await self.stream()
            await self.call()
            with self.assertRaises(LimitError):
                await self.client.request(GET)
        self.assert_holds(routes=2, calls=1)


if __name__ == "__main__":
    unittest.main()
