//! `armorgate demo`: the real server, the real protocol, built-in samples; no cluster.

use std::{net::Ipv4Addr, sync::Arc, time::SystemTime};

use anyhow::{Context as _, ensure};
use arc_swap::ArcSwap;
use axum::body::Bytes;
use clap::Args;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets::UTF8_FULL};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request,
    client::conn::http1::{SendRequest, handshake},
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::gauge::Gauge;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Done, manifest, print};
use crate::{
    admission::{
        Gate, Mutator, NamespaceModes, RequestLimits, ServerLimits, Shutdown, runtime, serve,
        webhook_router,
    },
    apparmor::include::NoIncludes,
    cluster::Nodes,
    image::registry::RegistryOptions,
    telemetry::Metrics,
    tls::{Authority, Certificates, Source, provider, server_config},
    verdict::{ObjectTexts, Policy, ProfileTexts, Profiles},
};

/// See it decide: the real webhook on built-in samples, without a cluster
///
/// Starts the HTTPS server on a loopback port with a certificate made for it, sends it an admission review for each
/// sample, and shows the verdicts. Exit code 0 when each came out as described, else 1.
#[derive(Debug, Args)]
pub(super) struct Demo {}

/// Columns, where the terminal does not tell.
const WIDTH: u16 = 120;

/// A sample: what it shows, what must come out, and the object.
struct Sample {
    what: &'static str,
    expected: Expected,
    /// The object, and after `---` the object before the update.
    manifest: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Allowed,
    AllowedWithWarnings,
    Denied,
}

impl Expected {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::AllowedWithWarnings => "allowed, with warnings",
            Self::Denied => "denied",
        }
    }
}

impl Demo {
    #[expect(clippy::unused_self, reason = "every command is run the same way")]
    pub(super) fn run(&self) -> anyhow::Result<Done> {
        runtime()?.block_on(demo())
    }
}

async fn demo() -> anyhow::Result<Done> {
    let now = SystemTime::now();
    let authority = Authority::new(now)?;
    let roots = authority.pem().to_owned();
    let names = vec!["localhost".to_owned()];
    let certificates = Arc::new(Certificates::load(
        Source::SelfSigned {
            authority: Box::new(authority),
            names,
        },
        now,
    )?);
    let tls = TlsAcceptor::from(Arc::new(server_config(certificates)?));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("cannot listen on loopback")?;
    let address = listener.local_addr()?;
    let mut texts = ProfileTexts::default();
    texts.add(
        "samples",
        SAMPLE_PROFILES.as_bytes().into(),
        Arc::new(NoIncludes),
    );
    let profiles: Arc<dyn Profiles> = Arc::new(texts);
    let gate = Gate {
        policy: ArcSwap::from_pointee(Policy::default()),
        profiles: ArcSwap::from_pointee(profiles),
        objects: ObjectTexts::new(Arc::new(NoIncludes)),
        namespaces: NamespaceModes::Standalone,
        nodes: Nodes::new(None),
    };
    let router = webhook_router(
        Arc::new(Mutator::new(
            Arc::new(gate),
            RegistryOptions::default(),
            None,
        )),
        Arc::new(Metrics::default()),
        RequestLimits::default(),
    );
    let stop = Shutdown::new();
    let server = tokio::spawn(serve(
        listener,
        Some(tls),
        router,
        ServerLimits::default(),
        Gauge::default(),
        stop.clone(),
    ));

    print(&format!(
        "armorgate {}: POST https://{address}/validate, mode enforce\n\n",
        env!("CARGO_PKG_VERSION")
    ))?;
    let mut client = connect(TcpStream::connect(address).await?, &roots).await?;
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    table.set_header(["sample", "verdict", "what kubectl would show"]);
    table.set_constraints([
        ColumnConstraint::UpperBoundary(Width::Fixed(28)),
        ColumnConstraint::UpperBoundary(Width::Fixed(13)),
    ]);
    let mut wrong = Vec::new();
    for sample in SAMPLES {
        let (came_out, message) = ask(&mut client, sample).await?;
        table.add_row([sample.what, came_out.as_str(), &message]);
        if came_out != sample.expected {
            wrong.push(format!(
                "{}: {}, expected {}\n",
                sample.what,
                came_out.as_str(),
                sample.expected.as_str()
            ));
        }
    }
    drop(client);
    stop.start();
    server.await?;
    print(&format!("{table}\n\n"))?;
    if wrong.is_empty() {
        print(&format!("All {} came out as described.\n", SAMPLES.len()))?;
        Ok(Done::Fine)
    } else {
        print(&wrong.concat())?;
        Ok(Done::Refused)
    }
}

async fn connect(stream: TcpStream, roots: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from_pem_slice(roots.as_bytes())?)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost")?, stream)
        .await?;
    let (client, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[derive(Deserialize)]
struct Review {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    allowed: bool,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    status: Value,
}

async fn ask(
    client: &mut SendRequest<Full<Bytes>>,
    sample: &Sample,
) -> anyhow::Result<(Expected, String)> {
    let objects = manifest::objects("sample", sample.manifest)?;
    let mut objects = objects.iter();
    let object = objects.next().context("a sample holds an object")?;
    let raw = |object: &manifest::Object<'_>| anyhow::Ok(RawValue::from_string(object.to_json()?)?);
    let old = objects.next().map(raw).transpose()?;
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "demo",
            "kind": { "group": object.group, "version": "v1", "kind": object.kind },
            "namespace": "default",
            "operation": if old.is_some() { "UPDATE" } else { "CREATE" },
            "object": raw(object)?,
            "oldObject": old,
        },
    });
    let request = Request::post("/validate")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(serde_json::to_vec(&review)?))?;
    client.ready().await?;
    let response = client.send_request(request).await?;
    ensure!(
        response.status().is_success(),
        "the server answered {}",
        response.status()
    );
    let review: Review = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
    let Response {
        allowed,
        warnings,
        status,
    } = review.response;
    let message = status
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // The first line is the same in all.
    let message = message.split_once('\n').map_or(message, |(_, rest)| rest);
    Ok(match (allowed, warnings.as_slice()) {
        (false, _) => (Expected::Denied, message.to_owned()),
        (true, []) => (Expected::Allowed, String::new()),
        (true, warnings) => (
            Expected::AllowedWithWarnings,
            format!("Warning: {}", warnings.join("\nWarning: ")),
        ),
    })
}

