//! The conformance suite as tests of a client library.
//!
//! Fill in what is marked BLANK, from the top down. The rest is `exec_http::conformance::client::harness`, which makes the tests and
//! speaks the adapter protocol. A library's error becomes a `Failure`; what is printed to standard error is shown with a case that fails.

#![allow(unused_variables, reason = "until the blanks are filled in")]

use std::process::ExitCode;

use bytes::Bytes;
use exec_http::conformance::case::Transport;
use exec_http::conformance::client::harness;
use exec_http::conformance::client::messages::{CONTROL, Endpoint, Failure, Hello, Limits, Request};
use exec_http::conformance::client::under_test::{BodyUnderTest, Census, ClientUnderTest, ConnectionUnderTest, Head};

fn main() -> ExitCode {
    harness::main(Library)
}

/// The library.
struct Library;

/// A connection of it. It is dropped to close it, and what it has started has to end with it.
struct Connection;

/// A body of it. It is dropped to let go of it without reading on.
struct Body;

impl ClientUnderTest for Library {
    type Connection = Connection;

    /// BLANK 1: who the library is. What it does not declare here is not judged. Features that work as soon as the blanks do:
    /// "abandon" (a `read` whose future is dropped loses nothing), "cancel" (the future of a call can be dropped), "foreign-drop" (a
    /// body may be dropped on any thread), "buffered" (blank 4), "census" (blank 5), "error-kinds" (blank 7).
    fn hello(&self) -> Hello {
        let features: [&str; 0] = [];
        Hello {
            control: CONTROL,
            adapter: "my-adapter 1".to_owned(),
            library: "my-library 0.0.0".to_owned(),
            language: "rust".to_owned(),
            transports: vec![Transport::Websocket, Transport::Stdio],
            features: features.map(str::to_owned).into(),
            limits: Limits { queue_frames: None, queue_bytes: None, frame_bytes: None },
        }
    }

    async fn open(&self, endpoint: Endpoint) -> Result<Connection, Failure> {
        match endpoint {
            // BLANK 2: connects and makes the handshake.
            Endpoint::Ws { url } => Err(Failure::other("blank 2: open a connection")),
            // BLANK 2: lets the library start its executor, `argv` with `env` added to what it inherits; else as above.
            Endpoint::Stdio { argv, env } => Err(Failure::other("blank 2: open a connection")),
        }
    }
}

impl ConnectionUnderTest for Connection {
    type Body = Body;

    /// BLANK 3: makes a call whose body comes in pieces. `request.body()` is the body to send.
    async fn stream(&self, request: Request) -> Result<(Head, Body), Failure> {
        Err(Failure::other("blank 3: start a streamed call"))
    }

    /// BLANK 4: makes a call whose response has its whole body. Only with the feature "buffered".
    async fn request(&self, request: Request) -> Result<(Head, Bytes), Failure> {
        Err(Failure::other("blank 4: start a buffered call"))
    }

    /// BLANK 5: what the library holds for the connection. Only with the feature "census".
    fn census(&self) -> Option<Census> {
        None
    }
}

impl BodyUnderTest for Body {
    /// BLANK 6: receives the next chunk, or `None` at the clean end. Called again behind an end or an error.
    async fn read(&mut self) -> Result<Option<Bytes>, Failure> {
        Err(Failure::other("blank 6: receive a chunk"))
    }
}

/// BLANK 7: which kind an error of the library is; `Kind::Rpc` also has the executor's code. Only with the feature "error-kinds".
#[allow(dead_code, reason = "until the blanks are filled in")]
fn failure_of(error: impl std::error::Error) -> Failure {
    Failure::other(error)
}
