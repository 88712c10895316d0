//! One connection: its reader, its writer and its exchanges.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use super::exchange;
use super::exchanges::Exchanges;
use super::keepalive::Keepalive;
use super::metrics::{Limit, Metrics};
use super::phase::{self, Phase};
use super::record::Record;
use super::reply::Reply;
use super::sessions::{Attached, Sessions};
use super::shared::Shared;
use super::upstream::Upstream;
use crate::protocol::batch::Batch;
use crate::protocol::session::{CloseReason as Reason, Extensions};
use crate::transport::{CloseReason, Connection, Frame, Reader, TransportError, Writer};

/// How long replies that are already computed may take to be sent when the connection ends (CLOSE-5).
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// Serves one connection until it ends, or until the executor has stopped. Nothing of it goes on afterwards.
pub(super) async fn serve(
    connection: Connection,
    upstream: &Arc<Upstream>,
    sessions: &Arc<Sessions>,
    extensions: Extensions,
    metrics: &Arc<Metrics>,
    mut phases: watch::Receiver<Phase>,
) {
    let Connection { mut reader, writer } = connection;
    let shared = Arc::new(Shared::new(extensions, upstream.limits().session, Arc::clone(metrics)));
    // Writing has a task of its own and reading never waits for it, so that an end is noticed at once.
    let mut sending = Sending::Running(tokio::spawn(send(writer, Arc::clone(&shared))));
    let why = receive(&mut reader, &shared, upstream, sessions, &mut phases, &mut sending).await;
    let closed = {
        let mut session = shared.session.lock();
        session.stop();
        session.poll_close()
    };
    // The first reason stands.
    metrics.limit_met(Limit::Replies, u64::from(closed == Some(Reason::RepliesUnread)));
    shared.sendable.notify_one();
    if *phases.borrow() == Phase::Draining {
        // Replies of calls that were allowed to finish have as much time as these calls had.
        tokio::select! {
            () = sending.ended() => {}
            () = phase::reached(&mut phases, Phase::Stopped) => {}
        }
    }
    let close = async {
        sending.ended().await;
        let Sending::Ended(Some(writer)) = &mut sending else { return };
        writer.close(why).await;
        // A socket that is dropped with unread input is reset, and what was just sent may never reach the client.
        if let Reader::WebSocket(_) = reader {
            while let Ok(Some(_)) = reader.next().await {}
        }
    };
    if timeout(FLUSH_TIME, close).await.is_err()
        && let Sending::Running(task) = sending
    {
        task.abort();
    }
}

/// The task that writes.
enum Sending {
    /// At work.
    Running(JoinHandle<Option<Writer>>),
    /// Over, with the writer if it is still good for a close frame.
    Ended(Option<Writer>),
}

impl Sending {
    /// Waits until the task is over. Safe to cancel.
    async fn ended(&mut self) {
        if let Self::Running(task) = self {
            *self = Self::Ended(task.await.ok().flatten());
        }
    }
}

