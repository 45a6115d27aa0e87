//! Registries on loopback: Debian's `docker-registry`, a service that gives it tokens, and a front that passes requests on
//! to it and does what networks and registries do on bad days.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    images::{MANIFEST, Store},
    support::{CertificateFiles, Process, free_port, wait_until},
};

/// Who may read.
pub(crate) enum Access<'a> {
    Anybody,
    /// Who has this name and password.
    Password,
    /// Who has a token of this service.
    Token(&'a TokenService),
}

pub(crate) const NAME: &str = "someone";
pub(crate) const PASSWORD: &str = "s:ecret";
/// As `htpasswd -B` makes it.
const HTPASSWD: &str = "someone:$2b$05$abcdefghijklmnopqrstuuNYle8V2./7BGAiMUVUlBPNgz2/uFiE.\n";

/// A registry with what was pushed to its folder.
pub(crate) struct Registry {
    _process: Process,
    pub(crate) port: u16,
    storage: PathBuf,
}

impl Registry {
    /// Starts one on a folder, encrypted when there is a certificate.
    pub(crate) fn start(
        folder: &Path,
        access: &Access<'_>,
        tls: Option<&CertificateFiles>,
    ) -> Result<Self> {
        let port = free_port()?;
        let storage = folder.join("storage");
        let (mut http, mut auth) = (json!({ "addr": format!("127.0.0.1:{port}") }), json!({}));
        if let (Some(tls), Some(http)) = (tls, http.as_object_mut()) {
            http.insert(
                "tls".to_owned(),
                json!({ "certificate": tls.chain, "key": tls.key }),
            );
        }
        match access {
            Access::Anybody => {}
            Access::Password => {
                let path = folder.join("htpasswd");
                fs::write(&path, HTPASSWD)?;
                auth = json!({ "htpasswd": { "realm": "test", "path": path } });
            }
            Access::Token(service) => {
                auth = json!({ "token": {
                    "realm": service.realm(), "service": "test-registry", "issuer": "test-issuer",
                    "rootcertbundle": service.certificate,
                }});
            }
        }
        // YAML's readers read JSON.
        let config = json!({
            "version": 0.1, "log": { "level": "warn" }, "auth": auth, "http": http,
            "storage": { "filesystem": { "rootdirectory": storage } },
        });
        let path = folder.join(format!("registry-{port}.yml"));
        fs::write(&path, serde_json::to_vec(&config)?)?;
        let mut command = Command::new("docker-registry");
        command
            .arg("serve")
            .arg(&path)
            .env("OTEL_TRACES_EXPORTER", "none");
        let log = folder.join(format!("registry-{port}.log"));
        let mut process = Process::start("docker-registry", log, &command)?;
        process.wait_until("listening", 20, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        })?;
        Ok(Self {
            _process: process,
            port,
            storage,
        })
    }

    /// `HOST:PORT`, as references have it.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Pushes all of a store to a repository, and gives one of its documents a tag.
    pub(crate) fn push(
        &self,
        repository: &str,
        store: &Store,
        tag: &str,
        tagged: &Value,
    ) -> Result<()> {
        let base = format!("http://127.0.0.1:{}/v2/{repository}", self.port);
        let is_document = |bytes: &[u8]| {
            let document: Option<Value> = serde_json::from_slice(bytes).ok();
            let media_type = document
                .as_ref()
                .and_then(|document| document.get("mediaType")?.as_str());
            media_type.map(str::to_owned)
        };
        let mut documents = Vec::new();
        for (digest, bytes) in &store.blobs {
            if let Some(media_type) = is_document(bytes) {
                documents.push((media_type, digest.to_string(), bytes));
                continue;
            }
            let started = curl(
                &[
                    "-X",
                    "POST",
                    "-D",
                    "-",
                    "-o",
                    "/dev/null",
                    &format!("{base}/blobs/uploads/"),
                ],
                b"",
            )?;
            let location = started
                .lines()
                .find_map(|line| line.strip_prefix("Location: "));
            let location = location
                .with_context(|| format!("a location: {started}"))?
                .trim();
            let url = format!("{location}&digest={digest}");
            curl(
                &[
                    "-X",
                    "PUT",
                    "-H",
                    "Content-Type: application/octet-stream",
                    "--data-binary",
                    "@-",
                    &url,
                ],
                bytes,
            )?;
        }
        // Images first: an index is taken only when what it names is there.
        documents.sort_by_key(|(media_type, _, bytes)| (media_type != MANIFEST, bytes.len()));
        let digest = tagged
            .get("digest")
            .and_then(Value::as_str)
            .context("a digest")?;
        for (media_type, name, bytes) in &documents {
            let names = [Some(name.as_str()), (name == digest).then_some(tag)];
            for name in names.into_iter().flatten() {
                let kind = format!("Content-Type: {media_type}");
                let url = format!("{base}/manifests/{name}");
                curl(
                    &["-X", "PUT", "-H", &kind, "--data-binary", "@-", &url],
                    bytes,
                )?;
            }
        }
        Ok(())
    }

    /// Where a blob's bytes are.
    pub(crate) fn blob(&self, digest: armorgate::image::ImageDigest) -> PathBuf {
        let hex = digest.hex();
        let folder: String = hex.chars().take(2).collect();
        self.storage
            .join("docker/registry/v2/blobs/sha256")
            .join(folder)
            .join(hex)
            .join("data")
    }
}

