//! A script as a Python program that needs nothing but Python 3.8: for bug reports to people who do not have this program.
//!
//! The program has two parts. The first is the same for all scripts: `wire.py` (frames), `origin.py` (the HTTP origins), `judge.py`
//! (the invariants) and `script.py` (steps and expectations), one behind the other. The second is the script, each line a call.

mod literal;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::case::parse::{range, replace_round};
use super::case::steps::StepReader;
use super::case::template::Template;
use super::case::{
    Action, Case, Condition, Exchange, Expect, Form, Half, MAIN, OriginAction, OriginCheck, Outcome, Promise, Shape,
    Signal, Step, TimeBound,
};
use super::clause::{self, Level};
use super::shrink::document::Document;
use super::stage::Settings;
use literal::{ROUND, bytes, json, pattern, text};

/// The part that all programs share; what one file imports from another stands in front of it anyway.
const RUNTIME: [&str; 4] = [
    include_str!("python/wire.py"),
    include_str!("python/origin.py"),
    include_str!("python/judge.py"),
    include_str!("python/script.py"),
];

/// Lines that a program makes of one `each` whose rounds cannot be a loop.
const UNROLLED_ROUNDS: u64 = 1_000;

/// The program for a case about executors.
///
/// # Errors
///
/// The step that it cannot do, or that the case is about clients.
pub fn program(case: &Case) -> Result<String, String> {
    if case.half() == Half::Client {
        return Err(format!("{} is about clients: the Python form exists for executors only", case.id));
    }
    let mut program =
        format!("#!/usr/bin/env python3\n\"\"\"{}: {}\n\n", case.id, case.description.replace(['"', '\\'], "'"));
    program += "  python3 repro.py -- COMMAND...               an executor on its standard input and output\n\
                \x20 python3 repro.py -- COMMAND... {port} ...    one that listens there; also {addr}\n\
                \x20 python3 repro.py --ws -- COMMAND...          one that prints its ws:// URL\n\
                \x20 python3 repro.py ws://HOST:PORT              one that runs already\n\n\
                Exit code: 1 reproduced, 0 not reproduced, 2 wrong usage, 3 not judged.\n\"\"\"\n\n";
    program += &runtime();
    program += "\n\n# The script.\n\n";
    let seconds = |duration: Option<Duration>, usual: Duration| duration.unwrap_or(usual).as_secs_f64();
    let usual = Settings::default();
    let step_seconds = seconds(case.step_deadline, usual.step);
    let only = case.only.map_or("None".to_owned(), |only| text(only.as_str()));
    let own_process = case.needs.iter().any(|need| need == "spawn" || need == "memory");
    let env: Vec<String> = case.env.iter().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect();
    let _ = write!(
        program,
        "ONLY = {only}\nNEEDS_PROCESS = {}\nSTEP_SECONDS = {step_seconds:?}\nCASE_SECONDS = {:?}\nENV = {{{}}}\n\n\n",
        if own_process { "True" } else { "False" },
        seconds(case.case_deadline, usual.case).max(step_seconds),
        env.join(", "),
    );
    program += "def script(p, ws):\n    v = p.v\n";
    for (number, exchanges) in case.origins.iter().enumerate() {
        origin(&mut program, number, exchanges)?;
    }
    program += &format!("    p.connect({}, ws)\n", text(MAIN));
    if case.handshake_steps > 1 {
        program += &format!("    p.handshake({})\n", text(MAIN));
    }
    Script { case, reader: StepReader::default(), program: &mut program }.write()?;
    program += "\n\nif __name__ == \"__main__\":\n    main()\n";
    Ok(program)
}

