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
    CallsOutliveDisconnect = "calls-outlive-disconnect", "CLOSE-10",
        "A disconnect ends the open streams and leaves the pending calls waiting.";
    DisconnectNotTold = "disconnect-not-told", "CLOSE-10",
        "The application is never told that the connection has ended.";
    DisconnectAsOverflow = "disconnect-as-overflow", "CLOSE-9",
        "A disconnect that finds a queue full is told as a consumer that was too slow.";
    DisconnectBeforeEnd = "disconnect-before-end", "CLOSE-13",
        "A disconnect takes the place of an end that has arrived and that the consumer has not seen yet.";
    CallSentAgain = "call-sent-again", "CLOSE-12",
        "A call that a disconnect cut off is sent once more on the next connection.";
    DisconnectBehindFirstFrame = "disconnect-behind-first-frame", "CLOSE-8",
        "The error of a disconnect goes behind the first frame that waits, and not behind the last, where the queue has room for it.";
    HalfCloseIgnored = "half-close-ignored", "CLOSE-10",
        "The end of a TCP stream that no close frame precedes is not taken for the end of the connection.";

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
        "Dropping a stream releases nothing on a thread without a runtime.";
    MapCopiedOnEachChange = "map-copied-on-each-change", "ROUTE-17",
        "Adding and removing a route copies the whole map.";
    RouteKeptAfterRefusal = "route-kept-after-refusal", "ROUTE-7",
        "The route of a streamed call that is answered with an error stays.";
    ReleasedBySweep = "released-by-sweep", "ROUTE-6",
        "What a dropped stream holds is released by a sweep that comes later.";
    FailedIdsKept = "failed-ids-kept", "ROUTE-16",
        "The client keeps a note of each stream that failed, and never lets go of it.";
    LowestFreeId = "lowest-free-id", "ROUTE-3",
        "A stream gets the lowest number that no open stream has, so late frames of an ended one reach it.";
    LateAnswerIsFatal = "late-answer-is-fatal", "ROUTE-4",
        "An answer to a call that was given up ends the connection.";
    LateFrameIsFatal = "late-frame-is-fatal", "ROUTE-5",
        "A frame of a stream that was let go of ends the connection.";
    BudgetNotReturned = "budget-not-returned", "ROUTE-10",
        "The bytes that wait when a stream is dropped are never returned to the budget.";
    FailedBytesKept = "failed-bytes-kept", "ROUTE-10",
        "The bytes that wait in a stream whose last frame has arrived are not returned to the budget when it is dropped.";
    TakenBytesKept = "taken-bytes-kept", "ROUTE-10",
        "Bytes that the consumer takes are never returned to the budget.";
    NothingReleasedWhenGone = "nothing-released-when-gone", "ROUTE-16",
        "A stream that is let go of behind the end of its connection releases nothing.";
    ReadErrorKept = "read-error-kept", "ROUTE-16",
        "The error with which the executor ended a stream is kept once the consumer has read it.";
    UnreadErrorKept = "unread-error-kept", "ROUTE-16",
        "The error with which the executor ended a stream is kept for ever if nobody reads it.";
    OverflowKept = "overflow-kept", "ROUTE-16",
        "The client keeps a note of each stream whose queue was full, and never lets go of it.";
    CallerIdUnlessOpen = "caller-id-unless-open", "ROUTE-3",
        "A stream has the `requestId` that the caller chose, unless one that is open has it.";
    CallerIdUnlessEnded = "caller-id-unless-ended", "ROUTE-3",
        "A stream has the `requestId` that the caller chose, unless one that was released had it.";
    RefusedIdReused = "refused-id-reused", "ROUTE-3",
        "The number of a call that was refused is given to the next stream.";
    LateDataIsFatal = "late-data-is-fatal", "ROUTE-4",
        "A frame that is not the last one, of a call that was given up, ends the connection.";
    LateGapIsFatal = "late-gap-is-fatal", "ROUTE-5",
        "The frames of a stream that was let go of are still counted, and a gap among them ends the connection.";
    RouteWaitsForEnd = "route-waits-for-end", "ROUTE-5",
        "The route of a stream that is let go of stays until its terminal frame comes.";

    // What is sent about a stream that is let go of.
    CancelByNotification = "cancel-by-notification", "ENVELOPE-21",
        "The executor is told by a notification that a stream or call was given up.";
    CancelNamesItself = "cancel-names-itself", "STREAM-31",
        "The request that gives up a stream names its own JSON-RPC id instead of the stream.";
    CancelRefusalIsFatal = "cancel-refusal-is-fatal", "STREAM-31",
        "An executor that does not offer to give up streams and says so loses its connection.";
    DropByNotification = "drop-by-notification", "ENVELOPE-21",
        "The executor is told by a notification that a stream was let go of behind its response.";
    GivenUpByNotification = "given-up-by-notification", "ENVELOPE-21",
        "The executor is told by a notification that a call was given up before its response.";
    CallsNotCancelled = "calls-not-cancelled", "STREAM-31",
        "Streams are given up at the executor, and calls that wait for their response are not.";
    CancelledFrameIsFatal = "cancelled-frame-is-fatal", "STREAM-31",
        "The error by which the executor ends a stream that was given up ends the connection.";
    CancelNotOffered = "cancel-not-offered", "CANCEL-8",
        "Streams are given up at an executor that has not offered it.";
    CallsWaitForCancel = "calls-wait-for-cancel", "CANCEL-8",
        "Calls wait until the executor has answered the requests to give up others.";
    CancelledRouteStays = "cancelled-route-stays", "ROUTE-16",
        "The route of a stream that was given up at the executor stays for good.";

    // What is allowed, and what comes beyond it.
    CreditNotOffered = "credit-not-offered", "CREDIT-9",
        "Streams have a credit at an executor that has not offered it.";
    CreditOfNothing = "credit-of-nothing", "CREDIT-9",
        "Behind each credit notification goes one of no bytes.";
    NoMoreCredit = "no-more-credit", "CREDIT-10",
        "A consumer that has read all that was allowed is allowed nothing more.";
    BeyondCreditTaken = "beyond-credit-taken", "CREDIT-11",
        "Bytes that were not allowed are delivered like all others.";
    TerminalBeyondCreditTaken = "terminal-beyond-credit-taken", "CREDIT-11",
        "The bytes of a terminal frame are not counted against the credit.";
    BeyondCreditIsFatal = "beyond-credit-is-fatal", "CREDIT-11",
        "A frame with more bytes than were allowed ends the connection.";
    BeyondCreditLosesAll = "beyond-credit-loses-all", "CREDIT-11",
        "A frame with more bytes than were allowed takes those with it that wait.";
    CreditedFramesCounted = "credited-frames-counted", "CREDIT-12",
        "No more than 256 frames may wait, however few bytes they have of those that were allowed.";
    CreditHalved = "credit-halved", "CREDIT-12",
        "Of the bytes that were allowed one half may wait.";

    // What the consumer is given.
    ReceiveNotCancelSafe = "receive-not-cancel-safe", "ROUTE-15",
        "A receive that is cancelled while it cleans up behind the last frame loses that frame, and the next one returns a clean end.";
    AbandonedReceiveTakesFrame = "abandoned-receive-takes-frame", "ROUTE-15",
        "A receive that was given up stays registered and swallows the next frame.";
    ReadBehindEndFails = "read-behind-end-fails", "STREAM-19",
        "A receive behind the clean end is an error.";
    SecondFrameAwaited = "second-frame-awaited", "ROUTE-15",
        "A receive that finds two frames takes the first and waits for the second, so given up there it loses the first.";
    WholeBodyNotCancelSafe = "whole-body-not-cancel-safe", "ROUTE-15",
        "A body of one frame takes a path of its own, in which a receive that is given up loses it.";
    ErrorNotCancelSafe = "error-not-cancel-safe", "ROUTE-15",
        "A receive that is given up at an error of the executor loses the error and the bytes before it.";
    ToldErrorNotCancelSafe = "told-error-not-cancel-safe", "ROUTE-15",
        "A receive behind an error that was told takes it out while it waits, so given up there it leaves a clean end.";
    LaterEndCounts = "later-end-counts", "STREAM-18",
        "A terminal frame that comes behind the first one, before that was read, takes its place.";
    LaterErrorCounts = "later-error-counts", "STREAM-18",
        "An error that comes behind the clean end, before that was read, takes its place.";
    LaterEndHidesError = "later-end-hides-error", "STREAM-18",
        "A clean end that comes behind an error, before that was read, takes its place.";
    GapForgiven = "gap-forgiven", "STREAM-20",
        "A clean end takes the place of the error of a gap, if the numbers behind the gap are in order.";
    WrongStartForgiven = "wrong-start-forgiven", "STREAM-20",
        "A clean end takes the place of the error of a first `seq` above 1, if the numbers behind it are in order.";
    EndedStreamsSwept = "ended-streams-swept", "STREAM-30",
        "A call that starts throws away what waits in streams whose last frame has arrived.";
    EndNotSticky = "end-not-sticky", "STREAM-19",
        "A receive after an error returns a clean end.";
    DisconnectToldOnce = "disconnect-told-once", "STREAM-19",
        "A receive behind the error of a disconnect returns a clean end.";
    OverflowToldOnce = "overflow-told-once", "STREAM-19",
        "A receive behind the error of a consumer that was too slow returns a clean end.";
    ErrorToldOnce = "error-told-once", "STREAM-19",
        "A receive behind an error of the executor returns a clean end.";
    GapToldOnce = "gap-told-once", "STREAM-19",
        "A receive behind the error of a gap returns a clean end.";
    ClosedQueueIsCleanEnd = "closed-queue-is-clean-end", "ROUTE-8",
        "A queue that closes is taken for the clean end without a look at the failure records.";
    TerminalDataLost = "terminal-data-lost", "STREAM-15",
        "The bytes of a terminal frame are thrown away.";
    LengthNotChecked = "length-not-checked", "STREAM-26",
        "A streamed body that is shorter or longer than its head promised ends cleanly.";
    LengthAlwaysChecked = "length-always-checked", "STREAM-27",
        "The first `content-length` counts, whatever the method, the status and the other headers say.";
    ShortBodyAccepted = "short-body-accepted", "STREAM-26",
        "A streamed body that is shorter than its head promised ends cleanly.";
    LongBodyAccepted = "long-body-accepted", "STREAM-26",
        "A streamed body that is longer than its head promised ends cleanly.";
    TerminalNotMeasured = "terminal-not-measured", "STREAM-26",
        "The bytes of a terminal frame are delivered and not counted, so a whole body ends as one that is too short.";
    UrlInErrors = "url-in-errors", "ERROR-16",
        "The client's own errors begin with the URL of the call.";
    DataWithErrorLost = "data-with-error-lost", "STREAM-17",
        "The bytes of a frame that carries an error are thrown away.";

    // What frames are taken for.
    TerminalTakesQueueSlot = "terminal-takes-queue-slot", "ROUTE-9",
        "A terminal frame that finds the queue exactly full is taken for an overflow.";
    EndTakesSecondSlot = "end-takes-second-slot", "ROUTE-9",
        "A terminal frame needs two places in the queue, one for itself and one for the end.";
    LastSlotIsOverflow = "last-slot-is-overflow", "ROUTE-9",
        "A terminal frame that takes the last place of the queue is taken for an overflow.";
    EndLostAtFullQueue = "end-lost-at-full-queue", "ROUTE-12",
        "A clean end that finds the queue full is lost, and the stream fails behind its frames.";
    ErrorTakesQueueSlot = "error-takes-queue-slot", "ROUTE-12",
        "The error of a terminal frame that finds the queue full is lost, and the stream ends as an overflow.";
    ErrorNeedsBudget = "error-needs-budget", "ROUTE-12",
        "The error of a terminal frame needs room among the waiting bytes, and becomes an overflow where there is none.";
    FramesCountedForEver = "frames-counted-for-ever", "ROUTE-8",
        "All frames of a stream are counted, those too that were read, so a stream fails at its 257th.";
    OneRing = "one-ring", "ROUTE-13",
        "The frames of all streams share one ring, in which an unread frame keeps all places behind it taken.";
    QueueUnbounded = "queue-unbounded", "LIMIT-14",
        "Any number of frames may wait in a stream.";
    FullQueueLosesFrame = "full-queue-loses-frame", "ROUTE-8",
        "A frame that finds the queue full is dropped in silence.";
    OverflowAsDisconnect = "overflow-as-disconnect", "ROUTE-8",
        "The error of a stream whose queue is full says that the connection has ended.";
    OverflowIsFatal = "overflow-is-fatal", "ROUTE-8",
        "A stream whose queue is full takes all other streams with it.";
    GapSeenWhenConsumed = "gap-seen-when-consumed", "STREAM-21",
        "The `seq` of a frame is looked at when it is consumed, so a wrong frame takes a place in the queue and ends the stream in another way.";
    ErrorAsDisconnect = "error-as-disconnect", "STREAM-16",
        "An error of the executor is told as the end of the connection, with its text.";
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
    bits: u128,
}

const _: () = assert!(Defect::ALL.len() <= u128::BITS as usize, "a bit for every switch");

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
        self.bits & (1 << defect as u32) != 0
    }

    /// The switches that are on.
    pub fn iter(self) -> impl Iterator<Item = Defect> {
        Defect::ALL.iter().copied().filter(move |defect| self.has(*defect))
    }
}

impl From<Defect> for Defects {
    fn from(defect: Defect) -> Self {
        Self { bits: 1 << defect as u32 }
    }
}

impl FromIterator<Defect> for Defects {
    fn from_iter<I: IntoIterator<Item = Defect>>(defects: I) -> Self {
        Self { bits: defects.into_iter().fold(0, |bits, defect| bits | 1 << defect as u32) }
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
