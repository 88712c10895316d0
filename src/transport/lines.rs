//! Newline-delimited frames over any byte stream: LF or CRLF in, LF out.

use std::fmt;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Connection, Reader, TransportError, Writer};
use crate::protocol::framing::LineFramer;
use crate::protocol::limits::LINE_BYTES;

/// Bytes asked for in one read.
const READ_BYTES: usize = 256 * 1024;

/// Frames that are smaller than this are copied together, so that a batch of them is one write.
const WRITE_BYTES: usize = 256 * 1024;

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
        writer: Writer::Lines(LineWriter { output: Box::new(output), batch: Vec::new() }),
    }
}

/// This process's own standard input and output.
///
/// A read of standard input cannot be interrupted: end the process, not only the runtime, to be rid of it.
pub fn stdio() -> Connection {
    connection(tokio::io::stdin(), tokio::io::stdout())
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
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        loop {
            let line = self.framer.poll_line().map_err(|error| TransportError::TooLong { limit: error.limit })?;
            // A line without an end is no frame: its sender may have been cut off in the middle of it.
            if line.is_some() || self.ended {
                return Ok(line);
            }
            let buffer = self.framer.buffer_mut();
            buffer.reserve(READ_BYTES);
            match self.input.read_buf(buffer).await? {
                0 => self.ended = true,
                _ => self.activity += 1,
            }
        }
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
    /// Small frames copied together; empty between calls.
    batch: Vec<u8>,
}

impl LineWriter {
    pub(super) async fn send(&mut self, frames: Vec<Bytes>) -> Result<(), TransportError> {
        for frame in frames {
            debug_assert!(!frame.contains(&b'\n'), "JSON text escapes line ends");
            if frame.len() >= WRITE_BYTES {
                self.write_batch().await?;
                self.output.write_all(&frame).await?;
                self.batch.push(b'\n');
            } else {
                self.batch.extend_from_slice(&frame);
                self.batch.push(b'\n');
                if self.batch.len() >= WRITE_BYTES {
                    self.write_batch().await?;
                }
            }
        }
        self.write_batch().await?;
        Ok(self.output.flush().await?)
    }

    async fn write_batch(&mut self) -> Result<(), TransportError> {
        self.output.write_all(&self.batch).await?;
        self.batch.clear();
        Ok(())
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
    use super::*;
    use crate::transport::CloseReason;

    #[tokio::test]
    async fn frames_pass_through_a_narrow_pipe_and_an_unfinished_line_is_none() {
        let (near, far) = tokio::io::duplex(16);
        let (near_input, near_output) = tokio::io::split(near);
        let (far_input, mut far_output) = tokio::io::split(far);
        let mut near = connection(near_input, near_output);
        let mut far = connection(far_input, tokio::io::sink());
        let sent =
            vec![Bytes::from_static(b"{\"a\":1}"), Bytes::from(vec![b'x'; WRITE_BYTES]), Bytes::from_static(b"{}")];
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
