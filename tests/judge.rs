//! The judge says the same of every trace that was kept: those that the zoo gives, and some that no specimen gives. With `ANEW=1` in
//! the environment the files are written with what it says now; without, the first difference is the last.

use std::fs::{self, File};

use exec_http::conformance::zoo::archive;

#[test]
fn the_judge_says_the_same_of_every_trace() {
    let anew = std::env::var_os("ANEW").is_some();
    let mut differ = Vec::new();
    for path in ["tests/zoo/edges.jsonl", "tests/zoo/traces.jsonl"] {
        let text = fs::read_to_string(path).expect("a file of traces");
        let mut records = archive::read(&text).expect("kept traces can be read");
        assert!(!records.is_empty(), "{path}");
        for record in &mut records {
            let said = record.judge_again().unwrap_or_else(|| panic!("no case {}", record.case));
            if said != record.said {
                differ.push(format!(
                    "{} against {}: {said:?} instead of {:?}",
                    record.case, record.specimen, record.said
                ));
                assert!(anew, "{}", differ.join("\n"));
                record.said = said;
            }
        }
        if anew {
            File::create(path).and_then(|file| archive::write(&records, file)).expect("a file to write");
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
