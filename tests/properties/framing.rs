//! Lines and messages depend on the bytes only, never on how they were chunked.

use bytes::Bytes;
use exec_http::protocol::framing::{LineFramer, LineTooLong};
use exec_http::protocol::message::Message;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// The longest line of these properties, in bytes.
const LINE_BYTES: usize = 24;

/// Lines cut out of chunks, up to the first that is too long. Every other chunk takes the way of readers, into the buffer.
fn cut<'chunk>(limit: usize, chunks: impl IntoIterator<Item = &'chunk [u8]>) -> (Vec<Bytes>, Result<(), LineTooLong>) {
    let mut framer = LineFramer::new(limit);
    let mut lines = Vec::new();
    for (index, chunk) in chunks.into_iter().enumerate() {
        match index % 2 {
            0 => framer.handle_bytes(chunk),
            _ => framer.buffer_mut().extend_from_slice(chunk),
        }
        loop {
            match framer.poll_line() {
                Ok(Some(line)) => lines.push(Bytes::copy_from_slice(line)),
                Ok(None) => break,
                Err(too_long) => {
                    assert_eq!(framer.poll_line(), Err(too_long), "a line that is too long is the end");
                    return (lines, Err(too_long));
                }
            }
        }
    }
    (lines, Ok(()))
}

/// The same over all bytes at once, by the definition.
fn by_hand(limit: usize, stream: &[u8]) -> (Vec<&[u8]>, Result<(), LineTooLong>) {
    let mut lines = Vec::new();
    let mut pieces: Vec<_> = stream.split(|byte| *byte == b'\n').collect();
    let unfinished = pieces.pop().expect("split gives one piece at least");
    let text = |piece: &'_ [u8]| piece.len() - usize::from(piece.ends_with(b"\r"));
    for piece in pieces {
        let line = &piece[..text(piece)];
        if line.len() > limit {
            return (lines, Err(LineTooLong { limit }));
        }
        if !line.iter().all(u8::is_ascii_whitespace) {
            lines.push(line);
        }
    }
    let too_long = text(unfinished) > limit;
    (lines, if too_long { Err(LineTooLong { limit }) } else { Ok(()) })
}

/// The pieces between sorted cuts.
fn chunks<'stream>(stream: &'stream [u8], cuts: &[usize]) -> Vec<&'stream [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| *cut.min(&stream.len())).chain([0, stream.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

/// Bytes with many line ends, and with lines about as long as they may be.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => Just(b"\n".to_vec()),
        3 => Just(b"\r\n".to_vec()),
        2 => select(b"\r ".as_slice()).prop_map(|byte| vec![byte]),
        8 => any::<u8>().prop_map(|byte| vec![byte]),
        2 => (LINE_BYTES - 1..=LINE_BYTES + 1).prop_map(|bytes| vec![b'x'; bytes]),
    ];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_the_same_lines_and_errors(stream in stream(), cuts in vec(0..200_usize, 0..20)) {
        for limit in [LINE_BYTES, stream.len()] {
            let (lines, end) = by_hand(limit, &stream);
            let by_hand = (lines.into_iter().map(Bytes::copy_from_slice).collect(), end);
            prop_assert_eq!(&cut(limit, chunks(&stream, &cuts)), &by_hand);
            prop_assert_eq!(&cut(limit, stream.chunks(1)), &by_hand, "single bytes");
        }
    }

    #[test]
    fn any_chunking_gives_the_same_messages(
        messages in vec((super::codec::message(), any::<bool>(), 0..3_usize), 0..5), cuts in vec(0..800_usize, 0..20),
    ) {
        let mut stream = Vec::new();
        for (message, carriage_return, blank_lines) in &messages {
            stream.extend(message.encode());
            stream.extend_from_slice(if *carriage_return { b"\r\n" } else { b"\n" });
            stream.extend(b" \r\n".repeat(*blank_lines));
        }
        let (lines, end) = cut(stream.len(), chunks(&stream, &cuts));
        let read: Result<Vec<_>, _> = lines.iter().map(|line| Message::decode(line)).collect();
        prop_assert_eq!((read, end), (Ok(messages.into_iter().map(|(message, ..)| message).collect()), Ok(())));
    }
}
