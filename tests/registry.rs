//! Images in real registries on loopback, with and without encryption, passwords and tokens; and on bad days.

#![expect(clippy::panic, reason = "a test may fail loudly")]

#[path = "support/images.rs"]
mod images;
#[path = "support/registry.rs"]
mod registry;
mod support;

use std::{
    fs,
    io::Write as _,
    net::TcpStream,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use armorgate::{
    image::{
        self, Fault, Image, ImageDigest, ImageError, ImageSource, Limits, Options,
        layer::{BlobError, LayerError},
        registry::{CredentialSource, HostPattern, RegistryError, RegistryOptions},
    },
    tls,
};
use images::{Store, digest, tar, text};
use registry::{
    Access, NAME, PASSWORD, Registry, Request, Server, TokenService, answer, basic, pass_on, until,
};
use serde_json::{Value, json};
use support::CertificateFiles;
use tempfile::TempDir;

/// Options with which a registry on loopback may be asked, without encryption.
fn plain(hosts: &[String]) -> Options {
    let hosts: Vec<HostPattern> = hosts.iter().filter_map(|host| host.parse().ok()).collect();
    Options {
        registry: RegistryOptions {
            private_hosts: hosts.clone(),
            insecure_hosts: hosts,
            ..RegistryOptions::default()
        },
        ..Options::default()
    }
}

fn read(reference: &str, options: &Options) -> Result<Image, ImageError> {
    tls::install_provider();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(source) = reference.parse::<ImageSource>() else {
        panic!("{reference}")
    };
    match runtime {
        Ok(runtime) => runtime.block_on(image::read(&source, options)),
        Err(error) => panic!("{error}"),
    }
}

/// The registry's error when that is what an image could not be read for.
#[track_caller]
fn failure(result: Result<Image, ImageError>) -> (RegistryError, Fault) {
    let Err(error) = result else {
        panic!("it can be read")
    };
    let fault = error.fault();
    assert!(!error.to_string().contains('\n'), "{error}");
    match error {
        ImageError::Registry(error) => (*error, fault),
        ImageError::Layer { source, .. } => match *source {
            LayerError::Blob(BlobError::Read(error)) => match error.downcast() {
                Ok(error) => (error, fault),
                Err(error) => panic!("{error:?}"),
            },
            error => panic!("{error:?}"),
        },
        error => panic!("{error:?}"),
    }
}

/// Images for two platforms with an index; the layers do not compress, so that a connection can be cut inside of them.
struct Sample {
    store: Store,
    images: [Value; 2],
    index: Value,
}

impl Sample {
    fn new() -> Result<Self> {
        let mut store = Store::default();
        let mut made = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let mut noise = String::new();
            for number in 0..8000 {
                noise += &ImageDigest::of(format!("{architecture} {number}").as_bytes()).hex();
            }
            let layers = [
                tar(&[
                    ("bin/which", &format!("#!{architecture}")),
                    ("noise", &noise),
                ])?,
                tar(&[("bin/top", "#!top")])?,
            ];
            made.push(store.image(
                &layers,
                architecture,
                &json!({ "Entrypoint": ["/bin/which"] }),
            )?);
        }
        let index = store.index(&made)?;
        let images = made.try_into().ok().context("two images")?;
        Ok(Self {
            store,
            images,
            index,
        })
    }

    fn manifest(&self, image: usize) -> Result<Value> {
        let image = self.images.get(image).context("an image")?;
        Ok(serde_json::from_slice(
            self.store.blobs.get(&digest(image)).context("a manifest")?,
        )?)
    }

    /// The digest of the first layer of the image for amd64.
    fn layer(&self) -> Result<ImageDigest> {
        Ok(digest(
            self.manifest(0)?.pointer("/layers/0").context("a layer")?,
        ))
    }
}

/// A registry that anybody may read, with the sample in it as `team/app:v1`.
struct Served {
    folder: TempDir,
    sample: Sample,
    registry: Registry,
}

