//! Some labels of every namespace, from a metadata-only watch.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    core::PartialObjectMeta,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::sync::Notify;

/// What is known of a namespace's label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// The watch has not seen this namespace yet.
    NoSuchNamespace,
    /// It has this value.
    Value(Arc<str>),
    /// The namespace does not have the label.
    Unset,
}

/// The namespaces of the cluster with the values of some labels. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Namespaces(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    labels: &'static [&'static str],
    values: RwLock<HashMap<String, Values>>,
    synced: AtomicBool,
    changed: Notify,
}

/// The values of the labels, in their order.
type Values = Box<[Option<Arc<str>>]>;

impl Namespaces {
    /// Nothing known yet; [`Self::watch`] fills it.
    #[must_use]
    pub fn new(labels: &'static [&'static str]) -> Self {
        Self(Arc::new(Inner {
            labels,
            values: RwLock::default(),
            synced: AtomicBool::new(false),
            changed: Notify::new(),
        }))
    }

    /// Follows the cluster's namespaces for ever, coping with whatever the API server does.
    pub async fn watch(self, client: Client) {
        let stream = watcher(
            Api::<PartialObjectMeta<Namespace>>::all(client),
            watcher::Config::default(),
        )
        .default_backoff();
        pin_mut!(stream);
        let mut listed = HashMap::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => self.apply(event, &mut listed),
                Err(error) => tracing::warn!(%error, "cannot watch namespaces, trying again"),
            }
        }
    }

    fn apply(
        &self,
        event: watcher::Event<PartialObjectMeta<Namespace>>,
        listed: &mut HashMap<String, Values>,
    ) {
        let mut values = self
            .0
            .values
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match event {
            watcher::Event::Apply(namespace) => values.extend(self.entry(namespace)),
            watcher::Event::Delete(namespace) => {
                values.remove(namespace.metadata.name.as_deref().unwrap_or_default());
            }
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(namespace) => listed.extend(self.entry(namespace)),
            watcher::Event::InitDone => {
                *values = std::mem::take(listed);
                self.0.synced.store(true, Ordering::Release);
            }
        }
        drop(values);
        self.0.changed.notify_waiters();
    }

    fn entry(&self, namespace: PartialObjectMeta<Namespace>) -> Option<(String, Values)> {
        let labels = namespace.metadata.labels.as_ref();
        let value = |label: &&str| Some(Arc::from(labels?.get(*label)?.as_str()));
        Some((
            namespace.metadata.name?,
            self.0.labels.iter().map(value).collect(),
        ))
    }

    /// A label of a namespace, as far as the watch has come; one that is not watched is unset.
    #[must_use]
    pub fn label(&self, namespace: &str, label: &str) -> Label {
        let values = self.0.values.read();
        let values = values.unwrap_or_else(PoisonError::into_inner);
        let Some(values) = values.get(namespace) else {
            return Label::NoSuchNamespace;
        };
        let mut labelled = self.0.labels.iter().zip(values);
        match labelled.find(|(name, _)| **name == label) {
            Some((_, Some(value))) => Label::Value(Arc::clone(value)),
            _ => Label::Unset,
        }
    }

    /// Whether a namespace has been seen.
    #[must_use]
    pub fn knows(&self, namespace: &str) -> bool {
        let values = self.0.values.read();
        values
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(namespace)
    }

    /// Waits until the watch has seen a namespace, at most so long. The API server admits pods only to namespaces that
    /// exist, so an unknown one is on its way.
    pub async fn wait_for(&self, namespace: &str, at_most: Duration) {
        let seen = async {
            loop {
                let changed = self.0.changed.notified();
                pin_mut!(changed);
                // Listen first, look then: a change in between is not missed.
                changed.as_mut().enable();
                if self.knows(namespace) {
                    return;
                }
                changed.await;
            }
        };
        let _ = tokio::time::timeout(at_most, seen).await;
    }

    /// Whether all namespaces have been seen once.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.0.synced.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use kube::{core::PartialObjectMeta, runtime::watcher::Event};

    use super::{Label, Namespaces};

    const LONG: Duration = Duration::from_mins(1);

    fn namespace(name: &str, label: Option<&str>) -> PartialObjectMeta<super::Namespace> {
        let labels = label.map(|value| [("a/label".to_owned(), value.to_owned())].into());
        let metadata = kube::api::ObjectMeta {
            name: Some(name.to_owned()),
            labels,
            ..Default::default()
        };
        PartialObjectMeta {
            metadata,
            ..Default::default()
        }
    }

    #[test]
    fn a_restarted_watch_forgets_what_is_gone() {
        let (namespaces, mut listed) = (Namespaces::new(&["b/label", "a/label"]), HashMap::new());
        assert!(!namespaces.is_synced());
        for (names, expected) in [
            (["a", "b"], Label::Unset),
            (["a", "c"], Label::NoSuchNamespace),
        ] {
            namespaces.apply(Event::Init, &mut listed);
            for name in names {
                namespaces.apply(Event::InitApply(namespace(name, None)), &mut listed);
            }
            namespaces.apply(Event::InitDone, &mut listed);
            assert!(namespaces.is_synced());
            assert_eq!(namespaces.label("b", "a/label"), expected);
        }
        namespaces.apply(Event::Apply(namespace("a", Some("warn"))), &mut listed);
        assert_eq!(
            namespaces.label("a", "a/label"),
            Label::Value("warn".into())
        );
        namespaces.apply(Event::Delete(namespace("a", None)), &mut listed);
        assert_eq!(namespaces.label("a", "a/label"), Label::NoSuchNamespace);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_the_namespace_comes_or_time_is_up() {
        let namespaces = Namespaces::new(&["b/label", "a/label"]);
        let started = tokio::time::Instant::now();
        namespaces.wait_for("late", Duration::from_secs(1)).await;
        assert_eq!(started.elapsed(), Duration::from_secs(1));

        let comes = async {
            tokio::task::yield_now().await;
            namespaces.apply(Event::Apply(namespace("other", None)), &mut HashMap::new());
            tokio::task::yield_now().await;
            namespaces.apply(
                Event::Apply(namespace("late", Some("off"))),
                &mut HashMap::new(),
            );
        };
        let ((), ()) = tokio::join!(namespaces.wait_for("late", LONG), comes);
        assert_eq!(
            started.elapsed(),
            Duration::from_secs(1),
            "not until the end"
        );
        assert_eq!(
            namespaces.label("late", "a/label"),
            Label::Value("off".into())
        );
    }
}
