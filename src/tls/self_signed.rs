//! A certificate authority of our own, for trying out: it lives as long as the process, and only in its memory.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use rustls::pki_types::ServerName;

use super::certificate::{Certificate, CertificateError};

/// How long the authority's own certificate holds.
const AUTHORITY_LIFE: Duration = Duration::from_hours(365 * 24);

/// How long a server certificate holds; it is renewed after two thirds of that.
const SERVER_LIFE: Duration = Duration::from_hours(90 * 24);

/// Clocks differ a little.
const BACKDATING: Duration = Duration::from_hours(1);

/// A self-made certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelfSignedError {
    /// The made certificate could not be loaded.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// No randomness, or a name that the library cannot encode.
    #[error("cannot make a certificate: {0}")]
    Generation(#[from] rcgen::Error),
    /// A name that no certificate can be for.
    #[error("cannot make a certificate for `{0}`: neither a DNS name nor an IP address")]
    Name(String),
}

impl Authority {
    /// A new authority, with a new key.
    pub fn new(now: SystemTime) -> Result<Self, SelfSignedError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "armorgate self-signed");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (now - BACKDATING).into();
        params.not_after = (now + AUTHORITY_LIFE).into();
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// The authority's certificate: a webhook configuration's `caBundle` before base64.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A new server certificate for these DNS names and IP addresses.
    pub fn issue(&self, names: &[String], now: SystemTime) -> Result<Certificate, SelfSignedError> {
        let (chain, key) = self.issue_pem(names, now)?;
        Ok(Certificate::from_pem(
            chain.as_bytes(),
            key.as_bytes(),
            now,
        )?)
    }

    /// The same as PEM: chain and key.
    pub fn issue_pem(
        &self,
        names: &[String],
        now: SystemTime,
    ) -> Result<(String, String), SelfSignedError> {
        for name in names {
            // The library takes any ASCII; clients do not.
            let valid = ServerName::try_from(name.as_str());
            valid.map_err(|_| SelfSignedError::Name(name.clone()))?;
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.not_before = (now - BACKDATING).into();
        params.not_after = (now + SERVER_LIFE).into();
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// When a server certificate that ends at `not_after` is to be renewed.
pub(super) fn renewal(not_after: SystemTime) -> SystemTime {
    not_after - SERVER_LIFE / 3
}
