//! The data frames of a stream on their way in, found without reading JSON.
//!
//! Nearly all that a client receives is data frames, and executors write them in two ways. What has exactly one of these two
//! forms is read here, everything else by [`Message::decode`](crate::protocol::message::Message::decode), which also has to say what is wrong.
//! What counts is that both agree:
//!
//! > Where [`EncodedDelta::find`] and [`EncodedDelta::decode_into`] both return something, `Message::decode` and
//! > [`BodyDelta::from_value`](super::BodyDelta::from_value) return the same.
//!
//! All bytes of a form are fixed but three: an id without quotes, escapes and control characters, a number of at most 19 digits
//! without leading zero, and the base64 text, of which only the decoder knows that it holds no quote. `fuzz/delta.rs` and
//! `tests/properties` look for a frame that proves it wrong.

mod scan;

use crate::protocol::base64;
use crate::protocol::limits::DELTA_BYTES;

/// A data frame: not terminal, without error, no more than [`DELTA_BYTES`] decoded as far as its length tells.
///
/// Nothing of it is to be believed before [`EncodedDelta::decode_into`] has accepted its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedDelta<'a> {
    /// The stream.
    pub request_id: &'a str,
    /// As in [`super::BodyDelta`].
    pub seq: u64,
    /// The data in base64.
    pub text: &'a [u8],
}

/// A frame begins like this, whatever the order of its params.
const START: &str = "{\"method\":\"http/request/bodyDelta\",\"params\":{";

impl<'a> EncodedDelta<'a> {
    /// Looks for a data frame in one of the forms that executors write.
    pub fn find(frame: &'a [u8]) -> Option<Self> {
        let found = match frame.strip_prefix(START.as_bytes()) {
            Some(params) => declared(params).or_else(|| sorted(params)),
            None => None,
        };
        found.or_else(|| scan::find(frame)).filter(|delta| delta.text.len() <= base64::encoded_bytes(DELTA_BYTES))
    }

    /// Bytes that [`EncodedDelta::decode_into`] needs room for.
    pub fn most_bytes(&self) -> usize {
        base64::most_decoded_bytes(self.text.len())
    }

    /// Decodes the data into the start of `out`, and returns its length.
    ///
    /// # Errors
    ///
    /// `None` for a frame that says something else than it seemed to, or too much.
    pub fn decode_into(&self, out: &mut [u8]) -> Option<usize> {
        base64::decode_into(self.text, out).filter(|length| *length <= DELTA_BYTES)
    }
}

/// `requestId`, `seq`, `deltaBase64`, `done`, `error`: the order of the specification.
fn declared(params: &[u8]) -> Option<EncodedDelta<'_>> {
    let (request_id, params) = plain_text(params.strip_prefix(b"\"requestId\":")?)?;
    let (seq, params) = number(params.strip_prefix(b",\"seq\":")?)?;
    let text = params.strip_prefix(b",\"deltaBase64\":\"")?.strip_suffix(b"\",\"done\":false,\"error\":null}}")?;
    Some(EncodedDelta { request_id, seq, text })
}

/// `deltaBase64`, `done`, `error`, `requestId`, `seq`: the order of a map with sorted keys.
fn sorted(params: &[u8]) -> Option<EncodedDelta<'_>> {
    let params = params.strip_prefix(b"\"deltaBase64\":\"")?;
    // From the end: the id and the number are short, the text may be long.
    let tail = params.len().saturating_sub(SORTED_TAIL_BYTES);
    let middle = b"\",\"done\":false,\"error\":null,\"requestId\":";
    let text = tail + memchr::memmem::rfind(&params[tail..], middle)?;
    let (request_id, rest) = plain_text(&params[text + middle.len()..])?;
    let (seq, rest) = number(rest.strip_prefix(b",\"seq\":")?)?;
    (rest == b"}}").then_some(EncodedDelta { request_id, seq, text: &params[..text] })
}

/// Bytes behind the base64 text in the sorted order, at most; with a longer id the frame is not found here.
const SORTED_TAIL_BYTES: usize = 256;

