use super::client::{ClientEvent, ClientModel};
use super::orders::{MOST_EVENTS, is_allowed, orders, sample};
use super::search::shrink;
use super::server::{ServerEvent, ServerModel};
use super::*;
use crate::conformance::case::Transport;

/// A client that declares everything that makes a difference to an order, and one that declares nothing.
fn clients() -> [ClientModel; 3] {
    let all = ["abandon", "cancel", "caller-ids", "census", "error-kinds"];
    let again = ["census", "reconnect"];
    [ClientModel::new(all.map(str::to_owned)), ClientModel::new([]), ClientModel::new(again.map(str::to_owned))]
}

fn servers() -> [ServerModel; 4] {
    let (stdio, ws) = (Transport::Stdio, Transport::Websocket);
    [(stdio, false), (stdio, true), (ws, false), (ws, true)].map(|(on, cancels)| ServerModel::new(on, cancels))
}

/// All words over the alphabet, and those of them that the model allows.
fn by_force<M: Model>(start: &M, bound: usize) -> Vec<Vec<M::Event>> {
    let mut words = vec![Vec::new()];
    let mut all = words.clone();
    for _ in 0..bound {
        let longer = |word: &Vec<M::Event>| {
            let word = word.clone();
            M::Event::ALL.iter().map(move |event| [&word[..], &[*event]].concat())
        };
        words = words.iter().flat_map(longer).collect();
        all.extend(words.clone());
    }
    all.retain(|order| is_allowed(start, order));
    all
}

#[test]
fn every_allowed_order_is_enumerated_once() {
    fn check<M: Model>(start: &M) {
        assert_eq!(orders(start, 3), by_force(start, 3), "{start:?}");
    }
    clients().iter().for_each(check);
    servers().iter().for_each(check);
}

#[test]
fn the_numbers_of_orders_are_known() {
    let counts = |of: &dyn Fn(usize) -> usize| [of(0), of(1), of(2), of(3)];
    let [client, ..] = clients();
    assert_eq!(counts(&|bound| orders(&client, bound).len()), [1, 13, 147, 1_641]);
    let [.., ws] = servers();
    assert_eq!(counts(&|bound| orders(&ws, bound).len()), [1, 12, 122, 1_219]);
}

/// Whatever happens last, a correct peer has to show something behind it: nobody passes who has gone silent.
#[test]
fn every_order_observes_the_peer_behind_its_last_event() {
    fn check<M: Model>(start: &M, bound: usize) {
        for order in orders(start, bound) {
            let (mut model, mut script) = (start.clone(), Script::default());
            model.begin(&mut script);
            let mut before = 0;
            for event in &order {
                before = script.steps().len();
                model.take(*event, &mut script);
            }
            model.finish(&mut script);
            let observes = |step: &&String| step.contains(" @") && !step.ends_with("@setup");
            assert!(script.steps()[before..].iter().any(|step| observes(&step)), "{}", id::<M>(&order));
        }
    }
    clients().iter().for_each(|client| check(client, 3));
    servers().iter().for_each(|server| check(server, 3));
}

#[test]
fn every_order_is_a_case_that_its_id_leads_back_to() {
    fn check<M: Model>(start: &M) {
        for order in orders(start, 2) {
            let case = case_of(start, &order);
            assert_eq!(order_of(start, &case.id), Some(order));
            for clause in &case.clauses {
                assert!(crate::conformance::clause::find(clause).is_some(), "{clause}");
            }
        }
        assert_eq!(order_of(start, "explore/dance"), None);
        assert_eq!(order_of(start, "dance"), None);
    }
    clients().iter().for_each(check);
    servers().iter().for_each(check);
}

#[test]
fn an_id_of_an_order_that_is_not_allowed_leads_nowhere() {
    let [client, ..] = clients();
    assert_eq!(order_of(&client, "client-explore/disconnect-response"), None);
    assert_eq!(order_of(&client, "client-explore/delta2"), None);
    let [server, ..] = servers();
    assert_eq!(order_of(&server, "explore/chunk"), None);
    assert_eq!(order_of(&server, "explore/elsewhere"), None);
}