fn curl(arguments: &[&str], input: &[u8]) -> Result<String> {
    let mut child = Command::new("curl")
        .args(["-sSf", "-m", "20"])
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let _ = child.stdin.take().context("piped")?.write_all(input);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "curl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// By names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    fn read(stream: &TcpStream) -> Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split(' ').map(str::to_owned);
        let mut request = Self {
            method: words.next().unwrap_or_default(),
            path: words.next().context("a path")?,
            ..Self::default()
        };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            request
                .headers
                .insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = request
            .headers
            .get("content-length")
            .and_then(|length| length.parse().ok());
        reader
            .take(length.unwrap_or(0))
            .read_to_string(&mut request.body)?;
        Ok(request)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A small HTTP server: one thread for each connection, one request for each connection.
pub(crate) struct Server {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(
        answer: impl Fn(&Request, &mut TcpStream) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (told, over, answer) = (
            Arc::clone(&requests),
            Arc::clone(&is_over),
            Arc::new(answer),
        );
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(mut stream), told, answer) =
                    (stream, Arc::clone(&told), Arc::clone(&answer))
                else {
                    continue;
                };
                std::thread::spawn(move || {
                    // Who asks may be gone by now, and says what it missed.
                    let Ok(request) = Request::read(&stream) else {
                        return;
                    };
                    told.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(request.clone());
                    let _ = answer(&request, &mut stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Ok(Self {
            port,
            requests,
            is_over,
            accepting: Some(accepting),
        })
    }

    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes it up.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Writes an answer with a body.
pub(crate) fn answer(
    stream: &mut TcpStream,
    status: &str,
    headers: &str,
    body: &[u8],
) -> Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    )?;
    Ok(stream.write_all(body)?)
}

/// Passes a request on to a registry: the answer's head, without the empty line at its end, and its body.
pub(crate) fn pass_on(request: &Request, port: u16) -> Result<(String, Vec<u8>)> {
    let mut upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    upstream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let Request { method, path, .. } = request;
    write!(
        upstream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
    )?;
    for (name, value) in &request.headers {
        if !matches!(name.as_str(), "host" | "connection" | "content-length") {
            write!(upstream, "{name}: {value}\r\n")?;
        }
    }
    write!(upstream, "\r\n")?;
    let mut bytes = Vec::new();
    upstream.read_to_end(&mut bytes)?;
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("a head")?;
    let body = bytes.split_off(end + 4);
    bytes.truncate(end);
    Ok((String::from_utf8(bytes)?, body))
}

/// A service that gives tokens which `docker-registry` takes.
pub(crate) struct TokenService {
    pub(crate) server: Server,
    certificate: PathBuf,
}

impl TokenService {
    /// Tokens are given to who has the password, or the identity token `refresh`; they are for `repository` only.
    pub(crate) fn start(folder: &Path, repository: &str) -> Result<Self> {
        let (key, certificate) = (folder.join("token.key"), folder.join("token.crt"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-subj",
                "/CN=tokens",
                "-days",
                "2",
                "-keyout",
            ])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()?;
        ensure!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let pem = fs::read_to_string(&certificate)?;
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let (repository, password) = (repository.to_owned(), basic());
        let server = Server::start(move |request, stream| {
            let is_known = request.header("authorization") == Some(&password)
                || request.body.contains("grant_type=refresh_token")
                    && request.body.contains("refresh_token=refresh");
            if !is_known || !request.path.starts_with("/token") {
                return answer(stream, "401 Unauthorized", "", b"{}");
            }
            let token = token(&key, &der, &repository)?;
            let field = if request.method == "POST" {
                "access_token"
            } else {
                "token"
            };
            answer(
                stream,
                "200 OK",
                "",
                json!({ field: token }).to_string().as_bytes(),
            )
        })?;
        Ok(Self {
            server,
            certificate,
        })
    }

    pub(crate) fn realm(&self) -> String {
        format!("http://{}/token", self.server.host())
    }
}

/// The header that shows name and password.
pub(crate) fn basic() -> String {
    let mut text = base64(format!("{NAME}:{PASSWORD}").as_bytes())
        .replace('-', "+")
        .replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    format!("Basic {text}")
}

/// A JSON web token (RFC 7519) that lets read a repository, signed with RS256.
fn token(key: &Path, certificate: &str, repository: &str) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let header = json!({ "typ": "JWT", "alg": "RS256", "x5c": [certificate] });
    let claims = json!({
        "iss": "test-issuer", "sub": NAME, "aud": "test-registry", "jti": "1",
        "iat": now, "nbf": now - 10, "exp": now + 300,
        "access": [{ "type": "repository", "name": repository, "actions": ["pull"] }],
    });
    let signed = [header, claims]
        .map(|part| base64(part.to_string().as_bytes()))
        .join(".");
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(key)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("piped")?
        .write_all(signed.as_bytes())?;
    let signature = child.wait_with_output()?.stdout;
    Ok(format!("{signed}.{}", base64(&signature)))
}

/// Base64 as tokens have it (RFC 4648, section 5), without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let mut group = [0; 4];
        for (byte, place) in chunk.iter().zip(group.iter_mut().skip(1)) {
            *place = *byte;
        }
        let group = u32::from_be_bytes(group);
        let count = chunk.len() + 1;
        [18, 12, 6, 0]
            .into_iter()
            .take(count)
            .map(move |shift| group >> shift & 63)
    });
    digits
        .filter_map(|digit| {
            DIGITS
                .get(usize::try_from(digit).ok()?)
                .copied()
                .map(char::from)
        })
        .collect()
}

/// Waits until something holds.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    wait_until(what, 20, || Ok(holds().then_some(())))
}
