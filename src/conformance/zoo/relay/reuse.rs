//! Connections to origins that go on to be used whatever their exchanges left behind.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{HELD_BYTES, Request, reroute};
use crate::conformance::zoo::tamper::{Tamper, calls};
use crate::sync::Mutex;

/// Bytes that are read at a time.
const READ_BYTES: usize = 8 * 1024;

/// The length of a response that does not say it.
const UNKNOWN: usize = usize::MAX;

/// What has to be wrong with a connection to an origin for it to be used again all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Soiled {
    /// Bytes have come behind the response.
    BytesLeft,
    /// The executor has given the exchange up.
    Abandoned,
}

/// Connections without an exchange, by the port of the origin.
type Idle = Arc<Mutex<HashMap<u16, Link>>>;

/// Sends requests on connections that no request may be sent on. One behind a response without `content-length` is no such.
pub fn reusing(soiled: Soiled) -> Tamper {
    let idle = Idle::default();
    calls(move |call| {
        let idle = Arc::clone(&idle);
        reroute(call, move |request| serve(request, Arc::clone(&idle), soiled));
    })
}

/// Serves the requests of one connection of the executor.
async fn serve(mut request: Request, idle: Idle, soiled: Soiled) -> io::Result<()> {
    loop {
        let kept = idle.lock().remove(&request.origin);
        let mut link = match kept {
            Some(link) => link,
            None => Link { origin: request.dial().await?, unread: BytesMut::new() },
        };
        link.origin.write_all(&request.bytes).await?;
        let is_answered = link.answer(&mut request.executor).await?;
        let keep = match soiled {
            Soiled::BytesLeft => is_answered,
            Soiled::Abandoned => !is_answered || link.unread.is_empty(),
        };
        if keep {
            idle.lock().insert(request.origin, link);
        }
        if !is_answered {
            return Ok(());
        }
        request = Request::read(request.executor, request.relay, request.origin).await?;
    }
}

/// A connection to an origin, and what was read of it and has not passed yet.
#[derive(Debug)]
struct Link {
    origin: TcpStream,
    unread: BytesMut,
}

impl Link {
    /// Passes the next response on; `false` when the executor closes its connection before the end.
    async fn answer(&mut self, executor: &mut TcpStream) -> io::Result<bool> {
        let mut left = None;
        let mut sent = [0; READ_BYTES];
        loop {
            left = left.or_else(|| response_length(&self.unread));
            if let Some(left) = &mut left {
                let part = self.unread.split_to(self.unread.len().min(*left));
                executor.write_all(&part).await?;
                if *left != UNKNOWN {
                    *left -= part.len();
                }
                if *left == 0 {
                    return Ok(true);
                }
            }
            tokio::select! {
                read = self.origin.read_buf(&mut self.unread) => if read? == 0 || self.unread.len() > HELD_BYTES {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                },
                read = executor.read(&mut sent) => match read? {
                    0 if left == Some(UNKNOWN) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    0 => return Ok(false),
                    length => self.origin.write_all(&sent[..length]).await?,
                },
            }
        }
    }
}

/// The bytes of the head and the body of a response whose head has come.
pub(super) fn response_length(bytes: &[u8]) -> Option<usize> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let body =
        head.split_once("\r\ncontent-length:").and_then(|(_, rest)| rest.split('\r').next()?.trim().parse().ok());
    Some(body.map_or(UNKNOWN, |body: usize| end.saturating_add(body)))
}
