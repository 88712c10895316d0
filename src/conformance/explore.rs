//! The explorer: all orders of a few wire events, up to a bound, each played to a peer as a case of its own. What loom does with
//! the interleavings of threads, this does with the interleavings of frames. `docs/explorer.md` describes it for users.
//!
//! | file | concept |
//! |---|---|
//! | [`client`](mod@client), [`server`] | the events of each half, and a model of what a correct peer shows behind each of them |
//! | [`script`] | a case under construction, in the notation of all cases |
//! | [`orders`](mod@orders) | every order that the model allows; longer ones by chance |
//! | [`search`] | plays orders to a peer, groups what fails, and shrinks it |
//! | [`summary`] | what is said about a search |

pub mod client;
pub mod orders;
pub mod script;
pub mod search;
pub mod server;
pub mod summary;

use std::fmt::Debug;

use super::case::Case;
use super::case::parse::parse_cases;
use script::Script;

/// The file that findings name.
const FILE: &str = "explored.case";

/// A letter of an alphabet: one thing that happens on the wire, or that an application or an origin does.
pub trait Event: Copy + Debug + Eq + Send + Sync + 'static {
    /// The whole alphabet, in the order in which orders are enumerated.
    const ALL: &'static [Self];

    /// The word that stands for it in the id of a case: small letters and digits.
    fn word(self) -> &'static str;

    /// What happens.
    fn sentence(self) -> &'static str;

    /// The letter of that word.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.word() == word)
    }
}

/// A state machine that knows what a correct peer shows. It is told the events of an order one after the other, and writes
/// what happens and what has to come into the script of a case.
///
/// Every subsequence that it allows is an order with expectations of its own; that is what makes shrinking exact.
pub trait Model: Clone + Debug + Send + Sync + 'static {
    /// The alphabet.
    type Event: Event;

    /// The area of the cases.
    const AREA: &'static str;

    /// Writes what comes before the first event.
    fn begin(&mut self, script: &mut Script);

    /// The event can come next. What the specification leaves open is not allowed.
    fn allows(&self, event: Self::Event) -> bool;

    /// The event comes next. Only for one that is allowed.
    fn take(&mut self, event: Self::Event, script: &mut Script);

    /// Writes what comes behind the last event: everything that still goes on is brought to its end, and looked at.
    fn finish(self, script: &mut Script);
}

/// The id of the case of an order.
pub fn id<M: Model>(order: &[M::Event]) -> String {
    let words: Vec<_> = order.iter().map(|event| event.word()).collect();
    let slug = if words.is_empty() { EMPTY.to_owned() } else { words.join("-") };
    format!("{}/{slug}", M::AREA)
}

/// The slug of the order without events.
const EMPTY: &str = "nothing";

/// The id is that of an order, and of no case of the library.
pub fn is_order(id: &str) -> bool {
    [client::ClientModel::AREA, server::ServerModel::AREA]
        .iter()
        .any(|area| id.split_once('/').is_some_and(|(of, _)| of == *area))
}

/// The order of that id; `None` if the words are no events, or if the model does not allow that order.
pub fn order_of<M: Model>(start: &M, id: &str) -> Option<Vec<M::Event>> {
    let slug = id.strip_prefix(M::AREA)?.strip_prefix('/')?;
    let words = slug.split('-').filter(|_| slug != EMPTY);
    let order: Vec<_> = words.map(M::Event::from_word).collect::<Option<_>>()?;
    orders::is_allowed(start, &order).then_some(order)
}

/// The case that plays an order which the model allows.
pub fn case_of<M: Model>(start: &M, order: &[M::Event]) -> Case {
    let mut model = start.clone();
    let mut script = Script::default();
    model.begin(&mut script);
    for event in order {
        model.take(*event, &mut script);
    }
    model.finish(&mut script);
    let words: Vec<_> = order.iter().map(|event| event.word()).collect();
    let sentence = if words.is_empty() { "nothing more".to_owned() } else { words.join(", ") };
    let text = script.text(&id::<M>(order), &format!("What has to come behind: {sentence}."));
    let mut cases = parse_cases(FILE, &text).expect("a model writes the notation of cases");
    cases.pop().expect("a script is one case")
}

#[cfg(test)]
mod tests;
