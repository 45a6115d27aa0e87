//! `armorgate serve`: the webhook.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow};
use arc_swap::ArcSwap;
use clap::Args;
use tempfile::TempPath;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{
    Done, config,
    includes::DirectoryIncludes,
    print, profiles, registries,
    reload::{Reloader, Sources},
    service::{AdminArgs, ConfigArgs, Signals, bind},
};
use crate::{
    admission::{
        Gate, Health, Mutator, NamespaceModes, RequestLimits, ServerLimits, Shutdown, runtime,
        serve, webhook_router,
    },
    cluster::{self, Namespaces, Nodes, watch_profile_objects},
    telemetry::Metrics,
    tls::{Authority, Certificates, Source, server_config},
    verdict::{Baselines, ObjectTexts, ProfileTexts, Profiles},
};

/// Serve the admission webhook
///
/// Answers POST /validate and POST /mutate over HTTPS, and GET /healthz, /readyz, /metrics on a plain port. Certificate, configuration
/// and profiles are read again while serving; a broken new one leaves the old one in use, and /readyz and a metric tell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  armorgate serve --tls-cert tls.crt --tls-key tls.key --config config.yaml
  armorgate serve --standalone --tls-self-signed localhost,127.0.0.1    to try it without a cluster")]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where to serve the webhook, over HTTPS
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8443",
        env = "ARMORGATE_LISTEN"
    )]
    listen: SocketAddr,
    #[command(flatten)]
    admin: AdminArgs,
    #[command(flatten)]
    tls: TlsArgs,
    /// Folders with the AppArmor profiles that the nodes hold
    #[arg(
        long,
        value_name = "DIR",
        env = "ARMORGATE_PROFILES",
        value_delimiter = ','
    )]
    profiles: Vec<PathBuf>,
    /// Folders in which these profiles' includes are looked up, before /etc/apparmor.d
    #[arg(
        long,
        value_name = "DIR",
        env = "ARMORGATE_INCLUDE",
        value_delimiter = ','
    )]
    include: Vec<PathBuf>,
    /// Decide from files alone: no cluster, so no namespace labels
    #[arg(long, env = "ARMORGATE_STANDALONE")]
    standalone: bool,
    /// Seconds to go on serving after SIGTERM, not ready, until nobody sends requests here [default: 5, standalone: 0]
    #[arg(long, value_name = "SECONDS", env = "ARMORGATE_DRAIN_SECONDS")]
    drain_seconds: Option<u64>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "the names of the options")]
#[group(required = true, multiple = true)]
struct TlsArgs {
    /// Certificate chain, PEM, the server's own first
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        conflicts_with = "tls_self_signed",
        env = "ARMORGATE_TLS_CERT"
    )]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        conflicts_with = "tls_self_signed",
        env = "ARMORGATE_TLS_KEY"
    )]
    tls_key: Option<PathBuf>,
    /// Make a certificate for these DNS names and IP addresses, and print where its CA bundle is: for trying out
    #[arg(
        long,
        value_name = "DNS,...",
        value_delimiter = ',',
        env = "ARMORGATE_TLS_SELF_SIGNED"
    )]
    tls_self_signed: Vec<String>,
}

impl TlsArgs {
    /// The source, and the CA bundle's file where one was made: it goes when the value does.
    fn source(&self, now: SystemTime) -> anyhow::Result<(Source, Option<TempPath>)> {
        if let (Some(chain), Some(key)) = (&self.tls_cert, &self.tls_key) {
            let source = Source::Files {
                chain: chain.clone(),
                key: key.clone(),
            };
            return Ok((source, None));
        }
        let authority = Authority::new(now)?;
        let path = write_bundle(authority.pem())
            .context("cannot write the CA bundle to the temporary folder")?;
        print(&format!("CA bundle: {}\n", path.display()))?;
        let names = self.tls_self_signed.clone();
        Ok((
            Source::SelfSigned {
                authority: Box::new(authority),
                names,
            },
            Some(path),
        ))
    }
}

/// Writes a file for the API server's administrator.
fn write_bundle(pem: &str) -> anyhow::Result<TempPath> {
    let mut file = tempfile::Builder::new()
        .prefix("armorgate-ca-")
        .suffix(".pem")
        .tempfile()?;
    file.write_all(pem.as_bytes())?;
    Ok(file.into_temp_path())
}

