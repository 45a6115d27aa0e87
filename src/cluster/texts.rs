//! The texts of some `AppArmorProfile` objects, each from a watch of that one object: what comes over the wire grows with what
//! is followed, and not with what there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{StreamExt as _, pin_mut};
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
};

use super::objects::AppArmorProfile;

/// What is known of an object's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectText {
    /// The object has this text.
    Known(Arc<str>),
    /// There is no such object.
    NoObject,
    /// The object has no text yet.
    NoText,
    /// The API server has not said.
    NotYet,
}

/// Texts by the names of their objects.
pub struct Texts {
    client: Client,
    tasks: JoinSet<()>,
    followed: BTreeMap<Arc<str>, AbortHandle>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    texts: Mutex<BTreeMap<Arc<str>, ObjectText>>,
    changed: Notify,
}

impl Texts {
    /// Of no objects yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            tasks: JoinSet::new(),
            followed: BTreeMap::new(),
            shared: Arc::default(),
        }
    }

    /// Follows these objects, and no others any more. Inside a tokio runtime only. The names must be such as objects can have.
    pub fn follow(&mut self, names: &BTreeSet<Arc<str>>) {
        self.followed.retain(|name, task| {
            let stays = names.contains(name);
            if !stays {
                task.abort();
            }
            stays
        });
        self.shared.texts().retain(|name, _| names.contains(name));
        for name in names {
            if !self.followed.contains_key(name) {
                let watch = watch(
                    self.client.clone(),
                    Arc::clone(name),
                    Arc::clone(&self.shared),
                );
                let task = self.tasks.spawn(watch);
                self.followed.insert(Arc::clone(name), task);
            }
        }
        // Those that were ended.
        while self.tasks.try_join_next().is_some() {}
    }

    /// What is known of the text of an object.
    #[must_use]
    pub fn text(&self, name: &str) -> ObjectText {
        let texts = self.shared.texts();
        texts.get(name).cloned().unwrap_or(ObjectText::NotYet)
    }

    /// Waits for news. What came while nobody waited is told at once.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }
}

impl Shared {
    fn texts(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, ObjectText>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, name: &Arc<str>, text: ObjectText) {
        let before = self.texts().insert(Arc::clone(name), text.clone());
        if before != Some(text) {
            self.changed.notify_one();
        }
    }
}

async fn watch(client: Client, name: Arc<str>, shared: Arc<Shared>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let stream = watcher(Api::<AppArmorProfile>::all(client), config).default_backoff();
    pin_mut!(stream);
    let mut listed = ObjectText::NoObject;
    while let Some(event) = stream.next().await {
        match event {
            Ok(watcher::Event::Apply(object)) => shared.set(&name, text_of(object)),
            Ok(watcher::Event::Delete(_)) => shared.set(&name, ObjectText::NoObject),
            Ok(watcher::Event::Init) => listed = ObjectText::NoObject,
            Ok(watcher::Event::InitApply(object)) => listed = text_of(object),
            Ok(watcher::Event::InitDone) => shared.set(&name, listed.clone()),
            Err(error) => {
                tracing::warn!(%error, profile = %name, "cannot watch a profile, trying again");
            }
        }
    }
}

fn text_of(object: AppArmorProfile) -> ObjectText {
    let text = object.spec.text.map(|text| ObjectText::Known(text.into()));
    text.unwrap_or(ObjectText::NoText)
}
