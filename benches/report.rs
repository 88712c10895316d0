//! The page `RESULTS.md` and its plots, beside this file.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use crate::harness::{COLUMNS, Curve, Outcome};
use crate::options::Options;
use crate::plot::{self, Panel};
use crate::rows::size;

/// What is written by hand of where the time goes; the page ends with it where it exists.
const PROFILE: &str = "profile.md";

/// Writes the page, and those plots of which there are points.
pub(crate) fn write(outcomes: &[Outcome], options: &Options) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
    let mut page =
        format!("{HEAD}\nMeasured on {} at commit {}, {}.\n{}\n\n", date(), commit(), build(options), machine());
    let row = |cells: &[String; 8]| format!("| {} |", cells.join(" | "));
    _ = writeln!(page, "{}\n|---|---|---:|---:|---:|---:|---:|---|", row(&COLUMNS.map(str::to_owned)));
    for outcome in outcomes {
        _ = writeln!(page, "{}", row(&outcome.cells()));
    }
    let met: Vec<bool> = outcomes.iter().filter_map(Outcome::is_met).collect();
    let count = met.iter().filter(|met| **met).count();
    _ = writeln!(page, "\n{count} of {} goals are met.", met.len());
    for (file, title, panels) in
        [("streams.svg", "Live streams", STREAMS), ("delta-size.svg", "Size of a delta", SIZES)]
    {
        if let Some(svg) = plot::svg(&panels, outcomes) {
            fs::write(folder.join(file), svg)?;
            _ = writeln!(page, "\n## {title}\n\n![Cost against {}]({file})", title.to_lowercase());
        }
    }
    if let Ok(profile) = fs::read_to_string(folder.join(PROFILE)) {
        _ = write!(page, "\n{profile}");
    }
    fs::write(folder.join("RESULTS.md"), page)
}

/// How the page begins.
const HEAD: &str = "# Speed

What this crate does beside a baseline that is made as the protocol's first client and executor were (`baseline/`), as
`cargo bench --no-default-features -- --write` prints it. Each row is measured on both sides in turn, in one run of one process, with
the system's allocator; the figures are medians, the ratio is of the medians, and the quartiles are those of the ratios of the single
rounds. Executor and client have a runtime with two workers each, and share the processors with the origin. `CPU` is processor time in
user space and in the kernel: of all that takes part end to end, of one side only where it says `alone`. MB and GB are powers of ten,
of body bytes. All TCP sockets use the congestion control `reno`, since others pace the loopback too.
";

/// `streams.svg`.
const STREAMS: [Panel; 2] = [
    Panel {
        title: "A stream into and out of the table",
        curve: Curve::Churn,
        x: "live streams",
        y: "CPU for each stream",
        place: count,
        value: plot::time,
    },
    Panel {
        title: "The same bytes in concurrent streams, over ws",
        curve: Curve::Streams,
        x: "concurrent streams",
        y: "CPU seconds for each GB",
        place: count,
        value: plot::seconds,
    },
];

/// `delta-size.svg`.
const SIZES: [Panel; 2] = [
    Panel {
        title: "Decoding a delta",
        curve: Curve::Decode,
        x: "bytes of a delta",
        y: "CPU for each delta",
        place: size,
        value: plot::time,
    },
    Panel {
        title: "The client alone",
        curve: Curve::Client,
        x: "bytes of a delta",
        y: "CPU for each delta",
        place: size,
        value: plot::time,
    },
];

fn count(streams: usize) -> String {
    if streams >= 10_000 { format!("{}k", streams / 1_000) } else { streams.to_string() }
}

/// What a command prints, its white space at the ends left out; nothing when it fails.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn date() -> String {
    output("date", &["-u", "+%Y-%m-%d"]).unwrap_or_default()
}

fn commit() -> String {
    let commit = output("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_default();
    let changes =
        output("git", &["status", "--porcelain", "--", "src", "benches/**.rs", "Cargo.lock"]).unwrap_or_default();
    if changes.is_empty() { commit } else { format!("{commit} with changes") }
}

fn build(options: &Options) -> &'static str {
    if options.quick { "release build, the short run of `--quick`" } else { "release build" }
}

fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(": ").unwrap_or_default().1
    };
    let known = ["avx2", "avx512f", "avx512bw", "avx512vbmi"];
    let flags: Vec<_> = known.into_iter().filter(|known| of("flags").split(' ').any(|flag| flag == *known)).collect();
    let processors = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let (kernel, congestion) = (read("/proc/sys/kernel/osrelease"), read("/proc/sys/net/ipv4/tcp_congestion_control"));
    let (model, flags) = (of("model name"), flags.join(", "));
    format!("{processors} x {model} ({flags}), Linux {kernel}, whose own congestion control is {congestion}.")
}
