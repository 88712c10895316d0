//! One connection: a task that reads and writes it, and the handle that keeps it open.

use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::body::Phase;
use super::defect::{Defect, Defects};
use super::routes::Routes;
use crate::protocol::cancel::{CANCEL_METHOD, CancelParams};
use crate::protocol::credit::{CREDIT_METHOD, CreditParams};
use crate::protocol::delta::{BodyDelta, DELTA_METHOD};
use crate::protocol::error::{MALFORMED_FRAME_ID, METHOD_NOT_FOUND, RpcError};
use crate::protocol::id::Id;
use crate::protocol::message::Message;
use crate::protocol::stream::{Disconnect, StreamError};
use crate::sync::Arc;
use crate::transport::{CloseReason, Connection, Reader, TransportError, Writer};

/// Requests that may wait for the transport; further callers wait.
const OUTBOX_FRAMES: usize = 128;

/// Answers to the executor's own requests that may wait for the transport.
const REPLIES_FRAMES: usize = 128;

/// How long reading goes on after writing has failed.
const LAST_FRAMES_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may take to close in good order.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps a connection open; its task closes it when the last one is gone.
pub(super) struct Link {
    /// The calls and streams of this connection.
    routes: Arc<Routes>,
    /// To the writing loop.
    outbox: mpsc::Sender<Bytes>,
    /// The executor has offered to give up calls.
    cancel_offered: AtomicBool,
}

impl Link {
    /// Starts the task. Panics outside a tokio runtime.
    pub(super) fn open(connection: Connection, defects: Defects) -> Arc<Self> {
        let (outbox, requests) = mpsc::channel(OUTBOX_FRAMES);
        let routes = Routes::new(defects);
        tokio::spawn(drive(connection, requests, Closing { routes: Arc::clone(&routes) }));
        Arc::new(Self { routes, outbox, cancel_offered: AtomicBool::new(false) })
    }

    /// The calls and streams of this connection.
    pub(super) fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// The switches that are on.
    pub(super) fn defects(&self) -> Defects {
        self.routes.defects()
    }

    /// Waits for room, then hands a frame to the writing loop. False when the connection is gone: the frame was not sent.
    pub(super) async fn send(&self, frame: Bytes) -> bool {
        self.outbox.send(frame).await.is_ok()
    }

    /// The executor offers `http/request/cancel`.
    pub(super) fn offer_cancel(&self) {
        self.cancel_offered.store(true, Ordering::Relaxed);
    }

    /// Tells the executor, if it wants to be told, that a stream was let go of in that phase; whether it was told.
    pub(super) fn cancel(&self, request_id: &str, phase: Phase) -> bool {
        let has = |defect| self.defects().has(defect);
        let is_calling = matches!(phase, Phase::Calling);
        let notifies = has(Defect::CancelByNotification)
            || has(if is_calling { Defect::GivenUpByNotification } else { Defect::DropByNotification });
        if notifies {
            let (method, params) = (CANCEL_METHOD.to_owned(), CancelParams { request_id: request_id.to_owned() });
            let message = Message::Notification { method, params: Some(params.to_value()) };
            // An executor that does not read is not told.
            return self.outbox.try_send(message.encode().into()).is_ok();
        }
        let offered = self.cancel_offered.load(Ordering::Relaxed) || has(Defect::CancelNotOffered);
        let goes_on = !matches!(phase, Phase::Refused) && self.routes.is_open(request_id);
        let wants = offered && goes_on && !(is_calling && has(Defect::CallsNotCancelled));
        wants && self.ask_to_cancel(request_id)
    }

    /// Tells the executor that it may send as many bytes more as were read.
    pub(super) fn allow(&self, request_id: &str, bytes: u64) {
        if bytes == 0 || self.defects().has(Defect::NoMoreCredit) || !self.routes.allow(request_id, bytes) {
            return;
        }
        self.tell_credit(request_id, bytes);
        if self.defects().has(Defect::CreditOfNothing) {
            self.tell_credit(request_id, 0);
        }
    }

    fn tell_credit(&self, request_id: &str, bytes: u64) {
        let params = CreditParams { request_id: request_id.to_owned(), bytes }.to_value();
        let message = Message::Notification { method: CREDIT_METHOD.to_owned(), params: Some(params) };
        if let Err(TrySendError::Full(frame)) = self.outbox.try_send(message.encode().into()) {
            // A receive that waited here would not be cancel safe.
            let outbox = self.outbox.clone();
            tokio::spawn(async move { outbox.send(frame).await });
        }
    }

    fn ask_to_cancel(&self, request_id: &str) -> bool {
        let id = format!("cancel-{request_id}");
        let names_itself = self.defects().has(Defect::CancelNamesItself);
        let request_id = if names_itself { id.clone() } else { request_id.to_owned() };
        let params = Some(CancelParams { request_id }.to_value());
        let message = Message::Request { id: Id::Text(id), method: CANCEL_METHOD.to_owned(), params };
        // An executor that does not read is not told.
        let told = self.outbox.try_send(message.encode().into()).is_ok();
        self.routes.count_cancel(told);
        told
    }

    /// Waits until all cancel requests were answered, which only a switch does.
    pub(super) async fn cancelled(&self) {
        if self.defects().has(Defect::CallsWaitForCancel) {
            self.routes.cancels_answered().await;
        }
    }
}

