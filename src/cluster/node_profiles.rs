//! Writes the `NodeProfiles` object of a node, by server-side apply: one object, made where it is not there.

use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};

use super::objects::{FIELD_MANAGER, NodeProfiles, NodeProfilesSpec, NodeProfilesStatus};

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
