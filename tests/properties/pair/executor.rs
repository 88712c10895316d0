//! The executor: the production session, and origins that follow the script of their call.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use exec_http::protocol::error::RpcError;
use exec_http::protocol::http::{RequestParams, ResponseHead, ResponseHeader};
use exec_http::protocol::session::{ExchangeId, Extensions, Session};
use exec_http::transport::{CloseReason, Connection};
use tokio::time::Instant;

use super::relay::{Log, Relay};
use super::{Call, OriginEnd, Scenario};

/// The executor closes a connection on which nothing has happened for so long. Consumers are never that slow.
const QUIET_TIME: Duration = Duration::from_secs(60);

/// One exchange under way.
struct Exchange {
    /// The number of its call.
    call: usize,
    /// Steps done: the head, then the pieces, then the end.
    steps: usize,
    /// When the next one is due.
    due: Instant,
}

/// Serves a connection until the relay cuts it, the client closes it, or nothing happens any more.
pub(super) async fn serve(Connection { mut reader, mut writer }: Connection, scenario: Scenario) -> Log {
    let mut session = Session::new(Extensions::NONE);
    let mut relay = Relay::new(&scenario);
    let mut exchanges = BTreeMap::new();
    'open: loop {
        if session.poll_attach().is_some() {
            session.handle_attach(Ok("session"));
        }
        while let Some((id, params)) = session.poll_start() {
            let call = call_number(&params);
            exchanges.insert(id, Exchange { call, steps: 0, due: next_due(&scenario.calls[call]) });
        }
        while let Some(frame) = session.poll_transmit() {
            // A client that is gone closes its own side too, which ends the loop.
            _ = writer.send(relay.pass(&frame)).await;
            if relay.is_cut() {
                break 'open;
            }
        }
        let next = exchanges.iter().min_by_key(|(id, exchange)| (exchange.due, **id)).map(|(id, _)| *id);
        let due = next.map_or_else(|| Instant::now() + QUIET_TIME, |id| exchanges[&id].due);
        tokio::select! {
            biased;
            frame = reader.next() => match frame.expect("memory does not fail") {
                Some(frame) => {
                    relay.note_request(&frame);
                    session.handle_frame(&frame);
                }
                None => break,
            },
            () = tokio::time::sleep_until(due) => match next {
                Some(id) => step(&mut session, id, &mut exchanges, &scenario.calls),
                None => break,
            },
        }
    }
    _ = writer.send(relay.finish()).await;
    writer.close(CloseReason::Done).await;
    relay.into_log()
}

/// The number of the call, which the client put into the URL.
fn call_number(params: &RequestParams) -> usize {
    let (_, number) = params.url.rsplit_once('/').expect("a path");
    number.parse().expect("a number")
}

fn next_due(call: &Call) -> Instant {
    Instant::now() + Duration::from_millis(call.origin_pace)
}

/// Takes the next step of an exchange.
fn step(session: &mut Session, id: ExchangeId, exchanges: &mut BTreeMap<ExchangeId, Exchange>, calls: &[Call]) {
    let exchange = exchanges.get_mut(&id).expect("under way");
    let call = &calls[exchange.call];
    let body = body(exchange.call, call);
    let over = match (exchange.steps, call.end) {
        (_, OriginEnd::Refused) => {
            session.handle_failure(id, RpcError::new(-32603, refusal(exchange.call)));
            true
        }
        (_, OriginEnd::Broken) if !call.stream => {
            session.handle_failure(id, RpcError::new(-32603, refusal(exchange.call)));
            true
        }
        _ if !call.stream => {
            session.handle_buffered(id, &head(exchange.call, call, body));
            true
        }
        (0, _) => {
            session.handle_head(id, head(exchange.call, call, Bytes::new()));
            false
        }
        (steps, end) if steps > call.pieces.len() => {
            match end {
                OriginEnd::Broken => session.handle_failure(id, RpcError::new(-32603, refusal(exchange.call))),
                _ => session.handle_end(id),
            }
            true
        }
        (steps, _) => {
            let start: usize = call.pieces[..steps - 1].iter().sum();
            let rest = session.handle_chunk(id, body.slice(start..start + call.pieces[steps - 1]));
            assert!(rest.is_empty(), "no call of this pair has a credit");
            false
        }
    };
    if over {
        exchanges.remove(&id);
    } else {
        exchange.steps += 1;
        exchange.due = next_due(call);
    }
}

fn head(number: usize, call: &Call, body: Bytes) -> ResponseHead {
    let promised = call.pieces.iter().sum::<usize>() + usize::from(call.end == OriginEnd::Short);
    let length = ResponseHeader { name: "content-length".into(), value: promised.to_string().into() };
    ResponseHead { status: status(number), headers: vec![length], body }
}

/// The status of a call's response: each has another one.
pub(super) fn status(number: usize) -> u16 {
    400 + u16::try_from(number).expect("few calls")
}

/// The text of a call's failure.
pub(super) fn refusal(number: usize) -> String {
    format!("origin {number} is out of order")
}

/// The whole body of a call: no two calls have the same bytes at the same place.
pub(super) fn body(number: usize, call: &Call) -> Bytes {
    (0..call.pieces.iter().sum()).map(|at: usize| ((at * 7 + number * 29) % 251) as u8).collect()
}
