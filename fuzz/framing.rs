//! Lines out of bytes.

use bytes::Bytes;
use exec_http::protocol::framing::{LineFramer, LineTooLong};

/// The longest line, in bytes: short, so that the bound is met often.
const LINE_BYTES: usize = 16;

/// Any chunking of the same bytes gives the same lines, up to the same error. The first byte chooses the chunks.
pub fn check(data: &[u8]) {
    let Some((&seed, stream)) = data.split_first() else { return };
    let size = usize::from(seed) + 1;
    assert_eq!(cut(stream.chunks(size)), cut([stream]), "chunks of {size}");
    assert_eq!(cut(stream.chunks(1)), cut([stream]), "single bytes");
}

fn cut<'chunk>(chunks: impl IntoIterator<Item = &'chunk [u8]>) -> (Vec<Bytes>, Result<(), LineTooLong>) {
    let mut framer = LineFramer::new(LINE_BYTES);
    let mut lines = Vec::new();
    for chunk in chunks {
        framer.handle_bytes(chunk);
        loop {
            match framer.poll_line() {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => break,
                Err(too_long) => return (lines, Err(too_long)),
            }
        }
    }
    (lines, Ok(()))
}
