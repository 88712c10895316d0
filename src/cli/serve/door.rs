//! Options of `exec-http serve` that say who may come in.

use std::path::PathBuf;

use exec_http::transport::websocket::{CONNECTIONS, Identity, ListenerConfig, TokenHash};

use super::Listen;
use crate::cli::file;

/// Options of a listening executor; none of them has a meaning on stdio.
#[derive(Debug, clap::Args)]
pub(crate) struct Door {
    /// The file with the bearer token that clients must show; white space around it is left out. Needed beyond loopback.
    #[arg(long, value_name = "FILE")]
    ws_token_file: Option<PathBuf>,
    /// The SHA-256 digest of that token instead, as 64 hexadecimal digits.
    #[arg(long, value_name = "HEX", conflicts_with = "ws_token_file")]
    ws_token_sha256: Option<String>,
    /// The certificate chain of a wss:// listener, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Websocket connections that may be open at one time; a further one gets status 503. 1024 by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,
}

impl Door {
    /// The settings of the listener, files read.
    pub(super) fn config(&self, listen: &Listen) -> Result<ListenerConfig, String> {
        let token = self.token()?;
        let files = self.tls_cert.as_ref().zip(self.tls_key.as_ref());
        match (listen, files) {
            (Listen::Stdio, _) if token.is_some() || files.is_some() || self.connections.is_some() => {
                return Err("tokens, certificates and --connections are for --listen ws:// and wss://".into());
            }
            (Listen::WebSocket { tls: true, .. }, None) => {
                return Err("--listen wss:// takes --tls-cert and --tls-key".into());
            }
            (Listen::WebSocket { tls: false, .. }, Some(_)) => {
                return Err("--tls-cert and --tls-key take --listen wss://ADDRESS:PORT".into());
            }
            (Listen::WebSocket { address, .. }, _) if token.is_none() && !address.ip().to_canonical().is_loopback() => {
                // Whoever reaches the address can send requests from this machine's place in the network.
                return Err("listening beyond loopback takes --ws-token-file or --ws-token-sha256".into());
            }
            _ => {}
        }
        let tls = match files {
            None => None,
            Some((certificate, key)) => {
                let (certificate, key) = (file::read("TLS certificate", certificate)?, file::read("TLS key", key)?);
                Some(Identity::from_pem(&certificate, &key).map_err(|error| error.to_string())?)
            }
        };
        let connections = self.connections.map_or(CONNECTIONS, |connections| connections as usize);
        Ok(ListenerConfig { token, tls, connections })
    }

    fn token(&self) -> Result<Option<TokenHash>, String> {
        if let Some(path) = &self.ws_token_file {
            return file::token_hash(path).map(Some);
        }
        // Not read by clap, which would repeat what somebody took for a digest.
        let hash = self.ws_token_sha256.as_deref().map(TokenHash::from_hex).transpose();
        hash.map_err(|error| format!("--ws-token-sha256: {error}"))
    }
}
