//! Properties of the pure core, over generated input.
//!
//! - Framing: lines and messages depend on the bytes only, never on how they were chunked, errors included; they hold every
//!   byte that is no line end.
//! - Websocket: any frames, in any chunks, give the messages and the kind of end that another library gives; a message arrives
//!   however it was divided.
//! - JSON: what the strict reader accepts, the library reads as the same value; and it accepts whatever the library writes.
//!   A repeated key is refused at any depth and in any spelling; every spelling of a text is that text, half a surrogate
//!   pair is none; whole numbers of 64 bits keep every digit.
//! - Messages, errors, deltas, params and responses: what is written can be read, under any order of members and with unknown
//!   ones between them; null and missing are the same where a member is optional.
//! - The life of a stream: it does what a list of frames predicts; what is delivered is a prefix of what was sent, complete
//!   before a clean end, and the first outcome is final.
//! - The executor's session: under any operations it does what a list of calls and a list of frames predict. Every request is
//!   answered once; deltas come after their response, numbered without a gap, with the bytes that were handed in; one terminal
//!   frame ends a stream, and its id is free; the places of LIMIT-1 to LIMIT-3 are neither leaked nor exceeded.
//! - A client session: whatever an executor sends, each consumer sees what an oracle says, is woken when there is something to
//!   see, and leaves nothing behind.
//! - The client's route table does what an oracle says, under any operations.
//! - A delta that is found without reading JSON is what JSON says.
//! - A run of frames that came together is what its frames are one by one.
//! - Credit: what executors may send together fits the bound of what may wait, in every state; a stream that keeps to its credit
//!   loses nothing; a consumer that has read everything is never left without; all that was lent comes back.
//! - A client and an executor: a relay between them drops, repeats, reorders and damages frames, and cuts the connection anywhere.
//!   Each consumer sees a prefix of its body, a clean end only behind all of it, and otherwise the error that its frames call
//!   for; whoever's frames arrive is served; nothing hangs, nothing is left.
//!
//! Races are not looked for here; that is what `model/` does.

#[path = "../../src/sync.rs"]
mod sync;

#[path = "../../src/client/routes.rs"]
mod routes;

use exec_http::protocol;

#[expect(dead_code, unreachable_pub, reason = "fuzzing uses more of it, from outside")]
#[path = "../../fuzz/client_session.rs"]
mod client_session_law;

#[expect(dead_code, unreachable_pub, reason = "fuzzing uses more of it, from outside")]
#[path = "../../fuzz/credit.rs"]
mod credit_law;

#[expect(unreachable_pub, reason = "fuzzing uses it from outside")]
#[path = "../../fuzz/delta.rs"]
mod delta_law;

#[expect(dead_code, unreachable_pub, reason = "fuzzing uses more of it, from outside")]
#[path = "../../fuzz/route_table.rs"]
mod route_table;

#[expect(dead_code, unreachable_pub, reason = "fuzzing uses more of it, from outside")]
#[path = "../../fuzz/runs.rs"]
mod runs_law;

#[expect(dead_code, unreachable_pub, reason = "fuzzing uses more of it, from outside")]
#[path = "../../fuzz/websocket.rs"]
mod websocket_law;

mod client_session;
mod codec;
mod credit;
mod delta;
mod framing;
mod pair;
mod routes_operations;
mod runs;
mod server_session;
mod stream;
mod websocket;
