use super::*;
use crate::conformance::case::OriginAction;

/// Fails when the condition holds, and keeps what it was asked.
struct Fake<F> {
    fails: F,
    asked: Vec<String>,
}

impl<F: FnMut(&Case) -> bool + Send> Oracle for Fake<F> {
    async fn fails(&mut self, case: &Case) -> bool {
        self.asked.push(case.text.clone());
        (self.fails)(case)
    }

    fn found(&mut self, _: &Case, _: usize) {}
}

const CASE: &str = r#"# A long case.
case order/long
clauses ORDER-11 CLOSE-1
only ws
deadline step 5s

origin /small # with a comment
  200
  content-length: 11
  x-more: 1
  chunk "hello "
  chunk "world"

origin /other
  200

-> burst
-> "other" stream other GET /other
each 1..300
  -> $i stream s$i GET /small {"headers":[],"timeoutMs":5}
ping "first"
<- pong "first"
each 1..300
  <- $i 200 header x-more "1"
  <- deltas s$i "hello world"
origin-count /small 300
barrier
"#;

fn case(text: &str) -> Case {
    parse_cases("order.case", text).unwrap_or_else(|error| panic!("{error}")).remove(0)
}

async fn reduced(text: &str, budget: Budget, fails: impl FnMut(&Case) -> bool + Send) -> (Reduced, Vec<String>) {
    let mut oracle = Fake { fails, asked: Vec::new() };
    let reduced = reduce(&case(text), budget, &mut oracle).await;
    (reduced, oracle.asked)
}

fn calls(case: &Case) -> usize {
    case.steps.iter().filter(|step| step.source.contains("GET /")).count()
}

fn has(case: &Case, source: &str) -> bool {
    case.steps.iter().any(|step| step.source.starts_with(source))
}

#[tokio::test]
async fn what_does_not_matter_goes_and_what_is_counted_is_least() {
    let fails = |case: &Case| calls(case) >= 23 && has(case, "<- pong") && has(case, "ping");
    let (reduced, asked) = reduced(CASE, Budget::default(), fails).await;
    let smallest = reduced.steps.last().map(|case| case.text.as_str());
    let expected = "# A long case.\ncase order/long\nclauses ORDER-11\nonly ws\n\n\
                    each 1..23\n  -> $i stream s$i GET /small\nping \"\"\n<- pong \"\"\n";
    assert_eq!(smallest, Some(expected));
    assert_eq!(reduced.end, End::Minimal);
    let distinct: HashSet<&String> = asked.iter().collect();
    assert_eq!(distinct.len(), asked.len(), "nothing is asked twice");
    assert!(asked.len() < 120, "{}", asked.len());
}

#[tokio::test]
async fn bodies_shrink_where_they_are_written_and_where_they_are_expected() {
    let consistent = |case: &Case| {
        let written: Vec<u8> =
            case.origins[0].iter().flat_map(|exchange| &exchange.actions).fold(Vec::new(), |mut bytes, action| {
                if let OriginAction::Chunk(template, ..) = action {
                    bytes.extend(template.resolve(&Names::new()).unwrap_or_default());
                }
                bytes
            });
        let announced = case.text.contains(&format!("content-length: {}", written.len()));
        let written = String::from_utf8_lossy(&written).into_owned();
        let expected = format!("\"{written}\"");
        let mut steps = case.steps.iter().map(|step| &step.source);
        announced && !written.is_empty() && steps.any(|step| step.starts_with("<- deltas") && step.ends_with(&expected))
    };
    let (reduced, _) = reduced(CASE, Budget::default(), consistent).await;
    let smallest = reduced.steps.last().map_or("", |case| &case.text);
    assert!(smallest.contains("  content-length: 1\n  chunk \"a\"\n"), "{smallest}");
    assert!(smallest.contains("GET /") && smallest.contains("\n<- deltas "), "{smallest}");
}

#[tokio::test]
async fn bounds_are_kept_and_said() {
    let (none, asked) = reduced(CASE, Budget { tries: 0, ..Budget::default() }, |_| true).await;
    assert_eq!((none.end, none.steps.len(), asked.len()), (End::Tries(0), 1, 0));
    let (few, asked) = reduced(CASE, Budget { tries: 5, ..Budget::default() }, |_| false).await;
    assert_eq!((few.end, few.steps.len(), asked.len()), (End::Tries(5), 1, 5));
    let (late, asked) = reduced(CASE, Budget { time: Duration::ZERO, ..Budget::default() }, |_| true).await;
    assert_eq!((late.end, asked.len()), (End::Time(Duration::ZERO), 0));
}

#[tokio::test]
async fn what_waits_for_something_unasked_is_never_tried() {
    let (reduced, asked) = reduced(CASE, Budget::default(), |case| has(case, "<- 7 ") || has(case, "<- 300 ")).await;
    assert!(asked.iter().all(|text| is_plausible(&case(text))));
    let smallest = reduced.steps.last().map_or("", |case| &case.text);
    assert!(smallest.contains("-> 7 stream") || smallest.contains("-> 300 stream"), "{smallest}");
}
