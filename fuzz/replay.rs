//! Every committed seed holds to the law of its target.

use std::fs;
use std::path::{Path, PathBuf};

/// One test for each target, of the name that is also that of its folder of seeds.
macro_rules! laws {
    ($($target:ident: $module:ident,)+) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),+];

        $(
            #[test]
            fn $target() {
                replay(stringify!($target), super::$module::check);
            }
        )+
    };
}

laws! {
    case_notation: case_notation,
    client_session: client_session,
    credit: credit,
    delta: delta,
    framing: framing,
    judge: judge,
    message: message,
    routes: route_table,
    runs: runs,
    server_session: server_session,
    websocket: websocket,
}

/// A law panics where it is broken.
fn replay(target: &str, law: fn(&[u8])) {
    let mut count = 0;
    for seed in fs::read_dir(seeds().join(target)).expect("each target has seeds") {
        let seed = seed.expect("a readable folder").path();
        // Shown when the law fails.
        println!("{}", seed.display());
        law(&fs::read(seed).expect("a readable seed"));
        count += 1;
    }
    assert!(count > 0, "{target} has no seed");
}

#[test]
fn every_folder_of_seeds_has_a_target() {
    let folders = fs::read_dir(seeds()).expect("a folder of seeds").count();
    assert_eq!(folders, TARGETS.len(), "one folder for each target");
}

fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}
