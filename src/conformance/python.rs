//! Stub.

use super::case::Case;

/// Stub.
///
/// # Errors
///
/// Stub.
pub fn program(_: &Case) -> Result<String, String> {
    Err("stub".to_owned())
}
