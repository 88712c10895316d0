//! Which traces of a run of the zoo are kept.

use std::collections::BTreeMap;

use super::archive::Record;
use super::hunt::Catch;
use crate::conformance::client::messages::{Endpoint, Order};
use crate::conformance::trace::{Event, Trace, What};

/// Bytes of the longest trace that is kept, as JSON.
const BYTES: usize = 4_000;

/// Bytes of the shortest event, as JSON: its number, time and name take more.
const EVENT_BYTES: usize = 40;

/// A trace that is not may be forgotten at once.
pub const fn is_short(trace: &Trace) -> bool {
    trace.events.len() <= BYTES / EVENT_BYTES
}

/// Of each case and each class of verdict the shortest trace, long ones left out. A peer without a handshake shows nothing.
pub fn choose(catches: &[Catch]) -> Vec<Record> {
    let mut shortest = BTreeMap::new();
    for catch in catches {
        for (result, trace) in &catch.results {
            let record = Record::new(catch.specimen.name, &result.case, result.transport, &trace.events);
            let Some(mut record) = record.filter(|record| record.said.verdict != "no-handshake") else { continue };
            record.events.iter_mut().for_each(forget_path);
            let bytes = serde_json::to_vec(&record.events).map_or(usize::MAX, |text| text.len());
            let key = (record.case.clone(), record.said.verdict.clone());
            let least = shortest.get(&key).map_or(BYTES + 1, |(bytes, _)| *bytes);
            if bytes < least && !record.events.is_empty() {
                shortest.insert(key, (bytes, record));
            }
        }
    }
    shortest.into_values().map(|(_, record)| record).collect()
}

/// Where the relay lies on this machine is nobody's business.
fn forget_path(event: &mut Event) {
    if let What::Told { command } = &mut event.what
        && let Order::Open { endpoint: Endpoint::Stdio { argv, .. }, .. } = &mut command.order
    {
        *argv = vec!["exec-http".to_owned()];
    }
}
