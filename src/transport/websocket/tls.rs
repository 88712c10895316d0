//! TLS below a websocket: a listener's certificate, and the authorities that a client trusts.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// What is spoken below the websocket, for ALPN.
const ALPN: &[u8] = b"http/1.1";

/// A listener's certificate and private key.
#[derive(Clone)]
pub struct Identity {
    /// With the certificate chain, the key, and no authentication of clients by certificates.
    pub(super) config: Arc<ServerConfig>,
}

/// Whom a client trusts to have certified an executor.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// The certification authorities of the operating system, loaded when they are needed.
    #[default]
    System,
    /// These and no others.
    Only(Authorities),
}

/// Certification authorities.
#[derive(Clone)]
pub struct Authorities {
    /// At least one.
    store: Arc<RootCertStore>,
}

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The certificate of a listener is no PEM, or none that can be used.
    Certificate,
    /// The private key of a listener is no PEM, or none that can be used.
    Key,
    /// The private key is not that of the certificate.
    Mismatch,
    /// The certification authorities are no PEM, or one of them cannot be used.
    Authorities,
    /// The operating system has no certification authorities that can be used.
    NoSystemRoots,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "the TLS certificate is not PEM with a usable X.509 certificate",
            Self::Key => "the TLS key is not PEM with a usable private key",
            Self::Mismatch => "the TLS key does not belong to the TLS certificate",
            Self::Authorities => "the TLS authorities are not PEM with usable X.509 certificates",
            Self::NoSystemRoots => "this system has no trusted TLS certificates",
        })
    }
}

impl std::error::Error for TlsError {}

impl Identity {
    /// The certificate chain, the listener's own certificate first, and its private key (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    ///
    /// [`TlsError::Certificate`], [`TlsError::Key`] and [`TlsError::Mismatch`].
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(certificate).ok_or(TlsError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key)?;
        // It also shows that the key can be used, whatever the certificate.
        ring::sign::any_supported_type(&key).map_err(|_| TlsError::Key)?;
        let builder = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_no_client_auth();
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch,
            _ => TlsError::Certificate,
        })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { config: Arc::new(config) })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl Authorities {
    /// All certificates in this PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError::Authorities`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        for certificate in certificates(pem).ok_or(TlsError::Authorities)? {
            store.add(certificate).map_err(|_| TlsError::Authorities)?;
        }
        Ok(Self { store: Arc::new(store) })
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.store.len())
    }
}

impl Roots {
    /// What a client's handshake needs. Blocks while the system's authorities are read.
    pub(super) fn config(&self) -> Result<ClientConfig, TlsError> {
        let store = match self {
            Self::Only(authorities) => Arc::clone(&authorities.store),
            Self::System => {
                let mut store = RootCertStore::empty();
                let (usable, _) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if usable == 0 {
                    return Err(TlsError::NoSystemRoots);
                }
                Arc::new(store)
            }
        };
        let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_root_certificates(store)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}

/// All certificates in this PEM; `None` when there is none, or something that is not PEM.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    chain.ok().filter(|chain| !chain.is_empty())
}
