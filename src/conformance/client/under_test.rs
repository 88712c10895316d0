//! A client library in Rust as the suite needs it: implement [`ClientUnderTest`], and [`serve`] is the adapter.

use bytes::Bytes;

use super::messages::{Endpoint, Failure, Header, Hello, Request};

/// A client library.
pub trait ClientUnderTest: Send + Sync + 'static {
    /// A connection of the library.
    type Connection: ConnectionUnderTest;

    /// Who it is and what it can.
    fn hello(&self) -> Hello;

    /// Connects and makes the handshake.
    ///
    /// # Errors
    ///
    /// The library's own.
    fn open(&self, endpoint: Endpoint) -> impl Future<Output = Result<Self::Connection, Failure>> + Send;
}

/// A connection of a library. Dropping it, when all calls and bodies are gone, closes it.
pub trait ConnectionUnderTest: Send + Sync + 'static {
    /// A streamed body of the library.
    type Body: BodyUnderTest;

    /// Makes a call whose response has its whole body.
    ///
    /// # Errors
    ///
    /// The library's own.
    fn request(&self, request: Request) -> impl Future<Output = Result<(Head, Bytes), Failure>> + Send;

    /// Makes a call whose body comes in pieces.
    ///
    /// # Errors
    ///
    /// The library's own.
    fn stream(&self, request: Request) -> impl Future<Output = Result<(Head, Self::Body), Failure>> + Send;

    /// What the library holds for the connection, if it can tell.
    fn census(&self) -> Option<Census>;
}

/// A streamed body of a library.
pub trait BodyUnderTest: Send + 'static {
    /// Receives the next chunk; `None` is the clean end. Called again behind an end or an error.
    ///
    /// # Errors
    ///
    /// The library's own.
    fn read(&mut self) -> impl Future<Output = Result<Option<Bytes>, Failure>> + Send;
}

/// The head of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its status.
    pub status: u16,
    /// Its headers in order.
    pub headers: Vec<Header>,
}

/// What a library holds for a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Calls and streams that it keeps state for.
    pub routes: u64,
    /// Calls that wait for their response.
    pub calls: Option<u64>,
    /// Body bytes that wait.
    pub queued_bytes: Option<u64>,
}
