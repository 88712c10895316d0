//! A client whose connection is made at its first call, and made anew for the next call when it is gone.
//!
//! | state | next |
//! |---|---|
//! | idle: no connection | dialling, with the first call |
//! | dialling: a task makes a connection, all callers wait for it | connected, or idle after the last failure |
//! | connected | dialling, with the first call that finds the connection gone |
//! | closed | |

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::mem;
use std::pin::Pin;
use std::sync::Weak;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::deadline::Deadline;
use super::{Body, CallError, Client, ClientConfig, Unconnected};
use crate::sync::{Arc, Mutex};
use crate::transport::Connection;

/// Dials that one call may cause or wait for before it fails.
pub const DIALS: u32 = 4;

/// How long one dial may take, without the handshake.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause behind the first failed dial. It doubles with each further one.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What a pause grows to.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What [`ReconnectConfig::longest_pause`] is cut to.
const MAX_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings of a [`Reconnecting`].
#[derive(Clone, Debug)]
pub struct ReconnectConfig {
    /// The settings of each connection's [`Client`].
    pub client: ClientConfig,
    /// Dials before the calls that wait for them fail; at least one is made.
    pub dials: u32,
    /// How long one dial may take. The handshake has [`ClientConfig::handshake_timeout`] behind it.
    pub dial_timeout: Duration,
    /// The pause behind the first failed dial; doubled behind each further one until a handshake succeeds. A pause is cut by
    /// up to a half, at random, so that the clients of an executor that was gone do not all come back at once.
    pub first_pause: Duration,
    /// What a pause grows to; a day at most.
    pub longest_pause: Duration,
}

impl Default for ReconnectConfig {
    fn default() -> Self {
        Self {
            client: ClientConfig::default(),
            dials: DIALS,
            dial_timeout: DIAL_TIMEOUT,
            first_pause: FIRST_PAUSE,
            longest_pause: LONGEST_PAUSE,
        }
    }
}

/// As [`Client`], over one connection after the other.
///
/// The connection is made at the first call. When it is gone, the next call makes a new one. Nothing is ever sent again: a call
/// that is in flight when the connection goes away fails with its own error (`CLOSE-10`, `CLOSE-12`), and a body ends with its
/// own; [`CallError::execution`] says what is known of the request. Only one dial goes on at a time, and all callers wait for it.
/// They fail together, with [`CallError::Unconnected`], when [`ReconnectConfig::dials`] of them have failed; the next call waits
/// for the rest of the last pause, and dials again. A deadline of a request counts all of this.
///
/// Each connection is a session of its own: nothing of an earlier one goes on in it.
///
/// Clones are the same. A dial is given up when the last clone is gone; a connection is closed when its last body is gone, too.
///
/// # Cancel safety
///
/// As [`Client`]. A dial goes on for the next call when the call that began it is dropped.
#[derive(Clone)]
pub struct Reconnecting {
    /// What clones share.
    inner: Arc<Inner>,
}

/// What the clones of a [`Reconnecting`] share.
struct Inner {
    /// Makes connections.
    dialler: Arc<Dialler>,
    /// Whether there is one.
    state: Mutex<State>,
}

/// Makes connections; shared with the task that dials.
struct Dialler {
    /// The caller's dial function.
    dial: Box<dyn Fn() -> Dial + Send + Sync>,
    /// The settings.
    config: ReconnectConfig,
}

/// One dial, with the text of its error.
type Dial = Pin<Box<dyn Future<Output = Result<Connection, String>> + Send>>;

/// What comes of the dials of one task; `None` before it is known.
type Dialled = Option<Result<Client, Unconnected>>;

/// Whether there is a connection.
enum State {
    /// There is none, and nobody makes one.
    Idle(Backoff),
    /// A task makes one.
    Dialling {
        /// What comes of it. Closed without a result when the task was ended, with its runtime or by a panic.
        dialled: watch::Receiver<Dialled>,
        /// Ends the task with this state.
        _task: AbortOnDrop,
    },
    /// There is or was one.
    Connected(Client),
    /// There will be none.
    Closed,
}

