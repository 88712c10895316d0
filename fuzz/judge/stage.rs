//! Plays a case of the suite with a conformant peer, as the driver would, and keeps the trace.

use arbitrary::Unstructured;
use exec_http::conformance::case::template::{Names, resolve_json};
use exec_http::conformance::case::{Action, Case, Form, Step, TimeBound, Transport};
use exec_http::conformance::judge::{Judge, Judgement, State};
use exec_http::conformance::trace::{Event, Trace, What, shorten};

use super::peer::Peer;

/// Microseconds between two events.
const EVENT_MICROS: u64 = 10;

/// Frames that come before a step that does not await them.
const EARLY_FRAMES: usize = 3;

/// One case under way.
struct Stage<'case> {
    /// What is done.
    case: &'case Case,
    /// How the peer is reached.
    transport: Transport,
    /// Says when a step is satisfied.
    judge: Judge<'case>,
    /// Answers.
    peer: Peer<'case>,
    /// What has happened.
    trace: Trace,
    /// What the judge said last.
    state: State,
    /// Now, in microseconds.
    micros: u64,
}

/// The trace of a case and its verdict; `None` where the peer does not know what a step waits for. The bytes choose what the
/// protocol leaves open: the transport, the division of bodies, and which frame comes when.
pub(super) fn play(case: &Case, bytes: &mut Unstructured<'_>) -> Option<(Trace, Judgement)> {
    let either = if bytes.arbitrary().unwrap_or(false) { Transport::Websocket } else { Transport::Stdio };
    let mut stage = Stage {
        case,
        transport: case.only.unwrap_or(either),
        judge: Judge::new(case),
        peer: Peer::new(case),
        trace: Trace::default(),
        state: State::Ready,
        micros: 0,
    };
    stage.begin();
    for (index, step) in case.steps.iter().enumerate() {
        for _ in 0..bytes.int_in_range(0..=EARLY_FRAMES).unwrap_or(0) {
            if let Some(frame) = stage.peer.poll_frame(bytes) {
                stage.record(frame);
            }
        }
        stage.record(What::Step { step: index });
        if stage.state != State::Over {
            stage.act(step, bytes)?;
        }
        while stage.state == State::Waiting {
            let what = stage.peer.poll_awaited(index, stage.judge.names(), bytes)?;
            stage.record(what);
        }
        if stage.state == State::Over {
            break;
        }
    }
    stage.record(What::Finished);
    Some((stage.trace, stage.judge.finish()))
}

impl Stage<'_> {
    fn begin(&mut self) {
        let origin = |port: u16| (format!("http://127.0.0.1:{port}"), format!("127.0.0.1:{port}"));
        let ((origin1, authority), (origin2, authority2), (closed, peer)) = (origin(1), origin(2), origin(3));
        let names = [
            ("origin", origin1),
            ("origin2", origin2),
            ("authority", authority),
            ("authority2", authority2),
            ("closed", closed),
            ("peer", peer),
        ];
        let names = Names::from(names.map(|(name, value)| (name.to_owned(), value)));
        let transport = self.transport.to_string();
        self.record(What::Begun { case: String::new(), names, transport, time_scale: 1.0 });
    }

    fn record(&mut self, what: What) {
        self.micros += EVENT_MICROS;
        let event = Event { number: self.trace.events.len() as u64 + 1, micros: self.micros, what };
        self.state = self.judge.handle(&event);
        self.trace.events.push(event);
    }

    /// Does what the step says; `None` when it says what cannot be done here.
    fn act(&mut self, step: &Step, bytes: &mut Unstructured<'_>) -> Option<()> {
        match &step.action {
            Action::Send(message) => {
                let message = resolve_json(message, self.judge.names()).ok()?;
                self.send(&step.connection, message.to_string().as_bytes(), bytes);
            }
            Action::SendBytes(template, form) => {
                let sent = template.resolve(self.judge.names()).ok()?;
                if *form == Form::Bytes && self.transport == Transport::Stdio {
                    for line in sent.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                        self.send(&step.connection, line, bytes);
                    }
                } else {
                    self.send(&step.connection, &sent, bytes);
                }
            }
            Action::Memory(_) => self.record(What::Memory { bytes: 1 }),
            Action::Probe { status, .. } => self.record(What::Probed { status: *status }),
            Action::Mark(name) => {
                // Time passes where a later step wants it to.
                let bounds = self.case.steps.iter().map(|step| match &step.action {
                    Action::Elapsed(mark, TimeBound::AtLeast(least)) if mark == name => least.as_micros(),
                    _ => 0,
                });
                self.micros += u64::try_from(bounds.max().unwrap_or(0)).ok()?;
            }
            _ => {}
        }
        Some(())
    }

    fn send(&mut self, connection: &str, frame: &[u8], bytes: &mut Unstructured<'_>) {
        self.record(What::Sent { connection: connection.to_owned(), text: shorten(frame) });
        self.peer.handle_sent(connection, frame, self.judge.names(), bytes);
    }
}
