//! Connections to origins that wait for another request.

use std::collections::HashMap;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::origin::{OriginConnection, OriginKey};
use crate::sync::Mutex;

/// How long an unused connection is kept.
pub(super) const IDLE_TIME: Duration = Duration::from_secs(30);

/// Unused connections kept for each origin.
const IDLE_CONNECTIONS: usize = 64;

/// Unused connections kept in all.
const ALL_IDLE_CONNECTIONS: usize = 512;

/// Connections that still send a request whose response was whole before; each holds the request's body.
const UNSENT_REQUESTS: usize = 16;

/// Keeps unused connections: of one origin, the one used last is taken first. One task drops those that their origin has closed,
/// as soon as it is, and those that were kept for [`IDLE_TIME`]; it ends when nothing is kept.
#[derive(Debug)]
pub(super) struct Pool {
    /// What is kept.
    idle: Mutex<Idle>,
    /// Wakes the sweeping task: a connection has something to say.
    bell: Arc<Bell>,
    /// One permit for each of [`UNSENT_REQUESTS`].
    unsent: Arc<Semaphore>,
}

/// What a pool keeps.
#[derive(Debug, Default)]
struct Idle {
    /// By origin, each list in the order of time and never empty.
    connections: HashMap<OriginKey, Vec<(Instant, OriginConnection)>>,
    /// Connections in all lists.
    count: usize,
    /// Whether the sweeping task goes on.
    swept: bool,
}

/// A waker that outlives the task it wakes.
#[derive(Debug, Default)]
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Pool {
    pub(super) fn new() -> Arc<Self> {
        let unsent = Arc::new(Semaphore::new(UNSENT_REQUESTS));
        Arc::new(Self { idle: Mutex::default(), bell: Arc::default(), unsent })
    }

    /// Takes a connection that its origin has not closed, as far as can be known without asking it.
    pub(super) fn take(&self, key: &OriginKey) -> Option<OriginConnection> {
        loop {
            let mut connection = self.idle.lock().pop(key)?;
            // Whoever uses it will register for it.
            connection.drive(&mut Context::from_waker(Waker::noop()));
            if connection.is_idle() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose response is whole, unless it is over. What is not yet sent of the request goes on to be sent, for
    /// [`IDLE_TIME`] at most.
    pub(super) fn put(self: &Arc<Self>, mut connection: OriginConnection) {
        connection.drive(&mut Context::from_waker(&Waker::from(Arc::clone(&self.bell))));
        if connection.is_idle() {
            self.keep(connection);
        } else if !connection.is_closed()
            && let Ok(permit) = Arc::clone(&self.unsent).try_acquire_owned()
        {
            let pool = Arc::downgrade(self);
            tokio::spawn(async move {
                let sent = poll_fn(|cx| {
                    // Twice: hyper asks for the next request in the poll behind the one that wrote the last byte.
                    connection.drive(cx);
                    connection.drive(cx);
                    if connection.is_idle() || connection.is_closed() { Poll::Ready(()) } else { Poll::Pending }
                });
                let sent = timeout(IDLE_TIME, sent).await.is_ok();
                drop(permit);
                if sent && let Some(pool) = pool.upgrade() {
                    pool.put(connection);
                }
            });
        }
    }

    /// Drops all unused connections.
    pub(super) fn clear(&self) {
        let dropped = {
            let mut idle = self.idle.lock();
            idle.count = 0;
            mem::take(&mut idle.connections)
        };
        // Outside the lock.
        drop(dropped);
    }

    fn keep(self: &Arc<Self>, connection: OriginConnection) {
        let mut idle = self.idle.lock();
        let dropped = idle.push(connection, Instant::now());
        let sweeping = mem::replace(&mut idle.swept, true);
        drop(idle);
        drop(dropped);
        if !sweeping {
            tokio::spawn(sweep(Arc::downgrade(self), Arc::clone(&self.bell)));
        }
    }
}

impl Drop for Pool {
    /// Ends the sweeping task.
    fn drop(&mut self) {
        self.bell.0.notify_one();
    }
}

impl Idle {
    fn pop(&mut self, key: &OriginKey) -> Option<OriginConnection> {
        let list = self.connections.get_mut(key)?;
        let (_, connection) = list.pop()?;
        if list.is_empty() {
            self.connections.remove(key);
        }
        self.count -= 1;
        Some(connection)
    }

    /// The connection, or the oldest one in its place, is given back when there are too many.
    fn push(&mut self, connection: OriginConnection, now: Instant) -> Option<OriginConnection> {
        let list = self.connections.entry(connection.key().clone()).or_default();
        if list.len() >= IDLE_CONNECTIONS {
            return Some(connection);
        }
        list.push((now, connection));
        self.count += 1;
        if self.count > ALL_IDLE_CONNECTIONS { self.pop_oldest() } else { None }
    }

    fn pop_oldest(&mut self) -> Option<OriginConnection> {
        let since = |(_, list): &(&OriginKey, &Vec<(Instant, OriginConnection)>)| list.first().map(|(since, _)| *since);
        let key = self.connections.iter().min_by_key(since)?.0.clone();
        let list = self.connections.get_mut(&key)?;
        let (_, connection) = list.remove(0);
        if list.is_empty() {
            self.connections.remove(&key);
        }
        self.count -= 1;
        Some(connection)
    }

    /// Takes out what is over or too old at `now`, registers `cx` with the rest, and says when the next one will be too old.
    fn expire(&mut self, now: Instant, cx: &mut Context<'_>) -> (Vec<OriginConnection>, Option<Instant>) {
        let mut dropped = Vec::new();
        for list in self.connections.values_mut() {
            let gone = list.extract_if(.., |(since, connection)| {
                connection.drive(cx);
                !connection.is_idle() || now >= *since + IDLE_TIME
            });
            dropped.extend(gone.map(|(_, connection)| connection));
        }
        self.connections.retain(|_, list| !list.is_empty());
        self.count -= dropped.len();
        let oldest = self.connections.values().filter_map(|list| list.first()).map(|(since, _)| *since).min();
        (dropped, oldest.map(|since| since + IDLE_TIME))
    }
}

/// Drops what is not to be kept, until nothing is.
async fn sweep(pool: Weak<Pool>, bell: Arc<Bell>) {
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        let next = {
            let Some(pool) = pool.upgrade() else { return };
            let mut idle = pool.idle.lock();
            let (dropped, next) = idle.expire(Instant::now(), &mut Context::from_waker(&waker));
            idle.swept = next.is_some();
            drop(idle);
            drop(dropped);
            next
        };
        let Some(next) = next else { return };
        // The time is up or it was woken: it looks anew.
        _ = timeout_at(next, bell.0.notified()).await;
    }
}

#[cfg(test)]
mod tests;