impl Served {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let sample = Sample::new()?;
        let registry = Registry::start(folder.path(), &Access::Anybody, None)?;
        registry.push("team/app", &sample.store, "v1", &sample.index)?;
        Ok(Self {
            folder,
            sample,
            registry,
        })
    }

    fn reference(&self) -> String {
        format!("{}/team/app:v1", self.registry.host())
    }

    fn options(&self) -> Options {
        plain(&[self.registry.host()])
    }

    /// A front of the registry, and what reads through it.
    fn front(
        &self,
        answer: impl Fn(&Request, &mut TcpStream, u16) -> Result<()> + Send + Sync + 'static,
    ) -> Result<(Server, String, Options)> {
        let port = self.registry.port;
        let front = Server::start(move |request, stream| answer(request, stream, port))?;
        let reference = format!("{}/team/app:v1", front.host());
        let mut options = plain(&[front.host()]);
        options.platform = "linux/amd64".parse().ok();
        Ok((front, reference, options))
    }
}

/// Passes a request on, and what comes back.
fn through(request: &Request, stream: &mut TcpStream, port: u16) -> Result<()> {
    let (head, body) = pass_on(request, port)?;
    write!(stream, "{head}\r\n\r\n")?;
    Ok(stream.write_all(&body)?)
}

fn is_blob(request: &Request) -> bool {
    request.path.contains("/blobs/")
}

#[test]
fn images_are_pulled_by_tag_and_digest_for_a_platform() -> Result<()> {
    let served = Served::new()?;
    let host = served.registry.host();
    for (image, architecture) in served.sample.images.iter().zip(["amd64", "arm64"]) {
        let platform = format!("linux/{architecture}").parse().ok();
        let options = Options {
            platform,
            ..served.options()
        };
        for (reference, index) in [
            (
                format!("{host}/team/app:v1"),
                Some(digest(&served.sample.index)),
            ),
            (
                format!("{host}/team/app@{}", digest(&served.sample.index)),
                Some(digest(&served.sample.index)),
            ),
            (format!("{host}/team/app:other@{}", digest(image)), None),
        ] {
            let read = read(&reference, &options)?;
            assert_eq!(
                (read.digest, read.index),
                (digest(image), index),
                "{reference}"
            );
            assert_eq!(text(&read, "/bin/which"), format!("#!{architecture}"));
            assert_eq!(text(&read, "/bin/top"), "#!top");
        }
    }
    for missing in [
        "team/app:v2",
        "team/none:v1",
        &format!("team/app@{}", ImageDigest::of(b"")),
    ] {
        let (error, fault) = failure(read(&format!("{host}/{missing}"), &served.options()));
        assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
        assert_eq!(fault, Fault::Caller);
    }
    Ok(())
}

#[test]
fn what_is_not_configured_is_refused() -> Result<()> {
    let served = Served::new()?;
    let reference = served.reference();
    let (error, fault) = failure(read(&reference, &Options::default()));
    assert!(matches!(error, RegistryError::Private(_)), "{error:?}");
    assert_eq!(fault, Fault::Caller);
    let mut options = served.options();
    options.registry.private_hosts.clear();
    for private in ["localhost", "127.0.0.1", "[::1]", "[::ffff:7f00:1]"] {
        let host = format!("{private}:{}", served.registry.port);
        options.registry.insecure_hosts.push(host.parse()?);
        let (error, _) = failure(read(&format!("{host}/team/app:v1"), &options));
        assert!(
            matches!(error, RegistryError::Private(_)),
            "{private}: {error:?}"
        );
    }
    for metadata in ["169.254.169.254", "10.0.0.1", "0.0.0.0"] {
        let (error, _) = failure(read(&format!("{metadata}/latest/meta-data"), &options));
        assert!(
            matches!(error, RegistryError::Private(_)),
            "{metadata}: {error:?}"
        );
    }
    // On another port of a host that may be private.
    let other = Server::start(|_, stream| answer(stream, "200 OK", "", b"{}"))?;
    let mut options = served.options();
    options.registry.insecure_hosts.push(other.host().parse()?);
    let (error, _) = failure(read(&format!("{}/team/app:v1", other.host()), &options));
    assert!(matches!(error, RegistryError::Private(_)), "{error:?}");
    assert!(other.requests().is_empty());

    let mut options = served.options();
    options.registry.allowed_hosts = Some(vec!["registry.example".parse()?]);
    let (error, fault) = failure(read(&reference, &options));
    assert!(matches!(error, RegistryError::NotAllowed(_)), "{error:?}");
    assert_eq!(fault, Fault::Caller);
    options.registry.allowed_hosts = Some(vec![served.registry.host().parse()?]);
    read(&reference, &options)?;

    // Encryption is not given up.
    let mut options = served.options();
    options.registry.insecure_hosts.clear();
    options.registry.attempts = 1;
    let (error, fault) = failure(read(&reference, &options));
    assert!(
        matches!(error, RegistryError::Unreachable { .. }),
        "{error:?}"
    );
    assert_eq!(fault, Fault::Registry);
    Ok(())
}

