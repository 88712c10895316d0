//! The codex executor and ours under the same load: the same driver, the same origin, in turn.
//!
//! `peers-bench EXEC-HTTP CODEX VERSION [--quick] [--write FILE]`; the script `run` beside this package builds and calls it.
//!
//! Each figure is of a fresh process after one request that is not counted, and the table shows medians. The driver decodes nothing: it
//! finds the ends of messages, and looks at the ends of those. That bodies are whole is checked apart, byte for byte. Driver, origin and
//! executor share the processors.

mod cases;
mod executor;
mod wire;

// The origin, the clocks and the congestion control of the other benchmark.
#[allow(dead_code, reason = "the other benchmark uses the rest")]
#[path = "../../../../benches/clock.rs"]
mod clock;
#[allow(dead_code, reason = "the other benchmark uses the rest")]
#[path = "../../../../benches/origin.rs"]
mod origin;
#[allow(dead_code, reason = "the other benchmark uses the rest")]
#[path = "../../../../benches/sockets.rs"]
mod sockets;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

use self::cases::{Case, Value};
use self::executor::{Executor, Over, Program};
use self::origin::Origin;

/// Runs of which the median is shown.
const RUNS: usize = 3;

/// Bytes of the body that is checked.
const CHECKED_BYTES: usize = 64 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [ours, codex, version, options @ ..] = &arguments[..] else {
        eprintln!("peers-bench EXEC-HTTP CODEX VERSION [--quick] [--write FILE]");
        return ExitCode::FAILURE;
    };
    let quick = options.iter().any(|option| option == "--quick");
    let file = options.iter().position(|option| option == "--write").and_then(|at| options.get(at + 1));
    let programs = [
        Program { name: "exec-http".into(), path: PathBuf::from(ours), word: "serve" },
        Program { name: format!("codex {version}"), path: PathBuf::from(codex), word: "exec-server" },
    ];
    match measure(&programs, quick) {
        Ok((table, missed)) => {
            if let Some(file) = file
                && let Err(error) = fs::write(file, page(&table, version))
            {
                eprintln!("{file}: {error}");
                return ExitCode::FAILURE;
            }
            if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the table as it grows; returns it, and how many marks were missed.
fn measure(programs: &[Program; 2], quick: bool) -> io::Result<(String, usize)> {
    let origin = Origin::start();
    let folder = env::temp_dir().join(format!("exec-http-bench-{}", std::process::id()));
    let mut table = String::new();
    let mut print = |line: String| {
        println!("{line}");
        table.push_str(&line);
        table.push('\n');
    };
    let [ours, theirs] = [&programs[0].name, &programs[1].name];
    print(format!("| what | over | figure | {ours} | {theirs} | better | at least | |"));
    print("|---|---|---|---:|---:|---:|---:|---|".into());
    let mut missed = 0;
    for over in [Over::WebSocket, Over::Stdio] {
        for program in programs {
            let mut executor = Executor::start(program, over, &folder)?;
            executor.check(&format!("{}/bytes/{CHECKED_BYTES}", origin.url), CHECKED_BYTES)?;
        }
        for case in cases::all(quick) {
            let mut runs: [Vec<Vec<Value>>; 2] = Default::default();
            for _ in 0..if quick { 1 } else { RUNS } {
                for (program, runs) in programs.iter().zip(&mut runs) {
                    let what = |error| io::Error::other(format!("{}, {}: {error}", program.name, case.title()));
                    runs.push(run(program, over, case, &origin, &folder, quick).map_err(what)?);
                }
            }
            for (index, value) in runs[0][0].iter().enumerate() {
                let [ours, theirs] = runs.each_ref().map(|runs| median(runs.iter().map(|run| run[index].value)));
                let better = if value.less { theirs / ours } else { ours / theirs };
                let goal = value.goal.map(|[websocket, stdio]| if over == Over::Stdio { stdio } else { websocket });
                missed += usize::from(goal.is_some_and(|goal| better < goal));
                let met = goal.map_or("", |goal| if better < goal { "not met" } else { "met" });
                print(format!(
                    "| {} | {} | {} | {} | {} | {}x | {} | {met} |",
                    case.title(),
                    if over == Over::Stdio { "stdio" } else { "ws" },
                    value.name,
                    digits(ours),
                    digits(theirs),
                    digits(better),
                    goal.map_or(String::new(), |goal| format!("{goal}x")),
                ));
            }
        }
    }
    _ = fs::remove_dir_all(&folder);
    Ok((table, missed))
}

/// One run of a case with a process of its own.
fn run(
    program: &Program,
    over: Over,
    case: Case,
    origin: &Origin,
    folder: &Path,
    quick: bool,
) -> io::Result<Vec<Value>> {
    let mut executor = Executor::start(program, over, folder)?;
    executor.request(&format!("{}/bytes/1", origin.url), true)?;
    executor.finish(1)?;
    case.run(&mut executor, over, &origin.url, quick)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Three digits that mean something.
fn digits(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// What a command prints; nothing when it fails.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn page(table: &str, version: &str) -> String {
    let (date, commit) = (output("date", &["-u", "+%Y-%m-%d"]), output("git", &["rev-parse", "--short", "HEAD"]));
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("", |(_, model)| model);
    let processors = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "# Speed beside a peer

Our executor and the one that the codex command line ships (`@openai/codex` {version}), under the same load in turn, as
`tests/peers/bench/run EXEC-HTTP --write FILE` prints it. Each figure is of a fresh process after one request that is not counted, and
the median of {RUNS} runs. The driver finds the ends of messages and decodes nothing; that bodies are whole is checked apart, byte for
byte. Driver, origin and executor share the processors. CPU is that of the executor's process, peak its VmHWM; MB are 10^6 bytes of the
body. Pipes hold 1 MiB, and TCP sockets have the congestion control `reno`, on both sides.

{table}
Measured on {date} at commit {commit}, release build; {processors} x {model}, Linux {}.
",
        kernel.trim()
    )
}
