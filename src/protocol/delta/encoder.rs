//! The deltas of one stream on their way out.

use std::io::Write as _;

use super::{DELTA_METHOD, push_text};
use crate::protocol::base64;
use crate::protocol::batch::Batch;

/// The longest `seq`, in digits.
const SEQ_DIGITS: usize = 20;

/// What stands between `seq` and the base64 text.
const MIDDLE: &[u8] = b",\"deltaBase64\":\"";

/// What stands behind the base64 text of a frame that is not the last.
const END: &[u8] = b"\",\"done\":false,\"error\":null}}";

/// Writes the data frames of one stream: all of a frame but `seq` and the data is the same in each.
#[derive(Debug)]
pub struct DeltaEncoder {
    /// A frame up to its `seq`.
    start: Box<[u8]>,
}

impl DeltaEncoder {
    /// For the stream of that `requestId`.
    pub fn new(request_id: &str) -> Self {
        let mut start = format!("{{\"method\":\"{DELTA_METHOD}\",\"params\":{{\"requestId\":").into_bytes();
        push_text(&mut start, request_id);
        start.extend_from_slice(b",\"seq\":");
        Self { start: start.into() }
    }

    /// Appends one frame to `batch`: what [`super::BodyDelta::encode_into`] writes, without intermediate memory. Returns its length in
    /// bytes.
    pub fn write(&self, seq: u64, data: &[u8], batch: &mut Batch) -> usize {
        let most = self.start.len() + SEQ_DIGITS + MIDDLE.len() + base64::encoded_bytes(data.len()) + END.len();
        batch.write(most, |out| {
            let room = out.len();
            let mut rest = &mut *out;
            let infallible = "the room is that of the longest frame";
            rest.write_all(&self.start).expect(infallible);
            write!(rest, "{seq}").expect(infallible);
            rest.write_all(MIDDLE).expect(infallible);
            let text = base64::encode_into(data, rest);
            let (_, mut rest) = rest.split_at_mut(text);
            rest.write_all(END).expect(infallible);
            room - rest.len()
        })
    }
}
