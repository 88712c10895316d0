//! Bearer tokens: what a client shows, and what a listener knows of it.

use std::fmt;

use http::HeaderValue;
use http::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The scheme of RFC 6750, in any case.
const SCHEME: &[u8] = b"bearer ";

/// A bearer token as a client shows it. [`fmt::Debug`] does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The value of `authorization`; marked as sensitive.
    header: HeaderValue,
}

/// The SHA-256 digest of a bearer token: all that a listener keeps of it.
#[derive(Clone)]
pub struct TokenHash([u8; 32]);

/// Why a text is no token or no digest of one. Does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Nothing but white space.
    Empty,
    /// A byte that is not visible ASCII, white space inside the token included.
    NotVisible,
    /// A digest that is not 64 hexadecimal digits.
    NotHex,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the token is empty",
            Self::NotVisible => "the token has a character that is not visible ASCII",
            Self::NotHex => "the SHA-256 digest of a token is 64 hexadecimal digits",
        })
    }
}

impl std::error::Error for TokenError {}

impl Token {
    /// The token in this text, white space around it left out.
    ///
    /// # Errors
    ///
    /// [`TokenError::Empty`] and [`TokenError::NotVisible`].
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let mut header = HeaderValue::try_from(format!("Bearer {}", trimmed(text)?));
        if let Ok(header) = &mut header {
            header.set_sensitive(true);
        }
        header.map(|header| Self { header }).map_err(|_| TokenError::NotVisible)
    }

    /// The value of `authorization`.
    pub(crate) const fn header(&self) -> &HeaderValue {
        &self.header
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl TokenHash {
    /// The digest of the token in this text, white space around it left out.
    ///
    /// # Errors
    ///
    /// [`TokenError::Empty`] and [`TokenError::NotVisible`].
    pub fn of(text: &str) -> Result<Self, TokenError> {
        Ok(Self(Sha256::digest(trimmed(text)?).into()))
    }

    /// A digest written as 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`TokenError::NotHex`].
    pub fn from_hex(text: &str) -> Result<Self, TokenError> {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes =
            pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<Vec<u8>>>();
        let digest = bytes.filter(|_| rest.is_empty()).and_then(|bytes| bytes.try_into().ok());
        digest.map(Self).ok_or(TokenError::NotHex)
    }

    /// Whether a request shows the token: in one `authorization` header, of scheme `Bearer`. Digests are compared, in constant
    /// time, so that an answer's time says nothing about the token.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, token)) = value.as_bytes().split_at_checked(SCHEME.len()) else { return false };
        let shown: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
        scheme.eq_ignore_ascii_case(SCHEME) && bool::from(self.0.ct_eq(&shown))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

fn trimmed(text: &str) -> Result<&str, TokenError> {
    let token = text.trim();
    match token.bytes().all(|byte| byte.is_ascii_graphic()) {
        _ if token.is_empty() => Err(TokenError::Empty),
        true => Ok(token),
        false => Err(TokenError::NotVisible),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

    fn admits(hash: &TokenHash, values: &[&'static str]) -> bool {
        let values = values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
        hash.admits(&values.collect())
    }

    #[test]
    fn one_token_of_scheme_bearer_is_admitted() {
        for hash in [TokenHash::of(" foo\n"), TokenHash::from_hex(HEX), TokenHash::from_hex(&HEX.to_uppercase())] {
            let hash = hash.expect("legal");
            for good in ["Bearer foo", "bearer foo", "BEARER   foo"] {
                assert!(admits(&hash, &[good]), "{good}");
            }
            for bad in
                ["", "foo", "Bearer", "Bearer ", "Bearer fo", "Bearer fooo", "Basic foo", "Bearer Foo", "Bearerfoo"]
            {
                assert!(!admits(&hash, &[bad]), "{bad}");
            }
            assert!(!admits(&hash, &[]));
            assert!(!admits(&hash, &["Bearer foo", "Bearer foo"]), "which of them counts is not for us to guess");
        }
    }

    #[test]
    fn what_is_no_token_or_digest_is_refused_and_nothing_is_shown() {
        for empty in ["", " \n"] {
            assert_eq!(Token::new(empty), Err(TokenError::Empty));
            assert_eq!(TokenHash::of(empty).err(), Some(TokenError::Empty));
        }
        for bad in ["a b", "a\nb", "\u{e4}", "a\0b"] {
            assert_eq!(Token::new(bad), Err(TokenError::NotVisible));
            assert_eq!(TokenHash::of(bad).err(), Some(TokenError::NotVisible));
        }
        for bad in ["", "00", &HEX[1..], &format!("{HEX}0"), &format!("{HEX}00"), &HEX.replace('2', "g")] {
            assert_eq!(TokenHash::from_hex(bad).err(), Some(TokenError::NotHex), "{bad}");
        }
        let token = Token::new("sesame").expect("legal");
        assert_eq!(format!("{token:?} {:?}", token.header()), "Token(..) Sensitive");
        assert_eq!(format!("{:?}", TokenHash::of("sesame").expect("legal")), "TokenHash(..)");
    }
}
