//! What the framing takes and refuses. That it does so as another library does is a law of `fuzz/websocket.rs`.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

use super::*;
use crate::protocol::limits::WEBSOCKET_MESSAGE_BYTES;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame; its first byte is that of a head.
fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut frame = Head::new(Opcode::Text, payload.len(), key).as_bytes().to_vec();
    frame[0] = first;
    let start = frame.len();
    frame.extend_from_slice(payload);
    mask(&mut frame[start..], key.unwrap_or_default());
    frame
}

/// What comes out of chunks, up to the first error.
fn decode<'a>(
    decoder: &mut Decoder,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<(Event, Vec<u8>)>, FramingError> {
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.buffer_mut().extend_from_slice(chunk);
        while let Some(event) = decoder.poll_event()? {
            events.push((event, decoder.payload().to_vec()));
        }
    }
    Ok(events)
}

fn client(stream: &[u8]) -> Result<Vec<(Event, Vec<u8>)>, FramingError> {
    decode(&mut Decoder::new(Role::Client, 1000), [stream])
}

fn text(payload: &[u8]) -> (Event, Vec<u8>) {
    (Event::Message { is_text: true }, payload.to_vec())
}

#[test]
fn each_breach_is_refused_by_the_head() {
    let server = |stream: &[u8]| decode(&mut Decoder::new(Role::Server, 1000), [stream]);
    let breaches: [(_, &[u8]); 11] = [
        (client(b"\x83\x01"), b"an opcode is reserved"),
        (client(b"\x8b\x00"), b"an opcode is reserved"),
        (client(b"\xc1\x01"), b"a reserved bit is set"),
        (client(b"\x91\x01"), b"a reserved bit is set"),
        (client(b"\x81\x81\0\0\0\0"), b"a server sent a masked frame"),
        (server(b"\x81\x01"), b"a client sent a frame that is not masked"),
        (client(b"\x09\x01"), b"a control frame is fragmented"),
        (client(b"\x89\x7e\x00\x7e"), b"a control frame has more than 125 bytes"),
        (client(b"\x80\x01"), b"a fragment continues no message"),
        (client(b"\x01\x01x\x81\x01"), b"a message begins within another"),
        (client(b"\x88\x01\x03"), b"a close frame has half a code"),
    ];
    for (result, expected) in breaches {
        let expected = std::str::from_utf8(expected).expect("ASCII");
        assert_eq!(result, Err(FramingError::Violation(expected)));
    }
}

#[test]
fn a_close_frame_is_answered_by_its_own_payload_or_by_what_is_wrong_with_it() {
    for payload in [&b""[..], b"\x03\xe8", b"\x03\xeb", b"\x03\xef", b"\x03\xf5", b"\x0b\xb8bye", b"\x13\x87"] {
        assert_eq!(client(&frame(0x88, payload, None)), Ok(vec![(Event::Close, payload.to_vec())]));
    }
    for code in [0u16, 999, 1004, 1005, 1006, 1014, 1015, 2999, 5000, u16::MAX] {
        let answer = b"\x03\xeaProtocol violation".to_vec();
        assert_eq!(client(&frame(0x88, &code.to_be_bytes(), None)), Ok(vec![(Event::Close, answer)]), "{code}");
    }
    assert_eq!(client(&frame(0x88, b"\x03\xe8\xff", None)), Err(FramingError::NotUtf8));
}

#[test]
fn every_chunking_gives_the_same() {
    for (role, key) in [(Role::Client, None), (Role::Server, Some(KEY))] {
        let frames = [
            frame(0x81, b"{}", key),
            frame(0x01, b"a\xe2", key),
            frame(0x89, b"ping", key),
            frame(0x00, b"\x82", key),
            frame(0x8a, b"", key),
            frame(0x80, b"\xacb", key),
            frame(0x82, &[7; 300], key),
            frame(0x81, b"", key),
            frame(0x02, b"", key),
            frame(0x80, b"x", key),
        ];
        let expected = vec![
            text(b"{}"),
            (Event::Ping, b"ping".to_vec()),
            (Event::Pong, Vec::new()),
            text("a\u{20ac}b".as_bytes()),
            (Event::Message { is_text: false }, vec![7; 300]),
            text(b""),
            (Event::Message { is_text: false }, b"x".to_vec()),
        ];
        let stream = frames.concat();
        for size in 1..=stream.len() {
            let decoded = decode(&mut Decoder::new(role, 1000), stream.chunks(size));
            assert_eq!(decoded.as_ref(), Ok(&expected), "chunks of {size}");
        }
    }
}

