//! Every order of events that a model allows, up to a bound; and longer ones by chance.

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom as _;

use super::script::Script;
use super::{Event, Model};

/// Events in an order, at most, unless the user says otherwise: both halves on both transports take less than a minute.
pub const DEFAULT_BOUND: usize = 3;

/// Events in one order, at most: no case lets more than eight frames of a stream wait, the one that ends it included.
pub const MOST_EVENTS: usize = 7;

/// All orders of up to `bound` events, the shortest first.
///
/// One symmetry is left out, soundly: the two streams of an alphabet could change places, so that the second one never
/// starts before the first; that order is the other one with the names of the streams exchanged, and a peer cannot know them.
pub fn orders<M: Model>(start: &M, bound: usize) -> Vec<Vec<M::Event>> {
    let mut found = Vec::new();
    for length in 0..=bound {
        extend(&begun(start), &mut Vec::new(), length, &mut found);
    }
    found
}

/// The model takes these events one after the other.
pub fn is_allowed<M: Model>(start: &M, order: &[M::Event]) -> bool {
    let mut model = begun(start);
    order.iter().all(|event| {
        let allowed = model.allows(*event);
        if allowed {
            model.take(*event, &mut Script::default());
        }
        allowed
    })
}

/// `count` orders of more than `bound` events, up to twice as many and to [`MOST_EVENTS`]: each event is any of those that are
/// allowed behind the ones before it. An order at whose end nothing is allowed may be shorter, and two may be equal. The same seed
/// gives the same orders.
pub fn sample<M: Model>(start: &M, bound: usize, count: usize, seed: u64) -> Vec<Vec<M::Event>> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let lengths: Vec<usize> = (bound + 1..=(2 * bound).min(MOST_EVENTS)).collect();
    let mut walk = || {
        let length = *lengths.choose(&mut random)?;
        let mut model = begun(start);
        let mut order = Vec::new();
        while order.len() < length {
            let allowed: Vec<_> = M::Event::ALL.iter().copied().filter(|event| model.allows(*event)).collect();
            let Some(event) = allowed.choose(&mut random) else { break };
            model.take(*event, &mut Script::default());
            order.push(*event);
        }
        Some(order)
    };
    (0..count).map_while(|_| walk()).collect()
}

fn begun<M: Model>(start: &M) -> M {
    let mut model = start.clone();
    model.begin(&mut Script::default());
    model
}

/// All orders that begin with this one and have so many events more.
fn extend<M: Model>(model: &M, order: &mut Vec<M::Event>, more: usize, found: &mut Vec<Vec<M::Event>>) {
    let Some(more) = more.checked_sub(1) else { return found.push(order.clone()) };
    for event in M::Event::ALL.iter().filter(|event| model.allows(**event)) {
        let mut next = model.clone();
        next.take(*event, &mut Script::default());
        order.push(*event);
        extend(&next, order, more, found);
        order.pop();
    }
}
