//! Newline-delimited frames over any byte stream: LF or CRLF in, LF out.

use std::fmt;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Connection, Frame, Reader, TransportError, Writer};
use crate::protocol::batch::Batch;
use crate::protocol::framing::LineFramer;
use crate::protocol::limits::LINE_BYTES;

/// Bytes asked for in one read.
const READ_BYTES: usize = 256 * 1024;

/// Bytes that a pipe may hold; the system's own bound for those without privileges.
#[cfg(target_os = "linux")]
const PIPE_BYTES: std::ffi::c_int = 1024 * 1024;

/// A connection over two byte streams, each line at most [`LINE_BYTES`].
pub fn connection(
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
) -> Connection {
    Connection {
        reader: Reader::Lines(LineReader {
            input: Box::new(input),
            framer: LineFramer::new(LINE_BYTES),
            ended: false,
            activity: 0,
        }),
        writer: Writer::Lines(LineWriter { output: Box::new(output) }),
    }
}

/// This process's own standard input and output.
///
/// Pipes are read and written without a thread on Linux. Of anything else, a read cannot be interrupted: end the process, not only
/// the runtime, to be rid of it.
pub fn stdio() -> Connection {
    #[cfg(target_os = "linux")]
    {
        use tokio::net::unix::pipe::OpenOptions;
        // Opened anew, so that it is not others' descriptors of the same pipe that cease to block.
        let input = OpenOptions::new().open_receiver("/proc/self/fd/0");
        let output = OpenOptions::new().open_sender("/proc/self/fd/1");
        if let Ok(output) = &output {
            widen_pipe(output);
        }
        match (input, output) {
            (Ok(input), Ok(output)) => return connection(input, output),
            (Ok(input), Err(_)) => return connection(input, tokio::io::stdout()),
            (Err(_), Ok(output)) => return connection(tokio::io::stdin(), output),
            (Err(_), Err(_)) => {}
        }
    }
    connection(tokio::io::stdin(), tokio::io::stdout())
}

/// Gives a pipe room for as much as is read at one time, where the system allows it: with less, both ends sleep by turns. Whoever
/// starts an executor as a child does so with the pipe of its output. Linux only; elsewhere it does nothing.
#[cfg(unix)]
pub fn widen_pipe(pipe: impl std::os::fd::AsFd) {
    #[cfg(target_os = "linux")]
    // It works with less, too.
    let _refused = nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}

/// The receiving half.
pub struct LineReader {
    /// Where the bytes come from.
    input: Box<dyn AsyncRead + Send + Unpin>,
    /// Holds what came and is not a whole line yet.
    framer: LineFramer,
    /// Whether `input` has ended.
    ended: bool,
    /// Reads that returned bytes.
    activity: u64,
}

impl LineReader {
    pub(super) fn buffered(&mut self) -> Result<Option<Frame<'_>>, TransportError> {
        let line = self.framer.poll_line().map_err(|error| TransportError::TooLong { limit: error.limit })?;
        Ok(line.map(|bytes| Frame { bytes, is_text: false }))
    }

    pub(super) async fn fill(&mut self) -> Result<bool, TransportError> {
        // A line without an end is no frame: its sender may have been cut off in the middle of it.
        if !self.ended {
            let buffer = self.framer.buffer_mut();
            buffer.reserve(READ_BYTES);
            match self.input.read_buf(buffer).await? {
                0 => self.ended = true,
                _ => self.activity += 1,
            }
        }
        Ok(!self.ended)
    }

    pub(super) fn limit_frames(&mut self, bytes: usize) {
        self.framer.limit(bytes);
    }

    pub(super) fn activity(&self) -> u64 {
        self.activity
    }
}

impl fmt::Debug for LineReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineReader").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// The sending half.
pub struct LineWriter {
    /// Where the bytes go.
    output: Box<dyn AsyncWrite + Send + Unpin>,
}

impl LineWriter {
    pub(super) async fn send(&mut self, batch: &Batch) -> Result<(), TransportError> {
        self.output.write_all(batch.lines()).await?;
        Ok(self.output.flush().await?)
    }

    pub(super) async fn close(&mut self) {
        // The peer may be gone already; there is nobody left to tell.
        let _gone = self.output.shutdown().await;
    }
}

impl fmt::Debug for LineWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineWriter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::transport::CloseReason;

    #[tokio::test]
    async fn frames_pass_through_a_narrow_pipe_and_an_unfinished_line_is_none() {
        let (near, far) = tokio::io::duplex(16);
        let (near_input, near_output) = tokio::io::split(near);
        let (far_input, mut far_output) = tokio::io::split(far);
        let mut near = connection(near_input, near_output);
        let mut far = connection(far_input, tokio::io::sink());
        let sent = vec![Bytes::from_static(b"{\"a\":1}"), Bytes::from(vec![b'x'; 300_000]), Bytes::from_static(b"{}")];
        let sending = tokio::spawn({
            let sent = sent.clone();
            async move {
                near.writer.send(sent).await.expect("the far side reads");
                near.writer.close(CloseReason::Done).await;
                near.reader
            }
        });
        for frame in sent {
            assert_eq!(far.reader.next().await.expect("no failure"), Some(frame));
        }
        assert_eq!(far.reader.next().await.expect("no failure"), None);
        let mut reader = sending.await.expect("no panic");
        far_output.write_all(b"\r\n {}\r\n[1").await.expect("the near side is open");
        far_output.shutdown().await.expect("the near side is open");
        assert_eq!(reader.next().await.expect("no failure").as_deref(), Some(&b" {}"[..]));
        assert_eq!(reader.next().await.expect("no failure"), None);
    }
}
