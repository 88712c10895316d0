//! A fresh process of an executor, and a client of it that has made the handshake.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::fcntl::{FcntlArg, fcntl};
use serde_json::{Value, json};

use crate::wire::Wire;
use crate::{clock, origin, sockets};

/// Bytes that the pipe may hold on which either executor writes; the driver owns it.
const PIPE_BYTES: i32 = 1024 * 1024;

/// Bytes at the end of a message in which its end is looked for: members that follow the payload are shorter.
const END_BYTES: usize = 300;

/// Bytes at the start of a message in which its kind is looked for.
const START_BYTES: usize = 64;

/// How it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Its standard input and output.
    Stdio,
    /// A websocket.
    WebSocket,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// As the table has it.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The word that makes it an executor.
    pub word: &'static str,
}

/// A message, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An answer.
    Answer,
    /// A piece of a body.
    Delta,
    /// The last one.
    LastDelta,
}

/// The process.
pub struct Executor {
    /// Killed on drop.
    child: Child,
    /// To it and from it.
    wire: Wire,
    /// Where the executor wrote its address; whoever writes to a closed pipe may die of it.
    _output: Option<ChildStdout>,
    /// The number of the last request.
    last: u64,
}

impl Executor {
    /// Starts one, with an empty folder for what it may want to write.
    pub fn start(program: &Program, over: Over, folder: &Path) -> io::Result<Self> {
        _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder)?;
        let listen = if over == Over::Stdio { "stdio" } else { "ws://127.0.0.1:0" };
        let mut child = Command::new(&program.path)
            .args([program.word, "--listen", listen])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs([("HOME", folder), ("CODEX_HOME", folder)])
            .stdin(if over == Over::Stdio { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("log"))?)
            .spawn()?;
        let mut output = child.stdout.take().expect("asked to be a pipe");
        let (wire, output) = match over {
            Over::Stdio => {
                _ = fcntl(&output, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
                (Wire::stdio(child.stdin.take().expect("asked to be a pipe"), output), None)
            }
            Over::WebSocket => {
                let mut line = String::new();
                BufReader::new(&mut output).read_line(&mut line)?;
                // What it accepts later inherits this.
                sockets::set_all_of(child.id());
                (Wire::dial(line.trim().trim_start_matches("ws://").trim_end_matches('/'))?, Some(output))
            }
        };
        let mut executor = Self { child, wire, _output: output, last: 0 };
        executor.wire.send(&json!({"id": 0, "method": "initialize", "params": {"clientName": "bench"}}).to_string())?;
        executor.wire.receive()?;
        executor.wire.send(&json!({"method": "initialized", "params": {}}).to_string())?;
        Ok(executor)
    }

    /// Asks for a body, in deltas or whole.
    pub fn request(&mut self, url: &str, stream: bool) -> io::Result<()> {
        self.last += 1;
        let params = json!({"method": "GET", "url": url, "headers": [], "bodyBase64": null, "timeoutMs": null,
            "requestId": format!("r-{}", self.last), "streamResponse": stream});
        self.wire.send(&json!({"id": self.last, "method": "http/request", "params": params}).to_string())
    }

    /// What comes next.
    pub fn next(&mut self) -> io::Result<Kind> {
        let message = self.wire.receive()?;
        let contains = |part: &[u8], word: &str| memchr::memmem::find(part, word.as_bytes()).is_some();
        let end = &message[message.len().saturating_sub(END_BYTES)..];
        if contains(&message[..message.len().min(START_BYTES)], "http/request/bodyDelta") {
            return Ok(if contains(end, "\"done\":true") { Kind::LastDelta } else { Kind::Delta });
        }
        if contains(end, "\"code\":") {
            return Err(io::Error::other(String::from_utf8_lossy(end).into_owned()));
        }
        Ok(Kind::Answer)
    }

    /// Waits for the end of so many bodies, and counts deltas.
    pub fn finish(&mut self, mut streams: usize) -> io::Result<usize> {
        let mut deltas = 0;
        while streams > 0 {
            let kind = self.next()?;
            deltas += usize::from(kind != Kind::Answer);
            streams -= usize::from(kind == Kind::LastDelta);
        }
        Ok(deltas)
    }

    /// Compares each byte of a body with what the origin sent.
    pub fn check(&mut self, url: &str, length: usize) -> io::Result<()> {
        self.request(url, true)?;
        let (block, mut received) = (origin::block(), 0);
        loop {
            let message: Value = serde_json::from_slice(self.wire.receive()?)?;
            let Some(data) = message["params"]["deltaBase64"].as_str() else { continue };
            for byte in STANDARD.decode(data).map_err(io::Error::other)? {
                assert_eq!(byte, block[received % origin::PERIOD], "another byte than the origin sent, at {received}");
                received += 1;
            }
            if message["params"]["done"] == true {
                assert_eq!(received, length, "the body has another length");
                return Ok(());
            }
        }
    }

    /// The processor time that it has had.
    pub fn cpu(&self) -> Duration {
        clock::child(self.child.id())
    }

    /// A line of the kernel's account of its memory, in megabytes.
    pub fn memory(&self, line: &str) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
        let kilobytes = value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kilobytes.ok_or(io::ErrorKind::InvalidData)? * 1024.0 / 1e6)
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