#[test]
fn a_certificate_authority_is_trusted_when_it_is_configured() -> Result<()> {
    let served = Served::new()?;
    let certificates = CertificateFiles::new(served.folder.path())?;
    let secure = Registry::start(served.folder.path(), &Access::Anybody, Some(&certificates))?;
    let reference = format!("{}/team/app:v1", secure.host());
    let mut options = plain(&[secure.host()]);
    options.registry.insecure_hosts.clear();
    let (error, fault) = failure(read(&reference, &options));
    assert!(
        matches!(error, RegistryError::Certificate { .. }),
        "{error:?}"
    );
    assert_eq!(fault, Fault::Configuration);
    options.registry.certificate_authorities = vec![fs::read(&certificates.ca)?];
    assert_eq!(
        read(&reference, &options)?.index,
        Some(digest(&served.sample.index))
    );
    options.registry.certificate_authorities = vec![b"no certificate".to_vec()];
    let (error, _) = failure(read(&reference, &options));
    assert!(matches!(error, RegistryError::Client(_)), "{error:?}");
    Ok(())
}

/// A pull secret for a host.
fn secret(host: &str, fields: &Value) -> Vec<CredentialSource> {
    let secret = json!({ "auths": { host: fields } });
    vec![CredentialSource::Secret(secret.to_string().into_bytes())]
}

#[test]
fn a_password_is_shown_to_its_own_host() -> Result<()> {
    let served = Served::new()?;
    let closed = Registry::start(served.folder.path(), &Access::Password, None)?;
    let reference = format!("{}/team/app:v1", closed.host());
    let mut options = plain(&[closed.host()]);
    let right = json!({ "username": NAME, "password": PASSWORD });
    for credentials in [
        Vec::new(),
        secret("other.example", &right),
        secret(
            &closed.host(),
            &json!({ "username": NAME, "password": "wrong" }),
        ),
        secret(&format!("{}/other", closed.host()), &right),
    ] {
        options.registry.credentials = credentials;
        let (error, fault) = failure(read(&reference, &options));
        assert!(
            matches!(error, RegistryError::Denied { status: 401, .. }),
            "{error:?}"
        );
        assert!(!error.to_string().contains("wrong"));
        assert_eq!(fault, Fault::Configuration);
    }
    let file = served.folder.path().join("config.json");
    fs::write(
        &file,
        json!({ "auths": { closed.host(): { "auth": basic().split_off(6) } } }).to_string(),
    )?;
    let from_file = vec![CredentialSource::File(file.clone())];
    for credentials in [
        secret(&closed.host(), &right),
        secret(&format!("{}/team", closed.host()), &right),
        from_file,
    ] {
        options.registry.credentials = credentials;
        assert_eq!(
            read(&reference, &options)?.index,
            Some(digest(&served.sample.index))
        );
    }
    fs::write(&file, "{")?;
    options.registry.credentials = vec![CredentialSource::File(file)];
    let (error, fault) = failure(read(&reference, &options));
    assert!(
        matches!(error, RegistryError::Credentials { .. }),
        "{error:?}"
    );
    assert_eq!(fault, Fault::Configuration);
    Ok(())
}