/// Takes frames and starts exchanges, and says why it ended. Returning drops the exchanges, and with them their upstream connections.
async fn receive(
    reader: &mut Reader,
    shared: &Arc<Shared>,
    upstream: &Arc<Upstream>,
    sessions: &Arc<Sessions>,
    phases: &mut watch::Receiver<Phase>,
    sending: &mut Sending,
) -> CloseReason {
    let mut exchanges = Exchanges::default();
    let mut attached = None;
    let mut keepalive = Keepalive::new(reader);
    loop {
        // One turn of the loop may see many exchanges end, and what a task holds is released only when it is joined.
        while let Some(ended) = exchanges.try_ended() {
            if panicked(ended) {
                return CloseReason::Done;
            }
        }
        start(&mut exchanges, shared, upstream);
        if let Some(reason) = shared.session.lock().poll_close() {
            tracing::warn!(%reason, "closing the connection");
            return CloseReason::Violation;
        }
        match *phases.borrow_and_update() {
            Phase::Serving => {}
            Phase::Draining => {
                let mut session = shared.session.lock();
                session.drain();
                if session.is_idle() {
                    return CloseReason::Done;
                }
            }
            Phase::Stopped => return CloseReason::Done,
        }
        match reader.buffered().and_then(|frame| frame.map(Frame::text).transpose()) {
            Ok(Some(frame)) => {
                take(frame, shared, sessions, &mut attached, &mut exchanges);
                // A read can bring many frames.
                tokio::task::consume_budget().await;
                continue;
            }
            Ok(None) => {}
            Err(error) => return broken(&error, shared),
        }
        tokio::select! {
            filled = reader.fill() => match filled {
                Ok(true) => {}
                Ok(false) => {
                    tracing::debug!("the client ended the connection");
                    return CloseReason::Done;
                }
                Err(error) => return broken(&error, shared),
            },
            () = shared.startable.notified() => {}
            Some(ended) = exchanges.ended() => if panicked(ended) {
                return CloseReason::Done;
            },
            () = keepalive.tick() => {
                if keepalive.is_dead(reader.activity(), shared.pings_sent()) {
                    tracing::warn!("the client answers no pings");
                    return CloseReason::Done;
                }
                shared.pingable.notify_one();
            }
            () = sending.ended() => {
                tracing::debug!("nothing more is sent");
                let violation = shared.session.lock().poll_close().is_some();
                return if violation { CloseReason::Violation } else { CloseReason::Done };
            }
            // An error means that no server is left that could be stopped, which comes to the same.
            changed = phases.changed() => if changed.is_err() {
                return CloseReason::Done;
            },
        }
    }
}

/// Says that the client can be read no more.
fn broken(error: &TransportError, shared: &Shared) -> CloseReason {
    tracing::info!(%error, "the connection broke");
    shared.metrics.limit_met(Limit::Message, u64::from(matches!(error, TransportError::TooLong { .. })));
    CloseReason::of(error)
}

/// A panic is a bug of this executor, and its call would never be answered: the connection ends.
fn panicked(ended: Result<(), JoinError>) -> bool {
    if let Err(error) = &ended {
        tracing::error!(%error, "an exchange panicked");
    }
    ended.is_err()
}

/// Starts every exchange that may start.
fn start(exchanges: &mut Exchanges, shared: &Arc<Shared>, upstream: &Arc<Upstream>) {
    loop {
        let next = shared.session.lock().poll_start();
        let Some((id, params)) = next else { return };
        let credit = Arc::new(Notify::new());
        let record = Record::begin(&shared.metrics, id.number(), &params);
        let reply = Reply::new(id, Arc::clone(shared), Arc::clone(&credit), Arc::clone(&record));
        let upstream = Arc::clone(upstream);
        exchanges.spawn(id, credit, record, async move { exchange::run(params, reply, &upstream).await });
    }
}

/// Takes one frame.
fn take(
    frame: &[u8],
    shared: &Shared,
    sessions: &Arc<Sessions>,
    attached: &mut Option<Attached>,
    exchanges: &mut Exchanges,
) {
    let mut session = shared.session.lock();
    session.handle_frame(frame);
    shared.metrics.limit_met(Limit::Calls, session.take_refused());
    if let Some(attach) = session.poll_attach() {
        match sessions.attach(attach) {
            Ok(session_id) => {
                session.handle_attach(Ok(session_id.id()));
                *attached = Some(session_id);
            }
            Err(refusal) => session.handle_attach(Err(refusal)),
        }
    }
    while let Some(id) = session.poll_cancel() {
        exchanges.abort(id);
    }
    while let Some(id) = session.poll_credit() {
        exchanges.credited(id);
    }
    drop(session);
    shared.sendable.notify_one();
}

/// Sends what waits, all of it in one write, until nothing will come any more: then the writer is left to be closed. `None`
/// when the client takes nothing.
async fn send(mut writer: Writer, shared: Arc<Shared>) -> Option<Writer> {
    let mut batch = Batch::default();
    while shared.take_frames(&mut batch) {
        shared.room.notify_one();
        let sent = if batch.is_empty() {
            tokio::select! {
                () = shared.sendable.notified() => Ok(()),
                () = shared.pingable.notified() => writer.ping().await.map(|()| shared.count_ping()),
            }
        } else {
            let count = batch.len() as u64;
            writer.send_batch(&mut batch).await.inspect(|()| shared.metrics.frames_sent.add(count))
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "sending failed");
            return None;
        }
    }
    Some(writer)
}
