//! Bounds other than the default ones, by value.

use exec_http::protocol::limits::SessionLimits;

use super::*;

fn limited(change: impl FnOnce(&mut SessionLimits)) -> Session {
    let mut limits = SessionLimits::default();
    change(&mut limits);
    let mut session = Session::with_limits(Extensions::NONE, limits);
    greet(&mut session);
    session
}

#[test]
fn there_is_room_until_as_many_bytes_wait() {
    let mut session = limited(|limits| limits.outbound_bytes = 1);
    let id = start(&mut session, "s", true);
    assert!(session.has_room());
    session.handle_head(id, head());
    assert!(!session.has_room());
    assert_eq!(sent(&mut session).len(), 1);
    assert!(session.has_room());
}

#[test]
fn more_replies_than_may_wait_close() {
    let unknown = json!({"id": "x".repeat(1_000), "method": "unknown"});
    let mut session = limited(|_| ());
    take(&mut session, &unknown);
    let bytes = session.poll_transmit().expect("a reply").len();
    let mut session = limited(|limits| limits.reply_bytes = 2 * bytes);
    take(&mut session, &unknown);
    take(&mut session, &unknown);
    assert_eq!(session.poll_close(), None);
    take(&mut session, &unknown);
    assert_eq!(session.poll_close(), Some(CloseReason::RepliesUnread));
}

#[test]
fn calls_start_wait_and_are_refused_as_the_bounds_say() {
    let mut session = limited(|limits| {
        limits.waiting_heads = 2;
        limits.active_streams = 1;
        limits.queued_requests = 1;
        limits.request_id_bytes = 1;
    });
    start(&mut session, "a", true);
    take(&mut session, &request("b", true));
    assert_eq!(started(&mut session), [], "one stream is active");
    start(&mut session, "c", false);
    take(&mut session, &request("d", false));
    assert_eq!(codes(&mut session), [(-32603, Some("limit".into()))], "two wait for heads, one in the queue");
    take(&mut session, &request("ff", false));
    assert_eq!(codes(&mut session), [(-32602, Some("limit".into()))]);
}
