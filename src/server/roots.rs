//! Which certificate authorities are trusted.

use std::fmt;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Certificate authorities that are trusted beside those of the system.
#[derive(Clone, Default)]
pub struct ExtraRoots {
    /// Each can stand at the end of a chain.
    certificates: Vec<CertificateDer<'static>>,
}

/// Why a file gives no certificate authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootsError {
    /// It is not PEM.
    NotPem,
    /// It is PEM and holds no certificate.
    Empty,
    /// One of its certificates is none.
    Certificate,
}

impl fmt::Display for RootsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPem => "it is not PEM",
            Self::Empty => "it holds no certificate",
            Self::Certificate => "one of its certificates cannot be read",
        })
    }
}

impl std::error::Error for RootsError {}

impl fmt::Debug for ExtraRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtraRoots").field("certificates", &self.certificates.len()).finish()
    }
}

impl ExtraRoots {
    /// Reads all certificates of a PEM file; whatever else is in it is passed over.
    ///
    /// # Errors
    ///
    /// When there are none, or one of them is none.
    pub fn from_pem(text: &[u8]) -> Result<Self, RootsError> {
        let certificates: Vec<_> =
            CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(|_| RootsError::NotPem)?;
        if certificates.is_empty() {
            return Err(RootsError::Empty);
        }
        let mut store = RootCertStore::empty();
        let usable = certificates.iter().all(|certificate| store.add(certificate.clone()).is_ok());
        if usable { Ok(Self { certificates }) } else { Err(RootsError::Certificate) }
    }

    /// Trusts the system's authorities and these. Reads files. `None` when there are none at all.
    pub(super) fn client_config(&self) -> Option<ClientConfig> {
        let mut store = RootCertStore::empty();
        // A file of the system that cannot be read is the system's business as long as there is another.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        store.add_parsable_certificates(self.certificates.iter().cloned());
        if store.is_empty() {
            return None;
        }
        Some(ClientConfig::builder().with_root_certificates(store).with_no_client_auth())
    }
}
