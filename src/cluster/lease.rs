//! Who leads: one process at a time, by a `coordination.k8s.io/v1` Lease.
//!
//! Clocks of machines differ, so another's lease is held to have expired once nobody has renewed it for its whole duration by
//! *our* clock, whatever time stands in it. Every write names the version that was read: of two that take a lease at the same
//! time one is refused. LIMIT: a leader that was stopped (not killed) may go on for a moment after it wakes up; what it writes to
//! objects is held to their versions as well.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::time::{Instant, sleep, sleep_until};

use super::objects::FIELD_MANAGER;

/// How long a lease lasts without being renewed.
const DURATION: Duration = Duration::from_secs(15);
/// A third of that.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How long renewing may fail before the leader steps down: others must not have taken over by then.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often somebody who does not lead looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(4);

/// One who wants to lead.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    claim: Claim,
}

/// What decides whether a lease may be taken.
struct Claim {
    identity: String,
    seen: Option<Seen>,
}

/// A lease of somebody else, and since when it has been like that.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    spec: LeaseSpec,
    since: Instant,
}

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// The lease is ours.
    Held,
    /// It is somebody else's.
    Refused,
}

impl Candidate {
    /// One who competes for a lease by this name. The identity is nobody else's.
    #[must_use]
    pub fn new(client: &Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            name: name.to_owned(),
            claim: Claim {
                identity: identity.to_owned(),
                seen: None,
            },
        }
    }

    /// Waits until this one leads.
    pub async fn lead(&mut self) {
        loop {
            match self.timed_attempt().await {
                Ok(Attempt::Held) => return,
                Ok(Attempt::Refused) => {}
                Err(error) => tracing::warn!(%error, "cannot ask for the lease, trying again"),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Renews the lease for as long as that goes: when this returns, this one leads no more.
    pub async fn hold(&mut self) {
        let mut renewed = Instant::now();
        loop {
            sleep(RENEW_EVERY).await;
            loop {
                let attempt = tokio::select! {
                    attempt = self.timed_attempt() => attempt,
                    () = sleep_until(renewed + RENEW_DEADLINE) => return,
                };
                match attempt {
                    Ok(Attempt::Held) => {
                        renewed = Instant::now();
                        break;
                    }
                    Ok(Attempt::Refused) => return,
                    Err(error) => tracing::warn!(%error, "cannot renew the lease, trying again"),
                }
                tokio::select! {
                    () = sleep(Duration::from_secs(1)) => {}
                    () = sleep_until(renewed + RENEW_DEADLINE) => return,
                }
            }
        }
    }

    /// Gives the lease up, so that others need not wait. An error costs them time only.
    pub async fn release(&self) {
        let release = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else {
                return Ok(());
            };
            if let Some(spec) = &mut lease.spec
                && spec.holder_identity.as_deref() == Some(&self.claim.identity)
            {
                spec.holder_identity = None;
                // What client-go writes: a lease that is about to expire.
                spec.lease_duration_seconds = Some(1);
                self.api.replace(&self.name, &parameters(), &lease).await?;
            }
            Ok::<(), kube::Error>(())
        };
        match tokio::time::timeout(REQUEST, release).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the lease was not released"),
            Err(_) => tracing::warn!("the lease was not released in time"),
        }
    }

    async fn timed_attempt(&mut self) -> Result<Attempt, kube::Error> {
        match tokio::time::timeout(REQUEST, self.attempt()).await {
            Ok(result) => result,
            Err(_) => Err(kube::Error::Service(
                "the API server does not answer in time".into(),
            )),
        }
    }

    /// Takes or renews the lease if that may be.
    async fn attempt(&mut self) -> Result<Attempt, kube::Error> {
        let now = Timestamp::now();
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.claim.taken(&LeaseSpec::default(), now)),
            };
            return attempted(self.api.create(&parameters(), &lease).await);
        };
        let spec = lease.spec.take().unwrap_or_default();
        self.claim.see(&spec, Instant::now());
        if !self.claim.may_take(&spec, Instant::now()) {
            return Ok(Attempt::Refused);
        }
        lease.spec = Some(self.claim.taken(&spec, now));
        attempted(self.api.replace(&self.name, &parameters(), &lease).await)
    }
}

impl Claim {
    /// Remembers since when the lease is what it is.
    fn see(&mut self, spec: &LeaseSpec, now: Instant) {
        if self.seen.as_ref().is_none_or(|seen| seen.spec != *spec) {
            self.seen = Some(Seen {
                spec: spec.clone(),
                since: now,
            });
        }
    }

    fn may_take(&self, spec: &LeaseSpec, now: Instant) -> bool {
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        let seconds = spec.lease_duration_seconds.unwrap_or_default();
        let lasts = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let since = self.seen.as_ref().map_or(now, |seen| seen.since);
        now.duration_since(since) > lasts
    }

    fn taken(&self, before: &LeaseSpec, now: Timestamp) -> LeaseSpec {
        let is_ours = before.holder_identity.as_deref() == Some(&self.identity);
        let transitions = before.lease_transitions.unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if is_ours {
                before.acquire_time.clone()
            } else {
                Some(MicroTime(now))
            },
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(if is_ours {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..LeaseSpec::default()
        }
    }
}

fn attempted(written: kube::Result<Lease>) -> Result<Attempt, kube::Error> {
    match written {
        Ok(_) => Ok(Attempt::Held),
        // Somebody else was faster.
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
            Ok(Attempt::Refused)
        }
        Err(error) => Err(error),
    }
}

fn parameters() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Duration, Instant, LeaseSpec, Timestamp};

    fn claim(identity: &str) -> Claim {
        Claim {
            identity: identity.to_owned(),
            seen: None,
        }
    }

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_lease_is_taken_once_nobody_has_renewed_it_for_its_duration() {
        let (first, mut second) = (claim("first"), claim("second"));
        let held = first.taken(&LeaseSpec::default(), time(0));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        second.see(&held, at(0));
        assert!(first.may_take(&held, at(0)) && !second.may_take(&held, at(15)));
        assert!(second.may_take(&held, at(16)));
        // It was renewed: what counts is when that was seen, not the time that stands in it.
        let renewed = first.taken(&held, time(1));
        second.see(&renewed, at(14));
        assert!(!second.may_take(&renewed, at(29)));
        assert!(second.may_take(&renewed, at(30)));
        let taken = second.taken(&renewed, time(9));
        assert_eq!(
            (renewed.lease_transitions, taken.lease_transitions),
            (Some(1), Some(2))
        );
        assert_eq!(renewed.acquire_time, held.acquire_time);
        assert!(!first.may_take(&taken, at(0)));
    }

    #[test]
    fn a_lease_that_was_released_is_free() {
        let second = claim("second");
        let mut released = claim("first").taken(&LeaseSpec::default(), time(0));
        for holder in [None, Some(String::new())] {
            released.holder_identity = holder;
            assert!(second.may_take(&released, Instant::now()));
        }
    }
}
