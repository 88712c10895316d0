//! Does what a case for clients says: plays the executor, and tells the adapter what the application does.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::adapter::{Adapter, Session};
use super::door::{Door, RelayProgram};
use super::judge::id_name;
use super::messages::{Line, Order as Told, Request, Seen};
use super::receives::Receives;
use super::script::{Answer, ClientAction, Deltas, Order, Seq, Sight};
use crate::conformance::artifacts::TraceFile;
use crate::conformance::case::steps::merge;
use crate::conformance::case::template::{Names, resolve_json};
use crate::conformance::case::{Action, Case, Form, Step, Transport};
use crate::conformance::stage::{Actor, CaseRun, Settings, Stage};
use crate::conformance::trace::What;
use crate::protocol::delta::DELTA_METHOD;
use crate::protocol::error::METHOD_NOT_FOUND;
use crate::protocol::http::REQUEST_METHOD;
use crate::protocol::message::Message;
use crate::sync::Arc;

/// Between two counts of what a library holds, while a step waits for it to hold nothing.
const CENSUS_PAUSE: Duration = Duration::from_millis(5);

/// Chunks that a step which waits for bytes asks for at once; if the bytes come in more of them, it asks again.
const MANY_CHUNKS: u32 = 1_000_000;

/// What a case needs of its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// How the client connects.
    pub transport: Transport,
    /// What the client starts on stdio.
    pub relay: &'a RelayProgram,
    /// What names stand for from the beginning.
    pub names: &'a Names,
    /// Deadlines.
    pub settings: &'a Settings,
}

/// Runs a case for clients. All its connections are closed at the end; the adapter lives on. What happens is written to `kept`
/// at once.
pub async fn run_case(case: &Case, adapter: &Adapter, around: Surroundings<'_>, kept: Option<TraceFile>) -> CaseRun {
    let mut stage = Stage::new(case, around.settings, None, false);
    stage.keep(kept);
    let session = adapter.session(stage.events());
    let mut driver = Driver {
        case,
        around,
        session,
        doors: BTreeMap::new(),
        next: BTreeMap::new(),
        calls: BTreeMap::new(),
        census: None,
    };
    let transport = around.transport.to_string();
    let time_scale = around.settings.time_scale;
    stage.record(What::Begun { case: case.id.clone(), names: around.names.clone(), transport, time_scale });
    stage.run(&mut driver).await;
    stage.finish()
}

/// Plays the executor and the application.
struct Driver<'a> {
    /// The case.
    case: &'a Case,
    /// What the case needs.
    around: Surroundings<'a>,
    /// The adapter.
    session: Session,
    /// Where clients come in once more.
    doors: BTreeMap<String, Arc<Door>>,
    /// The `seq` of the next frame of each call.
    next: BTreeMap<String, u64>,
    /// What the application does with each call.
    calls: BTreeMap<String, Use>,
    /// The census that was not answered yet.
    census: Option<u64>,
}

/// What the application does with a call.
#[derive(Debug, Default)]
struct Use {
    /// Its response has come, and its body comes in pieces.
    readable: bool,
    /// The body comes in pieces.
    stream: bool,
    /// The receives under way.
    receives: Receives,
    /// Bytes that have come.
    came: u64,
    /// Bytes that the steps so far ask for.
    wanted: u64,
}