/// The shared part: all imports, then the files without theirs.
fn runtime() -> String {
    let is_import = |line: &&str| line.starts_with("import ") || line.starts_with("from ");
    let own = |line: &&str| ["from wire ", "from origin ", "from judge "].iter().any(|own| line.starts_with(own));
    let imports: BTreeSet<&str> = RUNTIME.iter().flat_map(|file| file.lines()).filter(is_import).collect();
    let (plain, from): (Vec<&str>, Vec<&str>) =
        imports.into_iter().filter(|line| !own(line)).partition(|line| line.starts_with("import "));
    let mut text = format!("{}\n{}\n", plain.join("\n"), from.join("\n"));
    for file in RUNTIME {
        let (docs, code) = file.split_once("\"\"\"\n").unwrap_or(("", file));
        let code: Vec<&str> = code.lines().filter(|line| !is_import(line)).collect();
        let _ = write!(text, "\n# {}\n\n{}\n", docs.trim_start_matches('"'), code.join("\n").trim());
    }
    text
}

/// What an origin does, as a list.
fn origin(program: &mut String, number: usize, exchanges: &[Exchange]) -> Result<(), String> {
    let _ = writeln!(program, "    p.origins[{number}].serve([");
    for exchange in exchanges {
        let mut flags = String::new();
        for (flag, is_set) in [("\"early\", ", exchange.early), ("\"silent-tls\", ", exchange.silent_tls)] {
            flags += if is_set { flag } else { "" };
        }
        let _ = writeln!(program, "        ({}, ({flags}), [", text(&exchange.path));
        for action in &exchange.actions {
            let action = match action {
                OriginAction::Status(status) => format!("(\"status\", {})", bytes(&literally(status))?),
                OriginAction::Header(name, value) => format!("(\"header\", ({}, {}))", bytes(name)?, bytes(value)?),
                OriginAction::Chunked => "(\"chunked\",)".to_owned(),
                OriginAction::Chunk(chunk, times, pause) => {
                    format!("(\"chunk\", {}, {times}, {:?})", bytes(chunk)?, pause.as_secs_f64())
                }
                OriginAction::Trailer(line) => format!("(\"trailer\", {})", bytes(&literally(line))?),
                OriginAction::Raw(raw) => format!("(\"raw\", {})", bytes(raw)?),
                OriginAction::Endless => "(\"endless\",)".to_owned(),
                OriginAction::Wait(name) => format!("(\"wait\", {})", text(name)),
                OriginAction::Delay(pause) => format!("(\"delay\", {:?})", pause.as_secs_f64()),
                OriginAction::Hang => "(\"hang\",)".to_owned(),
                OriginAction::Reset => "(\"reset\",)".to_owned(),
                OriginAction::Close => "(\"close\",)".to_owned(),
            };
            let _ = writeln!(program, "            {action},");
        }
        *program += "        ]),\n";
    }
    *program += "    ])\n";
    Ok(())
}

/// A text in which nothing stands for anything else.
fn literally(text: &str) -> Template {
    let mut template = Template::default();
    template.join(Template::parse(text.replace('$', "$$").as_bytes()).unwrap_or_default());
    template
}

/// The steps.
struct Script<'a> {
    /// The case.
    case: &'a Case,
    /// Reads its lines once more, those of an `each` once for all rounds.
    reader: StepReader,
    /// What is written so far.
    program: &'a mut String,
}

