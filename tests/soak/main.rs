//! Client and executor under load with faults, over real pipes and sockets, and at their limits:
//!
//! `cargo test --test soak -- [--duration SECONDS] [--seed N] [NAME...]`
//!
//! Every byte of every body is compared with what has to come, and at the end nothing may be left: no call in the clients, no
//! descriptor and no connection in the executors, and no memory that grew. The seed repeats the choices, not the scheduling.

mod executor;
mod extremes;
mod load;
mod origin;
mod random;
mod sessions;
mod wire;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use executor::Over;

/// How long a test may take, the load aside.
const TEST_TIME: Duration = Duration::from_secs(120);

type Run = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

struct Arguments {
    duration: Duration,
    seed: u64,
    /// What to run; all when empty.
    names: Vec<String>,
}

fn arguments() -> Result<Arguments, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64);
    let mut arguments = Arguments { duration: Duration::from_secs(10), seed: now, names: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let number = words.next().and_then(|number| number.parse().ok());
            number.ok_or_else(|| format!("{word} needs a whole number"))
        };
        match &*word {
            "--duration" => arguments.duration = Duration::from_secs(number()?),
            "--seed" => arguments.seed = number()?,
            name if !name.starts_with('-') => arguments.names.push(word),
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(arguments)
}

fn tests() -> Vec<(String, Run)> {
    use Over::{Stdio, WebSocket};
    let mut tests: Vec<(String, Run)> = Vec::new();
    for over in [Stdio, WebSocket] {
        let mut add = |name: &str, run: Run| {
            let over = if over == Stdio { "stdio" } else { "ws" };
            tests.push((format!("{name}-{over}"), run));
        };
        add("client-killed", Box::pin(extremes::client_killed(over)));
        add("executor-killed", Box::pin(extremes::executor_killed(over)));
        if over == WebSocket {
            add("thousand-connections", Box::pin(extremes::a_thousand_connections(over)));
        }
        add("ten-thousand-streams-in-turn", Box::pin(extremes::ten_thousand_streams_in_turn(over)));
        add("thousand-streams-at-once", Box::pin(extremes::a_thousand_streams_at_once(over)));
        add("descriptors-exhausted", Box::pin(extremes::descriptors_exhausted(over)));
    }
    tests
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let Arguments { duration, seed, names } = match arguments() {
        Ok(arguments) => arguments,
        Err(what) => {
            eprintln!("soak: {what}");
            return ExitCode::from(2);
        }
    };
    println!("seed {seed}");
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| name.contains(&**wanted));
    let (mut passed, mut failed) = (0, 0);
    let mut count = |name: &str, result: Result<(), String>, took: Duration| match result {
        Ok(()) => {
            passed += 1;
            println!("ok {name} {:.1} s", took.as_secs_f64());
        }
        Err(what) => {
            failed += 1;
            println!("FAILED {name} {what}");
        }
    };
    for (name, run) in tests().into_iter().filter(|(name, _)| wanted(name)) {
        let start = Instant::now();
        let result = tokio::time::timeout(TEST_TIME, run).await;
        count(&name, result.unwrap_or_else(|_| Err(format!("no end within {TEST_TIME:?}"))), start.elapsed());
    }
    if wanted("load") {
        let start = Instant::now();
        count("load", sessions::run(duration, seed).await, start.elapsed());
    }
    println!("\nsoak: {passed} passed, {failed} failed, 0 skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
