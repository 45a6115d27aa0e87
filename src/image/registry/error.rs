//! Why a registry does not give an image.

use std::{error::Error as _, time::Duration};

use super::address::PrivateAddress;
use crate::image::{digest::shown, error::Fault, layer::BlobError};

/// A registry that does not give what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Its certificate is not trusted.
    #[error(
        "the certificate of `{host}` is not trusted ({why}): configure its certificate authority"
    )]
    Certificate {
        /// The host.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// The client cannot be made.
    #[error("registries cannot be reached: {0}")]
    Client(String),
    /// The credentials for it cannot be read.
    #[error("the credentials for `{host}` cannot be read: {why}")]
    Credentials {
        /// The host.
        host: String,
        /// What is wrong with them.
        why: String,
    },
    /// The connection ends again and again.
    #[error("the connection to `{host}` was cut at byte {at} of {size}, and could not be resumed")]
    Cut {
        /// The host.
        host: String,
        /// How many bytes there were.
        at: u64,
        /// How many there should be.
        size: u64,
    },
    /// It took too long altogether.
    #[error("the image was not read within {} seconds", .0.as_secs())]
    Deadline(Duration),
    /// It wants other credentials.
    #[error(
        "`{host}` does not let us read `{repository}` ({status}): it does not exist, or needs credentials"
    )]
    Denied {
        /// The host.
        host: String,
        /// The repository.
        repository: String,
        /// The answer's status.
        status: u16,
    },
    /// Its answer is too large.
    #[error("an answer of `{host}` is over {limit} bytes long")]
    Large {
        /// The host.
        host: String,
        /// The limit.
        limit: usize,
    },
    /// It is not there.
    #[error("`{host}` has no `{what}`")]
    NotFound {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
    },
    /// It is not one of those that may be asked.
    #[error("images of `{0}` may not be read: it is not one of the configured registries")]
    NotAllowed(String),
    /// It leads to where encryption ends.
    #[error("`{0}` would be asked without encryption, and is not configured to be insecure")]
    Plain(String),
    /// It has an address that only this network has.
    #[error("`{0}` has a private address, and is not configured to have one")]
    Private(String),
    /// It leads from place to place, or to what is none.
    #[error("`{0}` leads to too many other places, or to none")]
    Redirect(String),
    /// It does not answer in time.
    #[error("`{0}` does not answer in time")]
    Slow(String),
    /// Some other answer.
    #[error("`{host}` answers with the status {status}")]
    Status {
        /// The host.
        host: String,
        /// The answer's status.
        status: u16,
    },
    /// Nobody waits for it any more.
    #[error("nobody waits for the image any more")]
    Stopped,
    /// It wants us to wait longer than we do.
    #[error("`{host}` is asked too often{}", match .after { Some(after) => format!(": try again in {} seconds", after.as_secs()), None => String::new() })]
    Throttled {
        /// The host.
        host: String,
        /// How long to wait, where it says so.
        after: Option<Duration>,
    },
    /// Its token service does not give a token that can be used.
    #[error("the token service `{host}` gives no token: {why}")]
    Token {
        /// The service's host.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// There is no connection to it.
    #[error("`{host}` cannot be reached: {why}")]
    Unreachable {
        /// The host.
        host: String,
        /// What is wrong.
        why: String,
    },
}

impl RegistryError {
    /// Who can do something about it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotAllowed(_) | Self::NotFound { .. } | Self::Private(_) => Fault::Caller,
            Self::Certificate { .. } | Self::Credentials { .. } | Self::Denied { .. } => {
                Fault::Configuration
            }
            Self::Client(_) | Self::Stopped => Fault::Internal,
            _ => Fault::Registry,
        }
    }

    /// The registry's error inside of a blob that could not be read.
    pub(crate) fn within(error: &BlobError) -> Option<&Self> {
        match error {
            BlobError::Read(error) => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }

    /// What a failed request to a host comes from.
    pub(super) fn of(host: &str, error: &reqwest::Error) -> Self {
        let host = shown(host);
        let mut why = None;
        let mut cause = error.source();
        while let Some(error) = cause {
            if error.is::<PrivateAddress>() {
                return Self::Private(host);
            }
            if let Some(rustls::Error::InvalidCertificate(reason)) = tls_error(error) {
                return Self::Certificate {
                    host,
                    why: shown(&reason.to_string()),
                };
            }
            why = Some(error.to_string());
            cause = error.source();
        }
        if error.is_timeout() {
            return Self::Slow(host);
        }
        Self::Unreachable {
            host,
            // Never the request's own text: it has the address with its query in it.
            why: why.map_or_else(|| "the request failed".to_owned(), |why| shown(&why)),
        }
    }

    /// Whether trying again may help.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Slow(_) | Self::Unreachable { .. })
    }
}

/// TLS errors arrive inside of those of connections, one in another.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    const DEEPEST: usize = 4;
    let mut error = error;
    for _ in 0..DEEPEST {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        error = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    }
    None
}
