//! Lines out of bytes in any chunking: the framing of stdio.

use std::mem;

use bytes::{Buf as _, BytesMut};

use super::limits::BATCH_KEPT_BYTES;

/// Cuts a byte stream into lines that end with LF or CRLF. Blank lines are skipped.
///
/// Call order: any number of [`LineFramer::handle_bytes`], after each of them [`LineFramer::poll_line`] until it
/// returns `Ok(None)`. What is cut depends on the bytes only, never on how they were chunked. Bytes behind the last line
/// end are no line.
#[derive(Debug)]
pub struct LineFramer {
    /// Bytes that came and were not returned yet.
    buffer: BytesMut,
    /// How many bytes at the start of `buffer` are the line that was returned last, with its end.
    taken: usize,
    /// How many bytes at the start of `buffer` are known to hold no LF; 0 while `taken` is not.
    searched: usize,
    /// The longest line, without its end, in bytes.
    line_bytes: usize,
}

/// A line is longer than the bound; nothing after it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong {
    /// The bound in bytes.
    pub limit: usize,
}

impl std::fmt::Display for LineTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a line exceeds {} bytes", self.limit)
    }
}

impl std::error::Error for LineTooLong {}

impl LineFramer {
    /// A framer that holds at most `line_bytes` bytes of an unfinished line, plus what one call hands in.
    pub fn new(line_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), taken: 0, searched: 0, line_bytes }
    }

    /// Lowers the bound to `line_bytes`; never raises it.
    pub fn limit(&mut self, line_bytes: usize) {
        self.line_bytes = self.line_bytes.min(line_bytes);
    }

    /// Takes the next bytes of the stream.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer to read into directly, an alternative to [`LineFramer::handle_bytes`]. Only append to it.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole line without its end; the memory is used again by the next call that takes bytes.
    ///
    /// # Errors
    ///
    /// [`LineTooLong`] once the bound is passed, finished line or not, and on every later call.
    pub fn poll_line(&mut self) -> Result<Option<&[u8]>, LineTooLong> {
        let taken = mem::take(&mut self.taken);
        self.buffer.advance(taken);
        if taken > BATCH_KEPT_BYTES {
            // One long line is no lasting cost.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                // The line may end in CR, which does not count.
                let pending = self.searched - usize::from(self.buffer.ends_with(b"\r"));
                return if pending > self.line_bytes { Err(LineTooLong { limit: self.line_bytes }) } else { Ok(None) };
            };
            let end = self.searched + end;
            let text = self.buffer[..end].strip_suffix(b"\r").unwrap_or(&self.buffer[..end]).len();
            if text > self.line_bytes {
                return Err(LineTooLong { limit: self.line_bytes });
            }
            self.searched = 0;
            if !self.buffer[..text].iter().all(u8::is_ascii_whitespace) {
                self.taken = end + 1;
                return Ok(Some(&self.buffer[..text]));
            }
            self.buffer.advance(end + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn cut(chunks: &[&[u8]], limit: usize) -> Result<Vec<Bytes>, LineTooLong> {
        let mut framer = LineFramer::new(limit);
        let mut lines = Vec::new();
        for chunk in chunks {
            framer.handle_bytes(chunk);
            while let Some(line) = framer.poll_line()? {
                lines.push(Bytes::copy_from_slice(line));
            }
        }
        Ok(lines)
    }

    #[test]
    fn any_chunking_gives_the_same_lines() {
        let text = b"{\"a\":1}\r\n\n  \t\r\n\r\n{}\nx\ry\n\rz\nlast";
        let whole = cut(&[text], 100).expect("short lines");
        assert_eq!(whole, ["{\"a\":1}", "{}", "x\ry", "\rz"]);
        for size in 1..text.len() {
            let chunks: Vec<_> = text.chunks(size).collect();
            assert_eq!(cut(&chunks, 100).as_ref(), Ok(&whole), "chunks of {size}");
        }
    }

    #[test]
    fn memory_of_a_long_line_is_given_back_and_what_follows_it_is_not_lost() {
        let mut framer = LineFramer::new(usize::MAX);
        framer.handle_bytes(&[vec![b'x'; BATCH_KEPT_BYTES], b"\n{}\n[".to_vec()].concat());
        assert_eq!(framer.poll_line().map(|line| line.map(<[u8]>::len)), Ok(Some(BATCH_KEPT_BYTES)));
        assert_eq!(framer.poll_line(), Ok(Some(&b"{}"[..])));
        assert_eq!(framer.poll_line(), Ok(None));
        framer.handle_bytes(b"1]\n");
        assert_eq!(framer.poll_line(), Ok(Some(&b"[1]"[..])));
        assert!(framer.buffer_mut().capacity() < BATCH_KEPT_BYTES / 2);
    }

    #[test]
    fn the_bound_counts_the_text_only_and_is_final() {
        assert_eq!(cut(&[b"1234\r\n", b"1234\n"], 4), Ok(vec!["1234".into(), "1234".into()]));
        assert_eq!(cut(&[b"12345\n"], 4), Err(LineTooLong { limit: 4 }));
        assert_eq!(cut(&[b"123", b"45"], 4), Err(LineTooLong { limit: 4 }));
        let mut framer = LineFramer::new(4);
        framer.handle_bytes(b"12345\n{}\n");
        assert!(framer.poll_line().is_err());
        assert!(framer.poll_line().is_err());
    }
}
