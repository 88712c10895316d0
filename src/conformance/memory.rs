//! The peak memory of a peer's process, known also after the process has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

/// How often it is read.
const INTERVAL: Duration = Duration::from_millis(20);

/// Watches a process. Dropping it ends the watch.
#[derive(Debug)]
pub(crate) struct PeakMemory {
    /// What the system said last, in bytes; 0 before it said anything.
    bytes: Arc<AtomicU64>,
    /// The process.
    pid: u32,
    /// Reads it again and again.
    task: JoinHandle<()>,
}

impl PeakMemory {
    /// Starts to watch; where the system does not tell, nothing is ever known.
    pub(crate) fn watch(pid: u32) -> Self {
        let bytes = Arc::new(AtomicU64::new(0));
        let known = Arc::clone(&bytes);
        let task = tokio::spawn(async move {
            while let Some(bytes) = read(pid) {
                known.store(bytes, Ordering::Relaxed);
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self { bytes, pid, task }
    }

    /// The peak so far in bytes; 0 if it is not known.
    pub(crate) fn bytes(&self) -> u64 {
        read(self.pid).unwrap_or_else(|| self.bytes.load(Ordering::Relaxed))
    }
}

impl Drop for PeakMemory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn read(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_peak_is_known_and_grows_with_the_process() {
        let memory = PeakMemory::watch(std::process::id());
        let before = memory.bytes();
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(memory.bytes() >= before.max(block.len() as u64), "{before}");
    }

    #[tokio::test]
    async fn no_process_has_no_memory() {
        assert_eq!(PeakMemory::watch(u32::MAX).bytes(), 0);
    }
}
