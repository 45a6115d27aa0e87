//! Requests to a registry (OCI distribution specification): where they may go, what they show, when they are made again.
//!
//! Redirects are followed here and not by the HTTP client: each place is looked at first, and what was shown to one origin
//! is not shown to another.
//!
//! LIMIT: no proxies. They would look names up themselves, and private addresses with them.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use reqwest::{
    Certificate, Client as Http, Method, Response, StatusCode, Url,
    header::{ACCEPT, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE},
    redirect::Policy,
};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    RegistryOptions,
    address::{Resolver, is_public},
    challenge::Challenge,
    credentials::{self, Credentials},
    error::RegistryError,
    hosts::contain,
};
use crate::image::{digest::shown, reference::RegistryReference};

/// LIMIT: places that an answer leads to in a row.
const MAX_REDIRECTS: usize = 5;

/// LIMIT: bytes of a token service's answer.
const MAX_TOKEN: usize = 256 << 10;

/// How long the first wait before another attempt is; each one is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// A registry, or a mirror of it, with the repository in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// With the port where it is not the usual one.
    pub(super) host: String,
    pub(super) repository: String,
    /// Mirrors are configured, and need no permission.
    pub(super) is_mirror: bool,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    /// Behind the repository: `manifests/latest`.
    pub(super) path: &'a str,
    /// Media types.
    pub(super) accept: &'a [&'a str],
    /// The first byte that is wanted.
    pub(super) from: u64,
}

/// What was shown to a host and may be shown again.
#[derive(Clone)]
enum Shown {
    Bearer(String),
    Password(String, String),
}

/// Makes requests for one image.
pub(super) struct Client {
    http: Http,
    options: Arc<RegistryOptions>,
    reference: RegistryReference,
    deadline: Instant,
    shown: HashMap<String, Shown>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Client {
    pub(super) fn new(
        options: Arc<RegistryOptions>,
        reference: RegistryReference,
    ) -> Result<Self, RegistryError> {
        let client =
            |error: &dyn std::fmt::Display| RegistryError::Client(shown(&error.to_string()));
        // Without one the HTTP client would panic.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(client(&"no source of cryptography is installed"));
        }
        let mut certificates = Vec::new();
        for pem in &options.certificate_authorities {
            let found = Certificate::from_pem_bundle(pem).map_err(|error| client(&error))?;
            if found.is_empty() {
                return Err(client(
                    &"a certificate authority's file holds no PEM certificate",
                ));
            }
            certificates.extend(found);
        }
        let http = Http::builder()
            .user_agent(concat!("armorgate/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .dns_resolver(Arc::new(Resolver::new(&options.private_hosts())))
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.read_timeout)
            .tls_certs_merge(certificates)
            .build()
            .map_err(|error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                client(&cause.unwrap_or_else(|| "the HTTP client cannot be made".to_owned()))
            })?;
        Ok(Self {
            http,
            deadline: Instant::now() + options.deadline,
            options,
            reference,
            shown: HashMap::new(),
        })
    }

