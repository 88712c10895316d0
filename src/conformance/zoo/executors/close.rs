//! Executors that break the clauses of closing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::{Message, Outlet, Tamper, Unit, Way};
use crate::sync::{Arc, Mutex};

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor(
        "streams-outlive-client",
        "CLOSE-1",
        "The end of a connection is noticed when its streams have ended.",
        || deaf_while(|work| work.streams > 0),
    ),
    Specimen::executor(
        "calls-outlive-client",
        "CLOSE-1",
        "The end of a connection without streams is noticed when its calls have been answered.",
        || deaf_while(|work| work.calls > 0 && work.streams == 0),
    ),
    Specimen::executor(
        "lost-connection-not-noticed",
        "CLOSE-1",
        "A connection ends with a close frame only, not with its TCP stream.",
        || {
            let mut is_closed = false;
            Tamper::units(move |way, unit, out| {
                is_closed |= matches!(unit, Unit::Close(_));
                if way == Way::ToClient || unit != Unit::End || is_closed {
                    out.unit(way, unit);
                }
            })
        },
    )
    .on_websocket(),
    Specimen::executor(
        "end-behind-queue-not-noticed",
        "CLOSE-2",
        "The end of a connection is read when the queue of calls has room again.",
        || deaf_while(|work| work.calls > 256),
    ),
    Specimen::executor(
        "lost-connection-ends-all",
        "CLOSE-3",
        "A connection that is lost without a close frame takes the others with it.",
        || {
            static LOST: AtomicUsize = AtomicUsize::new(0);
            let lost = LOST.load(Ordering::Relaxed);
            let mut is_closed = false;
            Tamper::messages(move |message, out| {
                if LOST.load(Ordering::Relaxed) == lost {
                    out.pass(message);
                } else {
                    out.hang_up();
                }
            })
            .with_units(move |way, unit, out| {
                is_closed |= matches!(unit, Unit::Close(_));
                if way == Way::ToExecutor && unit == Unit::End && !is_closed {
                    LOST.fetch_add(1, Ordering::Relaxed);
                }
                out.unit(way, unit);
            })
        },
    )
    .on_websocket(),
    Specimen::executor("end-of-input-is-failure", "CLOSE-4", "The end of standard input is a failure.", || {
        at_end(|out| out.exit(1))
    }),
    Specimen::executor("end-of-input-not-noticed", "CLOSE-4", "The end of standard input is not read.", || {
        at_end(|_| {})
    }),
    Specimen::executor(
        "idle-end-not-noticed",
        "CLOSE-4",
        "The end of standard input is not noticed while no call and no stream is under way.",
        || deaf_while(Work::is_idle),
    ),
    Specimen::executor(
        "work-finished-before-end",
        "CLOSE-4",
        "The process ends when its calls and streams have, however long they take.",
        || deaf_while(|work| !work.is_idle()),
    ),
    Specimen::executor("slow-to-end", "CLOSE-4", "The process ends three seconds behind standard input.", || {
        at_end(|out| {
            out.wait(Duration::from_secs(3));
            out.unit(Way::ToExecutor, Unit::End);
        })
    }),
    Specimen::executor(
        "replies-dropped-at-end-of-input",
        "CLOSE-5",
        "What waits to be written when standard input ends is dropped.",
        || dropping_replies(|unit| *unit == Unit::End),
    ),
    Specimen::executor(
        "replies-dropped-at-violation",
        "CLOSE-5",
        "What waits to be written when a frame ends the connection is dropped.",
        || dropping_replies(|unit| matches!(unit, Unit::Message { bytes, .. } if str::from_utf8(bytes).is_err())),
    ),
    Specimen::executor("sigterm-ignored", "CLOSE-6", "The process ignores SIGTERM.", || {
        Tamper::opening(|out| out.ignore(Signal::SIGTERM, true))
    }),
    Specimen::executor("sigint-ignored", "CLOSE-6", "The process ignores SIGINT.", || {
        Tamper::opening(|out| out.ignore(Signal::SIGINT, true))
    }),
    Specimen::executor(
        "work-finished-before-signal",
        "CLOSE-6",
        "A signal waits until all calls and streams have ended.",
        || ignoring_while(&[Signal::SIGTERM, Signal::SIGINT], |work| !work.is_idle()),
    ),
    Specimen::executor(
        "work-finished-before-sigterm",
        "CLOSE-6",
        "SIGTERM waits until all calls and streams have ended, and SIGINT does not.",
        || ignoring_while(&[Signal::SIGTERM], |work| !work.is_idle()),
    ),
    Specimen::executor(
        "sigterm-waits-for-input",
        "CLOSE-6",
        "On stdio SIGTERM is not noticed while no call and no stream is under way.",
        || ignoring_while(&[Signal::SIGTERM], Work::is_idle),
    )
    .on_stdio(),
    Specimen::executor(
        "no-close-frame-at-signal",
        "CLOSE-7",
        "At a signal connections end without a close frame.",
        || {
            let mut is_closed = false;
            Tamper::units(move |way, unit, out| {
                is_closed |= way == Way::ToExecutor && matches!(unit, Unit::Close(_));
                if way == Way::ToExecutor || unit != Unit::Close(Some(1000)) || is_closed {
                    out.unit(way, unit);
                }
            })
        },
    )
    .on_websocket(),
];

