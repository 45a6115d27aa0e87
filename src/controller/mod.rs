//! The controller: makes the profiles that pods and templates need, and tells of every `AppArmorProfile` what it permits.
//!
//! One process leads, the others watch nothing. `state` decides from what was seen what is to be done; `work` does it. Nothing is
//! loaded here and no pod is changed: that is the agents' and the webhook's. LIMIT: an image is read for this machine's
//! architecture where it has several.

mod error;
mod gone;
mod health;
mod judging;
mod lane;
mod leader;
mod needs;
mod state;
mod work;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

pub use health::ControllerHealth;
pub use work::Settings;

use crate::{
    apparmor::include::Includes,
    cluster::{Candidate, Client, Events, ProfileObjects},
    image::Cache,
    telemetry::ControllerMetrics,
};

/// A process that leads, or may come to.
pub struct Controller {
    /// The cluster.
    pub client: Client,
    /// Who this is among those that may lead.
    pub identity: String,
    /// The configuration, whenever there is a new one.
    pub settings: watch::Receiver<Settings>,
    /// Where layers that were read are kept.
    pub cache: Option<Cache>,
    /// What texts that people write may include.
    pub includes: Arc<dyn Includes + Send + Sync>,
    /// How long nobody must have needed a generated profile, or a node must be gone, before the object is deleted.
    pub unused_for: Duration,
    /// What is counted.
    pub metrics: Arc<ControllerMetrics>,
}

/// How often is looked at what no watch tells.
const TICK: Duration = Duration::from_secs(2);

impl Controller {
    /// Leads whenever it can, until `stop` is done: then the lease is released.
    pub async fn run(mut self, mut candidate: Candidate, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            () = self.lead(&mut candidate) => {}
        }
        self.metrics.is_leader.set(0);
        candidate.release().await;
    }

    async fn lead(&mut self, candidate: &mut Candidate) {
        loop {
            candidate.lead().await;
            tracing::info!("leading");
            self.metrics.is_leader.set(1);
            tokio::select! {
                () = candidate.hold() => {}
                () = self.work() => {}
            }
            self.metrics.is_leader.set(0);
            self.metrics.queued.set(0);
            tracing::warn!("leading no more");
        }
    }

    /// Works, from the beginning with each new configuration.
    async fn work(&mut self) {
        loop {
            let settings = self.settings.borrow_and_update().clone();
            let work = Arc::new(work::Work {
                client: self.client.clone(),
                events: Events::new(self.client.clone(), &self.identity),
                profiles: ProfileObjects::new(&self.client),
                settings,
                cache: self.cache.clone(),
                includes: Arc::clone(&self.includes),
                metrics: Arc::clone(&self.metrics),
            });
            let changed = self.settings.changed();
            tokio::select! {
                () = leader::work(work, self.unused_for, TICK) => {}
                // Where nobody can change it any more, the one that there is holds.
                () = async { if changed.await.is_err() { std::future::pending().await } } => {
                    tracing::info!("a new configuration");
                }
            }
        }
    }
}
