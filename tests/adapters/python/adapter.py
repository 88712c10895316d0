"""The adapter between the conformance suite and `client.py`: the calls of the library. `control.py` is that of the skeleton."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import control
import protocol
import streams
from client import CLIENT_NAME, Client, Header, Request
from errors import ClientError, RpcError
from streams import Body

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

Headers = list[tuple[str, str]]


async def open_websocket(url: str) -> Client:
    return await Client.connect_websocket(url)


async def open_stdio(argv: list[str], env: dict[str, str]) -> Client:
    return await Client.connect_stdio(argv, env)


async def call_streamed(client: Client, asked: control.Request) -> tuple[int, Headers, Body]:
    response = await client.stream(request_of(asked))
    return response.status, shown(response.headers), response.body


async def call_buffered(client: Client, asked: control.Request) -> tuple[int, Headers, bytes]:
    response = await client.request(request_of(asked))
    return response.status, shown(response.headers), response.body


async def receive(body: Body) -> bytes | None:
    return await body.receive()


def drop(body: Body) -> None:
    body.drop()


async def close(client: Client) -> None:
    await client.close()


async def closed(client: Client) -> None:
    await client.closed()


def census(client: Client) -> dict[str, int]:
    census = client.census()
    return {"routes": census.routes, "calls": census.calls, "queuedBytes": census.queued_bytes}


def failure_of(error: Exception) -> dict[str, Any]:
    if not isinstance(error, ClientError):
        # Whatever it is, the library has not said it.
        raise error
    code = {"code": error.code} if isinstance(error, RpcError) else {}
    return {"kind": error.kind, "message": str(error), **code}


def request_of(asked: control.Request) -> Request:
    headers = [Header(header["name"], header["value"], header.get("valueEnvVar")) for header in asked.headers]
    return Request(asked.method, asked.url, headers, asked.body, asked.timeout_ms, asked.redirect, asked.request_id)


def shown(headers: list[tuple[str, bytes]]) -> Headers:
    return [(name, value.decode(errors="replace")) for name, value in headers]


if __name__ == "__main__":
    control.run(sys.modules[__name__])
