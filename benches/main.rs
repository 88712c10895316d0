//! Speed, as ratios: what this crate does beside a baseline that is made as the protocol's first client and executor were.
//!
//! `cargo bench --no-default-features -- [WORD]... [--quick] [--write] [--gate]`
//!
//! Each row is measured on both sides in turn, in one run, in one process, with one allocator. With words only the rows are run whose
//! names have all of them; `--quick` takes smaller bodies and fewer rounds; `--write` writes `RESULTS.md` and its plots; `--gate` runs
//! the rows that have goals, judges their ratios of processor time at half of what they are to be, counts instructions where valgrind is
//! present, and ends with a line of counts.
//!
//! | file | concept |
//! |---|---|
//! | `harness` | both sides in turn, medians, ratios |
//! | `rows` | what is measured |
//! | `report`, `plot` | the page and its plots |
//! | `baseline` | what it is compared with |
//! | `ours` | what is called of this crate below client and executor |
//! | `side` | an executor and a client of either side |
//! | `origin` | where the bodies come from |
//! | `wire` | a peer that sends and takes bytes, and has no time of its own |
//! | `instructions` | what valgrind counts |
//! | `sockets`, `clock` | congestion control, processor time |

mod baseline;
mod clock;
mod harness;
mod instructions;
mod options;
mod origin;
mod ours;
mod plot;
mod report;
mod rows;
mod side;
mod sockets;
mod wire;

// The table of the client a second time, as in `model/`: it is not public.
#[allow(dead_code, reason = "the rows use a part of it")]
#[path = "../src/client/routes.rs"]
mod routes;
#[allow(dead_code, reason = "the facade is the crate's")]
#[path = "../src/sync.rs"]
mod sync;

use exec_http::protocol;

use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::harness::{COLUMNS, Outcome, line};
use self::options::Options;

/// The argument with which this program is an executor on standard input and output.
const SERVE_STDIO: &str = "--serve-stdio";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|argument| argument == SERVE_STDIO).is_some() {
        side::serve_stdio(&arguments.next().unwrap_or_default());
        return ExitCode::SUCCESS;
    }
    if arguments.next_if(|argument| argument == instructions::REPEAT).is_some() {
        instructions::repeat(arguments);
        return ExitCode::SUCCESS;
    }
    // A thousand streams have two sockets each at their origin; where it is not allowed, the rows of fewer streams still run.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", line(&COLUMNS));
    let mut outcomes = Vec::new();
    for row in rows::all(&options) {
        if options.wants(&row.name) && (options.write || !options.gate || row.is_gated()) {
            for outcome in row.run() {
                println!("{}", line(&outcome.cells()));
                outcomes.push(outcome);
            }
        }
    }
    if options.write
        && let Err(error) = report::write(&outcomes, &options)
    {
        eprintln!("cannot write: {error}");
        return ExitCode::FAILURE;
    }
    if options.gate { gate(&outcomes) } else { ExitCode::SUCCESS }
}

/// Judges what does not depend on the machine's mood, and counts; other goals are skipped.
fn gate(outcomes: &[Outcome]) -> ExitCode {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for outcome in outcomes {
        match outcome.passes() {
            None => skipped += usize::from(outcome.goal.is_some()),
            Some(true) => passed += 1,
            Some(false) => {
                failed += 1;
                println!("below half of its goal: {}, {}", outcome.name, outcome.figure.name());
            }
        }
    }
    let (within, beyond, uncounted) = instructions::judge();
    (passed, failed, skipped) = (passed + within, failed + beyond, skipped + uncounted);
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