/// Ends all that waits for the connection when its task ends, in whatever way: also with its runtime.
struct Closing {
    /// What waits.
    routes: Arc<Routes>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.routes.disconnect(Disconnect::Local);
    }
}

async fn drive(
    Connection { mut reader, mut writer }: Connection,
    mut requests: mpsc::Receiver<Bytes>,
    closing: Closing,
) {
    let (outbox, mut replies) = mpsc::channel(REPLIES_FRAMES);
    let mut read = pin!(read(&mut reader, &closing.routes, &outbox));
    let reason = tokio::select! {
        reason = &mut read => reason,
        reason = write(&mut writer, &mut requests, &mut replies) => match reason {
            // The executor may have sent answers before it stopped to listen.
            Disconnect::Transport(_) => tokio::time::timeout(LAST_FRAMES_TIMEOUT, read).await.unwrap_or(reason),
            _ => reason,
        },
    };
    let close = match reason {
        Disconnect::Malformed(_) => CloseReason::Violation,
        _ => CloseReason::Done,
    };
    let left_open = close == CloseReason::Violation && closing.routes.defects().has(Defect::TransportLeftOpen);
    closing.routes.disconnect(reason);
    while left_open && requests.recv().await.is_some() {}
    // Whether the peer still listens is of no interest any more.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, writer.close(close)).await;
}

/// Writes until every handle is gone and everything is written, or until the transport fails.
async fn write(
    writer: &mut Writer,
    requests: &mut mpsc::Receiver<Bytes>,
    replies: &mut mpsc::Receiver<Bytes>,
) -> Disconnect {
    loop {
        let frame = tokio::select! {
            request = requests.recv() => request,
            reply = replies.recv() => reply,
        };
        let Some(frame) = frame else { return Disconnect::Local };
        if let Err(error) = writer.send(vec![frame]).await {
            return Disconnect::Transport(error.to_string());
        }
    }
}

/// Reads until the connection is of no use any more.
async fn read(reader: &mut Reader, routes: &Routes, replies: &mpsc::Sender<Bytes>) -> Disconnect {
    loop {
        let handled = match reader.next().await {
            Ok(Some(frame)) => handle(&frame, routes, replies),
            Ok(None) => Err(Disconnect::Closed),
            Err(TransportError::WebSocket(_)) if routes.defects().has(Defect::HalfCloseIgnored) => pending().await,
            Err(error) => Err(Disconnect::Transport(error.to_string())),
        };
        if let Err(reason) = handled {
            return reason;
        }
        // A transport can have many frames at hand: let consumers run before their queues are full.
        tokio::task::consume_budget().await;
    }
}

fn handle(frame: &[u8], routes: &Routes, replies: &mpsc::Sender<Bytes>) -> Result<(), Disconnect> {
    match Message::decode(frame).map_err(|error| Disconnect::Malformed(error.to_string()))? {
        Message::Response { id, result } => answer(routes, &id, Ok(result))?,
        Message::Error { id: None | Some(Id::Integer(MALFORMED_FRAME_ID)), error } => {
            if !routes.defects().has(Defect::UnreadableFrameIgnored) {
                return Err(Disconnect::Unreadable(error.to_string()));
            }
        }
        Message::Error { error, .. }
            if error.code == METHOD_NOT_FOUND && routes.defects().has(Defect::CancelRefusalIsFatal) =>
        {
            return Err(Disconnect::Unreadable(error.to_string()));
        }
        Message::Error { id: Some(id), error } => answer(routes, &id, Err(error))?,
        Message::Notification { method, params } if method == DELTA_METHOD => {
            deliver(routes, &params.unwrap_or_default())?;
        }
        Message::Notification { .. } => {}
        Message::Request { id, .. } => {
            let error = RpcError::new(METHOD_NOT_FOUND, "this client offers no methods");
            let reply = Message::Error { id: Some(id), error }.encode();
            // Reading never waits for writing: an executor that asks and does not read the answers is cut off.
            replies.try_send(reply.into()).map_err(|_| Disconnect::Transport("answers are not read".into()))?;
        }
    }
    Ok(())
}

fn answer(routes: &Routes, id: &Id, result: Result<Value, RpcError>) -> Result<(), Disconnect> {
    let taken = match id {
        Id::Integer(id) => routes.answer(*id, result),
        Id::Text(_) => routes.cancel_answered(),
    };
    if !taken && routes.defects().has(Defect::LateAnswerIsFatal) {
        return Err(Disconnect::Malformed("answer to no call".into()));
    }
    Ok(())
}

fn deliver(routes: &Routes, params: &Value) -> Result<(), Disconnect> {
    let Some(request_id) = BodyDelta::request_id(params) else {
        return Err(Disconnect::Malformed("body delta without a requestId".into()));
    };
    match BodyDelta::from_value(params) {
        Ok(delta) => {
            if !routes.deliver(delta) {
                return Err(Disconnect::Malformed("body delta of no stream".into()));
            }
        }
        Err(fault) if routes.defects().has(Defect::MalformedDeltaIsFatal) => {
            return Err(Disconnect::Malformed(fault.to_string()));
        }
        Err(fault) => routes.fail(request_id, StreamError::Malformed(fault)),
    }
    Ok(())
}
