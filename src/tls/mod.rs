//! The server's certificate: loading, making one for trying out, swapping it while serving.
//!
//! The cryptography is ring's, named in one place ([`provider`]). A certificate is read again on the caller's timer, which
//! also follows a mounted Secret: that changes by swapping a symlink, so file watches miss it.

mod certificate;
mod certificates;
mod self_signed;

use std::sync::Arc;

use rustls::{ServerConfig, crypto::CryptoProvider, version};

pub use certificate::{Certificate, CertificateError};
pub use certificates::{Certificates, Renewal, Source, SourceError};
pub use self_signed::{Authority, SelfSignedError};

/// The one source of cryptography.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Makes the provider the process's default, for libraries that ask for that. Call first in `main`; later calls do nothing.
pub fn install_provider() {
    // An error says that one is installed already, by an earlier call.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1, with whichever certificate is current at each handshake.
pub fn server_config(certificates: Arc<Certificates>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