impl Actor for Driver<'_> {
    async fn act(&mut self, stage: &mut Stage<'_>, step: &Step, deadline: Instant) {
        let Action::Client(action) = &step.action else { return };
        if let Err(reason) = self.try_act(stage, step, action, deadline).await {
            stage.record(What::Broken { reason });
        }
    }

    /// A step that waits for bytes or an outcome makes the application read: what the step needs, and nothing more.
    async fn wait(&mut self, stage: &mut Stage<'_>, step: &Step, deadline: Instant) {
        match &step.action {
            Action::Client(ClientAction::Saw(call, sight)) => {
                let Some(found) = self.calls.get(call).filter(|found| found.readable && found.receives.is_empty())
                else {
                    return;
                };
                let op = call.clone();
                let order = match sight {
                    Sight::Bytes(_) => {
                        let bytes = Some(found.wanted.saturating_sub(found.came).max(1));
                        Told::Read { op, max: MANY_CHUNKS, bytes, abandon: false }
                    }
                    Sight::Fails { after_any: true, .. } => Told::Drain { op },
                    Sight::End | Sight::Fails { .. } => Told::Read { op, max: 1, bytes: None, abandon: false },
                    Sight::Response(..) | Sight::Silent => return,
                };
                self.tell(stage, order, deadline).await;
            }
            Action::Client(ClientAction::Census { now: false }) if self.census.is_none() => {
                stage.while_recording(deadline, tokio::time::sleep(CENSUS_PAUSE)).await;
                self.tell(stage, Told::Census { conn: step.connection.clone() }, deadline).await;
            }
            _ => {}
        }
    }

    /// A body is as long in coming as the application is in reading it.
    fn is_progress(&self, step: &Step, what: &What) -> bool {
        match (&step.action, what) {
            (
                Action::Client(ClientAction::Saw(call, _)),
                What::Heard { line: Line::Event { event: Seen::Chunk { op, .. }, .. } },
            ) => call == op,
            _ => false,
        }
    }

    /// Follows what the adapter tells, and answers requests that every executor without the method refuses.
    async fn observe(&mut self, stage: &mut Stage<'_>, what: &What, deadline: Instant) {
        match what {
            What::Heard { line: Line::Reply { id, .. } } if self.census == Some(*id) => self.census = None,
            What::Heard { line: Line::Event { event, .. } } => match event {
                Seen::Response { op, .. } => {
                    let found = self.of(op);
                    found.readable = found.stream;
                }
                // The judge says what comes unasked.
                Seen::Chunk { op, chunk } => {
                    let found = self.of(op);
                    found.came = found.came.saturating_add(chunk.bytes);
                    found.receives.chunk(chunk.bytes);
                }
                Seen::End { op } | Seen::StreamFailed { op, .. } => {
                    self.of(op).receives.outcome();
                }
                Seen::CallFailed { .. } | Seen::Closed { .. } => {}
            },
            // An executor that has lost its client goes, too.
            What::Ended { connection, .. } => stage.end(connection).await,
            What::Received { connection, text, .. } => {
                let Ok(Message::Request { id, method, .. }) = Message::decode(text.as_bytes()) else { return };
                let by_a_step = ["initialize", REQUEST_METHOD].contains(&method.as_str())
                    || self
                        .has_step(|action| matches!(action, ClientAction::Got { method: own, .. } if *own == method));
                if !by_a_step {
                    let error = json!({"code": METHOD_NOT_FOUND, "message": "unknown method"});
                    let answer = json!({"id": id.to_value(), "error": error}).to_string();
                    stage.send(connection, answer.as_bytes(), Form::Frame, deadline).await;
                }
            }
            _ => {}
        }
    }
}

