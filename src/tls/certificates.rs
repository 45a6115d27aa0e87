//! The current certificate, swapped without a dropped connection: each handshake takes the one of that moment.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{
    certificate::{Certificate, CertificateError},
    self_signed::{Authority, SelfSignedError, renewal},
};

/// Where certificates come from.
#[derive(Debug)]
pub enum Source {
    /// PEM files that somebody renews.
    Files {
        /// The chain, the server's own certificate first.
        chain: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// An authority of our own.
    SelfSigned {
        /// The authority.
        authority: Box<Authority>,
        /// The DNS names and IP addresses that the certificate is for.
        names: Vec<String>,
    },
}

/// Why there is no certificate, or no new one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The files were read, but cannot serve.
    #[error("{}: {error}", path.display())]
    Certificate {
        /// The certificate file.
        path: PathBuf,
        /// Why.
        error: CertificateError,
    },
    /// A file could not be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The authority could not issue one.
    #[error(transparent)]
    SelfSigned(#[from] SelfSignedError),
}

/// What a look at the source came to.
#[derive(Debug)]
pub enum Renewal {
    /// There is a new certificate, but it cannot serve: the old one stays. Told once per content.
    Refused(SourceError),
    /// A new certificate serves from now on.
    Renewed,
    /// Nothing new.
    Unchanged,
}

/// The current certificate and its source.
pub struct Certificates {
    current: ArcSwap<Certificate>,
    source: Source,
    seen: Mutex<Seen>,
}

/// What the source held last.
#[derive(Default)]
struct Seen {
    files: Option<(Vec<u8>, Vec<u8>)>,
    refusal: Option<String>,
}

impl Certificates {
    /// Loads the first certificate.
    pub fn load(source: Source, now: SystemTime) -> Result<Self, SourceError> {
        let mut seen = Seen::default();
        let first = match &source {
            Source::Files { chain, key } => {
                let files = (read(chain)?, read(key)?);
                let certificate = parse(chain, &files, now)?;
                seen.files = Some(files);
                certificate
            }
            Source::SelfSigned { authority, names } => authority.issue(names, now)?,
        };
        Ok(Self {
            current: ArcSwap::from_pointee(first),
            source,
            seen: Mutex::new(seen),
        })
    }

    /// Looks whether the source has something new. Reads files: not for async code.
    pub fn renew(&self, now: SystemTime) -> Renewal {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match self.next(&mut seen, now) {
            Ok(Some(certificate)) => {
                seen.refusal = None;
                self.current.store(Arc::new(certificate));
                Renewal::Renewed
            }
            Ok(None) => Renewal::Unchanged,
            Err(error) => {
                let text = error.to_string();
                let known = seen.refusal.as_ref() == Some(&text);
                seen.refusal = Some(text);
                if known {
                    Renewal::Unchanged
                } else {
                    Renewal::Refused(error)
                }
            }
        }
    }

    fn next(&self, seen: &mut Seen, now: SystemTime) -> Result<Option<Certificate>, SourceError> {
        match &self.source {
            Source::Files { chain, key } => {
                let files = (read(chain)?, read(key)?);
                if seen.files.as_ref() == Some(&files) {
                    seen.refusal = None;
                    return Ok(None);
                }
                // Chain and key are two files: between their writes they do not fit, and the next look will tell.
                let certificate = parse(chain, &files, now)?;
                seen.files = Some(files);
                Ok(Some(certificate))
            }
            Source::SelfSigned { authority, names } => {
                let due = renewal(self.not_after()) <= now;
                Ok(if due {
                    Some(authority.issue(names, now)?)
                } else {
                    None
                })
            }
        }
    }

    /// When the current certificate's time is over.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.current.load().not_after()
    }

    /// Why the newest certificate of the source does not serve, if it does not.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .refusal
            .clone()
    }

    /// Whether the current certificate can still serve.
    #[must_use]
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        self.current.load().is_valid_at(now)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().certified))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Certificates")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// LIMIT: bytes of a certificate or key file.
const MAX_FILE: u64 = 1 << 20;

fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    let error = |error| SourceError::Read {
        path: path.to_owned(),
        error,
    };
    let size = fs::metadata(path).map_err(error)?.len();
    if size > MAX_FILE {
        return Err(error(io::Error::other("over 1 MiB: no certificate")));
    }
    fs::read(path).map_err(error)
}

fn parse(
    path: &Path,
    (chain, key): &(Vec<u8>, Vec<u8>),
    now: SystemTime,
) -> Result<Certificate, SourceError> {
    Certificate::from_pem(chain, key, now).map_err(|error| SourceError::Certificate {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        time::{Duration, SystemTime},
    };

    use super::{super::Authority, Certificates, Renewal, Source};

    #[test]
    fn a_broken_new_certificate_leaves_the_old_one_serving() {
        let now = SystemTime::now();
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let authority = Authority::new(now).unwrap();
        let write = |names: &str| {
            let (new_chain, new_key) = authority.issue_pem(&[names.to_owned()], now).unwrap();
            fs::write(&chain, new_chain).unwrap();
            fs::write(&key, new_key).unwrap();
        };
        write("a");
        let source = Source::Files {
            chain: chain.clone(),
            key: key.clone(),
        };
        let certificates = Certificates::load(source, now).unwrap();
        assert!(matches!(certificates.renew(now), Renewal::Unchanged));

        let first = certificates.current.load_full();
        fs::write(&chain, "broken").unwrap();
        assert!(matches!(certificates.renew(now), Renewal::Refused(_)));
        assert!(
            matches!(certificates.renew(now), Renewal::Unchanged),
            "told once"
        );
        assert!(
            certificates
                .refusal()
                .unwrap()
                .ends_with("holds no PEM certificate")
        );
        assert!(std::sync::Arc::ptr_eq(
            &first,
            &certificates.current.load_full()
        ));

        write("b");
        assert!(matches!(certificates.renew(now), Renewal::Renewed));
        assert_eq!(certificates.refusal(), None);
    }

    #[test]
    fn a_self_signed_certificate_is_renewed_in_time() {
        let now = SystemTime::now();
        let source = Source::SelfSigned {
            authority: Box::new(Authority::new(now).unwrap()),
            names: vec!["localhost".to_owned()],
        };
        let certificates = Certificates::load(source, now).unwrap();
        assert!(matches!(certificates.renew(now), Renewal::Unchanged));
        assert!(matches!(
            certificates.renew(now + Duration::from_hours(61 * 24)),
            Renewal::Renewed
        ));
        assert!(certificates.not_after() > now + Duration::from_hours(120 * 24));
    }
}
