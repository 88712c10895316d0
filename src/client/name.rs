//! How a route is called on the wire: its number is the JSON-RPC id, and `http-NUMBER` the `requestId`. The cancel request of
//! a call has the text `cancel-NUMBER` as its id, which names no route: nobody waits for its answer.

use super::routes::Key;
use crate::protocol::id::Id;

/// The JSON-RPC id of the route's request.
pub(super) fn id(key: Key) -> Id {
    Id::Integer(key.number().cast_signed())
}

/// The JSON-RPC id of the request that gives up the route's call.
pub(super) fn cancel_id(key: Key) -> Id {
    Id::Text(format!("cancel-{}", key.number()))
}

/// The route that an answer names.
pub(super) fn from_id(id: &Id) -> Option<Key> {
    match id {
        Id::Integer(number) => u64::try_from(*number).ok().map(Key::from_number),
        Id::Text(_) => None,
    }
}

/// The `requestId` of the route's call.
pub(super) fn request_id(key: Key) -> String {
    format!("http-{}", key.number())
}

/// The route that a delta names. Only the exact text of [`request_id`] does: not `http-07`, not `http-+7`.
pub(super) fn from_request_id(text: &str) -> Option<Key> {
    let digits = text.strip_prefix("http-")?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|_| plain).map(Key::from_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_written_can_be_read() {
        for number in [0, 7, 10, 1 << 24, (1 << 53) - 1] {
            let key = Key::from_number(number);
            assert_eq!(from_request_id(&request_id(key)), Some(key));
            assert_eq!(from_id(&id(key)), Some(key));
            assert_eq!(from_id(&cancel_id(key)), None);
        }
    }

    #[test]
    fn other_texts_name_nothing() {
        for text in [
            "",
            "http-",
            "7",
            "http-07",
            "http-00",
            "http-+7",
            "http--7",
            "HTTP-7",
            "http-7 ",
            "http-18446744073709551616",
        ] {
            assert_eq!(from_request_id(text), None, "{text:?}");
        }
        assert_eq!(from_id(&Id::from("7")), None);
        assert_eq!(from_id(&Id::from(-1)), None);
    }
}
