//! The credit of a streamed call: how many bytes of its body the executor may send, and the notification that adds to it.

use serde_json::{Value, json};

/// The notification that adds to the credit of a stream.
pub const CREDIT_METHOD: &str = "http/request/credit";

/// The params of a credit notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditParams {
    /// The stream.
    pub request_id: String,
    /// Decoded bytes of its body that may be sent beyond those allowed before.
    pub bytes: u64,
}

impl CreditParams {
    /// Reads the params; unknown members are ignored. `None` when a member is missing or of the wrong type: nobody can be
    /// told, as a notification has no answer (CREDIT-6).
    pub fn from_value(params: Option<&Value>) -> Option<Self> {
        let params = params?;
        let request_id = params.get("requestId")?.as_str()?.to_owned();
        Some(Self { request_id, bytes: params.get("bytes")?.as_u64()? })
    }

    /// The params as they stand on the wire.
    pub fn to_value(&self) -> Value {
        json!({"requestId": self.request_id, "bytes": self.bytes})
    }
}
