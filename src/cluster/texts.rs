//! The texts of some `AppArmorProfile` objects, each from a watch of that one object: what comes over the wire grows with what
//! is followed, and not with what there is.
//!
//! The text of a generated profile is not watched once it is there: its object's schema lets nobody change it. Each watch
//! is a connection, and of a hundred new pods on a node most name such profiles.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, pin_mut};
use kube::{
    Api, Client,
    api::GetParams,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
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
    look: Duration,
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
        Self::looking_every(client, LOOK)
    }

    /// The same, looking so often whether an object whose text cannot be changed was deleted, and made anew.
    #[must_use]
    pub fn looking_every(client: Client, look: Duration) -> Self {
        Self {
            look,
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
                let follow = follow(
                    self.client.clone(),
                    Arc::clone(name),
                    Arc::clone(&self.shared),
                    self.look,
                );
                let task = self.tasks.spawn(follow);
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

/// How often it is looked whether an object whose text cannot be changed was made anew: so long, and up to twice as long.
const LOOK: Duration = Duration::from_mins(10);

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);

async fn follow(client: Client, name: Arc<str>, shared: Arc<Shared>, look: Duration) {
    let api = Api::<AppArmorProfile>::all(client);
    // Not all of them at once, nor all nodes: each process hashes in its own way.
    let spread = RandomState::new().hash_one(&name) % 100;
    let wait = look.saturating_add(look / 100 * u32::try_from(spread).unwrap_or_default());
    let mut known = None;
    loop {
        if !is_same(&api, &name, known.as_deref()).await {
            // From the API server's memory: what is newer than that, the watch brings.
            let asked = timeout(REQUEST, api.get_with(&name, &GetParams::any())).await;
            let object = match asked {
                Ok(Ok(object)) if is_final(&object) => {
                    shared.set(&name, text_of(&object));
                    object
                }
                // Also when there is none, or none can be had: it is waited for.
                Ok(_) | Err(_) => watch(&api, &name, &shared).await,
            };
            known = object.metadata.uid;
        }
        sleep(wait).await;
    }
}

/// Whether the object is still the one of this id, as far as can be told: where there was one, no answer changes nothing.
async fn is_same(api: &Api<AppArmorProfile>, name: &str, known: Option<&str>) -> bool {
    let Some(known) = known else { return false };
    let asked = timeout(REQUEST, api.get_metadata_with(name, &GetParams::any())).await;
    match asked {
        Ok(Ok(found)) => found.metadata.uid.as_deref() == Some(known),
        Ok(Err(kube::Error::Api(status))) => !status.is_not_found(),
        Ok(Err(_)) | Err(_) => true,
    }
}

/// Tells the object's texts, until one is final: that object.
async fn watch(api: &Api<AppArmorProfile>, name: &Arc<str>, shared: &Shared) -> AppArmorProfile {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let stream = watcher(api.clone(), config).default_backoff();
    pin_mut!(stream);
    let mut listed = None;
    loop {
        // A watcher goes on for ever.
        let Some(event) = stream.next().await else {
            return pending().await;
        };
        let object = match event {
            Ok(watcher::Event::Apply(object)) => Some(object),
            Ok(watcher::Event::Delete(_)) => None,
            Ok(watcher::Event::InitDone) => listed.take(),
            Ok(watcher::Event::Init) => {
                listed = None;
                continue;
            }
            Ok(watcher::Event::InitApply(object)) => {
                listed = Some(object);
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, profile = %name, "cannot watch a profile, trying again");
                continue;
            }
        };
        let text = object.as_ref().map_or(ObjectText::NoObject, text_of);
        shared.set(name, text);
        if let Some(object) = object.filter(is_final) {
            return object;
        }
    }
}

/// Whether its text stays for as long as the object does: the definition's rule of generated profiles.
fn is_final(object: &AppArmorProfile) -> bool {
    object.spec.source.is_some() && object.spec.text.is_some()
}

fn text_of(object: &AppArmorProfile) -> ObjectText {
    let text = object.spec.text.as_deref();
    text.map_or(ObjectText::NoText, |text| ObjectText::Known(text.into()))
}
