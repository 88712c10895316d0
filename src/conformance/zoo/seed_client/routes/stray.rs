//! Frames of streams that are not open.

use super::super::defect::Defect;
use super::super::queue::Frame;
use super::{Routes, Table};
use crate::protocol::delta::BodyDelta;

impl Routes {
    /// Takes a frame of a stream that is not open; false when a switch makes it the end of the connection.
    pub(super) fn stray(&self, table: &mut Table, id: String, delta: BodyDelta) -> bool {
        let has = |defect| self.defects.has(defect);
        let (terminal, failed) = (delta.is_terminal(), delta.error.is_some());
        let fits = table.late.remove(&id).map(|next| next == delta.seq);
        if fits == Some(true) {
            table.late.insert(id.clone(), delta.seq.saturating_add(1));
        }
        let fatal = has(Defect::LateFrameIsFatal)
            || has(Defect::LateDataIsFatal) && !terminal
            || has(Defect::LateGapIsFatal) && fits == Some(false)
            || has(Defect::CancelledFrameIsFatal) && failed;
        let forgives = has(Defect::GapForgiven) || has(Defect::WrongStartForgiven);
        let counts = has(Defect::LaterEndCounts)
            || has(Defect::LaterErrorCounts) && failed
            || has(Defect::LaterEndHidesError) && !failed
            || forgives && fits == Some(true) && !failed;
        if terminal && counts && table.queues.contains_key(&id) {
            table.records.insert(id, Frame::of(delta, self.defects));
        }
        !fatal
    }
}
