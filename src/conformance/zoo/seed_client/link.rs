//! One connection: a task that reads and writes it, and the handle that keeps it open.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::body::Phase;
use super::defect::{Defect, Defects};
use super::routes::Routes;
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

/// The request by which some clients give up a stream.
const CANCEL_METHOD: &str = "http/request/cancel";

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
}

impl Link {
    /// Starts the task. Panics outside a tokio runtime.
    pub(super) fn open(connection: Connection, defects: Defects) -> Arc<Self> {
        let (outbox, requests) = mpsc::channel(OUTBOX_FRAMES);
        let routes = Routes::new(defects);
        tokio::spawn(drive(connection, requests, Closing { routes: Arc::clone(&routes) }));
        Arc::new(Self { routes, outbox })
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

    /// Tells the executor that a stream was let go of in that phase, in the way of the switch that asks for it.
    pub(super) fn cancel(&self, request_id: &str, phase: Phase) {
        let (defects, method) = (self.defects(), CANCEL_METHOD.to_owned());
        let has = |defect| defects.has(defect);
        let params = |id: &str| Some(json!({"requestId": id}));
        let notifies = has(Defect::CancelByNotification)
            || match phase {
                Phase::Calling => has(Defect::GivenUpByNotification),
                _ => has(Defect::DropByNotification),
            };
        let asks = has(Defect::CancelNamesItself)
            || has(Defect::CancelRefusalIsFatal)
            || has(Defect::CancelledFrameIsFatal)
            || has(Defect::CallsNotCancelled) && !matches!(phase, Phase::Calling);
        let message = if notifies {
            Message::Notification { method, params: params(request_id) }
        } else if asks {
            let Ok((id, _)) = self.routes.insert_call() else { return };
            let own = defects.has(Defect::CancelNamesItself).then(|| id.to_string());
            Message::Request { id: id.into(), method, params: params(own.as_deref().unwrap_or(request_id)) }
        } else {
            return;
        };
        // An executor that does not read is not told.
        let _ = self.outbox.try_send(message.encode().into());
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
    let taken = matches!(id, Id::Integer(id) if routes.answer(*id, result));
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
