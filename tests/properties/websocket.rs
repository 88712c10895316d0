//! The law of `fuzz/websocket.rs` on sequences of frames, most of them legal.

use exec_http::transport::websocket::framing::{Head, Opcode, Role, mask};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::websocket_law::{End, LIMITS, Seen, agree, ours};

/// A frame, in the terms of its head.
#[derive(Clone, Debug)]
struct Frame {
    opcode: Opcode,
    is_final: bool,
    payload: Vec<u8>,
    key: [u8; 4],
    /// Breaks the head by this many bits of its first byte, or of its second.
    damage: Option<(usize, u8)>,
}

impl Frame {
    fn encode(&self, sender: Role) -> Vec<u8> {
        let key = (sender == Role::Client).then_some(self.key);
        let mut frame = Head::new(self.opcode, self.payload.len(), key).as_bytes().to_vec();
        if !self.is_final {
            frame[0] &= 0x7f;
        }
        if let Some((byte, bits)) = self.damage {
            frame[byte] ^= bits;
        }
        let start = frame.len();
        frame.extend_from_slice(&self.payload);
        mask(&mut frame[start..], key.unwrap_or_default());
        frame
    }
}

fn other(role: Role) -> Role {
    if role == Role::Client { Role::Server } else { Role::Client }
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-z\u{e4}\u{20ac}\u{1f980}]{0,8}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..6),
        1 => (select(&[124usize, 125, 126, 127, 299, 300, 301][..]), any::<u8>()).prop_map(|(length, byte)| vec![byte & 0x7f; length]),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let opcode = select(
        &[
            Opcode::Text,
            Opcode::Text,
            Opcode::Binary,
            Opcode::Continuation,
            Opcode::Continuation,
            Opcode::Ping,
            Opcode::Pong,
            Opcode::Close,
        ][..],
    );
    let damage = proptest::option::weighted(0.05, (0usize..2, any::<u8>()));
    (opcode, prop::bool::weighted(0.7), payload(), any::<[u8; 4]>(), damage).prop_map(
        |(opcode, is_final, payload, key, damage)| {
            let is_control = matches!(opcode, Opcode::Ping | Opcode::Pong | Opcode::Close);
            Frame { opcode, is_final: is_final || is_control && damage.is_none(), payload, key, damage }
        },
    )
}

/// Messages as their sender may divide them, with pings between the parts.
fn messages() -> impl Strategy<Value = (Vec<Seen>, Vec<Frame>)> {
    let message = (any::<bool>(), vec("[a-z\u{20ac}]{0,8}", 1..5), any::<[u8; 4]>(), any::<bool>());
    vec(message, 1..8).prop_map(|messages| {
        let (mut seen, mut frames) = (Vec::new(), Vec::new());
        for (is_text, parts, key, pings) in messages {
            let bytes = parts.concat().into_bytes();
            // Characters may be cut by fragments.
            let cut = bytes.len() / parts.len();
            let mut fragments: Vec<&[u8]> = if cut == 0 { vec![&bytes] } else { bytes.chunks(cut).collect() };
            let last = fragments.pop().unwrap_or_default();
            let first = if is_text { Opcode::Text } else { Opcode::Binary };
            for (at, fragment) in fragments.iter().enumerate() {
                let opcode = if at == 0 { first } else { Opcode::Continuation };
                frames.push(Frame { opcode, is_final: false, payload: fragment.to_vec(), key, damage: None });
                if pings {
                    frames.push(Frame { opcode: Opcode::Ping, is_final: true, payload: vec![7], key, damage: None });
                    seen.push(Seen::Ping(vec![7]));
                }
            }
            let opcode = if fragments.is_empty() { first } else { Opcode::Continuation };
            frames.push(Frame { opcode, is_final: true, payload: last.to_vec(), key, damage: None });
            seen.push(if is_text { Seen::Text(bytes) } else { Seen::Binary(bytes) });
        }
        (seen, frames)
    })
}

proptest! {
    #[test]
    fn frames_give_what_another_library_gives(
        role in select(&[Role::Client, Role::Server][..]),
        limit in select(&LIMITS[..]),
        frames in vec(frame(), 0..12),
        sizes in [1usize..40, 1..400],
        cut in 0usize..40,
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(|frame| frame.encode(other(role))).collect();
        agree(role, limit, &stream, sizes);
        agree(role, limit, &stream[..stream.len().saturating_sub(cut)], sizes);
    }

    #[test]
    fn messages_arrive_however_they_are_divided(
        role in select(&[Role::Client, Role::Server][..]),
        (seen, frames) in messages(),
        sizes in [1usize..40, 1..400],
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(|frame| frame.encode(other(role))).collect();
        prop_assert_eq!(ours(role, 1000, &stream, sizes), (seen, End::Open));
        agree(role, 1000, &stream, sizes);
    }
}
