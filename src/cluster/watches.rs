//! What happens to pods, to the objects that make them, and to `AppArmorProfile` objects: watches that keep nothing themselves.
//!
//! Of pods and workloads only metadata is asked for. Of profiles the API server sends all, and all but a few facts is dropped
//! as it is read: texts are up to a megabyte each.

use std::{fmt::Debug, sync::Arc};

use futures_util::{Stream, StreamExt as _, pin_mut};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
    batch::v1::{CronJob, Job},
    core::v1::Pod,
};
use kube::{
    Api, Client, Resource,
    core::{ApiResource, Object, PartialObjectMeta},
    runtime::{WatchStreamExt as _, watcher},
};
use serde::{Deserialize, de::DeserializeOwned, de::IgnoredAny};
use tokio::{sync::mpsc::Sender, task::JoinSet};

use super::objects::AppArmorProfile;
use crate::verdict::Kind;

/// Which pod, or which object that makes pods.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// What is seen of a pod, or of an object that makes pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectSeen {
    /// Whose life this is: another object of the same name has another one.
    pub uid: String,
    /// Raised with every change of its spec; of pods always the same.
    pub generation: i64,
    /// Whether another object makes and changes it.
    pub is_owned: bool,
    /// The annotation with the digests of its images.
    pub images: Option<String>,
}

/// What is seen of an `AppArmorProfile`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileSeen {
    /// The generation of its spec.
    pub generation: i64,
    /// The generation that its status is about.
    pub observed_generation: i64,
    /// Whether it has a text.
    pub has_text: bool,
    /// Whether it was generated.
    pub has_source: bool,
    /// Whether its status says that it is sound.
    pub is_ready: bool,
    /// The baselines that its status relates it to.
    pub baselines: Vec<String>,
}

impl ProfileSeen {
    /// The same of an object that was read whole.
    #[must_use]
    pub fn of(profile: &AppArmorProfile) -> Self {
        let status = profile.status.clone().unwrap_or_default();
        let conditions = status.conditions.iter();
        let mut conditions = conditions.map(|condition| (&*condition.kind, &*condition.status));
        let relations = status.relations.iter();
        Self {
            generation: profile.metadata.generation.unwrap_or_default(),
            observed_generation: status.observed_generation,
            has_text: profile.spec.text.is_some(),
            has_source: profile.spec.source.is_some(),
            is_ready: conditions.any(|condition| condition == READY),
            baselines: relations
                .map(|relation| relation.baseline.clone())
                .collect(),
        }
    }

    /// Whether its status tells of its generation all that these baselines make it tell.
    #[must_use]
    pub fn is_judged(&self, baselines: &[String]) -> bool {
        self.generation == self.observed_generation
            && (!self.is_ready || self.baselines == baselines)
    }
}

/// The condition of a profile that is sound: its kind and its status.
const READY: (&str, &str) = ("Ready", "True");

/// Something that was seen. Every list begins, names what there is, and ends; what was not named then is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// An object is there, or has changed.
    Object(ObjectKey, ObjectSeen),
    /// An object is gone.
    ObjectGone(ObjectKey),
    /// A list of objects of a kind begins.
    ObjectsBegin(Kind),
    /// It ends.
    ObjectsEnd(Kind),
    /// A profile is there, or has changed.
    Profile(Arc<str>, ProfileSeen),
    /// A profile is gone.
    ProfileGone(Arc<str>),
    /// A list of profiles begins.
    ProfilesBegin,
    /// It ends.
    ProfilesEnd,
}

/// The kinds of objects that are watched.
pub const WATCHED_KINDS: [Kind; 7] = [
    Kind::CronJob,
    Kind::DaemonSet,
    Kind::Deployment,
    Kind::Job,
    Kind::Pod,
    Kind::ReplicaSet,
    Kind::StatefulSet,
];

/// LIMIT: objects in an answer of the API server, by their metadata: some kilobytes each, most of it who wrote what.
const PAGE: u32 = 250;
/// LIMIT: profiles in an answer, with their texts.
const PROFILES_PAGE: u32 = 10;

/// Follows pods, workloads and profiles until this is dropped, coping with whatever the API server does. What is sent waits for
/// who receives it: nothing piles up here.
#[must_use]
pub fn watch_all(client: &Client, to: &Sender<Happening>) -> JoinSet<()> {
    let mut watches = JoinSet::new();
    watches.spawn(watch::<CronJob>(client.clone(), Kind::CronJob, to.clone()));
    watches.spawn(watch::<DaemonSet>(
        client.clone(),
        Kind::DaemonSet,
        to.clone(),
    ));
    watches.spawn(watch::<Deployment>(
        client.clone(),
        Kind::Deployment,
        to.clone(),
    ));
    watches.spawn(watch::<Job>(client.clone(), Kind::Job, to.clone()));
    watches.spawn(watch::<Pod>(client.clone(), Kind::Pod, to.clone()));
    watches.spawn(watch::<ReplicaSet>(
        client.clone(),
        Kind::ReplicaSet,
        to.clone(),
    ));
    watches.spawn(watch::<StatefulSet>(
        client.clone(),
        Kind::StatefulSet,
        to.clone(),
    ));
    watches.spawn(watch_profiles(client.clone(), to.clone()));
    watches
}

