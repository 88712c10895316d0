//! Everything that is logged in this process, at every level, by `tracing` and by `log`.

use std::io;
use std::sync::{LazyLock, Mutex};

/// What was logged so far.
static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Both logs, written to [`LOGGED`].
static COLLECTING: LazyLock<()> = LazyLock::new(|| {
    log::set_logger(&Collector).expect("nobody else logs here");
    log::set_max_level(log::LevelFilter::Trace);
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(|| Collector);
    tracing::subscriber::set_global_default(subscriber.finish()).expect("nobody else logs here");
});

struct Collector;

impl io::Write for Collector {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.lock().expect("nobody panics with it").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl log::Log for Collector {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        io::Write::write_fmt(&mut Collector, format_args!("{} {}\n", record.target(), record.args())).expect("memory");
    }

    fn flush(&self) {}
}

/// Starts to collect.
pub(crate) fn collect() {
    LazyLock::force(&COLLECTING);
}

/// All that was logged since.
pub(crate) fn text() -> String {
    String::from_utf8_lossy(&LOGGED.lock().expect("nobody panics with it")).into_owned()
}
