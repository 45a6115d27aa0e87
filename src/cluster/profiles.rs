//! `AppArmorProfile` objects, written so that nobody's change is lost: every change names the version that it is about, and where
//! that is an old one nothing is written.

use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use super::{
    ClusterError,
    objects::{
        AppArmorProfile, AppArmorProfileSpec, AppArmorProfileStatus, FIELD_MANAGER,
        LIST_ANNOTATION, ProfileSource,
    },
};

/// The `AppArmorProfile` objects of a cluster.
#[derive(Clone)]
pub struct ProfileObjects(Api<AppArmorProfile>);

/// What became of something that was to be written.
#[derive(Clone, Debug)]
pub enum Written<T> {
    /// It was written; the object as it is now.
    Done(T),
    /// Somebody else has written meanwhile, or the object is gone: read it again.
    Outdated,
}

impl ProfileObjects {
    /// Those of this cluster. Nothing is asked yet.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        Self(Api::all(client.clone()))
    }

    /// The object of a name, if there is one.
    pub async fn find(&self, name: &str) -> Result<Option<AppArmorProfile>, ClusterError> {
        Ok(self.0.get_opt(name).await?)
    }

    /// The object of a name, made without a text where there is none.
    pub async fn find_or_create(
        &self,
        name: &str,
        source: ProfileSource,
    ) -> Result<Written<AppArmorProfile>, ClusterError> {
        if let Some(found) = self.find(name).await? {
            return Ok(Written::Done(found));
        }
        let object = AppArmorProfile {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            spec: AppArmorProfileSpec {
                text: None,
                source: Some(source),
            },
            status: None,
        };
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match self.0.create(&parameters, &object).await {
            Ok(created) => Ok(Written::Done(created)),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Written::Outdated),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives an object its text, and says how much of its list is known: whoever finds the text finds that as well.
    pub async fn write_text(
        &self,
        object: &AppArmorProfile,
        text: &str,
        list: &str,
    ) -> Result<Written<AppArmorProfile>, ClusterError> {
        let patch = json!({
            "metadata": {
                "resourceVersion": object.resource_version(),
                "annotations": { LIST_ANNOTATION: list },
            },
            "spec": { "text": text },
        });
        let name = object.name_any();
        written(
            self.0
                .patch(&name, &parameters(), &Patch::Merge(patch))
                .await,
        )
    }

    /// Writes an object's status, all of it.
    pub async fn write_status(
        &self,
        object: &AppArmorProfile,
        status: &AppArmorProfileStatus,
    ) -> Result<Written<AppArmorProfile>, ClusterError> {
        let patch = json!({
            "metadata": { "resourceVersion": object.resource_version() },
            "status": whole(status),
        });
        let name = object.name_any();
        written(
            self.0
                .patch_status(&name, &parameters(), &Patch::Merge(patch))
                .await,
        )
    }

    /// Deletes an object, if it is still what was read.
    pub async fn delete(&self, object: &AppArmorProfile) -> Result<Written<()>, ClusterError> {
        let parameters = if_unchanged(object.uid(), object.resource_version());
        written(
            self.0
                .delete(&object.name_any(), &parameters)
                .await
                .map(drop),
        )
    }
}

fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Deletes an object only if it is still what was read.
pub(super) fn if_unchanged(uid: Option<String>, version: Option<String>) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            resource_version: version,
            uid,
        }),
        ..DeleteParams::default()
    }
}

pub(super) fn written<T>(result: kube::Result<T>) -> Result<Written<T>, ClusterError> {
    match result {
        Ok(object) => Ok(Written::Done(object)),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
            Ok(Written::Outdated)
        }
        Err(error) => Err(error.into()),
    }
}

/// A status in which what is empty is said to be: a merge patch leaves alone what it does not name (RFC 7396).
fn whole(status: &AppArmorProfileStatus) -> Value {
    let mut whole = json!({
        "relation": null, "witness": null, "relations": null, "list": null, "conditions": null,
    });
    // A status is always written.
    let told = serde_json::to_value(status).unwrap_or_default();
    if let (Value::Object(whole), Value::Object(told)) = (&mut whole, told) {
        whole.extend(told);
    }
    whole
}