#[test]
fn lengths_are_written_in_their_shortest_form_and_read_in_any() {
    for (length, bytes) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
        let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
        for (role, key) in [(Role::Client, None), (Role::Server, Some(KEY))] {
            let frame = frame(0x81, &payload, key);
            let head = bytes + key.map_or(0, |key| key.len());
            assert_eq!(frame.len(), head + length);
            let (theirs, theirs_length) =
                FrameHeader::parse(&mut Cursor::new(&frame)).expect("legal").expect("a whole head");
            assert_eq!((theirs.mask, theirs_length, theirs.len(theirs_length)), (key, length as u64, head));
            let decoded = decode(&mut Decoder::new(role, 100_000), [&frame[..]]);
            assert_eq!(decoded, Ok(vec![text(&payload)]), "{length} bytes");
        }
    }
    assert_eq!(client(b"\x81\x7e\x00\x01a\x81\x7f\0\0\0\0\0\0\0\x01b"), Ok(vec![text(b"a"), text(b"b")]));
}

#[test]
fn masks_are_the_same_at_every_length() {
    for length in 0..=50 {
        let plain: Vec<u8> = (0..length).collect();
        let mut masked = plain.clone();
        mask(&mut masked, KEY);
        let one_by_one: Vec<u8> = plain.iter().enumerate().map(|(at, byte)| byte ^ KEY[at % 4]).collect();
        assert_eq!(masked, one_by_one);
    }
}

#[test]
fn what_is_too_long_is_refused_by_its_head_and_fragments_count_together() {
    const LIMIT: usize = WEBSOCKET_MESSAGE_BYTES;
    let too_long = Err(FramingError::TooLong { limit: LIMIT });
    let head = |length| Head::new(Opcode::Text, length, None).as_bytes().to_vec();
    assert_eq!(decode(&mut Decoder::new(Role::Client, LIMIT), [&head(LIMIT + 1)[..]]), too_long);
    assert_eq!(
        decode(&mut Decoder::new(Role::Client, LIMIT), [&[&b"\x81\x7f"[..], &[0xff; 8]].concat()[..]]),
        too_long
    );
    let mut fragmented = Decoder::new(Role::Client, LIMIT);
    let mut first = frame(0x01, b"x", None);
    first.extend_from_slice(&head(LIMIT));
    first[3] = 0x80;
    assert_eq!(decode(&mut fragmented, [&first[..]]), too_long);

    let mut decoder = Decoder::new(Role::Client, LIMIT);
    assert_eq!(decode(&mut decoder, [&head(LIMIT)[..]]), Ok(Vec::new()));
    decoder.buffer_mut();
    assert!(decoder.memory() <= 2 * READ_BYTES, "a head takes {} bytes", decoder.memory());
    let chunk = vec![b'x'; READ_BYTES];
    let mut left = LIMIT;
    while left > 0 {
        assert_eq!(decoder.poll_event(), Ok(None));
        decoder.buffer_mut().extend_from_slice(&chunk[..left.min(READ_BYTES)]);
        left -= left.min(READ_BYTES);
    }
    assert_eq!(decoder.poll_event(), Ok(Some(Event::Message { is_text: true })));
    assert_eq!(decoder.payload().len(), LIMIT);
    assert!(decoder.memory() <= 2 * LIMIT + READ_BYTES, "{} bytes", decoder.memory());
    assert_eq!(decode(&mut decoder, [&frame(0x81, b"{}", None)[..]]), Ok(vec![text(b"{}")]));
    assert!(decoder.memory() <= READ_BYTES, "{} bytes are kept", decoder.memory());
}

#[test]
fn a_lower_bound_holds_for_the_message_at_hand() {
    let mut decoder = Decoder::new(Role::Client, 1000);
    assert_eq!(decode(&mut decoder, [&b"\x81\x0512"[..]]), Ok(Vec::new()));
    decoder.limit(4);
    assert_eq!(decoder.poll_event(), Err(FramingError::TooLong { limit: 4 }));
}

#[test]
fn memory_stays_with_the_reads_however_frames_lie_in_them() {
    let mut decoder = Decoder::new(Role::Server, WEBSOCKET_MESSAGE_BYTES);
    let frame = frame(0x82, &vec![7; 87_000], Some(KEY));
    let stream = frame.repeat(50);
    let (mut ahead, mut messages) = (&stream[..], 0);
    while !ahead.is_empty() {
        let buffer = decoder.buffer_mut();
        let room = buffer.capacity() - buffer.len();
        assert!(room >= ROOM_BYTES);
        let (chunk, behind) = ahead.split_at(room.min(ahead.len()));
        buffer.extend_from_slice(chunk);
        ahead = behind;
        while let Some(event) = decoder.poll_event().expect("legal") {
            assert_eq!(event, Event::Message { is_text: false });
            assert_eq!(decoder.payload(), [7; 87_000]);
            messages += 1;
        }
        assert_eq!(decoder.memory(), READ_BYTES);
    }
    assert_eq!(messages, 50);
}
