//! Libraries that do nothing, behind an adapter that speaks its protocol well.

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use url::Url;

use crate::conformance::case::{Half, Transport};
use crate::conformance::client::messages::{CONTROL, Endpoint, Failure, Hello, Limits, Request};
use crate::conformance::client::under_test::{BodyUnderTest, Census, ClientUnderTest, ConnectionUnderTest, Head};
use crate::conformance::zoo::specimen::{Means, Nature, Specimen};
use crate::conformance::zoo::tamper::Tamper;

/// A library that does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullLibrary {
    /// It opens no connection.
    OpensNothing,
    /// It connects, says nothing, and its calls wait for ever.
    Hangs,
    /// Without a connection every call fails.
    EveryCallFails,
    /// Without a connection every call has an empty body that ends well.
    EveryCallIsEmpty,
    /// Without a connection every body breaks off.
    EveryBodyBreaks,
}

const fn null(name: &'static str, sentence: &'static str, library: NullLibrary) -> Specimen {
    let means = Means::Library(library);
    Specimen { nature: Nature::Null, means, ..Specimen::twin(Half::Client, name, sentence, Tamper::none) }
}

/// All of them.
pub(super) const NULLS: &[Specimen] = &[
    null("library-opens-nothing", "It opens no connection.", NullLibrary::OpensNothing),
    null("library-hangs", "It connects, and every call waits for ever.", NullLibrary::Hangs),
    null("library-fails", "It connects to nobody, and every call fails.", NullLibrary::EveryCallFails),
    null(
        "library-is-empty",
        "It connects to nobody, and every call is answered with nothing.",
        NullLibrary::EveryCallIsEmpty,
    ),
    null(
        "library-breaks-off",
        "It connects to nobody, and every body ends with an error.",
        NullLibrary::EveryBodyBreaks,
    ),
];

/// A connection of it; to the suite only where it hangs.
#[derive(Debug)]
pub struct NullConnection {
    library: NullLibrary,
    _stream: Option<TcpStream>,
}

/// A body of it.
#[derive(Debug)]
pub struct NullBody {
    library: NullLibrary,
}

impl ClientUnderTest for NullLibrary {
    type Connection = NullConnection;

    fn hello(&self) -> Hello {
        let features = ["error-kinds", "census", "abandon", "cancel", "foreign-drop", "redirect-policy", "buffered"];
        Hello {
            control: CONTROL,
            adapter: "null".to_owned(),
            library: format!("{self:?}"),
            language: "rust".to_owned(),
            transports: vec![Transport::Websocket, Transport::Stdio],
            features: features.map(str::to_owned).into(),
            limits: Limits { queue_frames: Some(256), queue_bytes: Some(1 << 24), frame_bytes: Some(1 << 20) },
        }
    }

    async fn open(&self, endpoint: Endpoint) -> Result<NullConnection, Failure> {
        let stream = match (self, endpoint) {
            (Self::OpensNothing, _) => return Err(Failure::other("no connection")),
            (Self::Hangs, Endpoint::Ws { url }) => Some(upgrade(&url).await.map_err(Failure::other)?),
            _ => None,
        };
        Ok(NullConnection { library: *self, _stream: stream })
    }
}

/// Asks for a websocket, so that the suite has a connection.
async fn upgrade(url: &str) -> std::io::Result<TcpStream> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidInput);
    let url = Url::parse(url).map_err(|_| invalid())?;
    let port = url.port().ok_or_else(invalid)?;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let head = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    Ok(stream)
}

impl ConnectionUnderTest for NullConnection {
    type Body = NullBody;

    async fn request(&self, _: Request) -> Result<(Head, Bytes), Failure> {
        match self.library {
            NullLibrary::OpensNothing | NullLibrary::Hangs => std::future::pending().await,
            NullLibrary::EveryCallFails => Err(Failure::other("no")),
            NullLibrary::EveryCallIsEmpty | NullLibrary::EveryBodyBreaks => {
                Ok((Head { status: 200, headers: Vec::new() }, Bytes::new()))
            }
        }
    }

    async fn stream(&self, request: Request) -> Result<(Head, NullBody), Failure> {
        let (head, _) = self.request(request).await?;
        Ok((head, NullBody { library: self.library }))
    }

    fn census(&self) -> Option<Census> {
        Some(Census { routes: 0, calls: Some(0), queued_bytes: Some(0) })
    }
}

impl BodyUnderTest for NullBody {
    async fn read(&mut self) -> Result<Option<Bytes>, Failure> {
        match self.library {
            NullLibrary::EveryBodyBreaks => Err(Failure::other("no")),
            _ => Ok(None),
        }
    }
}
