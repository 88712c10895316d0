//! The defects of the seed client, by name.

use std::fmt;

/// One row a defect: the variant, its name, the clause of `SPEC.md` that it breaks, and what the client does.
macro_rules! defects {
    ($($variant:ident = $name:literal, $clause:literal, $sentence:literal;)+) => {
        /// A switch of the seed client. On, the client does what the sentence says; with all of them off it is correct.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Defect {
            $(#[doc = $sentence] $variant,)+
        }

        impl Defect {
            /// All switches, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name on a command line and in a report.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The clause of `SPEC.md` that it breaks first.
            pub const fn clause(self) -> &'static str {
                match self { $(Self::$variant => $clause,)+ }
            }

            /// What the client does.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }
        }
    };
}

defects! {
    // How a disconnect is told.
    StreamsOutliveDisconnect = "streams-outlive-disconnect", "CLOSE-8",
        "A disconnect fails the pending calls and leaves the consumers of open streams waiting.";
    CleanEndOnDisconnectWithFullQueue = "clean-end-on-disconnect-with-full-queue", "STREAM-28",
        "A disconnect that finds a queue full is not recorded, and the closed queue reads as the clean end of a whole body.";
    DisconnectAsSequenceError = "disconnect-as-sequence-error", "CLOSE-9",
        "The frame that tells a stream of a disconnect always has `seq` 1, so a consumer past its first frame sees a gap.";
    InsertAfterDisconnect = "insert-after-disconnect", "ROUTE-18",
        "A call that starts after the disconnect is registered all the same and waits for ever.";
    DisconnectGuessedFromAnswer = "disconnect-guessed-from-answer", "ROUTE-19",
        "An error answer with the code and the text of the client's own disconnect error is taken for a disconnect.";
    OutcomeOfSentCallNotSaid = "outcome-of-sent-call-not-said", "CLOSE-11",
        "The error of a call that a disconnect cut off says that the request was not sent, though it was.";
    UnreadableFrameIgnored = "unreadable-frame-ignored", "ENVELOPE-23",
        "An error with id -1 matches no call and is ignored, so the call whose frame was unreadable waits for ever.";
    TransportLeftOpen = "transport-left-open", "ENVELOPE-22",
        "A frame that is not a message ends all calls and streams, but not the connection, on which the executor goes on to send.";

    // What is left behind.
    CallerChosenReusedId = "caller-chosen-reused-id", "ROUTE-3",
        "The caller chooses the `requestId`, so late frames of a dropped stream reach the next one of the same id.";
    FailureRecordLeaksOnDrop = "failure-record-leaks-on-drop", "ROUTE-16",
        "Dropping a stream releases its route but not the record of why it failed.";
    RouteKeptAfterTerminal = "route-kept-after-terminal", "ROUTE-5",
        "The route stays behind the terminal frame until that frame is read, so dropping the stream unread leaks it.";
    RouteLeaksOnCancel = "route-leaks-on-cancel", "ROUTE-4",
        "The route of a call that is cancelled or refused before its response stays.";
    CleanupNeedsRuntime = "cleanup-needs-runtime", "ROUTE-6",
        "Dropping a stream releases it in a task, and not at all on a thread without a runtime.";
    MapCopiedOnEachChange = "map-copied-on-each-change", "ROUTE-17",
        "Adding and removing a route copies the whole map.";

    // What the consumer is given.
    ReceiveNotCancelSafe = "receive-not-cancel-safe", "ROUTE-15",
        "A receive that is cancelled while it cleans up behind the last frame loses that frame, and the next one returns a clean end.";
    EndNotSticky = "end-not-sticky", "STREAM-19",
        "A receive after an error returns a clean end.";
    ClosedQueueIsCleanEnd = "closed-queue-is-clean-end", "ROUTE-8",
        "A queue that closes is taken for the clean end without a look at the failure records.";
    TerminalDataLost = "terminal-data-lost", "STREAM-15",
        "The bytes of a terminal frame are thrown away.";
    LengthNotChecked = "length-not-checked", "STREAM-26",
        "A streamed body that is shorter or longer than its head promised ends cleanly.";
    DataWithErrorLost = "data-with-error-lost", "STREAM-17",
        "The bytes of a frame that carries an error are thrown away.";

    // What frames are taken for.
    TerminalTakesQueueSlot = "terminal-takes-queue-slot", "ROUTE-9",
        "A terminal frame that finds the queue exactly full is taken for an overflow.";
    GapSeenWhenConsumed = "gap-seen-when-consumed", "STREAM-21",
        "The `seq` of a frame is looked at when it is consumed, so a wrong frame takes a place in the queue and ends the stream in another way.";
    ErrorWithoutDoneIgnored = "error-without-done-ignored", "STREAM-16",
        "An error counts only in a frame with `done: true`.";
    MalformedDeltaIsFatal = "malformed-delta-is-fatal", "STREAM-24",
        "A delta that does not decode ends the connection, whatever id it names.";
    NoByteBudget = "no-byte-budget", "ROUTE-10",
        "Only frames are counted, not the bytes in them.";
    NewestFramePays = "newest-frame-pays", "ROUTE-11",
        "When the byte budget is used up, the stream whose frame comes next ends, not the one that holds most.";
    BufferedCallAsksForStream = "buffered-call-asks-for-stream", "PARAMS-28",
        "A buffered call passes the caller's `streamResponse` on, and gets an empty body for it.";
}

