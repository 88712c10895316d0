//! Which sessions exist, and which of them a new connection may resume.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::protocol::session::{Attach, AttachError};
use crate::sync::Mutex;

/// How long the session of a lost connection can be resumed.
const RESUME_TIME: Duration = Duration::from_secs(30);

/// Lost sessions that are remembered; the oldest ones are forgotten first.
const DETACHED_SESSIONS: usize = 1_024;

/// The session registry of one executor.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Sessions of live connections.
    attached: HashSet<String>,
    /// Sessions of lost connections and when they were lost, oldest first.
    detached: VecDeque<(Instant, String)>,
}

/// The hold of a connection on its session; dropping it detaches the session.
#[derive(Debug)]
pub(super) struct Attached {
    /// The session.
    id: String,
    /// Where it is registered.
    sessions: Arc<Sessions>,
}

impl Sessions {
    /// Attaches a new session, or one to resume.
    ///
    /// # Errors
    ///
    /// When there is no session to resume, or it is attached.
    pub(super) fn attach(self: &Arc<Self>, attach: Attach) -> Result<Attached, AttachError> {
        let mut table = self.0.lock();
        table.forget(Instant::now());
        let id = match attach.resume {
            None => Uuid::new_v4().to_string(),
            Some(id) if table.attached.contains(&id) => return Err(AttachError::Attached),
            Some(id) => {
                let found = table.detached.iter().position(|(_, detached)| *detached == id);
                table.detached.remove(found.ok_or(AttachError::Unknown)?);
                id
            }
        };
        table.attached.insert(id.clone());
        Ok(Attached { id, sessions: Arc::clone(self) })
    }
}

impl Table {
    fn forget(&mut self, now: Instant) {
        let expired = |(since, _): &(Instant, String)| now.duration_since(*since) > RESUME_TIME;
        while self.detached.len() > DETACHED_SESSIONS || self.detached.front().is_some_and(expired) {
            self.detached.pop_front();
        }
    }
}

impl Attached {
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut table = self.sessions.0.lock();
        if let Some(id) = table.attached.take(&self.id) {
            table.detached.push_back((now, id));
            table.forget(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resume(sessions: &Arc<Sessions>, id: &str) -> Result<Attached, AttachError> {
        sessions.attach(Attach { resume: Some(id.into()) })
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_can_be_resumed_for_a_while_after_its_connection_was_lost() {
        let sessions = Arc::new(Sessions::default());
        let first = sessions.attach(Attach { resume: None }).expect("a new session");
        let id = first.id().to_owned();
        assert_eq!(resume(&sessions, &id).err(), Some(AttachError::Attached));
        drop(first);
        tokio::time::advance(RESUME_TIME).await;
        let second = resume(&sessions, &id).expect("lost just long enough");
        assert_eq!(second.id(), id);
        drop(second);
        tokio::time::advance(RESUME_TIME + Duration::from_millis(1)).await;
        assert_eq!(resume(&sessions, &id).err(), Some(AttachError::Unknown));
    }

    #[test]
    fn lost_sessions_are_forgotten_beyond_the_bound() {
        let sessions = Arc::new(Sessions::default());
        let all: Vec<_> = (0..=DETACHED_SESSIONS)
            .map(|_| sessions.attach(Attach { resume: None }).expect("a new session").id().to_owned())
            .collect();
        assert_eq!(resume(&sessions, &all[0]).err(), Some(AttachError::Unknown));
        assert!(resume(&sessions, &all[1]).is_ok());
    }
}