/// The profiles that samples name.
const SAMPLE_PROFILES: &str = "abi <abi/3.0>,
# All that the runtime's default permits, one would think.
profile careless flags=(attach_disconnected, mediate_deleted) {
  network,
  capability,
  file,
  umount,
  deny /etc/** w,
}
profile nginx flags=(attach_disconnected, mediate_deleted) {
  network inet stream,
  capability net_bind_service,
  /usr/sbin/nginx mrix,
  /usr/lib/** mr,
  /etc/** r,
  /var/log/nginx/* rw,
}
";

const SAMPLES: &[Sample] = &[
    Sample {
        what: "Pod that asks for nothing",
        expected: Expected::Allowed,
        manifest: "{apiVersion: v1, kind: Pod, spec: {containers: [{name: web}]}}",
    },
    Sample {
        what: "Pod that asks for RuntimeDefault",
        expected: Expected::Allowed,
        manifest: "{apiVersion: v1, kind: Pod, spec: {securityContext: {appArmorProfile: {type: RuntimeDefault}}, containers: [{name: web}]}}",
    },
    Sample {
        what: "Pod with an unconfined container",
        expected: Expected::Denied,
        manifest: "{apiVersion: v1, kind: Pod, spec: {containers: [{name: web, securityContext: {appArmorProfile: {type: Unconfined}}}]}}",
    },
    Sample {
        what: "Deployment whose template says unconfined in the legacy annotation",
        expected: Expected::Denied,
        manifest: "{apiVersion: apps/v1, kind: Deployment, spec: {template: {metadata: {annotations: \
            {container.apparmor.security.beta.kubernetes.io/web: unconfined}}, spec: {containers: [{name: web}]}}}}",
    },
    Sample {
        what: "Pod whose init container alone is unconfined",
        expected: Expected::Denied,
        manifest: "{apiVersion: v1, kind: Pod, spec: {initContainers: [{name: setup, securityContext: \
            {appArmorProfile: {type: Unconfined}}}], containers: [{name: web}]}}",
    },
    Sample {
        what: "DaemonSet with a privileged container",
        expected: Expected::Denied,
        manifest: "{apiVersion: apps/v1, kind: DaemonSet, spec: {template: {spec: {containers: [{name: agent, securityContext: {privileged: true}}]}}}}",
    },
    Sample {
        what: "Pod with a Localhost profile that nobody knows",
        expected: Expected::Denied,
        manifest: "{apiVersion: v1, kind: Pod, spec: {containers: [{name: web, securityContext: \
            {appArmorProfile: {type: Localhost, localhostProfile: web}}}]}}",
    },
    Sample {
        what: "Pod with a Localhost profile that permits more than the runtime's default",
        expected: Expected::Denied,
        manifest: "{apiVersion: v1, kind: Pod, spec: {containers: [{name: web, securityContext: \
            {appArmorProfile: {type: Localhost, localhostProfile: careless}}}]}}",
    },
    Sample {
        what: "Pod with a Localhost profile that permits less",
        expected: Expected::Allowed,
        manifest: "{apiVersion: v1, kind: Pod, spec: {containers: [{name: web, securityContext: \
            {appArmorProfile: {type: Localhost, localhostProfile: nginx}}}]}}",
    },
    Sample {
        what: "CronJob whose field and annotation disagree",
        expected: Expected::Denied,
        manifest: "{apiVersion: batch/v1, kind: CronJob, spec: {jobTemplate: {spec: {template: {metadata: {annotations: \
            {container.apparmor.security.beta.kubernetes.io/job: unconfined}}, spec: {containers: [{name: job, \
            securityContext: {appArmorProfile: {type: RuntimeDefault}}}]}}}}}}",
    },
    Sample {
        what: "Windows pod",
        expected: Expected::Allowed,
        manifest: "{apiVersion: v1, kind: Pod, spec: {os: {name: windows}, containers: [{name: web}]}}",
    },
    Sample {
        what: "Update of a Deployment that was weak before",
        expected: Expected::AllowedWithWarnings,
        manifest: "{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 3, template: {spec: {containers: [{name: web, securityContext: {privileged: true}}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 1, template: {spec: {containers: [{name: web, securityContext: {privileged: true}}]}}}}",
    },
    Sample {
        what: "Unconfined debug container in a running pod",
        expected: Expected::Denied,
        manifest: "{apiVersion: v1, kind: Pod, spec: {containers: [{name: web}], ephemeralContainers: [{name: debugger, \
            securityContext: {appArmorProfile: {type: Unconfined}}}]}}
---
{apiVersion: v1, kind: Pod, spec: {containers: [{name: web}]}}",
    },
];
