//! The `NodeProfiles` objects of nodes: one is written by its node's agent, by server-side apply, and made where it is not there.
//! Those of nodes that do not exist any more are found by names alone.

use std::{collections::HashSet, fmt::Debug};

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, Resource,
    api::{ListParams, ObjectMeta, Patch, PatchParams},
};
use serde::de::DeserializeOwned;

use super::{
    ClusterError,
    objects::{FIELD_MANAGER, NodeProfiles, NodeProfilesSpec, NodeProfilesStatus},
    profiles::{Written, if_unchanged, written},
};

/// The object of one node.
pub struct NodeObject {
    api: Api<NodeProfiles>,
    node: String,
}

/// The API server does not take the object.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the NodeProfiles object `{node}`")]
pub struct NotWritten {
    node: String,
    #[source]
    source: kube::Error,
}

impl NotWritten {
    fn is_without_object(&self) -> bool {
        matches!(&self.source, kube::Error::Api(status) if status.is_not_found())
    }
}

impl NodeObject {
    /// Of this node. Nothing is asked yet.
    #[must_use]
    pub fn new(client: Client, node: String) -> Self {
        Self {
            api: Api::all(client),
            node,
        }
    }

    /// Writes how things stand. An object that is not there is made first: its status alone cannot be applied.
    pub async fn write(&self, status: &NodeProfilesStatus) -> Result<(), NotWritten> {
        let mut object = NodeProfiles::new(&self.node, NodeProfilesSpec::default());
        object.status = Some(status.clone());
        match self.apply(&object, "status").await {
            Err(error) if error.is_without_object() => {}
            written => return written,
        }
        let empty = NodeProfiles::new(&self.node, NodeProfilesSpec::default());
        self.apply(&empty, "").await?;
        self.apply(&object, "status").await
    }

    async fn apply(&self, object: &NodeProfiles, subresource: &str) -> Result<(), NotWritten> {
        // Nobody else has a say in what is loaded here.
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(object);
        let written = if subresource.is_empty() {
            self.api.patch(&self.node, &parameters, &patch).await
        } else {
            self.api
                .patch_subresource(subresource, &self.node, &parameters, &patch)
                .await
        };
        written.map(drop).map_err(|source| NotWritten {
            node: self.node.clone(),
            source,
        })
    }
}

/// A `NodeProfiles` object whose node does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOver {
    /// The node's name, and the object's.
    pub node: String,
    /// Whose life this is: another object of the same name has another one.
    pub uid: String,
    /// What was read of it.
    pub version: Option<String>,
}

/// The objects whose nodes do not exist.
pub async fn left_over(client: &Client) -> Result<Vec<LeftOver>, ClusterError> {
    let mut objects = Vec::new();
    each::<NodeProfiles>(client, |metadata| {
        objects.push(LeftOver {
            node: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            version: metadata.resource_version,
        });
    })
    .await?;
    // Afterwards: a node that comes meanwhile has its object.
    let mut nodes = HashSet::new();
    each::<Node>(client, |metadata| nodes.extend(metadata.name)).await?;
    objects.retain(|object| !nodes.contains(&object.node));
    Ok(objects)
}

/// Deletes an object, if it is still what was read: an agent that has something new to say keeps it.
pub async fn delete_left_over(
    client: &Client,
    object: &LeftOver,
) -> Result<Written<()>, ClusterError> {
    let api: Api<NodeProfiles> = Api::all(client.clone());
    let parameters = if_unchanged(Some(object.uid.clone()), object.version.clone());
    written(api.delete(&object.node, &parameters).await.map(drop))
}

/// LIMIT: objects in an answer of the API server, by their metadata.
const PAGE: u32 = 250;

/// Goes through the metadata of all objects of a kind.
async fn each<K>(client: &Client, mut look: impl FnMut(ObjectMeta)) -> Result<(), ClusterError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let listed = api.list_metadata(&page).await?;
        for object in listed.items {
            look(object.metadata);
        }
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(()),
        }
    }
}
