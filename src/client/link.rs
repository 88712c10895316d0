//! One connection: a task that reads and writes it, and the handle that keeps it open.
//!
//! Reading and writing are two loops that never wait for each other, except that with [`super::QueuePolicy::Pause`] reading
//! waits for consumers. When reading ends, the connection ends; when writing fails, what the executor sent before is still read.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::error::CallError;
use super::inbox::{self, Inbox};
use super::notices::{self, Notifier};
use super::routes::{Kind, Limits, OnFull, Route, Routes};
use crate::protocol::batch::Batch;
use crate::protocol::error::{METHOD_NOT_FOUND, RpcError};
use crate::protocol::id::Id;
use crate::protocol::message::Message;
use crate::protocol::stream::Disconnect;
use crate::sync::Arc;
use crate::transport::{CloseReason, Connection, Reader, Writer};

/// Bytes of requests that may wait for the transport; further callers wait. A longer request waits until it is alone.
const OUTBOX_BYTES: usize = 4 * 1024 * 1024;

/// Answers to the executor's own requests that may wait for the transport.
const OUTBOX_REPLIES: usize = 256;

/// Frames that are written before one flush.
const BATCH_FRAMES: usize = 64;

/// How long reading goes on after writing has failed.
const LAST_FRAMES_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may take to close in good order.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps a connection open; its task closes it when the last one is gone.
pub(super) struct Link {
    /// The calls of this connection.
    routes: Arc<Routes>,
    /// To the writing loop. Unbounded by itself: what is in it holds permits.
    outbox: mpsc::UnboundedSender<Outbound>,
    /// The bytes of [`OUTBOX_BYTES`] that are free; closed with the connection.
    room: Arc<Semaphore>,
    /// Tells the executor of calls that are given up, and of credit.
    notifier: Notifier,
}

/// What the writing loop is to write.
pub(super) enum Outbound {
    /// A message.
    Frame {
        /// Its text.
        frame: Bytes,
        /// Its share of a bound, until it is written; a cancel request needs none.
        permit: Option<OwnedSemaphorePermit>,
    },
    /// The credit that the route table has by then.
    Credit,
}

impl Link {
    /// Starts the task. Panics outside a tokio runtime.
    pub(super) fn open(connection: Connection, limits: Limits, on_full: OnFull) -> Arc<Self> {
        let (outbox, waiting) = mpsc::unbounded_channel();
        let notifier = Notifier::new(outbox.downgrade());
        let routes = Routes::new(limits, on_full, Box::new(notifier.clone()));
        let room = Arc::new(Semaphore::new(OUTBOX_BYTES));
        let closing = Closing { routes: Arc::clone(&routes), room: Arc::clone(&room) };
        let replies = Replies { outbox: outbox.downgrade(), room: Arc::new(Semaphore::new(OUTBOX_REPLIES)) };
        tokio::spawn(drive(connection, waiting, replies, closing));
        Arc::new(Self { routes, outbox, room, notifier })
    }

    /// The calls of this connection.
    pub(super) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// The executor offers `http/request/cancel`.
    pub(super) fn offer_cancel(&self) {
        self.notifier.offer_cancel();
    }

    /// Adds a call.
    pub(super) fn insert(&self, kind: Kind) -> Result<Route, CallError> {
        Ok(Routes::insert(&self.routes, kind)?)
    }

    /// Waits for room, then hands a frame to the writing loop. False when the connection is gone: the frame was not sent.
    ///
    /// Safe to cancel: a call that is dropped before it returns has handed over nothing.
    pub(super) async fn send(&self, frame: Bytes) -> bool {
        let share = u32::try_from(frame.len().min(OUTBOX_BYTES)).expect("the bound is below 2^32");
        match Arc::clone(&self.room).acquire_many_owned(share).await {
            Ok(permit) => self.outbox.send(Outbound::Frame { frame, permit: Some(permit) }).is_ok(),
            Err(_) => false,
        }
    }
}

/// Ends all that waits for the connection when its task ends, in whatever way: also with its runtime.
struct Closing {
    /// Calls and bodies that wait.
    routes: Arc<Routes>,
    /// Callers that wait for room.
    room: Arc<Semaphore>,
}

impl Closing {
    fn disconnect(&self, reason: Disconnect) {
        self.routes.disconnect(reason);
        self.room.close();
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.disconnect(Disconnect::Local);
    }
}

async fn drive(
    Connection { mut reader, mut writer }: Connection,
    mut waiting: mpsc::UnboundedReceiver<Outbound>,
    replies: Replies,
    closing: Closing,
) {
    let mut read = pin!(read(&mut reader, &closing.routes, &replies));
    let reason = tokio::select! {
        reason = &mut read => reason,
        reason = write(&mut writer, &mut waiting, &closing.routes) => match reason {
            // The executor may have sent answers before it stopped to listen; the end of those tells more, too.
            Disconnect::Transport(_) => tokio::time::timeout(LAST_FRAMES_TIMEOUT, read).await.unwrap_or(reason),
            _ => reason,
        },
    };
    let close = match reason {
        Disconnect::Malformed(_) => CloseReason::Violation,
        _ => CloseReason::Done,
    };
    closing.disconnect(reason);
    // Whether the peer still listens is of no interest any more.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, writer.close(close)).await;
}

/// Writes until every handle is gone and everything is written, or until the transport fails.
async fn write(writer: &mut Writer, waiting: &mut mpsc::UnboundedReceiver<Outbound>, routes: &Routes) -> Disconnect {
    let (mut received, mut permits) = (Vec::with_capacity(BATCH_FRAMES), Vec::with_capacity(BATCH_FRAMES));
    let mut batch = Batch::default();
    while waiting.recv_many(&mut received, BATCH_FRAMES).await > 0 {
        for outbound in received.drain(..) {
            match outbound {
                Outbound::Frame { frame, permit } => {
                    batch.push(&frame);
                    permits.push(permit);
                }
                Outbound::Credit => {
                    let credit = routes.take_credit().into_iter();
                    credit.for_each(|(key, bytes)| batch.push(&notices::credit(key, bytes)));
                }
            }
        }
        if let Err(error) = writer.send_batch(&mut batch).await {
            return inbox::broken(&error);
        }
        permits.clear();
    }
    Disconnect::Local
}

/// Reads until the connection is of no use any more.
async fn read(reader: &mut Reader, routes: &Routes, replies: &Replies) -> Disconnect {
    let mut inbox = Inbox::new(routes, replies);
    loop {
        if let Err(reason) = inbox.take_buffered(reader).await {
            return reason;
        }
        match reader.fill().await {
            Ok(true) => {}
            Ok(false) => return Disconnect::Closed,
            Err(error) => return inbox::broken(&error),
        }
    }
}

/// Answers the executor's own requests, all of which this client does not know.
pub(super) struct Replies {
    /// To the writing loop; does not keep the connection open.
    outbox: mpsc::WeakUnboundedSender<Outbound>,
    /// How many answers may still wait.
    room: Arc<Semaphore>,
}

impl Replies {
    /// Never waits: reading must not wait for writing.
    pub(super) fn refuse(&self, id: Id) -> Result<(), Disconnect> {
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            return Err(Disconnect::Transport(format!("executor left {OUTBOX_REPLIES} answers unread")));
        };
        let error = RpcError::new(METHOD_NOT_FOUND, "this client offers no methods");
        let frame = Message::Error { id: Some(id), error }.encode().into();
        if let Some(outbox) = self.outbox.upgrade() {
            // A closed outbox means that the connection is ending.
            let _ = outbox.send(Outbound::Frame { frame, permit: Some(permit) });
        }
        Ok(())
    }
}