#[test]
fn tokens_are_fetched_where_the_registry_says() -> Result<()> {
    let served = Served::new()?;
    served.registry.push(
        "team/other",
        &served.sample.store,
        "v1",
        &served.sample.index,
    )?;
    let service = TokenService::start(served.folder.path(), "team/app")?;
    let closed = Registry::start(served.folder.path(), &Access::Token(&service), None)?;
    let reference = format!("{}/team/app:v1", closed.host());
    let password = json!({ "username": NAME, "password": PASSWORD });

    // The service is looked at like any other place.
    let mut options = plain(&[closed.host()]);
    options.registry.credentials = secret(&closed.host(), &password);
    let (error, _) = failure(read(&reference, &options));
    assert!(matches!(error, RegistryError::Plain(_)), "{error:?}");
    options
        .registry
        .insecure_hosts
        .push(service.server.host().parse()?);
    let (error, _) = failure(read(&reference, &options));
    assert!(matches!(error, RegistryError::Private(_)), "{error:?}");
    assert!(service.server.requests().is_empty());

    let mut options = plain(&[closed.host(), service.server.host()]);
    for credentials in [password, json!({ "identitytoken": "refresh" })] {
        options.registry.credentials = secret(&closed.host(), &credentials);
        assert_eq!(
            read(&reference, &options)?.index,
            Some(digest(&served.sample.index))
        );
        let (error, _) = failure(read(&format!("{}/team/other:v1", closed.host()), &options));
        assert!(
            matches!(error, RegistryError::Denied { status: 401, .. }),
            "{error:?}"
        );
    }
    let requests = service.server.requests();
    assert_eq!(requests.len(), 4, "one token for each image: {requests:?}");
    let first = requests.first().context("a request")?;
    assert!(
        first.path.contains("scope=repository%3Ateam%2Fapp%3Apull"),
        "{}",
        first.path
    );
    assert!(
        first.path.contains("service=test-registry"),
        "{}",
        first.path
    );

    options.registry.credentials = Vec::new();
    let (error, fault) = failure(read(&reference, &options));
    assert!(
        matches!(error, RegistryError::Denied { status: 401, .. }),
        "{error:?}"
    );
    assert_eq!(fault, Fault::Configuration);
    Ok(())
}

