//! No base64 decoder or encoder touches a byte beyond what it is given: the pages in front of and behind each slice are not there.
#![cfg(unix)]
#![allow(unsafe_code, reason = "pages are taken away from the process")]

use std::num::NonZeroUsize;
use std::slice;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exec_http::protocol::base64::{decode_into, encode_into, encoded_bytes, most_decoded_bytes};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// Bytes of a page, or of some pages.
const PAGE: usize = 64 * 1024;

/// Bytes that stand alone: a touch of what is in front of or behind them ends the process.
struct Island {
    /// Three parts, of which the first and the last are not there.
    start: std::ptr::NonNull<std::ffi::c_void>,
    /// Bytes of the middle part.
    bytes: usize,
}

/// Which end of the middle part a slice touches.
#[derive(Clone, Copy, Debug)]
enum Shore {
    Front,
    Back,
}

impl Island {
    fn new(bytes: usize) -> Self {
        let bytes = bytes.next_multiple_of(PAGE);
        let all = NonZeroUsize::new(bytes + 2 * PAGE).expect("more than nothing");
        let (none, both) = (ProtFlags::PROT_NONE, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
        // SAFETY: the kernel chooses where; nothing else is there.
        let start = unsafe { mmap_anonymous(None, all, none, MapFlags::MAP_PRIVATE) }.expect("memory");
        // SAFETY: the middle of what was just mapped.
        unsafe { mprotect(start.byte_add(PAGE), bytes, both) }.expect("memory");
        Self { start, bytes }
    }

    /// So many bytes at one end.
    fn slice(&mut self, bytes: usize, shore: Shore) -> &mut [u8] {
        assert!(bytes <= self.bytes);
        let offset = match shore {
            Shore::Front => PAGE,
            Shore::Back => PAGE + self.bytes - bytes,
        };
        // SAFETY: within the middle part, which is mapped, initialised by the kernel, and borrowed with `self`.
        unsafe { slice::from_raw_parts_mut(self.start.byte_add(offset).cast().as_ptr(), bytes) }
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        // SAFETY: what was mapped; no slice of it outlives `self`.
        unsafe { munmap(self.start, self.bytes + 2 * PAGE) }.expect("mapped");
    }
}

/// Lengths around all that vector code treats apart, and some large ones.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=520).chain([1_000, 4_096, 65_535, 65_536, 65_537, 200_001])
}

#[test]
fn what_is_read_and_written_is_what_was_given() {
    let (mut input, mut output) = (Island::new(300_000), Island::new(300_000));
    let pairs = [Shore::Front, Shore::Back].map(|from| [Shore::Front, Shore::Back].map(|to| (from, to))).concat();
    for length in lengths() {
        let data: Vec<u8> = (0..length).map(|at| u8::try_from(at * 7 % 256).expect("a remainder")).collect();
        let text = STANDARD.encode(&data);
        for (from, to) in &pairs {
            let encoded = input.slice(text.len(), *from);
            encoded.copy_from_slice(text.as_bytes());
            let room = output.slice(most_decoded_bytes(text.len()), *to);
            assert_eq!(decode_into(encoded, room), Some(length), "{from:?} {to:?}");
            assert_eq!(room[..length], data);
            let decoded = input.slice(length, *from);
            decoded.copy_from_slice(&data);
            let room = output.slice(encoded_bytes(length), *to);
            assert_eq!(encode_into(decoded, room), text.len());
            assert_eq!(room, text.as_bytes());
        }
    }
}

#[test]
fn nor_for_a_text_that_is_wrong_somewhere() {
    let (mut input, mut output) = (Island::new(PAGE), Island::new(PAGE));
    for length in (0..=300).chain([4_095, 4_096]) {
        let text = STANDARD.encode(vec![0xfb; length]);
        // Every place of short texts, the ends of long ones; too short by one, too long by one.
        let places = (0..text.len()).filter(|place| text.len() < 100 || *place < 40 || text.len() - place < 100);
        let spoilt = places.flat_map(|place| [b'=', b'!', b'\n', 0xff].map(|byte| (place, byte)));
        let mut wrong: Vec<Vec<u8>> = spoilt
            .map(|(place, byte)| {
                let mut text = text.clone().into_bytes();
                text[place] = byte;
                text
            })
            .collect();
        wrong.extend([1, 2, 3].map(|missing| text.as_bytes()[..text.len().saturating_sub(missing)].to_vec()));
        wrong.extend(["A", "=", "A=", "A==="].map(|more| format!("{text}{more}").into_bytes()));
        for wrong in wrong {
            let expected = STANDARD.decode(&wrong).ok();
            for shore in [Shore::Front, Shore::Back] {
                let encoded = input.slice(wrong.len(), shore);
                encoded.copy_from_slice(&wrong);
                let room = output.slice(most_decoded_bytes(wrong.len()), shore);
                let length = decode_into(encoded, room);
                assert_eq!(length.map(|length| room[..length].to_vec()), expected);
            }
        }
    }
}
