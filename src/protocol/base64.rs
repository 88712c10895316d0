//! Standard base64 with padding, as fast as the machine allows: vector instructions where it has them, found out at run time.
//!
//! Every engine accepts exactly what the scalar one of the same library does; `tests/properties` and `fuzz/delta.rs` compare
//! them, `tests/guard_pages.rs` shows that none reads or writes beyond what it is given.

use bytes::Bytes;

/// Bytes that a text of so many decodes to at most; what [`decode_into`] needs room for.
pub const fn most_decoded_bytes(encoded: usize) -> usize {
    encoded.div_ceil(4) * 3
}

/// Bytes of the text of so many bytes.
pub const fn encoded_bytes(data: usize) -> usize {
    data.div_ceil(3) * 4
}

/// Decodes into the start of `out`, which must hold [`most_decoded_bytes`]. What it holds behind that, or when there is nothing to
/// return, is undefined.
///
/// # Errors
///
/// `None` when the text is not standard base64 with padding.
#[inline]
pub fn decode_into(text: &[u8], out: &mut [u8]) -> Option<usize> {
    engine::decode(text, out)
}

/// Encodes into the start of `out`, which must hold [`encoded_bytes`], and returns their number.
pub fn encode_into(data: &[u8], out: &mut [u8]) -> usize {
    engine::encode(data, out)
}

/// Decodes a whole text.
///
/// # Errors
///
/// As [`decode_into`].
pub fn decode(text: &[u8]) -> Option<Bytes> {
    let mut data = vec![0; most_decoded_bytes(text.len())];
    let length = decode_into(text, &mut data)?;
    data.truncate(length);
    Some(data.into())
}

/// The text of `data`.
pub fn encode(data: &[u8]) -> String {
    let mut text = Vec::new();
    push(&mut text, data);
    String::from_utf8(text).expect("base64 is ASCII")
}

/// Appends the text of `data`.
pub fn push(out: &mut Vec<u8>, data: &[u8]) {
    let start = out.len();
    out.resize(start + encoded_bytes(data.len()), 0);
    encode_into(data, &mut out[start..]);
}

#[cfg(not(feature = "base64-turbo"))]
mod engine {
    use base64::Engine as _;

    /// AVX2 or NEON, else scalar.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    static ENGINE: std::sync::LazyLock<base64::engine::simd::Simd> =
        std::sync::LazyLock::new(|| base64::engine::simd::Simd::standard(base64::engine::general_purpose::PAD));

    /// Scalar: the library has nothing else for this machine.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    static ENGINE: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;

    #[inline]
    pub(super) fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
        ENGINE.decode_slice(text, out).ok()
    }

    pub(super) fn encode(data: &[u8], out: &mut [u8]) -> usize {
        ENGINE.encode_slice(data, out).expect("the caller gives room for it")
    }
}

#[cfg(feature = "base64-turbo")]
mod engine {
    use base64_turbo::STANDARD;

    pub(super) fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
        STANDARD.decode_slice(text, out).ok()
    }

    pub(super) fn encode(data: &[u8], out: &mut [u8]) -> usize {
        STANDARD.encode_slice(data, out).expect("the caller gives room for it")
    }
}
