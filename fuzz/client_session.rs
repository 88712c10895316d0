//! A client session: frames of a scripted executor between operations of the consumers.
//!
//! | file | concept |
//! |---|---|
//! | `operation` | what may happen |
//! | `executor` | the scripted executor: operations as frames on the wire |
//! | `consumer` | who waits for a call or reads its body, polled by hand, wakes counted |
//! | `seen` | what can be seen |
//! | `oracle` | what each consumer must see |

use std::time::Duration;

use arbitrary::Unstructured;
use exec_http::client::{Client, ClientConfig, QueuePolicy};
use exec_http::transport::memory;

#[path = "client_session/consumer.rs"]
mod consumer;
#[path = "client_session/executor.rs"]
mod executor;
#[path = "client_session/operation.rs"]
mod operation;
#[path = "client_session/oracle.rs"]
mod oracle;
#[path = "client_session/seen.rs"]
mod seen;

use consumer::Consumer;
use executor::Executor;
pub use operation::{Answer, Delta, End, Fatal, Fault, Frame, Operation, Settings, Stray};
use oracle::{Limits, Oracle};
use seen::Seen;

/// Operations of one session; the rest of the input is not looked at.
const OPERATIONS: usize = 200;

/// Frames of one session: fewer than the requests of an executor that a client leaves unanswered before it gives up.
const FRAMES: usize = 250;

/// Virtual time passes only when no task has anything left to do.
const IDLE_TIME: Duration = Duration::from_millis(1);

/// Longer than any time limit of the client.
const LONG_TIME: Duration = Duration::from_secs(60);

/// Each consumer sees what the oracle says, is woken when there is something to see, and leaves nothing behind.
pub fn check(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(settings) = data.arbitrary() else { return };
    let mut operations = Vec::new();
    while !data.is_empty() && operations.len() < OPERATIONS {
        let Ok(operation) = data.arbitrary() else { break };
        operations.push(operation);
    }
    run(settings, &operations);
}

/// As [`check`], decoded.
pub fn run(settings: Settings, operations: &[Operation]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let mut session = Session::open(settings).await;
        for operation in operations {
            session.apply(operation).await;
            session.settle().await;
        }
        session.finish(settings.leave).await;
    });
    assert_eq!(runtime.metrics().num_alive_tasks(), 0, "tasks are left");
}

/// A client, its executor and its consumers, side by side with the oracle.
struct Session {
    /// The client.
    client: Client,
    /// The other end of its connection.
    executor: Executor,
    /// Of all calls that were sent, in their order.
    consumers: Vec<Consumer>,
    /// What must be seen.
    oracle: Oracle,
}

impl Session {
    async fn open(settings: Settings) -> Self {
        let limits = Limits {
            pause: settings.pause,
            frames: 1 + usize::from(settings.frames) % 4,
            bytes: 256 + 64 * (usize::from(settings.bytes) % 32),
            calls: 1 + usize::from(settings.calls) % 8,
        };
        let config = ClientConfig {
            queue_policy: if limits.pause { QueuePolicy::Pause } else { QueuePolicy::Fail },
            queue_frames: limits.frames,
            queue_bytes: limits.bytes,
            calls: limits.calls,
            ..ClientConfig::default()
        };
        let (near, far) = memory::pair();
        let mut executor = Executor::new(far);
        let (client, ()) = tokio::join!(Client::connect_with(near, config), executor.greet());
        let client = client.expect("a handshake");
        Self { client, executor, consumers: Vec::new(), oracle: Oracle::new(limits) }
    }

    async fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Start { stream } => self.start(*stream),
            Operation::Receive { call } => _ = self.pick(*call).map(|call| self.receive(call)),
            Operation::Drain { call } => _ = self.pick(*call).map(|call| while self.receive(call) {}),
            Operation::Leave { call } => {
                if let Some(call) = self.pick(*call) {
                    self.consumers[call].leave();
                    self.oracle.leave(call);
                }
            }
            Operation::Send(frame) => self.send(frame),
            Operation::Burst(frames) => frames.iter().for_each(|frame| self.send(frame)),
            Operation::Close => {
                self.executor.close();
                self.oracle.close();
            }
            Operation::StopReading => {
                self.executor.stop_reading();
                self.oracle.stop_reading();
            }
            Operation::Wait => {
                tokio::time::sleep(LONG_TIME).await;
                self.oracle.wait();
            }
        }
    }

    fn start(&mut self, stream: bool) {
        let mut consumer = Consumer::new(&self.client, stream);
        let seen = consumer.poll();
        match self.oracle.start(stream) {
            Ok(()) => {
                assert_eq!(seen, Seen::Nothing, "no answer was sent");
                self.consumers.push(consumer);
            }
            Err(failure) => assert_eq!(seen, Seen::Failed(failure)),
        }
    }

    fn pick(&self, call: u8) -> Option<usize> {
        pick(call, self.consumers.len())
    }

    /// Whether there may be more to see.
    fn receive(&mut self, call: usize) -> bool {
        if self.consumers[call].is_gone() {
            return false;
        }
        let seen = self.consumers[call].poll();
        assert_eq!(seen, self.oracle.receive(call), "call {call}");
        matches!(seen, Seen::Head(_) | Seen::Chunk(_))
    }

    fn send(&mut self, frame: &Frame) {
        if self.executor.frames() < FRAMES
            && let Some(event) = self.executor.send(frame)
        {
            self.oracle.send(event);
        }
    }

    /// Lets all tasks do all they can, and compares what can be seen from outside.
    async fn settle(&mut self) {
        tokio::time::sleep(IDLE_TIME).await;
        self.oracle.settle();
        let usage = self.client.usage();
        assert_eq!((usage.routes, usage.queued_bytes), self.oracle.usage(), "calls and bytes held");
        for (call, consumer) in self.consumers.iter().enumerate() {
            assert!(consumer.is_awake() || !self.oracle.has_news(call), "the consumer of call {call} was not woken");
        }
        self.executor.read(&mut self.oracle);
    }

    /// Ends all calls in one of two ways, and then the connection.
    async fn finish(mut self, leave: bool) {
        if leave {
            (0..self.consumers.len()).for_each(|call| self.oracle.leave(call));
            self.consumers.clear();
        } else {
            self.apply(&Operation::Close).await;
            // A pausing reader may take one frame a round.
            for round in 0.. {
                self.settle().await;
                (0..self.consumers.len()).for_each(|call| while self.receive(call) {});
                if self.consumers.iter().all(Consumer::has_ended) {
                    break;
                }
                assert!(round <= FRAMES, "a call hangs");
            }
        }
        self.settle().await;
        assert_eq!(self.oracle.usage(), (0, 0), "the oracle lets go as well");
        drop(self.client);
        drop(self.consumers);
        self.executor.expect_end().await;
    }
}

/// One of so many.
fn pick(index: u8, len: usize) -> Option<usize> {
    usize::from(index).checked_rem(len)
}