/// Ends a task at its drop. A task that is running then comes to its next wait.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reconnecting {
    /// Will dial with this function, which may choose another executor each time. Nothing is dialled yet.
    ///
    /// The text of the function's error becomes a part of [`Unconnected::Dial`].
    pub fn new<F, R, E>(dial: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Connection, E>> + Send + 'static,
        E: fmt::Display,
    {
        Self::with(dial, ReconnectConfig::default())
    }

    /// As [`Reconnecting::new`], with settings.
    pub fn with<F, R, E>(dial: F, config: ReconnectConfig) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Connection, E>> + Send + 'static,
        E: fmt::Display,
    {
        let dial = move || -> Dial {
            let connection = dial();
            Box::pin(async { connection.await.map_err(|error| error.to_string()) })
        };
        let dialler = Arc::new(Dialler { dial: Box::new(dial), config });
        Self { inner: Arc::new(Inner { dialler, state: Mutex::new(State::Idle(Backoff::default())) }) }
    }

    /// As [`Client::request`], on the connection of this moment or a new one. Must be called within a tokio runtime, which
    /// then drives the connection.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn request(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, CallError> {
        let mut deadline = Deadline::of(request.extensions());
        self.client_until(&mut deadline).await?.request_until(request, deadline).await
    }

    /// As [`Client::stream`], on the connection of this moment or a new one. Must be called within a tokio runtime, which
    /// then drives the connection.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn stream(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, CallError> {
        let deadline = Deadline::of(request.extensions());
        self.stream_until(request, deadline).await
    }

    /// The client of the connection of this moment, or of a new one. It stays with its connection.
    ///
    /// # Errors
    ///
    /// See [`Unconnected`].
    pub async fn client(&self) -> Result<Client, Unconnected> {
        let mut dialled = match self.inner.look() {
            Look::Connected(client) => return Ok(client),
            Look::Closed => return Err(Unconnected::Closed),
            Look::Dialling(dialled) => dialled,
        };
        match dialled.wait_for(Option::is_some).await {
            Ok(dialled) => dialled.clone().expect("it was waited for"),
            Err(_) if self.is_closed() => Err(Unconnected::Closed),
            Err(_) => Err(Unconnected::Dial("the dial ended without a result".into())),
        }
    }

    /// Makes no more connections: calls that wait for one, and later calls, fail with [`Unconnected::Closed`]. Calls in flight
    /// and bodies go on, and the connection closes behind the last of them.
    pub fn close(&self) {
        let before = mem::replace(&mut *self.inner.state.lock(), State::Closed);
        // Behind the lock, since it may end a connection or a task.
        drop(before);
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        matches!(*self.inner.state.lock(), State::Closed)
    }

    /// As [`Reconnecting::stream`], with a deadline that runs already.
    pub(super) async fn stream_until(
        &self,
        request: http::Request<Bytes>,
        mut deadline: Deadline,
    ) -> Result<http::Response<Body>, CallError> {
        self.client_until(&mut deadline).await?.stream_until(request, deadline).await
    }

    async fn client_until(&self, deadline: &mut Deadline) -> Result<Client, CallError> {
        let client = deadline.run(self.client()).await;
        client.map_err(|limit| CallError::Deadline { limit, sent: false })?.map_err(CallError::Unconnected)
    }
}

impl fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.inner.state.lock() {
            State::Idle(_) => "idle",
            State::Dialling { .. } => "dialling",
            State::Connected(_) => "connected",
            State::Closed => "closed",
        };
        f.debug_struct("Reconnecting").field("state", &state).finish_non_exhaustive()
    }
}

/// What a call finds.
enum Look {
    /// A connection.
    Connected(Client),
    /// A dial to wait for.
    Dialling(watch::Receiver<Dialled>),
    /// Nothing more.
    Closed,
}

impl Inner {
    /// Looks for a connection, and begins to dial where there is none.
    fn look(self: &Arc<Self>) -> Look {
        let mut state = self.state.lock();
        let backoff = match &*state {
            State::Closed => return Look::Closed,
            State::Connected(client) if client.is_connected() => return Look::Connected(client.clone()),
            State::Connected(_) => Backoff::default(),
            // An error says that the task was ended before it had a result.
            State::Dialling { dialled, .. } if dialled.has_changed().is_ok() => return Look::Dialling(dialled.clone()),
            State::Dialling { .. } => Backoff::default(),
            State::Idle(backoff) => *backoff,
        };
        let (sender, dialled) = watch::channel(None);
        let task = tokio::spawn(connect(Arc::downgrade(self), Arc::clone(&self.dialler), backoff, sender));
        let next = State::Dialling { dialled: dialled.clone(), _task: AbortOnDrop(task.abort_handle()) };
        let before = mem::replace(&mut *state, next);
        drop(state);
        drop(before);
        Look::Dialling(dialled)
    }
}