/// What a connection is working on.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Calls that have not been answered.
    pub(super) calls: usize,
    /// Those of them that are to be streamed.
    pub(super) heads: usize,
    /// Streams behind their answers.
    pub(super) streams: usize,
}

impl Work {
    /// Nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.calls + self.streams == 0
    }

    /// Takes a message into account.
    pub(super) fn note(&mut self, message: &Message) {
        let is_streamed = usize::from(message.is_streamed());
        if message.is_call() {
            self.calls += 1;
            self.heads += is_streamed;
        } else if message.is_answer() {
            self.calls -= 1;
            self.heads -= is_streamed;
            self.streams += usize::from(!message.is_end());
        } else if message.is_terminal() {
            self.streams -= 1;
        }
    }
}

/// Does not notice that the client has gone while that holds.
pub(super) fn deaf_while(holds: fn(&Work) -> bool) -> Tamper {
    losing_while(holds, |unit| matches!(unit, Unit::Close(_) | Unit::End))
}

/// Loses such units of the client while that holds.
pub(super) fn losing_while(holds: fn(&Work) -> bool, loses: fn(&Unit) -> bool) -> Tamper {
    let work = Arc::new(Mutex::new(Work::default()));
    let noted = Arc::clone(&work);
    Tamper::messages(move |message, out| {
        noted.lock().note(&message);
        out.pass(message);
    })
    .with_units(move |way, unit, out| {
        if way == Way::ToClient || !loses(&unit) || !holds(&work.lock()) {
            out.unit(way, unit);
        }
    })
}

/// Ignores these signals while that holds.
fn ignoring_while(signals: &'static [Signal], holds: fn(&Work) -> bool) -> Tamper {
    let mut work = Work::default();
    Tamper::messages(move |message, out| {
        work.note(&message);
        signals.iter().for_each(|signal| out.ignore(*signal, holds(&work)));
        out.pass(message);
    })
}

/// Does this where the client has nothing more to say.
fn at_end(rule: fn(&mut Outlet)) -> Tamper {
    Tamper::units(move |way, unit, out| {
        if way == Way::ToExecutor && unit == Unit::End {
            rule(out);
        } else {
            out.unit(way, unit);
        }
    })
}

/// Loses all messages to the client that come behind that unit of it.
fn dropping_replies(starts: fn(&Unit) -> bool) -> Tamper {
    let drops = Arc::new(Mutex::new(false));
    let dropped = Arc::clone(&drops);
    Tamper::messages(move |message, out| {
        if message.way == Way::ToExecutor || !*dropped.lock() {
            out.pass(message);
        }
    })
    .with_units(move |way, unit, out| {
        *drops.lock() |= way == Way::ToExecutor && starts(&unit);
        out.unit(way, unit);
    })
}