    /// Asks until there is an answer that holds what was asked for: authorises itself where that is wanted, waits where the
    /// registry is busy or away.
    pub(super) async fn ask(
        &mut self,
        endpoint: &Endpoint,
        ask: Ask<'_>,
    ) -> Result<Response, RegistryError> {
        let host = shown(&endpoint.host);
        if !endpoint.is_mirror
            && let Some(allowed) = &self.options.allowed_hosts
            && !contain(allowed, self.reference.host())
        {
            return Err(RegistryError::NotAllowed(shown(self.reference.host())));
        }
        let scheme = if contain(&self.options.insecure_hosts, &endpoint.host) {
            "http"
        } else {
            "https"
        };
        let url = format!(
            "{scheme}://{}/v2/{}/{}",
            endpoint.host, endpoint.repository, ask.path
        );
        let url = Url::parse(&url).map_err(|_| RegistryError::Redirect(host.clone()))?;
        let mut wait = FIRST_WAIT;
        let mut attempts_left = self.options.attempts;
        let mut is_authorised_anew = false;
        loop {
            attempts_left = attempts_left.saturating_sub(1);
            let authorisation = self.shown.get(&endpoint.host).cloned();
            let get = Request {
                method: Method::GET,
                form: None,
                accept: ask.accept,
                from: ask.from,
            };
            let (failure, after) = match self.send(url.clone(), authorisation, get).await {
                Ok(answer) => match answer.status() {
                    StatusCode::OK | StatusCode::PARTIAL_CONTENT => return Ok(answer),
                    // Another place that the registry leads to has no say in who is shown what.
                    StatusCode::UNAUTHORIZED
                        if !is_authorised_anew && answer.url().origin() == url.origin() =>
                    {
                        is_authorised_anew = true;
                        self.authorise(endpoint, &answer).await?;
                        attempts_left = attempts_left.saturating_add(1);
                        continue;
                    }
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                        return Err(RegistryError::Denied {
                            host,
                            repository: endpoint.repository.clone(),
                            status: answer.status().as_u16(),
                        });
                    }
                    StatusCode::NOT_FOUND => {
                        return Err(RegistryError::NotFound {
                            host,
                            what: format!("{}/{}", endpoint.repository, ask.path),
                        });
                    }
                    StatusCode::TOO_MANY_REQUESTS => {
                        let after = retry_after(&answer);
                        (
                            RegistryError::Throttled {
                                host: host.clone(),
                                after,
                            },
                            after,
                        )
                    }
                    status => {
                        let failure = RegistryError::Status {
                            host: host.clone(),
                            status: status.as_u16(),
                        };
                        if !status.is_server_error() {
                            return Err(failure);
                        }
                        (failure, retry_after(&answer))
                    }
                },
                Err(error) if error.is_passing() => (error, None),
                Err(error) => return Err(error),
            };
            let until = Instant::now() + after.unwrap_or(wait);
            let is_too_long = after.is_some_and(|after| after > self.options.longest_wait);
            if attempts_left == 0 || is_too_long || until >= self.deadline {
                return Err(failure);
            }
            sleep_until(until).await;
            wait = wait.saturating_mul(2);
        }
    }

    /// A piece of an answer's body; nothing at its end.
    pub(super) async fn piece(
        &self,
        host: &str,
        answer: &mut Response,
    ) -> Result<Option<hyper::body::Bytes>, RegistryError> {
        match timeout_at(self.deadline, answer.chunk()).await {
            Ok(piece) => piece.map_err(|error| RegistryError::of(host, &error)),
            Err(_) => Err(RegistryError::Deadline(self.options.deadline)),
        }
    }

    /// All of an answer's body.
    pub(super) async fn body(
        &self,
        host: &str,
        mut answer: Response,
        limit: usize,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(host, &mut answer).await? {
            if body.len().saturating_add(piece.len()) > limit {
                return Err(RegistryError::Large {
                    host: shown(host),
                    limit,
                });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Gets what a registry wants to be shown.
    async fn authorise(
        &mut self,
        endpoint: &Endpoint,
        answer: &Response,
    ) -> Result<(), RegistryError> {
        let host = endpoint.host.clone();
        let headers = answer.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenge = Challenge::of(headers.filter_map(|header| header.to_str().ok()));
        let denied = || RegistryError::Denied {
            host: shown(&host),
            repository: endpoint.repository.clone(),
            status: StatusCode::UNAUTHORIZED.as_u16(),
        };
        let challenge = challenge.ok_or_else(denied)?;
        // Of Docker Hub by its own name, not by its interface's.
        let named = if endpoint.is_mirror {
            &host
        } else {
            self.reference.host()
        };
        let credentials = self.credentials(named.to_owned()).await?;
        let show = match (challenge, credentials) {
            (_, Some(Credentials::Bearer(token))) => Shown::Bearer(token),
            (Challenge::Basic, Some(Credentials::Password(name, password))) => {
                Shown::Password(name, password)
            }
            (Challenge::Basic, _) => return Err(denied()),
            (Challenge::Bearer { realm, service }, credentials) => {
                Shown::Bearer(self.token(&realm, service, endpoint, credentials).await?)
            }
        };
        self.shown.insert(host, show);
        Ok(())
    }

    /// Looks for credentials on a thread that may wait: helpers are programs.
    async fn credentials(&self, host: String) -> Result<Option<Credentials>, RegistryError> {
        let (options, reference) = (Arc::clone(&self.options), self.reference.clone());
        let name = shown(&host);
        let found = tokio::task::spawn_blocking(move || {
            credentials::find(&options.credentials, &host, &reference)
        });
        match timeout_at(Instant::now() + self.options.read_timeout, found).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) | Err(_) => Err(RegistryError::Credentials {
                host: name,
                why: "the helper does not answer in time".to_owned(),
            }),
        }
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<String>,
        endpoint: &Endpoint,
        credentials: Option<Credentials>,
    ) -> Result<String, RegistryError> {
        let mut url = Url::parse(realm).map_err(|_| RegistryError::Token {
            host: shown(&endpoint.host),
            why: "its address is none".to_owned(),
        })?;
        let host = host_of(&url);
        let failed = |why: &str| RegistryError::Token {
            host: shown(&host),
            why: why.to_owned(),
        };
        let scope = format!("repository:{}:pull", endpoint.repository);
        let service = service.map(|service| ("service", service));
        let mut parameters: Vec<(&str, String)> = service.into_iter().collect();
        parameters.push(("scope", scope));
        let (method, authorisation) = match credentials {
            Some(Credentials::Identity(token)) => {
                parameters.extend([
                    ("grant_type", "refresh_token".to_owned()),
                    ("client_id", "armorgate".to_owned()),
                    ("refresh_token", token),
                ]);
                (Method::POST, None)
            }
            Some(Credentials::Password(name, password)) => {
                (Method::GET, Some(Shown::Password(name, password)))
            }
            Some(Credentials::Bearer(_)) | None => (Method::GET, None),
        };
        let mut form = None;
        if method == Method::GET {
            url.query_pairs_mut().extend_pairs(&parameters);
        } else {
            let mut encoded = Url::parse("form:").map_err(|_| failed("its address is none"))?;
            encoded.query_pairs_mut().extend_pairs(&parameters);
            form = encoded.query().map(str::to_owned);
        }
        let request = Request {
            method,
            form,
            accept: &["application/json"],
            from: 0,
        };
        let answer = self.send(url, authorisation, request).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(RegistryError::Denied {
                    host: shown(&host),
                    repository: endpoint.repository.clone(),
                    status: answer.status().as_u16(),
                });
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let after = retry_after(&answer);
                return Err(RegistryError::Throttled {
                    host: shown(&host),
                    after,
                });
            }
            status => {
                return Err(failed(&format!(
                    "it answers with the status {}",
                    status.as_u16()
                )));
            }
        }
        let body = self.body(&host, answer, MAX_TOKEN).await?;
        let token: Token =
            serde_json::from_slice(&body).map_err(|_| failed("its answer is malformed"))?;
        let token = token
            .token
            .or(token.access_token)
            .filter(|token| !token.is_empty());
        token.ok_or_else(|| failed("its answer holds none"))
    }

    /// Sends a request, and follows where the answer leads.
    async fn send(
        &self,
        mut url: Url,
        mut authorisation: Option<Shown>,
        request: Request<'_>,
    ) -> Result<Response, RegistryError> {
        for _ in 0..=MAX_REDIRECTS {
            self.check(&url)?;
            let host = host_of(&url);
            let mut built = self.http.request(request.method.clone(), url.clone());
            // One header: not everything between here and there takes several.
            if !request.accept.is_empty() {
                built = built.header(ACCEPT, request.accept.join(", "));
            }
            if request.from > 0 {
                built = built.header(RANGE, format!("bytes={}-", request.from));
            }
            if let Some(form) = &request.form {
                built = built
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(form.clone());
            }
            built = match &authorisation {
                None => built,
                Some(Shown::Bearer(token)) => built.bearer_auth(token),
                Some(Shown::Password(name, password)) => built.basic_auth(name, Some(password)),
            };
            let answer = match timeout_at(self.deadline, built.send()).await {
                Ok(answer) => answer.map_err(|error| RegistryError::of(&host, &error))?,
                Err(_) => return Err(RegistryError::Deadline(self.options.deadline)),
            };
            // A form is not sent anywhere else: it holds a secret.
            if !answer.status().is_redirection() || request.form.is_some() {
                return Ok(answer);
            }
            let location = answer
                .headers()
                .get(LOCATION)
                .and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            let next = next.ok_or_else(|| RegistryError::Redirect(shown(&host)))?;
            if next.origin() != url.origin() {
                authorisation = None;
            }
            url = next;
        }
        Err(RegistryError::Redirect(shown(&host_of(&url))))
    }

    /// Whether something may be asked of a place. Names are looked up later, and looked at then.
    fn check(&self, url: &Url) -> Result<(), RegistryError> {
        let host = host_of(url);
        let is_encrypted = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(RegistryError::Redirect(shown(&host))),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RegistryError::Redirect(shown(&host)));
        }
        if !is_encrypted && !contain(&self.options.insecure_hosts, &host) {
            return Err(RegistryError::Plain(shown(&host)));
        }
        let private = self.options.private_hosts();
        if contain(&private, &host) {
            return Ok(());
        }
        let name = url.host_str().unwrap_or_default();
        let address = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        // On another port than that which is configured, a name's addresses could not be told from the configured one's.
        let is_private = match address {
            Ok(address) => !is_public(address),
            Err(_) => private.iter().any(|pattern| pattern.matches_name(name)),
        };
        if is_private {
            return Err(RegistryError::Private(shown(&host)));
        }
        Ok(())
    }
}

struct Request<'a> {
    method: Method,
    /// Encoded parameters that are sent as the body.
    form: Option<String>,
    accept: &'a [&'a str],
    from: u64,
}

/// The host of an address, with its port where it is not the usual one.
pub(super) fn host_of(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

/// How long the registry wants us to wait.
///
/// LIMIT: seconds only; a date counts as nothing said.
fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}
