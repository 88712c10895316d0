//! The bytes that may wait on one connection, and who pays when they are used up.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::super::defect::Defect;
use super::super::queue::{Charge, Frame};
use super::{Routes, Table};
use crate::protocol::limits::QUEUE_BYTES;
use crate::protocol::stream::{Overflow, StreamError};
use crate::sync::Arc;

impl Routes {
    /// Takes a frame's share of the byte budget. Where that is used up, the streams that hold more than this one end, the
    /// largest first, until there is room; when this one holds most, it is the one that ends.
    pub(super) fn charge(&self, table: &mut Table, id: &str, frame: &mut Frame) {
        let Some(queue) = table.queues.get(id).cloned() else { return };
        // What was allowed fits, and costs no more than its bytes.
        let credited = table.routes.get(id).is_some_and(|route| route.due.is_some());
        let bytes = if credited { frame.data.len() } else { Charge::bytes(&frame.data) };
        let overflow = StreamError::Overflow(Overflow::Bytes(QUEUE_BYTES));
        let failed = matches!(frame.outcome, Some(Err(_)));
        if failed && self.defects.has(Defect::ErrorNeedsBudget) && !self.has_room(table, 1) {
            frame.outcome = Some(Err(overflow));
            return;
        }
        while bytes > 0 && !self.has_room(table, bytes) {
            let Some(largest) = self.larger_than(table, queue.waiting_bytes()) else {
                frame.data = Bytes::new();
                // A body that failed anyway keeps its own reason.
                if !matches!(frame.outcome, Some(Err(_))) {
                    frame.outcome = Some(Err(overflow));
                }
                return;
            };
            self.evict(table, &largest, overflow.clone());
        }
        frame.charge = Some(Charge::new(bytes, [Arc::clone(queue.waiting()), Arc::clone(&table.waiting)]));
    }

    fn has_room(&self, table: &Table, bytes: usize) -> bool {
        table.waiting.load(Ordering::Relaxed) + bytes <= QUEUE_BYTES || self.defects.has(Defect::NoByteBudget)
    }

    /// The stream that holds most, if that is more than so many bytes.
    fn larger_than(&self, table: &Table, bytes: usize) -> Option<String> {
        if self.defects.has(Defect::NewestFramePays) {
            return None;
        }
        let larger = table.queues.iter().filter(|(_, queue)| queue.waiting_bytes() > bytes);
        larger.max_by_key(|(_, queue)| queue.waiting_bytes()).map(|(id, _)| id.clone())
    }

    /// Ends a stream before its waiting frames, and before an end that its consumer has not seen yet.
    fn evict(&self, table: &mut Table, id: &str, error: StreamError) {
        if let Some(queue) = table.queues.get(id) {
            queue.clear();
        }
        self.change(table, |routes| routes.remove(id));
        table.records.insert(id.to_owned(), Frame::failure(0, error));
    }
}