#[test]
fn a_sample_is_longer_than_the_bound_and_repeatable() {
    let [client, ..] = clients();
    let chosen = sample(&client, 3, 200, 7);
    assert_eq!(chosen, sample(&client, 3, 200, 7));
    assert_ne!(chosen, sample(&client, 3, 200, 8));
    for order in &chosen {
        assert!(is_allowed(&client, order) && order.len() <= 6, "{order:?}");
        // What is shorter has come to a point where nothing can follow.
        let ends = |event: &ClientEvent| is_allowed(&client, &[&order[..], &[*event]].concat());
        assert!(order.len() > 3 || !ClientEvent::ALL.iter().any(ends), "{order:?}");
    }
    assert!(sample(&client, MOST_EVENTS, 10, 0).is_empty());
}

#[tokio::test]
async fn shrinking_leaves_what_fails_and_is_allowed() {
    use ServerEvent::{Chunk, Finish, Head, Shared, Stray};
    let [server, ..] = servers();
    let order = vec![Shared, Head, Stray, Chunk, Shared, Finish];
    let allowed = |order: &[ServerEvent]| is_allowed(&server, order);
    let mut tried = 0;
    let shrunk = shrink(order.clone(), allowed, async |order: &[ServerEvent]| {
        tried += 1;
        assert!(allowed(order));
        order.contains(&Finish) && order.contains(&Shared)
    });
    assert_eq!(shrunk.await, [Head, Shared, Finish]);
    assert!(tried < 20, "{tried}");
    assert_eq!(shrink(order.clone(), allowed, async |_: &[ServerEvent]| false).await, order);
}

/// What a model says about the orders that the specification is clearest about.
#[test]
fn a_script_says_what_the_specification_does() {
    let [client, ..] = clients();
    let order = order_of(&client, "client-explore/delta-response-repeat-disconnect").expect("it is one");
    let expected = r#"# What has to come behind: delta, response, repeat, disconnect.
case client-explore/delta-response-repeat-disconnect
clauses ROUTE-16 ROUTE-18 STREAM-19 CLOSE-13 ROUTE-1 CLOSE-10 STREAM-20
needs abandon
needs caller-ids
needs cancel
needs census
needs error-kinds

call a stream {"requestId":"chosen"}
<- a @setup
-> a delta "a1 "
-> a 200
a => 200 @ROUTE-1
-> a delta seq -1 "again" done
barrier @STREAM-20
call witness stream
<- witness @setup
drop
witness => fails kind disconnected|unknown-outcome @CLOSE-10
a => "a1 " @ROUTE-1
a => fails kind sequence @CLOSE-13
a => fails kind sequence @STREAM-19
call b stream {"requestId":"chosen"}
b => fails @ROUTE-18
a drop
census @ROUTE-16
"#;
    assert_eq!(case_of(&client, &order).text, expected);
}

const PAGE: &str = include_str!("../../../docs/explorer.md");

#[test]
fn the_page_names_every_event() {
    let words = ClientEvent::ALL.iter().map(|event| event.word());
    for word in words.chain(ServerEvent::ALL.iter().map(|event| event.word())) {
        assert!(PAGE.contains(&format!("`{word}`")), "{word}");
    }
}

/// Each family of models has a row, and the order in it exists.
#[test]
fn the_page_names_every_model_with_an_order() {
    let [client, ..] = clients();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("model");
    let files = std::fs::read_dir(folder).expect("the models have a folder");
    let names = files.filter_map(|file| file.expect("a readable folder").file_name().into_string().ok());
    let models: Vec<_> = names
        .filter(|name| name.ends_with(".rs") && !["main.rs", "explore.rs", "sync.rs"].contains(&name.as_str()))
        .collect();
    assert!(models.len() > 5, "{models:?}");
    for model in models {
        let named = format!("`{model}`");
        let row = PAGE.lines().find(|line| line.starts_with('|') && line.contains(&named));
        let row = row.unwrap_or_else(|| panic!("{model} has no row"));
        let order = row.trim_end_matches(['|', ' ']).rsplit('`').nth(1).unwrap_or_default();
        let found = order_of(&client, &format!("client-explore/{order}")).is_some();
        assert!(found || row.contains("none: "), "{model}: {order}");
    }
}