impl Defect {
    /// The switch of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|defect| defect.name() == name)
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The switches that are on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Defects {
    /// One bit a switch, at its place in [`Defect::ALL`].
    bits: u64,
}

const _: () = assert!(Defect::ALL.len() <= u64::BITS as usize, "a bit for every switch");

impl Defects {
    /// All switches off: the correct client.
    pub const NONE: Self = Self { bits: 0 };

    /// The client as it was first merged and shipped.
    pub const MERGED: &[Defect] = &[
        Defect::CleanEndOnDisconnectWithFullQueue,
        Defect::DisconnectAsSequenceError,
        Defect::DisconnectGuessedFromAnswer,
        Defect::UnreadableFrameIgnored,
        Defect::TransportLeftOpen,
        Defect::FailureRecordLeaksOnDrop,
        Defect::CleanupNeedsRuntime,
        Defect::MapCopiedOnEachChange,
        Defect::ReceiveNotCancelSafe,
        Defect::EndNotSticky,
        Defect::ClosedQueueIsCleanEnd,
        Defect::LengthNotChecked,
        Defect::DataWithErrorLost,
        Defect::TerminalTakesQueueSlot,
        Defect::GapSeenWhenConsumed,
        Defect::MalformedDeltaIsFatal,
        Defect::NoByteBudget,
    ];

    /// Whether this switch is on.
    pub const fn has(self, defect: Defect) -> bool {
        self.bits & (1 << defect as u64) != 0
    }

    /// The switches that are on.
    pub fn iter(self) -> impl Iterator<Item = Defect> {
        Defect::ALL.iter().copied().filter(move |defect| self.has(*defect))
    }
}

impl From<Defect> for Defects {
    fn from(defect: Defect) -> Self {
        Self { bits: 1 << defect as u64 }
    }
}

impl FromIterator<Defect> for Defects {
    fn from_iter<I: IntoIterator<Item = Defect>>(defects: I) -> Self {
        Self { bits: defects.into_iter().fold(0, |bits, defect| bits | 1 << defect as u64) }
    }
}

impl fmt::Debug for Defects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::conformance::clause::{self, Side};

    #[test]
    fn every_switch_has_a_name_of_its_own_and_breaks_a_clause_that_binds_clients() {
        let names: HashSet<_> = Defect::ALL.iter().map(|defect| defect.name()).collect();
        assert_eq!(names.len(), Defect::ALL.len());
        for defect in Defect::ALL {
            assert_eq!(Defect::from_name(defect.name()), Some(*defect));
            let clause = clause::find(defect.clause()).unwrap_or_else(|| panic!("{defect}: no such clause"));
            assert!(matches!(clause.side, Side::Client | Side::Both), "{defect}");
            assert!(defect.sentence().ends_with('.'), "{defect}");
        }
        assert_eq!(Defect::from_name("none"), None);
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        assert_eq!(Defects::NONE.iter().count(), 0);
        let all: Defects = Defect::ALL.iter().copied().collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), Defect::ALL);
        for defect in Defect::ALL {
            assert_eq!(Defects::from(*defect).iter().collect::<Vec<_>>(), [*defect]);
        }
    }
}
