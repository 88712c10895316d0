//! The conformance suite. It starts a peer, or attaches to one, and talks to it over bytes only.
//!
//! One case, from its text to its verdict:
//!
//! | file | concept |
//! |---|---|
//! | [`suites`], [`case`] | the cases as data, and the notation they are written in |
//! | [`clause`] | the clauses of `SPEC.md` |
//! | [`wire`], [`origin`] | the two sides of the peer: frames, and a scripted HTTP origin |
//! | [`stage`] | a case under way: steps, connections, trace |
//! | [`driver`] | does what a case says |
//! | [`trace`], [`transcript`] | everything that happened, in order; the end of it for people |
//! | [`judge`], [`matcher`] | the verdict, a pure function over a trace |
//!
//! One run, from the command line to the exit code:
//!
//! | file | concept |
//! |---|---|
//! | [`launcher`], [`process`] | the implementation under test: command or address, process group, standard error |
//! | [`probe`], [`unready`] | the first look: does it start and complete a handshake, and if not, why |
//! | [`declaration`], [`select`], [`plan`] | what it claims, what the user wants, which cases follow |
//! | [`lab`], [`run`] | a peer for each case, several cases at a time |
//! | [`expectation`] | known failures |
//! | [`tap`] | a session that somebody else runs |
//! | [`artifacts`] | what a run leaves in a folder, as it happens |
//! | [`mod@explore`] | all orders of a few wire events, each a case |
//! | [`result`](mod@result), [`verdict`], [`report`] | what is said about a case and about the run |
//!
//! One failure, from a case to a bug report:
//!
//! | file | concept |
//! |---|---|
//! | [`script`] | a file with one case |
//! | [`trial`] | a case, once, against a peer of its own |
//! | [`shrink`] | the smallest script that fails the same check |
//! | [`python`] | a script as a Python program without dependencies |
//!
//! What judges the suite itself, and shows what the production client avoids:
//!
//! | file | concept |
//! |---|---|
//! | [`zoo`] | peers with known defects, each a named switch |

pub mod artifacts;
pub mod case;
pub mod clause;
pub mod client;
pub mod declaration;
pub mod driver;
pub mod expectation;
pub mod explore;
pub mod judge;
pub mod lab;
pub mod launcher;
pub mod matcher;
mod memory;
pub mod origin;
pub mod plan;
pub mod probe;
pub mod process;
pub mod python;
pub mod report;
pub mod result;
pub mod run;
pub mod script;
pub mod select;
pub mod shrink;
pub mod stage;
pub mod suites;
pub mod tap;
pub mod trace;
pub mod transcript;
pub mod trial;
pub mod unready;
pub mod verdict;
pub mod wire;
pub mod zoo;
