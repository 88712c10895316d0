//! Puts what a specimen does between a client and the executor that it was told to connect to.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;

use super::proxy::{Make, join, serve_websockets};
use super::tamper::{OnRead, Tamper};
use crate::conformance::wire::Wire;

/// Bytes on their way between the specimen and the client, in one direction: as many as a pipe holds.
const PIPE_BYTES: usize = 64 * 1024;

/// Bytes of the largest read that a specimen can change.
const READ_BYTES: usize = 64 * 1024;

/// The standard output of an executor.
pub type Output = Box<dyn AsyncRead + Send + Unpin>;

/// The standard input of an executor.
pub type Input = Box<dyn AsyncWrite + Send + Unpin>;

/// The pipes of an executor as the client is to see them. Must be called within a runtime.
pub fn pipes(output: Output, input: Input, tamper: Tamper) -> (Output, Input) {
    // One pair a direction, so that dropping an end of it closes that direction.
    let (near_output, answers) = tokio::io::duplex(PIPE_BYTES);
    let (requests, near_input) = tokio::io::duplex(PIPE_BYTES);
    let output: Output = match tamper.on_read() {
        Some(change) => Box::new(Changed { inner: output, change, left: Bytes::new() }),
        None => output,
    };
    tokio::spawn(join(Wire::stdio(answers, requests), Wire::stdio(input, output), None, tamper));
    (Box::new(near_output), Box::new(near_input))
}

/// Where the client is to connect to instead of an executor at that address. Must be called within a runtime.
///
/// # Errors
///
/// Those of the socket.
pub async fn websocket(executor: SocketAddr, make: Make) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve_websockets(listener, executor, make));
    Ok(address)
}

/// An input each read of which is changed.
struct Changed {
    /// What is read.
    inner: Output,
    /// What happens to it.
    change: OnRead,
    /// What of the last read was not handed on yet.
    left: Bytes,
}

impl AsyncRead for Changed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left.is_empty() {
            let mut bytes = vec![0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.left = (self.change)(read.filled()).into();
        }
        let taken = self.left.len().min(out.remaining());
        out.put_slice(&self.left[..taken]);
        self.left.advance(taken);
        Poll::Ready(Ok(()))
    }
}
