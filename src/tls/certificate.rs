//! A certificate chain with its key.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::provider;

/// A certificate chain with its key, fit to serve.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    not_after: SystemTime,
}

/// A certificate or key that cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The first certificate's fields cannot be read.
    #[error("the certificate cannot be read: {0}")]
    BadCertificate(String),
    /// Not PEM, or no certificate in it.
    #[error("the certificate file holds no PEM certificate")]
    NoCertificate,
    /// Not PEM, or no key in it.
    #[error("the key file holds no PEM private key")]
    NoKey,
    /// The key is of an unknown kind, or is not the certificate's.
    #[error("the key does not fit the certificate: {0}")]
    Unfit(#[source] rustls::Error),
    /// Its time is over.
    #[error("the certificate has expired")]
    Expired,
}

impl Certificate {
    /// Reads a chain (the server's own certificate first) and its key from PEM texts. An expired certificate is refused:
    /// no API server would talk to it.
    pub fn from_pem(chain: &[u8], key: &[u8], now: SystemTime) -> Result<Self, CertificateError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        let not_after = not_after(chain.first().ok_or(CertificateError::NoCertificate)?)?;
        let certified =
            CertifiedKey::from_der(chain, key, &provider()).map_err(CertificateError::Unfit)?;
        let certificate = Self {
            certified: Arc::new(certified),
            not_after,
        };
        if certificate.is_valid_at(now) {
            Ok(certificate)
        } else {
            Err(CertificateError::Expired)
        }
    }

    /// When its time is over.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether its time is not over yet.
    #[must_use]
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        now <= self.not_after
    }
}

fn not_after(certificate: &CertificateDer<'_>) -> Result<SystemTime, CertificateError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| CertificateError::BadCertificate(error.to_string()))?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    Ok(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::Authority;
    use super::{Certificate, CertificateError};

    #[test]
    fn what_cannot_serve_is_refused() {
        let now = SystemTime::now();
        let authority = Authority::new(now).unwrap();
        let (chain, key) = authority.issue_pem(&["localhost".to_owned()], now).unwrap();
        let (_, other_key) = authority.issue_pem(&["localhost".to_owned()], now).unwrap();
        let read = |chain: &str, key: &str, now| {
            Certificate::from_pem(chain.as_bytes(), key.as_bytes(), now)
        };
        assert!(read(&chain, &key, now).unwrap().not_after() > now);
        assert!(matches!(
            read(&chain, &other_key, now),
            Err(CertificateError::Unfit(_))
        ));
        assert!(matches!(
            read("", &key, now),
            Err(CertificateError::NoCertificate)
        ));
        assert!(matches!(
            read(&chain, &chain, now),
            Err(CertificateError::NoKey)
        ));
        assert!(matches!(
            read(chain.split_at(200).0, &key, now),
            Err(CertificateError::NoCertificate)
        ));
        let later = now + Duration::from_hours(400 * 24);
        assert!(matches!(
            read(&chain, &key, later),
            Err(CertificateError::Expired)
        ));
    }
}
