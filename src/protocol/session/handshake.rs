//! The handshake: who may attach to which session, and what the executor announces.

use serde_json::{Value, json};

use super::{CloseReason, Session};
use crate::protocol::error::{self, RpcError};
use crate::protocol::id::Id;
use crate::protocol::message::Message;

/// What an executor offers beyond the revisions of the protocol. Nothing of it shows on the wire unless it is offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `http/request/cancel` (CANCEL-1).
    pub cancel: bool,
    /// `creditBytes` and `http/request/credit` (CREDIT-1).
    pub credit: bool,
}

impl Extensions {
    /// Everything that this executor can.
    pub const ALL: Self = Self { cancel: true, credit: true };
    /// The protocol as it stands.
    pub const NONE: Self = Self { cancel: false, credit: false };
}

/// Where the handshake stands.
#[derive(Debug, Default)]
pub(super) enum Phase {
    /// No `initialize` succeeded.
    #[default]
    New,
    /// The session registry was asked, or is about to be.
    Attaching {
        /// The id of the `initialize`.
        call: Id,
        /// What [`Session::poll_attach`] has not handed out.
        attach: Option<Attach>,
    },
    /// `initialize` was answered.
    Greeted,
    /// `initialized` has come.
    Ready,
    /// No frame is read any more; what waits may still be sent.
    Closing(CloseReason),
}

/// What the client wants of the session registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// The session to resume; `None` for a new one.
    pub resume: Option<String>,
}

/// Why the session registry refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachError {
    /// No such session, or not any more.
    Unknown,
    /// The session belongs to another live connection.
    Attached,
}

impl Session {
    pub(super) fn handle_initialize(&mut self, call: Id, params: Option<Value>) {
        if !matches!(self.phase, Phase::New) {
            let error = RpcError::new(error::INVALID_REQUEST, "initialize may only be sent once per connection");
            return self.reply_error(call, error);
        }
        match Attach::from_params(params.as_ref()) {
            Ok(attach) => self.phase = Phase::Attaching { call, attach: Some(attach) },
            Err(wrong) => self.reply_error(call, RpcError::new(error::INVALID_PARAMS, wrong)),
        }
    }

    /// What to ask the session registry; its answer goes to [`Session::handle_attach`].
    pub fn poll_attach(&mut self) -> Option<Attach> {
        match &mut self.phase {
            Phase::Attaching { attach, .. } => attach.take(),
            _ => None,
        }
    }

    /// Takes the session registry's answer: the id of the session, or why there is none.
    pub fn handle_attach(&mut self, answer: Result<&str, AttachError>) {
        let Phase::Attaching { call, .. } = &self.phase else { return };
        let call = call.clone();
        match answer {
            Ok(session_id) => {
                self.phase = Phase::Greeted;
                self.reply(&Message::Response { id: call, result: greeting(session_id, self.extensions) });
            }
            Err(refusal) => {
                self.phase = Phase::New;
                self.reply_error(call, refusal.into());
            }
        }
    }

    /// Whether the handshake is complete; `method` is what needs it.
    pub(super) fn check_ready(&self, method: &str) -> Result<(), RpcError> {
        let missing = match self.phase {
            Phase::Ready => return Ok(()),
            Phase::Greeted => "send initialized",
            Phase::New | Phase::Attaching { .. } | Phase::Closing(_) => "call initialize",
        };
        Err(RpcError::new(error::INVALID_REQUEST, format!("client must {missing} before {method}")))
    }
}

impl Attach {
    fn from_params(params: Option<&Value>) -> Result<Self, &'static str> {
        let member = |name| params.and_then(|params| params.get(name));
        if !member("clientName").is_some_and(Value::is_string) {
            return Err("initialize params: clientName must be text");
        }
        match member("resumeSessionId") {
            None | Some(Value::Null) => Ok(Self { resume: None }),
            Some(Value::String(session_id)) => Ok(Self { resume: Some(session_id.clone()) }),
            Some(_) => Err("initialize params: resumeSessionId must be text or null"),
        }
    }
}

impl From<AttachError> for RpcError {
    fn from(refusal: AttachError) -> Self {
        match refusal {
            AttachError::Unknown => Self::new(error::INVALID_REQUEST, "unknown session id"),
            AttachError::Attached => Self::new(error::SESSION_ATTACHED, "session is attached to another connection"),
        }
    }
}

/// The result of `initialize`.
fn greeting(session_id: &str, extensions: Extensions) -> Value {
    let mut result = json!({
        "sessionId": session_id,
        "environmentInfo": {
            "shell": {"name": "sh", "path": "/bin/sh"},
            "executorVersion": env!("CARGO_PKG_VERSION"),
            "capabilities": {"httpHeaderEnvVars": true},
        },
    });
    if extensions != Extensions::NONE {
        result["capabilities"] = json!({
            "httpHeaderEnvVars": true,
            "httpRequestCancel": extensions.cancel,
            "httpBodyCredit": extensions.credit,
        });
    }
    result
}