impl Script<'_> {
    fn write(&mut self) -> Result<(), String> {
        for unit in Document::of(self.case).steps() {
            let Some((from, to)) = unit.line.strip_prefix("each ").and_then(|word| range(word.trim())) else {
                let calls = self.line(&unit.line, false)?;
                self.push(1, &calls);
                continue;
            };
            // Two lines that make the same stream name an alias cannot tell their rounds apart.
            let round: Result<Vec<String>, String> =
                unit.children.iter().map(|line| self.line(&replace_round(line, ROUND), true)).collect();
            match round {
                Ok(calls) if !calls.concat().contains(&ROUND.to_string()) => {
                    self.push(1, &format!("for i in p.each({from}, {to}):\n"));
                    calls.iter().for_each(|calls| self.push(2, calls));
                }
                _ if to - from >= UNROLLED_ROUNDS => {
                    return Err(format!("`{}` cannot be a loop, and has too many rounds", unit.line));
                }
                _ => {
                    for round in from..=to {
                        for line in &unit.children {
                            let calls = self.line(&replace_round(line, round), false)?;
                            self.push(1, &calls);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, depth: usize, calls: &str) {
        for line in calls.lines() {
            let _ = writeln!(self.program, "{}{line}", "    ".repeat(depth));
        }
    }

    /// The calls that a line is; none for a line of the head.
    fn line(&mut self, line: &str, in_loop: bool) -> Result<String, String> {
        let steps = self.reader.read(self.case.line, line)?;
        let mut calls = String::new();
        let mut connected = false;
        for (nth, step) in steps.iter().enumerate() {
            if nth == 0 {
                calls += &self.announced(step);
            }
            if let Action::Connect = step.action {
                connected = true;
                let _ = writeln!(calls, "p.connect({}, ws)", text(&step.connection));
                if steps.len() > 1 {
                    let _ = writeln!(calls, "p.handshake({})", text(&step.connection));
                }
            }
            if connected {
                continue;
            }
            let call = call(step, in_loop).map_err(|why| format!("`{}` has no Python form: {why}", step.source))?;
            calls += &format!("{call}\n");
        }
        Ok(calls)
    }

    /// The call that says which line comes.
    fn announced(&self, step: &Step) -> String {
        let clause = match &step.promise {
            Promise::Case => self.case.clauses.first(),
            Promise::Clause(clause) => Some(clause),
            Promise::Setup => None,
        };
        let should = clause.and_then(|id| clause::find(id)).is_some_and(|clause| clause.level == Level::Should);
        let mut flags = String::new();
        for (flag, is_set) in [("should", should), ("or_closed", step.or_closed), ("or_malformed", step.or_malformed)] {
            flags += &if is_set { format!(", {flag}=True") } else { String::new() };
        }
        let clause = clause.map_or("None".to_owned(), |clause| text(clause));
        format!("p.line({}, {clause}{flags})\n", text(&step.source))
    }
}

/// One step as a call.
fn call(step: &Step, in_loop: bool) -> Result<String, String> {
    let on = if step.connection == MAIN { String::new() } else { format!("on={}", text(&step.connection)) };
    let with = |name: &str, arguments: &[String]| {
        let arguments: Vec<&str> =
            arguments.iter().chain([&on]).map(String::as_str).filter(|a| !a.is_empty()).collect();
        format!("p.{name}({})", arguments.join(", "))
    };
    let stream = |name: &Template| literal::template_text(name);
    Ok(match &step.action {
        Action::Send(message) => with("send", &[json(&own_round(message, in_loop))?]),
        Action::SendBytes(template, form) => {
            let form = match form {
                Form::Frame => String::new(),
                Form::Binary => text("binary"),
                Form::Fragments(parts) => format!("{}, {parts}", text("fragments")),
                Form::Split(parts) => format!("{}, {parts}", text("split")),
                Form::Crlf => text("crlf"),
                Form::Bytes => text("bytes"),
            };
            with("frame", &[bytes(template)?, form])
        }
        Action::Burst => with("burst", &[]),
        Action::Expect(expect) => match expect {
            Expect::Answer(id, outcomes) => {
                let outcomes = outcomes.iter().map(outcome).collect::<Result<Vec<_>, _>>()?;
                with("answer", &[json(&own_round_of(id, in_loop))?, format!("[{}]", outcomes.join(", "))])
            }
            Expect::Part(name, wanted) => with("part", &[stream(name)?, bytes(wanted)?]),
            Expect::Whole(name, wanted, frames) => {
                let wanted = wanted.as_ref().map_or(Ok("None".to_owned()), bytes)?;
                let frames = frames.map_or(String::new(), |frames| format!("frames={frames}"));
                with("deltas", &[stream(name)?, wanted, frames])
            }
            Expect::Failed(name, wanted, wanted_conditions) => {
                let wanted = wanted.as_ref().map_or(Ok("None".to_owned()), bytes)?;
                with("failed", &[stream(name)?, wanted, conditions(wanted_conditions)?])
            }
            Expect::Malformed => with("malformed", &[]),
            Expect::Closed => with("ended", &[]),
            Expect::CloseFrame(code) => with("close_frame", &[code.map_or(String::new(), |code| code.to_string())]),
            Expect::Pong(payload) => with("pong", &[bytes(payload)?]),
            Expect::Exit(code) => format!("p.exit({})", code.map_or(String::new(), |code| code.to_string())),
        },
        Action::AllowMalformed => "p.allow_malformed()".to_owned(),
        Action::Before(first, second) => with("before", &[json(first)?, json(second)?]),
        Action::Release(name) => format!("p.release({})", text(name)),
        Action::Origin(number, check) => format!("p.origin({number}, {})", origin_check(check)?),
        Action::Ping(payload) => with("ping", &[bytes(payload)?]),
        Action::Close => with("close", &[]),
        Action::Eof => with("eof", &[]),
        Action::Drop => with("drop", &[]),
        Action::Pause => with("pause", &[]),
        Action::Resume => with("resume", &[]),
        Action::Signal(Signal::Term) => "p.signal(15)".to_owned(),
        Action::Signal(Signal::Int) => "p.signal(2)".to_owned(),
        Action::Memory(_) => return Err("it would have to read the memory of the process".to_owned()),
        Action::Probe { request, status } => format!("p.probe({}, {status})", bytes(request)?),
        Action::Mark(name) => format!("p.mark({})", text(name)),
        Action::Elapsed(name, TimeBound::Below(below)) => {
            format!("p.elapsed({}, below={:?})", text(name), below.as_secs_f64())
        }
        Action::Elapsed(name, TimeBound::AtLeast(least)) => {
            format!("p.elapsed({}, at_least={:?})", text(name), least.as_secs_f64())
        }
        Action::FirstDelta { buffered, streamed, below } => {
            let list = |ids: &[Value]| json(&Value::from(ids.to_vec()));
            with("first_delta", &[list(buffered)?, list(streamed)?, format!("{:?}", below.as_secs_f64())])
        }
        Action::Connect | Action::Client(_) => return Err("it belongs to another place".to_owned()),
    })
}

/// In a loop an id that the notation makes up gets the number of the round.
fn own_round(message: &Value, in_loop: bool) -> Value {
    let mut message = message.clone();
    if in_loop {
        message["id"] = own_round_of(&message["id"], true);
        if let Some(id) = message["params"].get_mut("requestId") {
            *id = own_round_of(id, true);
        }
        if message["id"].is_null() {
            message.as_object_mut().map(|message| message.remove("id"));
        }
    }
    message
}

fn own_round_of(id: &Value, in_loop: bool) -> Value {
    const MADE_UP: [&str; 5] = ["barrier-", "call-", "refuse-", "accept-", "first-delta-"];
    let made_up = |id: &str| {
        let number = MADE_UP.iter().find_map(|word| id.strip_prefix(word));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match id.as_str() {
        Some(text) if in_loop && made_up(text) => Value::from(format!("{text}-{ROUND}")),
        _ => id.clone(),
    }
}

fn outcome(outcome: &Outcome) -> Result<String, String> {
    let shape = match &outcome.shape {
        Shape::Status(statuses) => format!("\"status\", {statuses:?}"),
        Shape::Result(wanted) => format!("\"result\", {}", pattern(wanted)?),
        Shape::Error(codes) => format!("\"error\", {codes:?}"),
        Shape::Answered => "\"answered\", None".to_owned(),
    };
    Ok(format!("({shape}, {})", conditions(&outcome.conditions)?))
}

fn conditions(conditions: &[Condition]) -> Result<String, String> {
    let words = |words: &[String]| words.iter().map(|word| text(word)).collect::<Vec<_>>().join(", ");
    let condition = |condition: &Condition| {
        Ok(match condition {
            Condition::Body(body) => format!("(\"body\", {})", bytes(body)?),
            Condition::Header(name, values) => {
                let values = values.iter().map(bytes).collect::<Result<Vec<_>, _>>()?;
                format!("(\"header\", {}, [{}])", text(name), values.join(", "))
            }
            Condition::NoHeader(name) => format!("(\"header\", {}, [])", text(name)),
            Condition::Kind(kinds) => format!("(\"kind\", [{}])", words(kinds)),
            Condition::Lacks(unwanted) => format!("(\"lacks\", {})", bytes(unwanted)?),
            Condition::Method(method) => format!("(\"method\", {})", text(method)),
            Condition::Target(target) => format!("(\"target\", {})", bytes(target)?),
            Condition::Code(_) | Condition::Says(_) => return Err("a condition for applications only".to_owned()),
        })
    };
    Ok(format!("[{}]", conditions.iter().map(condition).collect::<Result<Vec<_>, String>>()?.join(", ")))
}

fn origin_check(check: &OriginCheck) -> Result<String, String> {
    Ok(match check {
        OriginCheck::Count(path, count) => format!("\"count\", {}, {count}", text(path)),
        OriginCheck::Connections(count) => format!("\"connections\", {count}"),
        OriginCheck::Idle => "\"idle\"".to_owned(),
        OriginCheck::Request(path, nth, wanted) => {
            let nth = nth.map_or("None".to_owned(), |nth| nth.to_string());
            format!("\"request\", {}, {nth}, {}", text(path), conditions(wanted)?)
        }
        OriginCheck::Aborted(path, count) => format!("\"aborted\", {}, {count}", text(path)),
        OriginCheck::Blocked(path, below) => format!("\"blocked\", {}, {below}", text(path)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::case::parse::parse_cases;
    use crate::conformance::suites;

    #[test]
    fn every_case_for_executors_has_a_python_form_but_those_about_memory() {
        for case in suites::of(Half::Executor) {
            let about_memory = case.steps.iter().any(|step| matches!(step.action, Action::Memory(_)));
            let program = program(case);
            assert_eq!(program.is_err(), about_memory, "{}: {:?}", case.id, program.err());
        }
        let client = suites::of(Half::Client).first().expect("there are cases for clients");
        assert_eq!(
            program(client),
            Err(format!("{} is about clients: the Python form exists for executors only", client.id))
        );
    }

    #[test]
    fn rounds_are_a_loop_with_names_and_ids_of_their_own() {
        let text = "# One.\ncase order/a\nclauses ORDER-11\neach 1..3\n  -> $i stream s$i GET /x {\"headers\":[{\"name\":\"{\",\"value\":\"$next\"}]}\n  -> \"c$i\" call GET /x\n  <- $i 200 body \"$i\"\n";
        let case = parse_cases("order.case", text).expect("a good case").remove(0);
        let program = program(&case).expect("all of it can be done");
        let script = &program[program.find("    for i in").expect("a loop")..];
        let script = &script[..script.find("\n\n").expect("an end")];
        let expected = r#"    for i in p.each(1, 3):
        p.line(f"-> {i} stream s{i} GET /x {{\"headers\":[{{\"name\":\"{{\",\"value\":\"{i + 1}\"}}]}}", "ORDER-11")
        p.send({"id": i, "method": "http/request", "params": {"headers": [{"name": "{", "value": f"{i + 1}"}], "method": "GET", "requestId": f"s{i}", "streamResponse": True, "url": f"{v.origin}/x"}})
        p.line(f"-> \"c{i}\" call GET /x", "ORDER-11")
        p.send({"id": f"c{i}", "method": "http/request", "params": {"method": "GET", "requestId": f"call-1-{i}", "url": f"{v.origin}/x"}})
        p.line(f"<- {i} 200 body \"{i}\"", "ORDER-11")
        p.answer(i, [("status", [200], [("body", f"{i}".encode())])])"#;
        assert_eq!(script, expected);
    }
}
