//! Giving up a call at the executor: params and result of `http/request/cancel`.

use serde_json::{Value, json};

use super::error::{INVALID_PARAMS, RpcError};

/// The request that gives up a call.
pub const CANCEL_METHOD: &str = "http/request/cancel";

/// The params of a cancel request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelParams {
    /// The `requestId` of the call to give up.
    pub request_id: String,
}

/// The result of a cancel request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelResult {
    /// Whether a call was ended by it; false when it had ended before.
    pub cancelled: bool,
}

impl CancelParams {
    /// Reads the params; unknown members are ignored.
    ///
    /// # Errors
    ///
    /// CANCEL-7: -32602 when `requestId` is missing or no text.
    pub fn from_value(params: Option<&Value>) -> Result<Self, RpcError> {
        let request_id = params.and_then(|params| params.get("requestId")).and_then(Value::as_str);
        let wrong = || RpcError::new(INVALID_PARAMS, format!("{CANCEL_METHOD} params: requestId must be text"));
        Ok(Self { request_id: request_id.ok_or_else(wrong)?.to_owned() })
    }

    /// The params as they stand on the wire.
    pub fn to_value(&self) -> Value {
        json!({"requestId": self.request_id})
    }
}

impl CancelResult {
    /// The result as it stands on the wire.
    pub fn to_value(self) -> Value {
        json!({"cancelled": self.cancelled})
    }
}