impl Serve {
    pub(super) fn run(&self) -> anyhow::Result<Done> {
        let runtime = runtime().context("cannot start")?;
        let done = runtime.block_on(self.serve());
        // A second signal does not wait for requests that are still open.
        runtime.shutdown_background();
        done
    }

    async fn serve(&self) -> anyhow::Result<Done> {
        let now = SystemTime::now();
        let policy = config::load(self.config.config.as_deref())?;
        let registry_options = registries::options(&policy.registries)?;
        let mut tasks = JoinSet::new();
        let objects = ObjectTexts::new(Arc::new(DirectoryIncludes::confined()));
        let (namespaces, nodes, client) = if self.standalone {
            (NamespaceModes::Standalone, Nodes::new(None), None)
        } else {
            let client = cluster::connect().await?;
            let namespaces = Namespaces::new(&[cluster::PROFILE_LABEL, cluster::WHITELIST_LABEL]);
            tasks.spawn(namespaces.clone().watch(client.clone()));
            tasks.spawn(watch_profile_objects(client.clone(), objects.clone()));
            (
                NamespaceModes::Watched(namespaces),
                Nodes::new(Some(client.clone())),
                Some(client),
            )
        };
        if policy.baselines == Baselines::Nodes {
            nodes.follow()?;
        }
        let texts = profiles::load(&self.profiles, &self.include, &ProfileTexts::default())?;
        let (source, _bundle) = self.tls.source(now)?;
        let certificates = Arc::new(Certificates::load(source, now)?);
        let tls = TlsAcceptor::from(Arc::new(server_config(Arc::clone(&certificates))?));
        let listener = bind(self.listen).await?;

        let metrics = Arc::new(Metrics::default());
        let profiles: Arc<dyn Profiles> = Arc::new(texts.clone());
        let gate = Arc::new(Gate {
            policy: ArcSwap::from_pointee(policy),
            profiles: ArcSwap::from_pointee(profiles),
            objects,
            namespaces,
            nodes,
        });
        let mutator = Arc::new(Mutator::new(Arc::clone(&gate), registry_options, client));
        tasks.spawn(Arc::clone(&mutator).follow_version());
        let health = Arc::new(Health::new(Arc::clone(&gate), Arc::clone(&certificates)));
        let sources = Sources {
            config: self.config.config.clone(),
            profiles: self.profiles.clone(),
            includes: self.include.clone(),
            certificates,
        };
        let mut reloader = Reloader::new(
            sources,
            Arc::clone(&mutator),
            Arc::clone(&health),
            Arc::clone(&metrics),
            texts,
        );
        reloader.announce();
        tasks.spawn(reloader.run(self.config.every()));

        let ready = {
            let health = Arc::clone(&health);
            move || health.ready(SystemTime::now())
        };
        let counted = Arc::clone(&metrics);
        let admin = self.admin.serve(ready, move || counted.render()).await?;
        let stop = Shutdown::new();
        let router = webhook_router(mutator, Arc::clone(&metrics), RequestLimits::default());
        let webhook = tokio::spawn(serve(
            listener,
            Some(tls),
            router,
            ServerLimits::default(),
            metrics.connections.clone(),
            stop.clone(),
        ));

        let mut signals = Signals::new()?;
        signals.next().await;
        tracing::info!("stopping: not ready from now on");
        health.drain();
        let drained = async {
            tokio::time::sleep(self.drain_time()).await;
            stop.start();
            let _ = webhook.await;
            admin.stop().await;
        };
        tokio::select! {
            () = drained => {}
            () = signals.next() => return Err(anyhow!("stopped by a second signal, requests may have been cut off")),
        }
        tasks.shutdown().await;
        tracing::info!("stopped");
        Ok(Done::Fine)
    }

    /// A pod that is not ready is still sent requests until every API server has heard of it.
    fn drain_time(&self) -> Duration {
        let default = if self.standalone { 0 } else { 5 };
        Duration::from_secs(self.drain_seconds.unwrap_or(default))
    }
}
