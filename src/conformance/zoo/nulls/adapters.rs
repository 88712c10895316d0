//! Adapters that do nothing, or the same whatever they are told.

use std::io;

use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::clients::NullLibrary;
use crate::conformance::case::Half;
use crate::conformance::client::under_test::ClientUnderTest as _;
use crate::conformance::zoo::specimen::{Means, Nature, Specimen};
use crate::conformance::zoo::tamper::Tamper;

/// An adapter that does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullAdapter {
    /// It ends at once.
    Exits,
    /// It replies to nothing.
    Hangs,
    /// It replies to `hello` only.
    SaysHello,
    /// It replies `ok`, to `hello` too.
    Agrees,
    /// It introduces itself and then replies `ok`.
    SaysHelloAndAgrees,
    /// It replies with an error.
    Fails,
    /// It says what it hears.
    Echoes,
}

const fn null(name: &'static str, sentence: &'static str, adapter: NullAdapter) -> Specimen {
    let means = Means::Adapter(adapter);
    Specimen { nature: Nature::Null, means, ..Specimen::twin(Half::Client, name, sentence, Tamper::none) }
}

/// All of them.
pub(super) const NULLS: &[Specimen] = &[
    null("adapter-exits", "It ends at once.", NullAdapter::Exits),
    null("adapter-hangs", "It replies to nothing.", NullAdapter::Hangs),
    null("adapter-says-hello", "It introduces itself and then replies to nothing.", NullAdapter::SaysHello),
    null("adapter-agrees", "It replies `ok` to everything.", NullAdapter::Agrees),
    null(
        "adapter-says-hello-and-agrees",
        "It introduces itself and then replies `ok` to everything.",
        NullAdapter::SaysHelloAndAgrees,
    ),
    null("adapter-fails", "It replies to everything with an error.", NullAdapter::Fails),
    null("adapter-echoes", "It says what it hears.", NullAdapter::Echoes),
];

impl NullAdapter {
    /// Serves to the end of the input.
    ///
    /// # Errors
    ///
    /// Those of the input and the output.
    pub async fn serve(self, input: impl AsyncBufRead + Unpin, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
        let mut lines = input.lines();
        while self != Self::Exits
            && let Some(line) = lines.next_line().await?
        {
            let command: Value = serde_json::from_str(&line)?;
            if let Some(mut reply) = self.reply(&command) {
                if self != Self::Echoes {
                    reply["id"] = command["id"].clone();
                }
                output.write_all(format!("{reply}\n").as_bytes()).await?;
                output.flush().await?;
            }
        }
        Ok(())
    }

    fn reply(self, command: &Value) -> Option<Value> {
        let is_hello = command["command"] == "hello";
        match self {
            Self::Exits | Self::Hangs => None,
            Self::SaysHello | Self::SaysHelloAndAgrees if is_hello => {
                let mut hello = serde_json::to_value(NullLibrary::Hangs.hello()).ok()?;
                hello["reply"] = json!("hello");
                Some(hello)
            }
            Self::SaysHello => None,
            Self::Agrees | Self::SaysHelloAndAgrees => Some(json!({"reply": "ok"})),
            Self::Fails => Some(json!({"reply": "error", "where": "library", "message": "no"})),
            Self::Echoes => Some(command.clone()),
        }
    }
}
