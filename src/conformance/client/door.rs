//! Where a client under test connects to: a websocket on the loopback address, or a program for it to start that joins its pipes
//! to the suite.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use uuid::Uuid;

use super::messages::Endpoint;
use super::relay::{RELAY, TOKEN_BYTES};
use crate::conformance::case::Transport;
use crate::conformance::wire::Wire;

/// How long a connection may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// The program that a client is told to start as its executor: one that calls [`super::relay::run_if_asked`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayProgram {
    /// The program and its arguments.
    pub argv: Vec<String>,
}

/// An open place to connect to.
#[derive(Debug)]
pub(super) struct Door {
    /// Where connections come in.
    listener: TcpListener,
    /// What a relay has to say first; `None` for websockets.
    token: Option<String>,
}

impl Door {
    /// Opens a door, and says how a client gets there.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub(super) async fn open(transport: Transport, relay: &RelayProgram) -> io::Result<(Self, Endpoint)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(match transport {
            Transport::Websocket => (Self { listener, token: None }, Endpoint::websocket(port)),
            Transport::Stdio => {
                let token = Uuid::new_v4().simple().to_string();
                let env = BTreeMap::from([(RELAY.to_owned(), format!("127.0.0.1:{port}/{token}"))]);
                let endpoint = Endpoint::Stdio { argv: relay.argv.clone(), env };
                (Self { listener, token: Some(token) }, endpoint)
            }
        })
    }

    /// The next client, with the head of its request for a websocket. Strangers are sent away.
    ///
    /// # Errors
    ///
    /// Those of the socket; `InvalidData` when a client asks for no websocket.
    pub(super) async fn accept(&self) -> io::Result<(Wire, String)> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let Some(token) = &self.token else { return timely(Wire::accept_websocket(stream)).await };
            if let Ok(wire) = timely(introduced(stream, token)).await {
                return Ok((wire, String::new()));
            }
        }
    }
}

async fn timely<T>(introduction: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(INTRODUCTION, introduction).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A relay says its token, and from then on whatever the client says.
async fn introduced(mut stream: TcpStream, token: &str) -> io::Result<Wire> {
    stream.set_nodelay(true)?;
    let mut said = [0; TOKEN_BYTES];
    stream.read_exact(&mut said).await?;
    if said != token.as_bytes() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(Wire::relayed(stream))
}
