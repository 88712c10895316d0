//! The options of `serve` that say where requests may go, and by which way.

use std::path::PathBuf;

use exec_http::server::ServerConfig;
use exec_http::server::destination::{DestinationPolicy, Rule};
use exec_http::server::proxy::Proxies;
use exec_http::server::roots::ExtraRoots;

use crate::cli::file;

/// Where requests may go.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Destinations (docs/destinations.md)")]
pub(crate) struct DestinationArgs {
    /// Reach nothing but what such rules name; repeatable. Without one, everything is reached but cloud metadata and link-local
    /// addresses, which only a rule for that very host, address or network opens.
    ///
    /// A rule is HOST, *.DOMAIN, *, ADDRESS or NETWORK/LENGTH, with :PORT behind it for one port only.
    #[arg(long, value_name = "RULE")]
    allow_destination: Vec<Rule>,
    /// Never reach this, whatever is allowed; repeatable.
    #[arg(long, value_name = "RULE")]
    deny_destination: Vec<Rule>,
    /// Use the proxies of http_proxy, https_proxy, all_proxy and no_proxy, as curl does. What goes through one is judged by its
    /// host alone, as only the proxy knows the address.
    #[arg(long)]
    proxy_from_env: bool,
    /// Trust the certificate authorities in this file beside those of the system.
    #[arg(long, value_name = "PEM")]
    ca: Option<PathBuf>,
}

impl DestinationArgs {
    /// Sets what these options say.
    ///
    /// # Errors
    ///
    /// What is wrong with the file or the environment.
    pub(super) fn apply(&self, config: &mut ServerConfig) -> Result<(), String> {
        config.destinations =
            DestinationPolicy { allow: self.allow_destination.clone(), deny: self.deny_destination.clone() };
        if self.proxy_from_env {
            config.proxies = Some(Proxies::from_env().map_err(|error| format!("--proxy-from-env: {error}"))?);
        }
        if let Some(path) = &self.ca {
            let text = file::read("file of TLS authorities", path)?;
            let roots = ExtraRoots::from_pem(&text);
            config.roots = roots.map_err(|error| format!("--ca {}: {error}", path.display()))?;
        }
        Ok(())
    }
}