#[test]
fn token_services_that_give_none_are_told() -> Result<()> {
    type Is = fn(&RegistryError) -> bool;
    let token: Is = |error| matches!(error, RegistryError::Token { .. });
    let large = " ".repeat(300_000);
    for (status, headers, body, is) in [
        ("200 OK", "", "{}", token),
        ("200 OK", "", r#"{"token":""}"#, token),
        ("200 OK", "", "<html>", token),
        ("500 Oops", "", "", token),
        ("200 OK", "", large.as_str(), |error| {
            matches!(error, RegistryError::Large { .. })
        }),
        ("403 No", "", "", |error| {
            matches!(error, RegistryError::Denied { status: 403, .. })
        }),
        (
            "429 Later",
            "Retry-After: 7\r\n",
            "",
            |error| matches!(error, RegistryError::Throttled { after: Some(after), .. } if after.as_secs() == 7),
        ),
    ] {
        let body = body.to_owned();
        let service =
            Server::start(move |_, stream| answer(stream, status, headers, body.as_bytes()))?;
        let realm = format!("http://{}/token", service.host());
        let registry = Server::start(move |_, stream| {
            let wanted = format!("WWW-Authenticate: Bearer realm=\"{realm}\"\r\n");
            answer(stream, "401 Unauthorized", &wanted, b"{}")
        })?;
        let options = plain(&[registry.host(), service.host()]);
        let (error, _) = failure(read(&format!("{}/a", registry.host()), &options));
        assert!(is(&error), "{status}: {error:?}");
    }
    Ok(())
}

#[test]
fn blobs_that_are_wrong_or_cut_off_are_refused() -> Result<()> {
    let served = Served::new()?;
    let options = Options {
        platform: "linux/amd64".parse().ok(),
        ..served.options()
    };
    let path = served.registry.blob(served.sample.layer()?);
    let bytes = fs::read(&path)?;
    let mut wrong = bytes.clone();
    *wrong.get_mut(100).context("a byte")? ^= 1;
    for other in [wrong, bytes.iter().copied().chain([0]).collect()] {
        fs::write(&path, other)?;
        let error = read(&served.reference(), &options)
            .err()
            .context("an error")?;
        let ImageError::Layer { source, .. } = &error else {
            panic!("{error:?}")
        };
        let is_blob = matches!(
            **source,
            LayerError::Blob(BlobError::Digest { .. } | BlobError::Size { .. })
        );
        assert!(is_blob, "{source:?}");
        assert_eq!(error.fault(), Fault::Registry);
    }
    let (shorter, _) = bytes.split_at(bytes.len() / 2);
    fs::write(&path, shorter)?;
    let (error, fault) = failure(read(&served.reference(), &options));
    let is_cut = matches!(
        error,
        RegistryError::Cut { .. } | RegistryError::Status { status: 416, .. }
    );
    assert!(is_cut, "{error:?}");
    assert_eq!(fault, Fault::Registry);
    Ok(())
}

#[test]
fn a_manifest_that_is_not_the_one_asked_for_is_refused() -> Result<()> {
    let served = Served::new()?;
    let (front, _, options) = served.front(|request, stream, port| {
        let mut request = request.clone();
        if request.path.contains("/manifests/sha256:") {
            request.path = "/v2/team/app/manifests/v1".to_owned();
        }
        through(&request, stream, port)
    })?;
    let pinned = served.sample.images.first().context("an image")?;
    let error = read(
        &format!("{}/team/app@{}", front.host(), digest(pinned)),
        &options,
    )
    .err();
    assert!(
        matches!(error, Some(ImageError::DocumentDigest { .. })),
        "{error:?}"
    );

    let large = vec![b' '; (4 << 20) + 1];
    let (_front, reference, options) =
        served.front(move |_, stream, _| answer(stream, "200 OK", "", &large))?;
    let (error, _) = failure(read(&reference, &options));
    assert!(
        matches!(error, RegistryError::Large { limit, .. } if limit == Limits::default().document),
        "{error:?}"
    );
    Ok(())
}

#[test]
fn busy_registries_are_asked_again() -> Result<()> {
    let served = Served::new()?;
    for (status, headers) in [
        ("429 Later", "Retry-After: 1\r\n"),
        ("503 Away", ""),
        ("500 Oops", ""),
    ] {
        let count = AtomicUsize::new(0);
        let (front, reference, options) = served.front(move |request, stream, port| {
            // Each first time, and a connection that just ends now and then.
            match count.fetch_add(1, Ordering::SeqCst) % 4 {
                0 => answer(stream, status, headers, b"{}"),
                2 => Ok(()),
                _ => through(request, stream, port),
            }
        })?;
        let start = Instant::now();
        read(&reference, &options)?;
        assert!(front.requests().len() >= 8, "each was asked for twice");
        if !headers.is_empty() {
            assert!(
                start.elapsed() >= Duration::from_secs(1),
                "waited as long as was wanted"
            );
        }
    }
    Ok(())
}

#[test]
fn registries_that_stay_busy_are_given_up() -> Result<()> {
    type Is = fn(&RegistryError) -> bool;
    let throttled: Is = |error| matches!(error, RegistryError::Throttled { .. });
    let served = Served::new()?;
    for (status, headers, requests, is) in [
        ("429 Later", "Retry-After: 3600\r\n", 1, throttled),
        ("429 Later", "Retry-After: 0\r\n", 4, throttled),
        (
            "429 Later",
            "Retry-After: Thu, 01 Jan 2026 00:00:00 GMT\r\n",
            4,
            throttled,
        ),
        ("502 Oops", "", 4, |error| {
            matches!(error, RegistryError::Status { status: 502, .. })
        }),
        ("418 Teapot", "", 1, |error| {
            matches!(error, RegistryError::Status { status: 418, .. })
        }),
    ] {
        let (front, reference, options) =
            served.front(move |_, stream, _| answer(stream, status, headers, b"{}"))?;
        let (error, fault) = failure(read(&reference, &options));
        assert!(is(&error), "{error:?}");
        assert_eq!(
            (front.requests().len(), fault),
            (requests, Fault::Registry),
            "{status} {headers}"
        );
    }
    Ok(())
}

#[test]
fn a_connection_that_is_cut_is_taken_up_again() -> Result<()> {
    let served = Served::new()?;
    let layer = served.sample.layer()?;
    for knows_ranges in [true, false] {
        let cuts = AtomicUsize::new(0);
        let (front, reference, options) = served.front(move |request, stream, port| {
            let mut request = request.clone();
            if !knows_ranges {
                request.headers.remove("range");
            }
            let (head, body) = pass_on(&request, port)?;
            write!(stream, "{head}\r\n\r\n")?;
            let is_cut = request.path.contains(&layer.to_string())
                && cuts.fetch_add(1, Ordering::SeqCst) < 3;
            let sent = if is_cut { body.len() / 3 } else { body.len() };
            Ok(stream.write_all(body.split_at(sent).0)?)
        })?;
        assert_eq!(text(&read(&reference, &options)?, "/bin/which"), "#!amd64");
        let requests = front.requests();
        let asked = requests
            .iter()
            .filter(|request| request.path.contains(&layer.to_string()));
        let ranges: Vec<Option<&str>> = asked.map(|request| request.header("range")).collect();
        assert_eq!(ranges.len(), 4, "{ranges:?}");
        assert!(ranges.iter().skip(1).all(Option::is_some), "{ranges:?}");
    }
    // No progress, however often.
    let (front, reference, options) = served.front(move |request, stream, port| {
        let (head, body) = pass_on(request, port)?;
        let sent = if request.path.contains(&layer.to_string()) {
            0
        } else {
            body.len()
        };
        write!(stream, "{head}\r\n\r\n")?;
        Ok(stream.write_all(body.split_at(sent).0)?)
    })?;
    let (error, fault) = failure(read(&reference, &options));
    assert!(
        matches!(error, RegistryError::Cut { at: 0, .. }),
        "{error:?}"
    );
    assert_eq!((fault, front.requests().len()), (Fault::Registry, 3 + 5));
    Ok(())
}

#[test]
fn slow_registries_are_given_up() -> Result<()> {
    let served = Served::new()?;
    // Nothing at all; half of a blob, and no more.
    for stalls in [|_: &Request| true, is_blob] {
        let waiting = Mutex::new(Vec::new());
        let (_front, reference, mut options) = served.front(move |request, stream, port| {
            if !stalls(request) {
                return through(request, stream, port);
            }
            let (head, body) = pass_on(request, port)?;
            if is_blob(request) {
                write!(stream, "{head}\r\n\r\n")?;
                stream.write_all(body.split_at(body.len() / 2).0)?;
            }
            // Kept open until the front ends.
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push(stream.try_clone()?);
            drop(waiting);
            let mut end = [0];
            std::io::Read::read(stream, &mut end)?;
            Ok(())
        })?;
        options.registry.read_timeout = Duration::from_millis(200);
        options.registry.attempts = 2;
        let (error, fault) = failure(read(&reference, &options));
        assert!(
            matches!(error, RegistryError::Slow(_) | RegistryError::Cut { .. }),
            "{error:?}"
        );
        assert_eq!(fault, Fault::Registry);
        options.registry.read_timeout = Duration::from_mins(1);
        options.registry.deadline = Duration::from_millis(500);
        let (error, _) = failure(read(&reference, &options));
        assert!(matches!(error, RegistryError::Deadline(_)), "{error:?}");
    }
    Ok(())
}

#[test]
fn nobody_waits_for_an_image_that_nobody_wants() -> Result<()> {
    tls::install_provider();
    let served = Served::new()?;
    let (front, reference, options) = served.front(|_, stream, _| {
        let mut end = [0];
        std::io::Read::read(stream, &mut end)?;
        Ok(())
    })?;
    let source: ImageSource = reference.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let reading = runtime.spawn(async move { image::read(&source, &options).await.err() });
    until("asked", || !front.requests().is_empty())?;
    reading.abort();
    // Dropping the runtime waits for its threads; an answer would be waited for 30 seconds.
    let start = Instant::now();
    drop(runtime);
    assert!(start.elapsed() < Duration::from_secs(15));
    Ok(())
}

#[test]
fn redirects_are_looked_at_and_take_no_secrets_along() -> Result<()> {
    let served = Served::new()?;
    let closed = Registry::start(served.folder.path(), &Access::Password, None)?;
    // Blobs are elsewhere, as with large registries.
    let open = served.registry.port;
    let elsewhere = Server::start(move |request, stream| through(request, stream, open))?;
    let (place, port) = (elsewhere.host(), closed.port);
    let front = Server::start(move |request, stream| {
        // Without the password nothing is given, not even the way.
        let (head, _) = pass_on(request, port)?;
        if is_blob(request) && head.starts_with("HTTP/1.1 200") {
            let location = format!("Location: http://{place}{}\r\n", request.path);
            return answer(stream, "307 There", &location, b"");
        }
        through(request, stream, port)
    })?;
    let reference = format!("{}/team/app:v1", front.host());
    let mut options = plain(&[front.host(), elsewhere.host()]);
    options.registry.credentials = secret(
        &front.host(),
        &json!({ "username": NAME, "password": PASSWORD }),
    );
    assert_eq!(
        read(&reference, &options)?.index,
        Some(digest(&served.sample.index))
    );
    let blobs = elsewhere.requests();
    assert!(
        blobs.len() >= 3
            && blobs
                .iter()
                .all(|request| request.header("authorization").is_none()),
        "{blobs:?}"
    );
    let asked = front.requests();
    let shown = asked
        .iter()
        .filter(|request| request.header("authorization") == Some(&basic()));
    assert!(shown.count() >= 4);

    // A place that is not configured to be private is none to go to.
    options.registry.private_hosts = vec![front.host().parse()?];
    let before = elsewhere.requests().len();
    let (error, fault) = failure(read(&reference, &options));
    assert!(matches!(error, RegistryError::Private(_)), "{error:?}");
    assert_eq!((elsewhere.requests().len(), fault), (before, Fault::Caller));
    Ok(())
}

#[test]
fn who_a_registry_leads_to_is_given_no_secrets() -> Result<()> {
    let other = Server::start(|request, stream| {
        let host = request.header("host").unwrap_or_default();
        let wanted = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\"\r\n");
        answer(stream, "401 Unauthorized", &wanted, b"{}")
    })?;
    let place = other.host();
    let front = Server::start(move |request, stream| {
        let location = format!("Location: http://{place}{}\r\n", request.path);
        answer(stream, "302 There", &location, b"")
    })?;
    let mut options = plain(&[front.host(), other.host()]);
    let password = json!({ "username": NAME, "password": PASSWORD });
    options.registry.credentials = secret(&front.host(), &password);
    let (error, _) = failure(read(&format!("{}/a", front.host()), &options));
    assert!(
        matches!(error, RegistryError::Denied { status: 401, .. }),
        "{error:?}"
    );
    let requests = other.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(
        requests
            .first()
            .and_then(|request| request.header("authorization")),
        None
    );
    Ok(())
}

