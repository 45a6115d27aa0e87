//! What tests and benchmarks share: processes that end with their owner, polling, certificates, a webhook to talk to.

#![expect(
    dead_code,
    reason = "every test program compiles this module and uses its own part of it"
)]

pub(crate) mod control_plane;

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, anyhow, bail};
use armorgate::tls::Authority;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};

/// A process that is ended when this goes, and by the kernel when the test program dies before.
pub(crate) struct Process {
    child: Child,
    name: String,
    pub(crate) log: PathBuf,
}

impl Process {
    /// Starts a program with its output in a log file.
    pub(crate) fn start(name: &str, log: PathBuf, command: &Command) -> Result<Self> {
        let output = File::create(&log)?;
        // Of util-linux: without it a killed test program would leave servers behind.
        let mut started = Command::new("setpriv");
        started
            .args(["--pdeathsig", "KILL", "--"])
            .arg(command.get_program())
            .args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => started.env(key, value),
                None => started.env_remove(key),
            };
        }
        let child = started
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
            log,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Polls until `ready` gives something; the process's end or the deadline ends the wait with its output.
    pub(crate) fn wait_until<T>(
        &mut self,
        what: &str,
        seconds: u64,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            if let Some(done) = ready() {
                return Ok(done);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended ({status}) before {what}:\n{}",
                    self.name,
                    self.output()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "{}: not {what} within {seconds} s:\n{}",
                    self.name,
                    self.output()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, signal: &str) -> Result<()> {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.id().to_string()])
            .status()?;
        if sent.success() {
            Ok(())
        } else {
            Err(anyhow!("cannot signal {}", self.name))
        }
    }

    /// Waits for its end.
    pub(crate) fn wait_for_end(&mut self, seconds: u64) -> Result<ExitStatus> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!(
            "{} has not ended within {seconds} s:\n{}",
            self.name,
            self.output()
        )
    }

    /// A line of `/proc/PID/status`, in KiB.
    pub(crate) fn memory(&self, field: &str) -> Result<u64> {
        memory(self.id(), field)
    }
}

/// A line of `/proc/PID/status`, in KiB.
pub(crate) fn memory(process: u32, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .context("no such field")?;
    let number = line.split_whitespace().nth(1).context("no number")?;
    Ok(number.parse()?)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until `ready` gives something.
pub(crate) fn wait_until<T>(
    what: &str,
    seconds: u64,
    mut ready: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(done) = ready()? {
            return Ok(done);
        }
        if Instant::now() > deadline {
            bail!("not {what} within {seconds} s");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A loopback port that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// A program of the test set-up, by the variable that `tests/setup` sets.
pub(crate) fn from_setup(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable);
    path.map(PathBuf::from)
        .with_context(|| format!("{variable} is not set: run eval \"$(tests/setup)\" first"))
}

/// A server certificate in files, by an authority that issues more.
pub(crate) struct CertificateFiles {
    pub(crate) authority: Authority,
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
}

impl CertificateFiles {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let authority = Authority::new(SystemTime::now())?;
        let ca = folder.join("ca.crt");
        fs::write(&ca, authority.pem())?;
        let files = Self {
            authority,
            chain: folder.join("tls.crt"),
            key: folder.join("tls.key"),
            ca,
        };
        files.renew()?;
        Ok(files)
    }

    /// Puts a new certificate in place of the old one, file by file as `kubectl cp` or a script would.
    pub(crate) fn renew(&self) -> Result<()> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let (chain, key) = self.authority.issue_pem(&names, SystemTime::now())?;
        write_atomically(&self.chain, chain.as_bytes())?;
        write_atomically(&self.key, key.as_bytes())
    }
}

fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    File::create(&new)?.write_all(content)?;
    Ok(fs::rename(new, path)?)
}

/// The program under test, serving.
pub(crate) struct Webhook {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Webhook {
    /// Starts `armorgate serve` with these arguments more, on loopback ports of its own choice (`port` where it matters).
    pub(crate) fn start(
        program: &Path,
        log: &Path,
        port: u16,
        configure: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.args([
            "serve",
            "--admin-listen",
            "127.0.0.1:0",
            "--reload-seconds",
            "1",
        ]);
        command.arg("--listen").arg(format!("127.0.0.1:{port}"));
        configure(&mut command);
        let mut process = Process::start("armorgate", log.to_owned(), &command)?;
        let addresses = process.wait_until("listening", 20, || {
            let addresses = listening(&fs::read_to_string(log).unwrap_or_default());
            (addresses.len() == 2).then_some(addresses)
        })?;
        let [address, admin] = addresses[..] else {
            bail!("two addresses")
        };
        Ok(Self {
            process,
            address,
            admin,
        })
    }

    /// `GET` on the admin port: status and text.
    pub(crate) fn admin_get(&self, path: &str) -> Result<(u16, String)> {
        let url = format!("http://{}{path}", self.admin);
        let output = Command::new("curl")
            .args(["-s", "-m", "5", "-w", "\n%{http_code}", &url])
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let (body, status) = text
            .rsplit_once('\n')
            .context("curl prints the status last")?;
        Ok((status.parse()?, body.to_owned()))
    }

    /// Waits until it says that it is ready.
    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        wait_until("ready", 20, || {
            Ok(self
                .admin_get("/readyz")
                .is_ok_and(|(status, _)| status == 200)
                .then_some(()))
        })
    }
}

/// The addresses that a log says somebody listens on.
pub(crate) fn listening(log: &str) -> Vec<SocketAddr> {
    let field = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_listening = line.get("message")?.as_str()? == "listening";
        is_listening.then(|| line.get("address")?.as_str()?.parse().ok())?
    };
    log.lines().filter_map(field).collect()
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// Opens a TLS connection, writes these bytes, and reads until the other side closes or `seconds` have passed.
pub(crate) fn raw_request(
    webhook: SocketAddr,
    ca: &Path,
    bytes: &[u8],
    seconds: u64,
) -> Result<Vec<u8>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).map_err(|error| anyhow!("{error}"))?)?;
    let config = rustls::ClientConfig::builder_with_provider(armorgate::tls::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection =
        rustls::ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?;
    let socket = TcpStream::connect(webhook)?;
    socket.set_read_timeout(Some(Duration::from_secs(seconds)))?;
    let mut stream = rustls::StreamOwned::new(connection, socket);
    // The server may close before it has read all: what it answered is still there.
    let _ = stream.write_all(bytes);
    let _ = stream.flush();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            bail!(
                "open after {seconds} s: {}",
                String::from_utf8_lossy(&answer)
            )
        }
        _ => Ok(answer),
    }
}

/// `POST`s a body on a connection of its own.
pub(crate) fn post(webhook: SocketAddr, ca: &Path, path: &str, body: &[u8]) -> Result<Answer> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    parse_answer(&raw_request(webhook, ca, &request, 20)?)
}

/// `GET` over plain HTTP. Who does not answer within `seconds` is an error.
pub(crate) fn get(address: SocketAddr, path: &str, seconds: u64) -> Result<Answer> {
    let patience = Duration::from_secs(seconds);
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse_answer(&answer)
}

/// Reads an answer of HTTP/1.1 with its body up to the end.
pub(crate) fn parse_answer(bytes: &[u8]) -> Result<Answer> {
    let text = String::from_utf8(bytes.to_vec())?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .with_context(|| format!("no answer: {text:?}"))?;
    let status = head.split(' ').nth(1).context("a status")?.parse()?;
    Ok(Answer {
        status,
        text: body.to_owned(),
    })
}
