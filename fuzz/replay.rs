//! Every committed seed holds to the law of its target.

use std::fs;
use std::path::Path;

/// A law: it panics where it is broken.
type Law = fn(&[u8]);

/// All targets by name, which is also the name of their folder of seeds.
const LAWS: [(&str, Law); 7] = [
    ("case_notation", super::case_notation::check),
    ("client_session", super::client_session::check),
    ("framing", super::framing::check),
    ("judge", super::judge::check),
    ("message", super::message::check),
    ("routes", super::route_table::check),
    ("server_session", super::server_session::check),
];

#[test]
fn every_seed_holds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let folders = fs::read_dir(&seeds).expect("a folder of seeds").count();
    assert_eq!(folders, LAWS.len(), "one folder for each target");
    for (target, law) in LAWS {
        let mut count = 0;
        for seed in fs::read_dir(seeds.join(target)).expect("each target has seeds") {
            let seed = seed.expect("a readable folder").path();
            // Shown when the law fails.
            println!("{}", seed.display());
            law(&fs::read(seed).expect("a readable seed"));
            count += 1;
        }
        assert!(count > 0, "{target} has no seed");
    }
}