/// Dials until there is a connection or too many dials have failed, and tells the state and whoever waits.
async fn connect(inner: Weak<Inner>, dialler: Arc<Dialler>, mut backoff: Backoff, sender: watch::Sender<Dialled>) {
    let mut dials = 0;
    let dialled = loop {
        tokio::time::sleep_until(backoff.not_before.unwrap_or_else(Instant::now)).await;
        let dialled = dialler.dial().await;
        dials += 1;
        if dialled.is_ok() {
            break dialled;
        }
        backoff.failed(&dialler.config);
        if dials >= dialler.config.dials {
            break dialled;
        }
    };
    let Some(inner) = inner.upgrade() else { return };
    let mut state = inner.state.lock();
    let before = match (&*state, &dialled) {
        // It was closed in the meantime.
        (State::Closed, _) => None,
        (_, Ok(client)) => Some(mem::replace(&mut *state, State::Connected(client.clone()))),
        (_, Err(_)) => Some(mem::replace(&mut *state, State::Idle(backoff))),
    };
    drop(state);
    sender.send_replace(Some(dialled));
    // Aborts this task, which waits for nothing more.
    drop(before);
}

impl Dialler {
    /// One dial and its handshake.
    async fn dial(&self) -> Result<Client, Unconnected> {
        let timeout = self.config.dial_timeout;
        let connection = tokio::time::timeout(timeout, (self.dial)()).await;
        let connection = connection.map_err(|_| Unconnected::DialTimeout(timeout))?.map_err(Unconnected::Dial)?;
        let client = Client::connect_with(connection, self.config.client.clone()).await;
        client.map_err(Unconnected::Handshake)
    }
}

/// When the next dial may begin.
#[derive(Clone, Copy, Debug, Default)]
struct Backoff {
    /// Dials that failed since the last that did not.
    failures: u32,
    /// The end of the pause behind the last of them.
    not_before: Option<Instant>,
}

impl Backoff {
    fn failed(&mut self, config: &ReconnectConfig) {
        let pause = pause(config, self.failures, random());
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + pause);
    }
}

/// The pause behind a failed dial that so many failed before. `random` is of 0 to 1.
fn pause(config: &ReconnectConfig, failures: u32, random: f64) -> Duration {
    let whole = 2_u32.checked_pow(failures).and_then(|factor| config.first_pause.checked_mul(factor));
    let whole = whole.unwrap_or(MAX_PAUSE).min(config.longest_pause).min(MAX_PAUSE);
    whole.mul_f64(1.0 - random / 2.0)
}

/// From 0 up to 1. Hash keys are the randomness of the standard library; spreading load needs no better one.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(()) >> (u64::BITS - f64::MANTISSA_DIGITS);
    bits as f64 / (1_u64 << f64::MANTISSA_DIGITS) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_cut_by_half_at_most() {
        let config = ReconnectConfig {
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(1),
            ..ReconnectConfig::default()
        };
        for (failures, whole) in
            [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1000), (31, 1000), (32, 1000), (u32::MAX, 1000)]
        {
            assert_eq!(pause(&config, failures, 0.0).as_millis(), whole);
            assert_eq!(pause(&config, failures, 1.0).as_millis(), whole / 2);
        }
        let endless = ReconnectConfig { first_pause: Duration::MAX, longest_pause: Duration::MAX, ..config };
        assert_eq!(pause(&endless, 0, 0.0), MAX_PAUSE);
        assert_eq!(pause(&endless, 7, 0.0), MAX_PAUSE);
    }

    #[test]
    fn random_numbers_differ_and_lie_between_0_and_1() {
        let numbers: Vec<_> = (0..1000).map(|_| random()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        for tenth in 0..10 {
            let bounds = f64::from(tenth) / 10.0..f64::from(tenth + 1) / 10.0;
            assert!(numbers.iter().any(|number| bounds.contains(number)), "none in {bounds:?}");
        }
    }
}
