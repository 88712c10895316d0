//! What the notation means, and how its mistakes are told.

use super::*;

/// The error of a case with these lines behind its head.
#[track_caller]
fn refused(lines: &str, expected: &str) {
    let text = format!("# One.\ncase a/b\nclauses STREAM-1\n{lines}\nbarrier\n");
    let error = parse_cases("a.case", &text).map(|_| ()).expect_err(lines);
    assert_eq!(error.to_string(), expected, "{lines}");
}

#[test]
fn the_example_of_the_notation_reads() {
    let document = include_str!("../../../../docs/notation.md");
    let example = document.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let cases = parse_cases("stream.case", example).unwrap_or_else(|error| panic!("{error}"));
    let [case] = &cases[..] else { panic!("one case") };
    assert_eq!(case.id, "stream/two-chunks");
    assert_eq!(case.description, "The bytes of the frames, joined in order, are the upstream body.");
    assert_eq!(case.clauses, ["STREAM-5", "STREAM-1"]);
    assert_eq!(case.origins[0][0].actions.len(), 5);
    assert_eq!(case.steps.len(), case.handshake_steps + 7);
    assert!(case.text.starts_with("# The bytes") && case.text.ends_with("barrier\n"));
}

#[test]
fn ranges_and_rounds_are_filled_in() {
    let text = "# One.\ncase a/b\nclauses X-1\norigin /hop/1..3\n  302\n  location: $origin/hop/$next\neach 1..3\n  \
                -> $i call GET /hop/$i\n  <- $i 302\n";
    let case = parse_cases("a.case", text).expect("a good case").remove(0);
    let paths: Vec<_> = case.origins[0].iter().map(|exchange| exchange.path.as_str()).collect();
    assert_eq!(paths, ["/hop/1", "/hop/2", "/hop/3"]);
    let sources: Vec<_> = case.steps.iter().skip(case.handshake_steps).map(|step| step.source.as_str()).collect();
    assert_eq!(sources[3..], ["<- 2 302", "-> 3 call GET /hop/3", "<- 3 302"]);
}

#[test]
fn several_cases_keep_their_own_text_and_lines() {
    let text = "# One.\ncase a/b\nclauses X-1\nbarrier\n\n# Two,\n# still two.\ncase a/c\nclauses X-2\nbarrier\n";
    let cases = parse_cases("a.case", text).expect("good cases");
    assert_eq!(cases[0].text, "# One.\ncase a/b\nclauses X-1\nbarrier\n");
    assert_eq!((cases[1].line, cases[1].description.as_str()), (8, "Two, still two."));
    assert!(cases[1].text.starts_with("# Two,\n# still two.\ncase a/c"));
}

#[test]
fn mistakes_are_told_with_their_place() {
    refused("nonsense", "a.case:4: \"nonsense\" is no step");
    refused("-> 7 x {\"a\":}", "a.case:4: not JSON: expected value at line 1 column 6");
    refused("-> 7 x {\"a\":\"$who\"}", "a.case:4: $who stands for nothing; write $$ for a dollar sign");
    refused("origin body\n  200", "a.case:4: \"body\" does not start with /");
    refused("origin /a\n  200\n  dance", "a.case:6: \"dance\" is nothing that an origin does");
    refused("  200", "a.case:4: an indented line without a block above it");
    refused("only tcp", "a.case:4: \"tcp\" is not stdio or ws");
    let last = u64::MAX;
    refused(&format!("each {last}..{last}\n  eof"), "a.case:4: each needs A..B");
    let many = "a.case:4: a case has more than 20000 lines";
    refused("each 1..10000\n  eof\n  eof\n  eof", many);
    refused("origin /1..10000\n  200\n  hang", many);
    refused("-> 1 stream $repeat(18446744073709551615,a) GET /", "a.case:4: $repeat( is too long");
    refused("-> 1 stream $repeat(2049,a) GET /", "a.case:4: the name of the stream is longer than 2048 bytes");
    refused("first-delta / 9223372036854775808 below 1s", "a.case:4: first-delta makes at most 1000 calls");
    refused("needs luck", "a.case:2: \"luck\" is no capability");
    refused("twin {}\naccept 200", "a.case:2: a twin needs at least one `refuse` and one `accept`");
    refused("twin {}\nrefuse {\"a\":1,\"b\":2} error -1", "a.case:5: exactly one member must differ from the twin");
    refused(
        "signal TERM",
        "a.case:2: line 4 is about the process: the case needs `isolate` and `needs spawn` or `memory`",
    );
    refused("<- closed or open", "a.case:4: or \"open\": only `closed` and `malformed` can stand here");
    let idle = "# One.\ncase a/b\nclauses X-1\norigin-connections 0\n";
    let error = parse_cases("a.case", idle).map(|_| ()).expect_err("it observes nothing");
    assert_eq!(error.message, "no step observes the peer: a peer that does nothing could pass");
    let silent = "case a/b\nclauses X-1\nbarrier\n";
    let error = parse_cases("a.case", silent).map(|_| ()).expect_err("it says nothing");
    assert_eq!(error.to_string(), "a.case:1: the sentence above the case is missing");
}
