//! Calls that have to wait for others, and ids that are not free when they should be.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::conformance::zoo::tamper::{Message, Tamper, Way};
use crate::protocol::error::{ErrorKind, INTERNAL_ERROR, INVALID_PARAMS};

/// Lets so many calls be under way at one time and keeps so many more; further ones are refused. `leaves` tells the message by
/// which a call gives its place to the next.
pub(super) fn gate(places: usize, queued: usize, leaves: fn(&Message) -> bool) -> Tamper {
    let mut taken = 0;
    let mut queue = VecDeque::new();
    Tamper::messages(move |message, out| {
        if !message.is_call() {
            let left = leaves(&message);
            out.pass(message);
            if left {
                match queue.pop_front() {
                    Some(next) => out.pass(next),
                    None => taken -= 1,
                }
            }
        } else if taken < places {
            taken += 1;
            out.pass(message);
        } else if queue.len() < queued {
            queue.push_back(message);
        } else {
            let refusal = message.refusal(INTERNAL_ERROR, "too many calls wait", Some(ErrorKind::Limit));
            out.send(Way::ToClient, &refusal);
        }
    })
}

/// Lets so many calls be under way at one time; further ones wait until all of these have been answered.
pub(super) fn batches(places: usize) -> Tamper {
    let mut taken = 0;
    let mut queue = VecDeque::new();
    Tamper::messages(move |message, out| {
        if message.is_call() {
            if taken == places || !queue.is_empty() {
                return queue.push_back(message);
            }
            taken += 1;
        } else if message.is_answer() {
            taken -= 1;
        }
        out.pass(message);
        if taken == 0 {
            taken = queue.len().min(places);
            queue.drain(..taken).for_each(|call| out.pass(call));
        }
    })
}

/// Refuses streamed calls with an id for as long as `keeps` says behind a message that belongs to that id.
pub(super) fn ids_kept(keeps: fn(&Message) -> Option<Duration>) -> Tamper {
    let mut kept: HashMap<String, (Instant, Duration)> = HashMap::new();
    Tamper::messages(move |message, out| {
        if let Some(time) = keeps(&message) {
            kept.insert(message.request_id().to_owned(), (Instant::now(), time));
        }
        let is_kept = kept.get(message.request_id()).is_some_and(|(since, time)| since.elapsed() < *time);
        if message.is_call() && message.is_streamed() && is_kept {
            let text = "http/request requestId belongs to an active stream";
            out.send(Way::ToClient, &message.refusal(INVALID_PARAMS, text, None));
        } else {
            out.pass(message);
        }
    })
}
