//! The client's route table under any sequence of operations, compared with an oracle: plain lists, one call after the other.
//! Races are not looked for here; that is what `model/` does.

use arbitrary::{Arbitrary, Unstructured};

#[path = "route_table/pair.rs"]
mod pair;

use pair::Pair;

/// The bounds of one table: small, so that each of them is met often.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Setup {
    /// Whether the reader waits for consumers.
    pub pause: bool,
    /// Routes, from 1 to 4.
    pub routes: u8,
    /// Uses of a slot, from 1 to 3.
    pub slot_uses: u8,
    /// Frames that wait in one stream, from 1 to 4.
    pub queue_frames: u8,
    /// Bytes that wait in all streams, from 1 to 8 times what a small frame is charged.
    pub queue_charges: u8,
}

/// What happens to a table. Calls are counted in the order of their inserts and stay known when they are dropped.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Operation {
    /// A call starts.
    Insert {
        /// Whether it has a body.
        streamed: bool,
    },
    /// The reader has an answer.
    Answer {
        /// Whose.
        call: u8,
        /// Whether it is an error.
        refused: bool,
    },
    /// The reader has a frame.
    Deliver {
        /// Whose.
        call: u8,
        /// What is wrong with its number.
        seq: Seq,
        /// How much of the budget its data takes, from 0 to 9 charges.
        charges: u8,
        /// Whether it is the last.
        end: End,
    },
    /// The reader has a frame that it cannot read.
    Fail {
        /// Whose.
        call: u8,
    },
    /// The reader looks whether anybody waits for a frame of a key that may never have been given.
    Probe {
        /// The key's number.
        number: u64,
    },
    /// The connection goes away.
    Disconnect {
        /// Whether this side closed it.
        local: bool,
    },
    /// A caller asks for its answer.
    PollAnswer {
        /// Which.
        call: u8,
    },
    /// A consumer asks for the next bytes.
    PollChunk {
        /// Which.
        call: u8,
    },
    /// A caller or consumer gives up.
    Drop {
        /// Which.
        call: u8,
    },
}

/// The number of a frame.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Seq {
    /// As it has to be.
    Right,
    /// The one of the frame before.
    Repeated,
    /// One too high.
    Ahead,
}

/// What a frame says of the end.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum End {
    /// Nothing.
    No,
    /// The body is whole.
    Done,
    /// The body is not whole.
    Error,
}

/// Reads a setup and operations from any bytes and runs them.
pub fn check(data: &[u8]) {
    if let Ok((setup, operations)) = <(Setup, Vec<Operation>)>::arbitrary_take_rest(Unstructured::new(data)) {
        run(setup, &operations);
    }
}

/// Runs operations; panics where the table differs from the oracle.
pub fn run(setup: Setup, operations: &[Operation]) {
    let mut pair = Pair::new(setup);
    for operation in operations {
        pair.apply(*operation);
        pair.compare();
    }
    pair.finish();
}