/// A JSON string that stands for itself, and what follows it.
fn plain_text(json: &[u8]) -> Option<(&str, &[u8])> {
    let json = json.strip_prefix(b"\"")?;
    let end = json.iter().position(|byte| !matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'))?;
    let (text, rest) = json.split_at(end);
    Some((std::str::from_utf8(text).ok()?, rest.strip_prefix(b"\"")?))
}

/// A whole number of at most 19 digits, which is always below 2^64, and what follows it.
fn number(json: &[u8]) -> Option<(u64, &[u8])> {
    let digits = json.iter().take(20).take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = json.split_at(digits);
    if digits.is_empty() || digits.len() > 19 || (digits.len() > 1 && digits[0] == b'0') {
        return None;
    }
    Some((digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::delta::BodyDelta;
    use crate::protocol::message::Message;

    #[track_caller]
    fn found(frame: &str) -> EncodedDelta<'_> {
        let delta = EncodedDelta::find(frame.as_bytes()).expect("a data frame");
        let Ok(Message::Notification { params: Some(params), .. }) = Message::decode(frame.as_bytes()) else {
            panic!("no notification: {frame}")
        };
        let read = BodyDelta::from_value(&params).expect("a delta");
        let mut data = vec![0; delta.most_bytes()];
        let length = delta.decode_into(&mut data).expect("base64");
        assert_eq!((delta.request_id, delta.seq, &data[..length]), (&*read.request_id, read.seq, &*read.data));
        assert!(!read.is_terminal());
        delta
    }

    #[test]
    fn both_orders_and_other_spellings_are_found() {
        let start = r#"{"method":"http/request/bodyDelta","params":"#;
        for params in [
            r#"{"requestId":"http-1","seq":7,"deltaBase64":"aGVsbG8=","done":false,"error":null}}"#,
            r#"{"deltaBase64":"aGVsbG8=","done":false,"error":null,"requestId":"http-1","seq":7}}"#,
            r#"{"seq":7,"requestId":"http-1","deltaBase64":"aGVsbG8="}}"#,
            r#" { "seq" : 7 ,"error":null, "requestId":"http-1","deltaBase64":"aGVsbG8=","done":false } } "#,
        ] {
            let frame = format!("{start}{params}");
            assert_eq!(found(&frame), EncodedDelta { request_id: "http-1", seq: 7, text: b"aGVsbG8=" });
        }
        let other =
            r#"{"jsonrpc":"2.0","params":{"requestId":"","seq":0,"deltaBase64":""},"method":"http/request/bodyDelta"}"#;
        assert_eq!(found(other), EncodedDelta { request_id: "", seq: 0, text: b"" });
    }

    #[test]
    fn what_says_anything_else_is_not_found() {
        let good = r#"{"method":"http/request/bodyDelta","params":{"requestId":"http-1","seq":7,"deltaBase64":"aGk=","done":false,"error":null}}"#;
        found(good);
        for (from, to) in [
            ("{\"method", "{\"id\":1,\"method"),
            ("bodyDelta\"", "bodyDelta2\""),
            ("http-1", "http-\\u0031"),
            ("http-1", "http-\u{e9}"),
            ("\"http-1\"", "1"),
            (":7", ":07"),
            (":7", ":7.0"),
            (":7", ":-7"),
            (":7", ":7e0"),
            (":7", ":"),
            (":7", ":99999999999999999999"),
            ("false", "true"),
            ("null", "\"x\""),
            ("\"seq\":7,", "\"seq\":7,\"seq\":7,"),
            ("\"seq\":7,", "\"seq\":7,\"other\":7,"),
            ("\"seq\":7,", ""),
            ("}}", "}}}"),
            ("}}", "}"),
            ("}}", "},\"more\":1}"),
        ] {
            let frame = good.replacen(from, to, 1);
            assert_ne!(frame, good);
            assert_eq!(EncodedDelta::find(frame.as_bytes()), None, "{frame}");
        }
    }

    #[test]
    fn a_quote_in_the_text_is_for_the_decoder_to_find() {
        let frame = r#"{"method":"http/request/bodyDelta","params":{"requestId":"http-1","seq":7,"deltaBase64":"aGk=","seq":8,"x":"","done":false,"error":null}}"#;
        let delta = EncodedDelta::find(frame.as_bytes()).expect("it looks like one");
        assert_eq!(delta.decode_into(&mut vec![0; delta.most_bytes()]), None);
    }

    #[test]
    fn more_than_fits_a_delta_is_refused_before_it_is_decoded() {
        let frame = |length: usize| {
            let mut frame = Vec::new();
            let delta = BodyDelta {
                request_id: "r".into(),
                seq: 1,
                data: vec![0; length].into(),
                done: false,
                error: None,
                error_kind: None,
            };
            delta.encode_into(&mut frame);
            frame
        };
        let (most, more, far_more) = (frame(DELTA_BYTES), frame(DELTA_BYTES + 1), frame(DELTA_BYTES + 3));
        let decoded = |frame| {
            let delta = EncodedDelta::find(frame)?;
            delta.decode_into(&mut vec![0; delta.most_bytes()])
        };
        assert_eq!(decoded(&most), Some(DELTA_BYTES));
        assert_eq!(decoded(&more), None);
        assert_eq!(EncodedDelta::find(&far_more), None);
    }
}