#[test]
fn redirects_to_where_nothing_may_be_asked_are_refused() -> Result<()> {
    type Is = fn(&RegistryError) -> bool;
    let redirect: Is = |error| matches!(error, RegistryError::Redirect(_));
    let private: Is = |error| matches!(error, RegistryError::Private(_));
    let served = Served::new()?;
    for (location, is) in [
        ("https://169.254.169.254/latest/meta-data/", private),
        ("https://2852039166/", private),
        ("https://0xa9fea9fe/", private),
        ("https://[fd00:ec2::254]/", private),
        ("https://127.1/", private),
        ("https://[::ffff:7f00:1]/", private),
        ("http://registry.example/", |error| {
            matches!(error, RegistryError::Plain(_))
        }),
        ("file:///etc/passwd", redirect),
        ("gopher://registry.example/", redirect),
        ("https://user:secret@registry.example/", redirect),
        ("https://", redirect),
        ("/v2/again", redirect),
    ] {
        let (_front, reference, options) = served.front(move |_, stream, _| {
            answer(
                stream,
                "302 There",
                &format!("Location: {location}\r\n"),
                b"",
            )
        })?;
        let (error, _) = failure(read(&reference, &options));
        assert!(is(&error), "{location}: {error:?}");
        assert!(!error.to_string().contains("secret"));
    }
    Ok(())
}

