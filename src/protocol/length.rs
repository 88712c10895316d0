//! How long a body must be to be whole.

use super::http::ResponseHeader;

/// The length that a response head promises for its body.
///
/// `None` where nothing is promised: no Content-Length or one that is not a single number, a Transfer-Encoding, and every
/// exchange whose response has no body whatever its head says (HEAD, CONNECT, 1xx, 204, 304).
pub fn promised(method: &str, status: u16, headers: &[ResponseHeader]) -> Option<u64> {
    let bodiless = matches!(method, "HEAD" | "CONNECT") || matches!(status, 100..=199 | 204 | 304);
    let named = |name: &'static str| headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    if bodiless || named("transfer-encoding").next().is_some() {
        return None;
    }
    let mut lengths = named("content-length");
    match (lengths.next(), lengths.next()) {
        (Some(length), None) if !length.value.is_empty() && length.value.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(&length.value).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// A body that is not as long as its head promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLength {
    /// What the head promised, in bytes.
    pub promised: u64,
    /// What has come, in bytes: all of a body that is too short, what came so far of one that is too long.
    pub received: u64,
}

impl std::fmt::Display for WrongLength {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "body of {} bytes where Content-Length promises {}", self.received, self.promised)
    }
}

impl std::error::Error for WrongLength {}

/// Counts a body against its promise.
#[derive(Clone, Copy, Debug)]
pub struct LengthCheck {
    /// What the head promised.
    promised: Option<u64>,
    /// What has come.
    received: u64,
}

impl LengthCheck {
    /// Starts at zero bytes.
    pub const fn new(promised: Option<u64>) -> Self {
        Self { promised, received: 0 }
    }

    /// Counts a chunk.
    ///
    /// # Errors
    ///
    /// When the body has become longer than promised.
    pub fn handle_chunk(&mut self, bytes: usize) -> Result<(), WrongLength> {
        self.received = self.received.saturating_add(bytes as u64);
        match self.promised {
            Some(promised) if self.received > promised => Err(WrongLength { promised, received: self.received }),
            _ => Ok(()),
        }
    }

    /// Judges the clean end of the body.
    ///
    /// # Errors
    ///
    /// When the body is shorter than promised.
    pub fn handle_end(&self) -> Result<(), WrongLength> {
        match self.promised {
            Some(promised) if self.received != promised => Err(WrongLength { promised, received: self.received }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[track_caller]
    fn check(method: &str, status: u16, headers: &[(&str, &str)], expected: Option<u64>) {
        let header = |&(name, value): &(&str, &str)| ResponseHeader {
            name: name.into(),
            value: Bytes::copy_from_slice(value.as_bytes()),
        };
        assert_eq!(promised(method, status, &headers.iter().map(header).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn only_one_plain_number_is_a_promise() {
        check("GET", 200, &[("Content-Length", "5")], Some(5));
        check("GET", 200, &[("content-length", "0")], Some(0));
        check("GET", 200, &[], None);
        check("HEAD", 200, &[("content-length", "5")], None);
        check("CONNECT", 200, &[("content-length", "5")], None);
        for status in [101, 204, 304] {
            check("GET", status, &[("content-length", "5")], None);
        }
        check("GET", 200, &[("content-length", "5"), ("transfer-encoding", "chunked")], None);
        check("GET", 200, &[("content-length", "5"), ("content-length", "5")], None);
        for odd in ["", "+5", "-5", "5, 5", "5.0", " 5", "99999999999999999999"] {
            check("GET", 200, &[("content-length", odd)], None);
        }
    }

    #[test]
    fn shorter_and_longer_bodies_are_told() {
        let mut check = LengthCheck::new(Some(5));
        assert_eq!(check.handle_end(), Err(WrongLength { promised: 5, received: 0 }));
        assert_eq!(check.handle_chunk(5), Ok(()));
        assert_eq!(check.handle_end(), Ok(()));
        assert_eq!(check.handle_chunk(1), Err(WrongLength { promised: 5, received: 6 }));
        let mut unchecked = LengthCheck::new(None);
        assert_eq!(unchecked.handle_chunk(7).and(unchecked.handle_end()), Ok(()));
    }
}