async fn watch<K>(client: Client, kind: Kind, to: Sender<Happening>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let stream = watcher(
        Api::<PartialObjectMeta<K>>::all(client),
        watcher::Config::default().page_size(PAGE),
    );
    forward(
        stream.default_backoff(),
        kind.as_str(),
        to,
        |event| match event {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                let (key, seen) = object_seen(kind, object.metadata)?;
                Some(Happening::Object(key, seen))
            }
            watcher::Event::Delete(object) => {
                let (key, _) = object_seen(kind, object.metadata)?;
                Some(Happening::ObjectGone(key))
            }
            watcher::Event::Init => Some(Happening::ObjectsBegin(kind)),
            watcher::Event::InitDone => Some(Happening::ObjectsEnd(kind)),
        },
    )
    .await;
}

fn object_seen(kind: Kind, metadata: kube::api::ObjectMeta) -> Option<(ObjectKey, ObjectSeen)> {
    let key = ObjectKey {
        kind,
        namespace: metadata.namespace?.into(),
        name: metadata.name?.into(),
    };
    let owners = metadata.owner_references.unwrap_or_default();
    let mut annotations = metadata.annotations.unwrap_or_default();
    Some((
        key,
        ObjectSeen {
            uid: metadata.uid.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            is_owned: owners.iter().any(|owner| owner.controller == Some(true)),
            images: annotations.remove(crate::whitelist::IMAGES_ANNOTATION),
        },
    ))
}

/// What is read of a profile.
type ProfileObject = Object<SpecFacts, StatusFacts>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct SpecFacts {
    text: Option<IgnoredAny>,
    source: Option<IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StatusFacts {
    observed_generation: i64,
    relations: Vec<RelationFacts>,
    conditions: Vec<ConditionFacts>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RelationFacts {
    baseline: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ConditionFacts {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

async fn watch_profiles(client: Client, to: Sender<Happening>) {
    let api: Api<ProfileObject> =
        Api::all_with(client, &ApiResource::erase::<AppArmorProfile>(&()));
    let stream = watcher(api, watcher::Config::default().page_size(PROFILES_PAGE));
    forward(
        stream.default_backoff(),
        "AppArmorProfile",
        to,
        |event| match event {
            watcher::Event::Apply(profile) | watcher::Event::InitApply(profile) => {
                let (name, seen) = profile_seen(profile)?;
                Some(Happening::Profile(name, seen))
            }
            watcher::Event::Delete(profile) => {
                Some(Happening::ProfileGone(profile.metadata.name?.into()))
            }
            watcher::Event::Init => Some(Happening::ProfilesBegin),
            watcher::Event::InitDone => Some(Happening::ProfilesEnd),
        },
    )
    .await;
}

fn profile_seen(profile: ProfileObject) -> Option<(Arc<str>, ProfileSeen)> {
    let status = profile.status.unwrap_or_default();
    let is_ready = |condition: &ConditionFacts| (&*condition.kind, &*condition.status) == READY;
    let seen = ProfileSeen {
        generation: profile.metadata.generation.unwrap_or_default(),
        observed_generation: status.observed_generation,
        has_text: profile.spec.text.is_some(),
        has_source: profile.spec.source.is_some(),
        is_ready: status.conditions.iter().any(is_ready),
        baselines: status
            .relations
            .into_iter()
            .map(|relation| relation.baseline)
            .collect(),
    };
    Some((profile.metadata.name?.into(), seen))
}

async fn forward<T>(
    stream: impl Stream<Item = watcher::Result<watcher::Event<T>>>,
    kind: &'static str,
    to: Sender<Happening>,
    tell: impl Fn(watcher::Event<T>) -> Option<Happening>,
) {
    pin_mut!(stream);
    while let Some(event) = stream.next().await {
        match event {
            // Nobody listens any more: the leader has stepped down.
            Ok(event) => {
                if let Some(happening) = tell(event)
                    && to.send(happening).await.is_err()
                {
                    return;
                }
            }
            Err(error) => tracing::warn!(kind, %error, "cannot watch, trying again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ProfileObject, profile_seen};

    #[test]
    fn of_a_profile_only_facts_are_kept() {
        let object = |spec: &serde_json::Value, status: &serde_json::Value| {
            let object = json!({
                "apiVersion": "armorgate.dev/v1alpha1", "kind": "AppArmorProfile",
                "metadata": { "name": "web", "generation": 3 }, "spec": spec, "status": status,
            });
            let object: ProfileObject = serde_json::from_value(object).unwrap();
            profile_seen(object).unwrap().1
        };
        let bare = object(
            &json!({ "source": { "image": "i" }, "text": null }),
            &json!(null),
        );
        assert!(bare.has_source && !bare.has_text && !bare.is_ready);
        let judged = object(
            &json!({ "text": "profile web { }" }),
            &json!({
                "observedGeneration": 2, "relations": [{ "baseline": "containerd@2.1", "relation": "weaker" }],
                "conditions": [{ "type": "Other", "status": "False" }, { "type": "Ready", "status": "True" }],
            }),
        );
        assert!(judged.has_text && !judged.has_source && judged.is_ready);
        assert_eq!((judged.generation, judged.observed_generation), (3, 2));
        assert_eq!(judged.baselines, ["containerd@2.1"]);
    }
}
