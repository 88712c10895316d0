//! `exec-http serve`: an executor on stdio or on a websocket.

mod destination;
mod door;
mod drain;
mod limits;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use exec_http::protocol::session::Extensions;
use exec_http::server::{Server, ServerConfig};
use exec_http::transport::websocket::{Listener, ListenerConfig};

use crate::cli::log::{Format, Log};
use door::Door;
use drain::{Drain, Signals};

/// The exit status for wrong options, as that of wrong arguments.
const USAGE: u8 = 2;

/// Run an executor.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// `stdio`, `ws://ADDRESS:PORT`, or `wss://ADDRESS:PORT` with a certificate; port 0 lets the system choose. The websocket
    /// forms print their URL.
    #[arg(long, value_name = "WHERE", default_value = "ws://127.0.0.1:0")]
    listen: Listen,
    /// Offer nothing beyond the revisions of the protocol: no `http/request/cancel`.
    #[arg(long)]
    no_extensions: bool,
    #[command(flatten)]
    door: Door,
    #[command(flatten)]
    drain: Drain,
    #[command(flatten)]
    log: Log,
    #[command(flatten)]
    destinations: destination::DestinationArgs,
    #[command(flatten)]
    limits: limits::LimitArgs,
}

impl Serve {
    pub(super) const fn log_format(&self) -> Format {
        self.log.format()
    }

    fn config(&self) -> Result<(ListenerConfig, ServerConfig), String> {
        let extensions = if self.no_extensions { Extensions::NONE } else { Extensions::ALL };
        let mut config = ServerConfig { extensions, ..ServerConfig::default() };
        self.destinations.apply(&mut config)?;
        config.limits = self.limits.limits()?;
        Ok((self.door.config(&self.listen)?, config))
    }
}

/// Where clients come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// One client, on this process's standard input and output.
    Stdio,
    /// Any number of clients.
    WebSocket {
        /// Where.
        address: SocketAddr,
        /// By `wss://`.
        tls: bool,
    },
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if matches!(text, "stdio" | "stdio://") {
            return Ok(Self::Stdio);
        }
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let tls = match scheme {
            "ws" => false,
            "wss" => true,
            _ => return Err("must be stdio, ws://ADDRESS:PORT or wss://ADDRESS:PORT"),
        };
        let address = rest.strip_suffix('/').unwrap_or(rest).parse();
        Ok(Self::WebSocket { address: address.map_err(|_| "behind :// must be an IP address and a port")?, tls })
    }
}

/// Serves until standard input ends or a signal comes.
pub(crate) fn run(arguments: &Serve) -> ExitCode {
    let (door, config) = match arguments.config() {
        Ok((door, config)) if arguments.limits.print() => return limits::print(&config.limits, door.connections),
        Ok(configs) => configs,
        Err(wrong) => {
            let _ = writeln!(io::stderr(), "exec-http serve: {wrong}");
            return USAGE.into();
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed("cannot start", &error),
    };
    let code = runtime.block_on(async {
        // In a task of its own it runs on a worker, which spares each event a wake-up across threads.
        let (listen, drain) = (arguments.listen.clone(), arguments.drain.limit());
        tokio::spawn(serve(listen, door, drain, config)).await.unwrap_or(ExitCode::FAILURE)
    });
    // A read of standard input that is under way cannot be interrupted, so it is not waited for.
    runtime.shutdown_background();
    code
}

async fn serve(listen: Listen, door: ListenerConfig, drain: Duration, config: ServerConfig) -> ExitCode {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed("cannot wait for signals", &error),
    };
    let server = Server::new(config);
    let serving = match listen {
        Listen::Stdio => {
            let server = server.clone();
            tokio::spawn(async move { server.serve_stdio().await })
        }
        Listen::WebSocket { address, .. } => {
            let listener = match Listener::bind_with(address, door).await {
                Ok(listener) => listener,
                Err(error) => return failed("cannot listen", &error),
            };
            let announced = listener.url().and_then(|url| {
                let mut out = io::stdout().lock();
                writeln!(out, "{url}").and_then(|()| out.flush())
            });
            if let Err(error) = announced {
                return failed("cannot print the URL", &error);
            }
            let server = server.clone();
            tokio::spawn(async move { server.serve_websockets(listener).await })
        }
    };
    let mut serving = serving;
    tokio::select! {
        ended = &mut serving => return if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        signalled = signals.next() => if let Err(error) = signalled {
            return failed("cannot wait for signals", &error);
        },
    }
    if let Err(error) = drain::drain(&server, drain, &mut signals).await {
        return failed("cannot wait for signals", &error);
    }
    _ = serving.await;
    ExitCode::SUCCESS
}

fn failed(what: &str, error: &io::Error) -> ExitCode {
    // Standard error may be closed; there is nowhere else to say so.
    let _ = writeln!(io::stderr(), "exec-http serve: {what}: {error}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_listen_are_read() {
        let address = "127.0.0.1:0".parse().expect("an address");
        assert_eq!("ws://127.0.0.1:0".parse(), Ok(Listen::WebSocket { address, tls: false }));
        assert_eq!("wss://127.0.0.1:0/".parse(), Ok(Listen::WebSocket { address, tls: true }));
        assert_eq!("stdio".parse(), Ok(Listen::Stdio));
        assert!("ws://[::1]:9".parse::<Listen>().is_ok());
        for refused in ["ws://localhost:0", "http://127.0.0.1:0", "127.0.0.1:0", "ws://127.0.0.1", ""] {
            assert!(refused.parse::<Listen>().is_err(), "{refused}");
        }
    }
}