impl Driver<'_> {
    fn has_step(&self, is: impl Fn(&ClientAction) -> bool) -> bool {
        self.case.steps.iter().any(|step| matches!(&step.action, Action::Client(action) if is(action)))
    }

    fn of(&mut self, call: &str) -> &mut Use {
        self.calls.entry(call.to_owned()).or_default()
    }

    async fn try_act(
        &mut self,
        stage: &mut Stage<'_>,
        step: &Step,
        action: &ClientAction,
        deadline: Instant,
    ) -> Result<(), String> {
        let connection = &step.connection;
        match action {
            ClientAction::Open => self.open(stage, connection, deadline).await.map_err(|error| error.to_string())?,
            ClientAction::Readmit => {
                let door = Arc::clone(self.doors.get(connection).ok_or("no client has connected before")?);
                stage.await_client(connection, async move { door.accept().await });
            }
            ClientAction::Call { call, request } => {
                let request = resolve_json(request, stage.names())?;
                let request: Request = serde_json::from_value(request).map_err(|error| error.to_string())?;
                let order = Told::Request { conn: connection.clone(), op: call.clone(), request };
                self.tell(stage, order, deadline).await;
            }
            ClientAction::Order(call, order) => {
                let op = call.clone();
                let order = match *order {
                    Order::Read { abandon } => Told::Read { op, max: 1, bytes: None, abandon },
                    Order::Drain => Told::Drain { op },
                    Order::Drop { foreign } => Told::Drop { op, foreign },
                    Order::Cancel => Told::Cancel { op },
                };
                self.tell(stage, order, deadline).await;
            }
            ClientAction::Sync => self.tell(stage, Told::Sync, deadline).await,
            ClientAction::HangUp => self.tell(stage, Told::Close { conn: connection.clone() }, deadline).await,
            ClientAction::Census { .. } => self.tell(stage, Told::Census { conn: connection.clone() }, deadline).await,
            ClientAction::Greet(members) => {
                let mut result = json!({"sessionId": "conformance"});
                merge(&mut result, members.clone());
                let answer = json!({"id": id_of("initialize", stage.names())?, "result": result});
                self.send(stage, connection, &answer, Form::Frame, deadline).await;
            }
            ClientAction::Answer { call, answer, form } => {
                let mut message = json!({"id": id_of(call, stage.names())?});
                match answer {
                    Answer::Error(error) => message["error"] = resolve_json(error, stage.names())?,
                    Answer::Result { result, body, members } => {
                        let mut result = result.clone();
                        result["bodyBase64"] = STANDARD.encode(body.resolve(stage.names())?).into();
                        merge(&mut result, resolve_frame(members, stage.names())?);
                        message["result"] = result;
                    }
                }
                self.send(stage, connection, &message, *form, deadline).await;
            }
            ClientAction::Deltas(deltas) => self.send_deltas(stage, connection, deltas, deadline).await?,
            ClientAction::Send(message, form) => {
                let message = resolve_frame(message, stage.names())?;
                self.send(stage, connection, &message, *form, deadline).await;
            }
            ClientAction::Saw(call, Sight::Bytes(bytes)) => {
                let bytes = bytes.resolve(stage.names())?.len() as u64;
                self.of(call).wanted += bytes;
            }
            ClientAction::Opened
            | ClientAction::OpenFails(_)
            | ClientAction::Saw(..)
            | ClientAction::SawClosed
            | ClientAction::Asked { .. }
            | ClientAction::Got { .. }
            | ClientAction::Answered(..)
            | ClientAction::Connected(_) => {}
        }
        Ok(())
    }

    /// Opens a door for one client, and tells the application to go there.
    async fn open(&mut self, stage: &mut Stage<'_>, connection: &str, deadline: Instant) -> io::Result<()> {
        let (door, endpoint) = Door::open(self.around.transport, self.around.relay).await?;
        let door = Arc::new(door);
        // Where no step lets the client in again, its second attempt is refused.
        if self.has_step(|action| matches!(action, ClientAction::Readmit)) {
            self.doors.insert(connection.to_owned(), Arc::clone(&door));
        }
        stage.await_client(connection, async move { door.accept().await });
        self.tell(stage, Told::Open { conn: connection.to_owned(), endpoint }, deadline).await;
        Ok(())
    }

    async fn tell(&mut self, stage: &mut Stage<'_>, order: Told, deadline: Instant) {
        let (command, sent) = self.session.command(order);
        if let Told::Census { .. } = command.order {
            self.census = Some(command.id);
        }
        match &command.order {
            Told::Request { op, request, .. } => self.of(op).stream = request.stream,
            order @ (Told::Read { op, .. } | Told::Drain { op }) => self.of(op).receives.note(order),
            _ => {}
        }
        stage.record(What::Told { command });
        stage.while_recording(deadline, sent).await;
    }

    async fn send(&self, stage: &mut Stage<'_>, connection: &str, message: &Value, form: Form, deadline: Instant) {
        stage.send(connection, message.to_string().as_bytes(), form, deadline).await;
    }

    async fn send_deltas(
        &mut self,
        stage: &mut Stage<'_>,
        connection: &str,
        deltas: &Deltas,
        deadline: Instant,
    ) -> Result<(), String> {
        let name = stage.names().get(&deltas.call).ok_or("the request of the call has not come")?.clone();
        let data = STANDARD.encode(deltas.data.resolve(stage.names())?);
        let count = deltas.count.resolve(stage.names())?;
        let members = resolve_frame(&deltas.members, stage.names())?;
        for nth in 1..=count {
            let next = self.next.entry(deltas.call.clone()).or_insert(1);
            let seq = match deltas.seq {
                Seq::At(seq) => seq,
                Seq::Off(by) => next.saturating_add_signed(by),
            };
            *next = seq.saturating_add(1);
            let mut params = json!({"requestId": name, "seq": seq, "deltaBase64": data});
            if nth == count && deltas.done {
                params["done"] = true.into();
            }
            if let (Some(error), true) = (&deltas.error, nth == count) {
                params["error"] = error.as_str().into();
            }
            merge(&mut params, members.clone());
            self.send(stage, connection, &json!({"method": DELTA_METHOD, "params": params}), deltas.form, deadline)
                .await;
        }
        Ok(())
    }
}

/// The `id` of a request of the client.
fn id_of(call: &str, names: &Names) -> Result<Value, String> {
    let id = names.get(&id_name(call)).ok_or_else(|| format!("the request of {call} has not come"))?;
    serde_json::from_str(id).map_err(|error| error.to_string())
}

/// Replaces names, and the texts `$id(CALL)` and `$otherId(CALL)`: the `id` of a request, and the same as the other type.
fn resolve_frame(value: &Value, names: &Names) -> Result<Value, String> {
    let argument = |text: &str, function: &str| Some(text.strip_prefix(function)?.strip_suffix(')')?.to_owned());
    Ok(match value {
        Value::String(text) => {
            if let Some(call) = argument(text, "$id(") {
                id_of(&call, names)?
            } else if let Some(call) = argument(text, "$otherId(") {
                match id_of(&call, names)? {
                    Value::String(text) => text.parse::<i64>().map_or_else(|_| json!(0), Value::from),
                    other => other.to_string().into(),
                }
            } else if text == "$absent" {
                value.clone()
            } else {
                resolve_json(value, names)?
            }
        }
        Value::Array(items) => items.iter().map(|item| resolve_frame(item, names)).collect::<Result<_, _>>()?,
        Value::Object(members) => {
            let resolved = members.iter().map(|(name, value)| Ok((name.clone(), resolve_frame(value, names)?)));
            Value::Object(resolved.collect::<Result<_, String>>()?)
        }
        plain => plain.clone(),
    })
}
