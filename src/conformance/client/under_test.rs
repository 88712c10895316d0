//! A client library in Rust as the suite needs it: implement [`ClientUnderTest`], and [`serve`](super::serve::serve) is the adapter.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::messages::{Endpoint, Failure, Header, Hello, Request};

/// Bytes of the largest request body that is made of a pattern.
const FILL_BYTES: u64 = 256 * 1024 * 1024;

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

    /// Waits until the library tells that the connection has ended, and keeps no part of it open. Of a library that tells no
    /// such thing it never ends.
    fn closed(&self) -> impl Future<Output = ()> + Send + use<Self> {
        std::future::pending()
    }

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

impl Request {
    /// The body that is to be sent, if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be decoded, or its pattern is empty or its length above 256 MiB.
    pub fn body(&self) -> Result<Option<Bytes>, Failure> {
        let decode = |text: &str| STANDARD.decode(text).map_err(Failure::other);
        match (&self.body_base64, &self.body_fill) {
            (Some(text), _) => Ok(Some(decode(text)?.into())),
            (None, Some(fill)) => {
                let pattern = decode(&fill.pattern_base64)?;
                if pattern.is_empty() || fill.bytes > FILL_BYTES {
                    return Err(Failure::other("a body without a pattern, or too large"));
                }
                Ok(Some(pattern.into_iter().cycle().take(fill.bytes as usize).collect()))
            }
            (None, None) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::Fill;
    use super::*;

    fn filled(pattern: &str, bytes: u64) -> Result<Option<Bytes>, Failure> {
        Request { body_fill: Some(Fill { pattern_base64: pattern.to_owned(), bytes }), ..Request::default() }.body()
    }

    #[test]
    fn bodies_are_given_as_they_are_or_as_a_pattern() {
        assert_eq!(Request::default().body(), Ok(None));
        let given = Request { body_base64: Some("aGk=".to_owned()), ..Request::default() };
        assert_eq!(given.body(), Ok(Some(Bytes::from_static(b"hi"))));
        assert_eq!(filled("aGk=", 5), Ok(Some(Bytes::from_static(b"hihih"))));
        assert_eq!(filled("aGk=", 0), Ok(Some(Bytes::new())));
    }

    #[test]
    fn bodies_that_cannot_be_made_are_refused() {
        assert!(filled("", 1).is_err());
        assert!(filled("aGk=", FILL_BYTES + 1).is_err());
        assert!(filled("aGk", 1).is_err());
    }
}
