"""An adapter between the conformance suite and a client library: the calls of the library.

Fill in what is marked BLANK, from the top down; `control.py` does the rest. Whatever a blank raises is reported as the library's error;
`print(..., file=sys.stderr)` is shown with a case that fails.
"""

from __future__ import annotations

import sys
from typing import Any

from control import Blank, Request, run


# BLANK 1: who the library is. What it does not declare here is not judged. Features that work as soon as the blanks do:
# "abandon" (a cancelled `receive` loses nothing), "cancel" (a call is a task that can be cancelled), "foreign-drop" (`drop`
# may be called on any thread), "buffered" (blank 4), "close-events" (blank 7), "census" (blank 8),
# "error-kinds" (blank 9).
HELLO = {
    "control": 1,
    "adapter": "my-adapter 1",
    "library": "my-library 0.0.0",
    "language": "python",
    "transports": ["ws", "stdio"],
    "features": [],
    "limits": {},
}


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


async def closed(connection: Any) -> None:
    """BLANK 7: waits until a connection has ended, in whatever way. Only with the feature "close-events"."""
    raise Blank("blank 7: wait for the end of a connection")


def census(connection: Any) -> dict[str, int]:
    """BLANK 8: what the library holds for a connection: routes, and if it can tell calls and queuedBytes. Only with "census"."""
    raise Blank("blank 8: count what the library holds")


def failure_of(error: Exception) -> dict[str, Any]:
    """BLANK 9: which kind an error of the library is; "rpc" also has the executor's `code`. Only with "error-kinds"."""
    return {"kind": "other", "message": str(error)}


if __name__ == "__main__":
    run(sys.modules[__name__])
