"""Why a connection, a call or a stream failed.

`kind` says in one word what an error is. No text that is made here holds a URL, a header or a body of a call.
"""


class ClientError(Exception):
    """Anything that this library reports."""

    kind = "other"


class TransportError(ClientError):
    """The connection could not be opened, or broke."""


class RequestError(ClientError):
    """The request cannot be sent as it is. Nothing was sent."""


class LimitError(ClientError):
    """Something is larger than a bound of this library."""

    kind = "limit"


class MalformedError(ClientError):
    """The executor sent something that cannot be read."""

    kind = "malformed"


class HandshakeTimeout(ClientError):
    """The executor did not complete the handshake in time."""

    kind = "timeout"


class RpcError(ClientError):
    """The executor answered with an error."""

    kind = "rpc"

    def __init__(self, code: int, message: str):
        super().__init__(f"{message} ({code})")
        self.code = code


class Disconnected(ClientError):
    """The connection has ended."""

    kind = "disconnected"


class OutcomeUnknown(Disconnected):
    """The connection has ended, and the request had been sent: it may have been carried out."""

    kind = "unknown-outcome"


class SequenceError(ClientError):
    """A frame of the stream is missing, repeated or out of order."""

    kind = "sequence"


class Overflow(ClientError):
    """The consumer of the stream was too slow."""

    kind = "overflow"


class RemoteError(ClientError):
    """The executor ended the stream with an error."""

    kind = "remote"


class WrongLength(ClientError):
    """The body is shorter or longer than its response said."""

    kind = "truncated"


class Dropped(ClientError):
    """The application has let go of the stream."""

    kind = "cancelled"
