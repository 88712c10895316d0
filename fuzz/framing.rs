//! Lines out of bytes.

use bytes::Bytes;
use exec_http::protocol::framing::{LineFramer, LineTooLong};

/// The longest line, in bytes: short, so that the bound is met often.
const LINE_BYTES: usize = 16;

/// What a stream is cut into: its lines, then what waits for its end, or the error.
type Cut = (Vec<Bytes>, Result<Bytes, LineTooLong>);

/// Any chunking of the same bytes gives the lines, the rest and the error that splitting the whole text gives. The first
/// byte chooses two sizes of chunks that take turns.
pub fn check(data: &[u8]) {
    let Some((&sizes, stream)) = data.split_first() else { return };
    let expected = split(stream);
    let sizes = [usize::from(sizes & 15) + 1, usize::from(sizes >> 4) + 1];
    for sizes in [sizes, [1, 1], [stream.len().max(1); 2]] {
        assert_eq!(cut(stream, sizes), expected, "chunks of {sizes:?}");
    }
}

/// The definition: all bytes are known, and nothing is remembered.
fn split(stream: &[u8]) -> Cut {
    let mut lines = Vec::new();
    let mut texts: Vec<&[u8]> = stream.split(|&byte| byte == b'\n').collect();
    let rest = texts.pop().expect("a split has a last part");
    for text in texts {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() > LINE_BYTES {
            return (lines, Err(LineTooLong { limit: LINE_BYTES }));
        }
        if !text.trim_ascii().is_empty() {
            lines.push(Bytes::copy_from_slice(text));
        }
    }
    if rest.strip_suffix(b"\r").unwrap_or(rest).len() > LINE_BYTES {
        return (lines, Err(LineTooLong { limit: LINE_BYTES }));
    }
    (lines, Ok(Bytes::copy_from_slice(rest)))
}

/// What the framer makes of it, handed in by both of its ways.
fn cut(stream: &[u8], sizes: [usize; 2]) -> Cut {
    let mut framer = LineFramer::new(LINE_BYTES);
    let mut lines = Vec::new();
    let mut ahead = stream;
    for size in sizes.into_iter().cycle() {
        let (chunk, behind) = ahead.split_at(size.min(ahead.len()));
        ahead = behind;
        if chunk.len() % 2 == 0 {
            framer.handle_bytes(chunk);
        } else {
            framer.buffer_mut().extend_from_slice(chunk);
        }
        loop {
            match framer.poll_line() {
                Ok(Some(line)) => lines.push(Bytes::copy_from_slice(line)),
                Ok(None) => break,
                Err(too_long) => {
                    framer.handle_bytes(b"\n{}\n");
                    assert_eq!(framer.poll_line(), Err(too_long), "the error is final");
                    return (lines, Err(too_long));
                }
            }
        }
        let waiting = framer.buffer_mut().len();
        assert!(waiting <= LINE_BYTES + 1, "{waiting} bytes of an unfinished line are held");
        if ahead.is_empty() {
            break;
        }
    }
    (lines, Ok(framer.buffer_mut().split().freeze()))
}
