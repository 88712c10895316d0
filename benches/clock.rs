//! Time that has passed, and time that processors have spent.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Wall and processor time that something took, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// As a clock on the wall shows it.
    pub(crate) wall: f64,
    /// Of all threads that were counted, in the kernel too.
    pub(crate) cpu: f64,
}

/// Since when something is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// The wall.
    wall: Instant,
    /// The processor time at that moment.
    cpu: Duration,
    /// Of what.
    clock: ClockId,
}

impl Start {
    /// Counts this process, all threads of it.
    pub(crate) fn process() -> Self {
        Self::of(ClockId::CLOCK_PROCESS_CPUTIME_ID)
    }

    /// Counts this thread.
    pub(crate) fn thread() -> Self {
        Self::of(ClockId::CLOCK_THREAD_CPUTIME_ID)
    }

    fn of(clock: ClockId) -> Self {
        Self { cpu: read(clock), clock, wall: Instant::now() }
    }

    /// What passed since.
    pub(crate) fn cost(self) -> Cost {
        let wall = self.wall.elapsed();
        let cpu = read(self.clock).saturating_sub(self.cpu);
        Cost { wall: nanoseconds(wall), cpu: nanoseconds(cpu) }
    }
}

/// The processor time of a child that runs.
pub(crate) fn child(process: u32) -> Duration {
    let process = Pid::from_raw(i32::try_from(process).expect("the system's own numbers"));
    read(nix::time::clock_getcpuclockid(process).expect("a child that is not waited for yet"))
}

/// The processor time of this thread.
pub(crate) fn this_thread() -> Duration {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("a clock that Linux has").into()
}

/// As a number to calculate with.
pub(crate) fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}
