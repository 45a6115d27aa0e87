//! `armorgate controller`: makes profiles, and tells what profiles permit.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{
    Done, config,
    includes::DirectoryIncludes,
    registries,
    service::{AdminArgs, ConfigArgs, Signals},
};
use crate::{
    admission::runtime,
    cluster::{self, Candidate},
    controller::{Controller, ControllerHealth, Settings},
    image::Cache,
    telemetry::ControllerMetrics,
};

/// Make the profiles that pods need, and tell of every AppArmorProfile what it permits
///
/// Of several processes one leads. It reads the images of pods that ask for a generated profile, and of the templates in
/// namespaces where profiles are generated, writes AppArmorProfile objects, keeps their status, and deletes those that nothing
/// names any more, as well as the NodeProfiles objects of nodes that are gone. GET /healthz, /readyz, /metrics on a plain port.
#[derive(Debug, Args)]
pub(super) struct ControllerCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    admin: AdminArgs,
    /// Where layers that were read are kept; without it, the user's own cache
    #[arg(long, value_name = "DIR", env = "ARMORGATE_CACHE_DIR")]
    cache: Option<PathBuf>,
    /// Folders in which the includes of profiles that people write are looked up, before /etc/apparmor.d
    #[arg(
        long,
        value_name = "DIR",
        env = "ARMORGATE_INCLUDE",
        value_delimiter = ','
    )]
    include: Vec<PathBuf>,
    /// The namespace of the lease
    #[arg(
        long,
        value_name = "NAMESPACE",
        default_value = "armorgate",
        env = "ARMORGATE_LEASE_NAMESPACE"
    )]
    lease_namespace: String,
    /// Who this is among those that may lead; without it, a name made of host and process
    #[arg(long, value_name = "NAME", env = "ARMORGATE_IDENTITY")]
    identity: Option<String>,
    /// How long nothing must have named a generated profile, or a node must be gone, before its object is deleted: 90s, 30m, 24h, 7d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration, env = "ARMORGATE_UNUSED_FOR")]
    unused_for: Duration,
}

/// The name of the lease.
const LEASE: &str = "armorgate-controller";

/// Reads a time such as `24h`.
fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("`{text}` is no time: write 90s, 30m, 24h or 7d");
    let unit = text.chars().next_back().ok_or_else(error)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(error()),
    };
    let number: u64 = text.trim_end_matches(unit).parse().map_err(|_| error())?;
    let total = number.checked_mul(seconds).filter(|total| *total > 0);
    Ok(Duration::from_secs(total.ok_or_else(error)?))
}

impl ControllerCommand {
    pub(super) fn run(&self) -> anyhow::Result<Done> {
        let runtime = runtime().context("cannot start")?;
        let done = runtime.block_on(self.control());
        // An image that is being read is read no further.
        runtime.shutdown_background();
        done
    }

    async fn control(&self) -> anyhow::Result<Done> {
        let (tell, settings) = watch::channel(self.settings()?);
        let client = cluster::connect().await?;
        let identity = self.identity.clone().unwrap_or_else(identity);
        let candidate = Candidate::new(&client, &self.lease_namespace, LEASE, &identity);
        let metrics = Arc::new(ControllerMetrics::default());
        let health = Arc::new(ControllerHealth::new(Arc::clone(&metrics)));
        let (told, counted) = (Arc::clone(&health), Arc::clone(&metrics));
        let ready = move || told.ready();
        let admin = self.admin.serve(ready, move || counted.render()).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(reload(
            self.config.config.clone(),
            self.config.every(),
            tell,
        ));

        let mut signals = Signals::new()?;
        let folder = self.cache.clone().or_else(Cache::default_folder);
        let controller = Controller {
            client,
            identity,
            settings,
            cache: folder.map(|folder| Cache::new(folder, Cache::MAX_BYTES)),
            includes: Arc::new(DirectoryIncludes::beside_default(self.include.clone())),
            unused_for: self.unused_for,
            metrics,
        };
        let stop = async {
            signals.next().await;
            tracing::info!("stopping");
            health.stop();
        };
        controller.run(candidate, stop).await;
        tasks.shutdown().await;
        admin.stop().await;
        tracing::info!("stopped");
        Ok(Done::Fine)
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        for folder in &self.include {
            if !folder.is_dir() {
                bail!("--include {}: not a folder", folder.display());
            }
        }
        read(self.config.config.as_ref())
    }
}

fn read(config: Option<&PathBuf>) -> anyhow::Result<Settings> {
    let policy = config::load(config.map(PathBuf::as_path))?;
    let registries = registries::options(&policy.registries)?;
    Ok(Settings { policy, registries })
}

/// Looks at the configuration on a timer; a broken one leaves the old one in use, and is told of once.
async fn reload(config: Option<PathBuf>, every: Duration, tell: watch::Sender<Settings>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut refused = None;
    loop {
        ticks.tick().await;
        let config = config.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || read(config.as_ref())).await else {
            continue;
        };
        match read {
            Ok(settings) => {
                refused = None;
                tell.send_if_modified(|current| {
                    let is_new = settings.policy != current.policy
                        || settings.registries.certificate_authorities
                            != current.registries.certificate_authorities;
                    if is_new {
                        *current = settings;
                    }
                    is_new
                });
            }
            Err(error) => {
                let error = format!("{error:#}");
                if refused.as_ref() != Some(&error) {
                    tracing::error!(error, "the new configuration is refused, the old one stays");
                }
                refused = Some(error);
            }
        }
    }
}

/// A name that no other process has: of a pod its own name, which is its host's name as well.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let started = started.unwrap_or_default().as_micros();
    format!("{}_{}_{started:x}", host.trim(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::{Duration, duration};

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_hours(168)));
        for text in [
            "",
            "h",
            "24",
            "0s",
            "1w",
            "-1h",
            "1.5h",
            "99999999999999999999d",
            "18446744073709551615d",
            "ä",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
