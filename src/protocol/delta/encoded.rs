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

mod next;
mod scan;

pub use self::next::NextDelta;

use crate::protocol::base64;
use crate::protocol::limits::DELTA_BYTES;

/// A data frame: not terminal, without error, no more than [`DELTA_BYTES`] as far as the length of its text tells.
///
/// Nothing of it is to be believed before [`EncodedDelta::decode_into`] has accepted its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedDelta<'a> {
    /// The `requestId`: ASCII that stands for itself.
    id: &'a [u8],
    /// As in [`super::BodyDelta`].
    pub seq: u64,
    /// The data in base64.
    pub text: &'a [u8],
    /// How it is written.
    form: Form,
}

/// How a data frame is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// In the order of the specification: `requestId`, `seq`, `deltaBase64`, `done`, `error`.
    Declared,
    /// In the order of a map with sorted keys: `deltaBase64`, `done`, `error`, `requestId`, `seq`.
    Sorted,
    /// Otherwise.
    Other,
}

/// A frame begins like this, whatever the order of its params.
const START: &[u8] = b"{\"method\":\"http/request/bodyDelta\",\"params\":{";

/// What follows the data in the declared order.
const DECLARED_END: &[u8] = b"\",\"done\":false,\"error\":null}}";

/// What follows [`START`] in the sorted order, up to the data.
const SORTED_START: &[u8] = b"\"deltaBase64\":\"";

impl<'a> EncodedDelta<'a> {
    /// Looks for a data frame in one of the forms that executors write.
    pub fn find(frame: &'a [u8]) -> Option<Self> {
        let found = match frame.strip_prefix(START) {
            Some(params) => declared(params).or_else(|| sorted(params)),
            None => None,
        };
        found.or_else(|| scan::find(frame)).filter(|delta| may_fit(delta.text))
    }

    /// The stream.
    pub fn request_id(&self) -> &'a str {
        std::str::from_utf8(self.id).expect("what stands for itself is ASCII")
    }

    /// Whether the stream is that of another frame, or of [`EncodedDelta::request_id`] once.
    pub fn is_of(&self, request_id: &str) -> bool {
        self.id == request_id.as_bytes()
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
        Self::decode_text(self.text, out)
    }

    /// The same for the text of a delta that [`NextDelta`] has found.
    #[inline]
    pub fn decode_text(text: &[u8], out: &mut [u8]) -> Option<usize> {
        if may_fit(text) { base64::decode_into(text, out).filter(|length| *length <= DELTA_BYTES) } else { None }
    }
}

/// Whether a text is no longer than that of [`DELTA_BYTES`].
fn may_fit(text: &[u8]) -> bool {
    text.len() <= base64::encoded_bytes(DELTA_BYTES)
}

/// [`Form::Declared`].
fn declared(params: &[u8]) -> Option<EncodedDelta<'_>> {
    let (id, params) = plain_text(params.strip_prefix(b"\"requestId\":")?)?;
    let (seq, params) = number(params.strip_prefix(b",\"seq\":")?)?;
    let text = params.strip_prefix(b",\"deltaBase64\":\"")?.strip_suffix(DECLARED_END)?;
    Some(EncodedDelta { id, seq, text, form: Form::Declared })
}

/// [`Form::Sorted`]. Read from its end: the id and the number are short, the text may be long.
fn sorted(params: &[u8]) -> Option<EncodedDelta<'_>> {
    let params = params.strip_prefix(SORTED_START)?.strip_suffix(b"}}")?;
    let digits = params.iter().rev().take(20).take_while(|byte| byte.is_ascii_digit()).count();
    let (params, digits) = params.split_at(params.len() - digits);
    let (seq, _) = number(digits)?;
    let params = params.strip_suffix(b"\",\"seq\":")?;
    let id = params.iter().rev().position(|byte| !is_plain(*byte))?;
    let (params, id) = params.split_at(params.len() - id);
    let text = params.strip_suffix(b"\",\"done\":false,\"error\":null,\"requestId\":\"")?;
    Some(EncodedDelta { id, seq, text, form: Form::Sorted })
}

/// Whether a byte stands for itself in a JSON string, and is ASCII.
fn is_plain(byte: u8) -> bool {
    PLAIN[usize::from(byte)]
}

/// All but controls, `"`, `\` and what is not ASCII.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        plain[byte as usize] = byte != b'"' && byte != b'\\';
        byte += 1;
    }
    plain
};

/// A JSON string that stands for itself, and what follows it.
fn plain_text(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let json = json.strip_prefix(b"\"")?;
    let end = json.iter().position(|byte| !is_plain(*byte))?;
    let (text, rest) = json.split_at(end);
    Some((text, rest.strip_prefix(b"\"")?))
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
        assert_eq!((delta.request_id(), delta.seq, &data[..length]), (&*read.request_id, read.seq, &*read.data));
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
            let delta = found(&frame);
            assert_eq!((delta.request_id(), delta.seq, delta.text), ("http-1", 7, &b"aGVsbG8="[..]));
        }
        let other =
            r#"{"jsonrpc":"2.0","params":{"requestId":"","seq":0,"deltaBase64":""},"method":"http/request/bodyDelta"}"#;
        let delta = found(other);
        assert_eq!((delta.request_id(), delta.seq, delta.text), ("", 0, &b""[..]));
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