#[test]
fn mirrors_come_first_and_the_registry_after_them() -> Result<()> {
    let served = Served::new()?;
    served.registry.push(
        "cache/app",
        &served.sample.store,
        "v1",
        &served.sample.index,
    )?;
    let away = Server::start(|_, stream| answer(stream, "404 None", "", b"{}"))?;
    let mut options = plain(&[]);
    // A mirror needs no other permission than being configured, but for going without encryption.
    options.registry.insecure_hosts = vec![served.registry.host().parse()?, away.host().parse()?];
    options.registry.allowed_hosts = Some(vec!["registry.example".parse()?]);
    let mirrors = [away.host(), format!("{}/cache", served.registry.host())];
    let mirrors: Result<_, _> = mirrors.iter().map(|mirror| mirror.parse()).collect();
    options
        .registry
        .mirrors
        .insert("registry.example".to_owned(), mirrors?);
    let image = read("registry.example/app:v1", &options)?;
    assert_eq!(image.index, Some(digest(&served.sample.index)));
    assert!(
        away.requests()
            .iter()
            .any(|request| request.path == "/v2/app/manifests/v1")
    );

    // What no mirror has is asked of the registry itself.
    let registry = served.registry.host();
    let mut options = served.options();
    options.registry.insecure_hosts.push(away.host().parse()?);
    options
        .registry
        .mirrors
        .insert(registry.clone(), vec![away.host().parse()?]);
    read(&format!("{registry}/team/app:v1"), &options)?;
    Ok(())
}
