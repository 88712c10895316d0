//! The executor that a client under test starts over stdio: it joins the client's pipes to the suite, and reads nothing into the
//! bytes.
//!
//! Standard input goes to the suite, and what the suite sends to standard output. When the suite ends its direction, standard output
//! is closed; when it breaks the connection, or both directions have ended, the process exits.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;
use std::thread;

/// The variable that makes a program a relay: `HOST:PORT/TOKEN`.
pub const RELAY: &str = "EXEC_HTTP_RELAY";

/// Bytes of a token.
pub(super) const TOKEN_BYTES: usize = 32;

/// Bytes copied at once.
const COPY_BYTES: usize = 64 * 1024;

/// Is the relay, if the environment asks for it; `None` if it does not. To be called first thing by a program whose path the suite
/// gives to clients, before it looks at its arguments.
pub fn run_if_asked() -> Option<ExitCode> {
    let asked = std::env::var(RELAY).ok()?;
    Some(match relay(&asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {error}");
            ExitCode::FAILURE
        }
    })
}

fn relay(asked: &str) -> io::Result<()> {
    let (address, token) = asked.split_once('/').ok_or(io::ErrorKind::InvalidInput)?;
    let mut suite = TcpStream::connect(address)?;
    suite.set_nodelay(true)?;
    suite.write_all(token.as_bytes())?;
    let mut outgoing = suite.try_clone()?;
    let forward = thread::spawn(move || {
        let copied = copy(&mut io::stdin().lock(), &mut outgoing);
        // The suite may have gone.
        let _ = outgoing.shutdown(Shutdown::Write);
        copied
    });
    // A broken connection ends the process at once, whatever the client still writes.
    copy(&mut suite, &mut io::stdout().lock())?;
    close_stdout()?;
    forward.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..length])?;
        to.flush()?;
    }
}

/// The standard library keeps standard output open to the end of the process: something that nobody reads takes its place.
fn close_stdout() -> io::Result<()> {
    let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(nowhere).map_err(io::Error::from)
}
