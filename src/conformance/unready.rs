//! Why a peer cannot be judged, and what its author can look at first.

use std::fmt;

use super::judge::FailKind;
use super::launcher::LaunchError;
use super::process::StartError;
use super::result::Reason;
use super::transcript::printable;

/// Why no case can be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unready {
    /// Nothing came that could be judged: the cases have not been run.
    Cause(Cause, String),
    /// The peer broke a clause at once.
    Violation(FailKind, Reason),
}

/// What keeps a peer from being judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is no such program.
    NotFound,
    /// The program, its directory or its port are not usable.
    NotStartable,
    /// It ended, or closed its output, without naming a URL.
    EndedWithoutUrl,
    /// It named no URL in time.
    NoUrl,
    /// Somebody listens who speaks no websocket.
    NotWebsocket,
    /// It ended before it accepted a connection.
    EndedUnconnected,
    /// Nobody accepted a connection in time.
    Unconnected,
    /// It sends back what it reads.
    Echo,
    /// It reads nothing.
    ReadsNothing,
    /// It ended before it answered.
    EndedUnanswered,
    /// It did not answer in time.
    Silent,
    /// What an adapter has to do first; the text says how.
    Adapter,
}

impl Cause {
    /// What the author of the peer can look at first.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::NotFound => {
                "is it built, and on PATH? A relative path is looked up in the working directory, which --cwd sets"
            }
            Self::NotStartable => "the message is that of the system; try the same command in a shell",
            Self::EndedWithoutUrl | Self::NoUrl => {
                "let it print its ws:// URL, or give it the address with {addr} or {port} in the command; \
                 an executor on standard input and output needs --transport stdio"
            }
            Self::NotWebsocket => "something else listens at that address, or the path of the URL is wrong",
            Self::EndedUnconnected => "does it take its address from {addr} or {port}? Its standard error may say more",
            Self::Unconnected => {
                "is it running, and is that its address? A firewall drops what it does not like in silence"
            }
            Self::Echo => "that is what `cat` does, or a terminal: is the command the executor itself?",
            Self::ReadsNothing => "it has to read its standard input while it works on something else",
            Self::EndedUnanswered => {
                "does it need an option to speak on standard input and output? Its standard error may say more"
            }
            Self::Silent => {
                "messages are one JSON object a line, without headers between them; \
                 output that is buffered has to be flushed after each line"
            }
            Self::Adapter => "docs/adapter.md has the whole protocol between the suite and an adapter",
        }
    }
}

impl Unready {
    /// What the author of the peer can look at first.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Cause(cause, _) => cause.hint(),
            Self::Violation(_, reason) if reason.came.to_ascii_lowercase().contains("content-length") => {
                "messages have no headers: one JSON object a line"
            }
            Self::Violation(FailKind::StdoutPollution, _) => {
                "standard output is for messages only: send logs to standard error"
            }
            Self::Violation(FailKind::Malformed, _) => {
                "a frame is one JSON object: {\"id\":…,\"result\":…}, {\"id\":…,\"error\":…} or {\"method\":…}"
            }
            Self::Violation(..) => {
                "`initialize` is answered with {\"id\":…,\"result\":{\"sessionId\":\"…\"}}; SPEC.md says the rest"
            }
        }
    }
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cause(_, cause) => f.write_str(cause),
            Self::Violation(_, reason) => f.write_str(&printable(&reason.came)),
        }
    }
}

impl From<LaunchError> for Unready {
    fn from(error: LaunchError) -> Self {
        let cause = match &error {
            LaunchError::Start(StartError::NotFound(_)) => Cause::NotFound,
            LaunchError::Start(_) | LaunchError::NoPort(_) => Cause::NotStartable,
            LaunchError::Ended(_) => Cause::EndedWithoutUrl,
            LaunchError::NoUrl(_) => Cause::NoUrl,
        };
        Self::Cause(cause, error.to_string())
    }
}
