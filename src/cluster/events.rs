//! Says something of an object where people look for it: an Event, as `kubectl describe` shows it.
//!
//! An Event's name follows from what it says. Whoever says the same again, or in its stead, finds it there and adds nothing, until
//! the API server has forgotten it (after an hour, where nobody has it otherwise).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
    core::DynamicObject,
};

use super::{ClusterError, objects::FIELD_MANAGER, templates::resource, watches::ObjectKey};

/// Says what is wrong.
#[derive(Clone)]
pub struct Events {
    client: Client,
    instance: String,
}

/// LIMIT: bytes of what is said; the API server takes 1,024.
const MAX_NOTE: usize = 1_000;
/// LIMIT: bytes of who says it; the API server takes 128.
const MAX_INSTANCE: usize = 128;
/// LIMIT: bytes of an object's name in an Event's, which has 17 more and may have 253.
const MAX_NAME: usize = 236;

impl Events {
    /// Of this process.
    #[must_use]
    pub fn new(client: Client, instance: &str) -> Self {
        Self {
            client,
            instance: cut(instance, MAX_INSTANCE).to_owned(),
        }
    }

    /// Says why something was not done for an object, if that is still there: the reason in a word, and a sentence.
    pub async fn warn(
        &self,
        key: &ObjectKey,
        (reason, note): (&str, &str),
        action: &str,
    ) -> Result<(), ClusterError> {
        let Some(resource) = resource(key.kind) else {
            return Ok(());
        };
        let objects: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &resource);
        let Some(object) = objects.get_metadata_opt(&key.name).await? else {
            return Ok(());
        };
        let uid = object.metadata.uid.unwrap_or_default();
        let note = cut(note, MAX_NOTE);
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name(&key.name, (&uid, reason, note))),
                namespace: Some(key.namespace.to_string()),
                ..ObjectMeta::default()
            },
            regarding: Some(ObjectReference {
                api_version: Some(resource.api_version),
                kind: Some(resource.kind),
                namespace: Some(key.namespace.to_string()),
                name: Some(key.name.to_string()),
                uid: Some(uid),
                ..ObjectReference::default()
            }),
            type_: Some("Warning".to_owned()),
            reason: Some(reason.to_owned()),
            note: Some(note.to_owned()),
            action: Some(action.to_owned()),
            event_time: Some(MicroTime(Timestamp::now())),
            reporting_controller: Some(REPORTER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        };
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let events: Api<Event> = Api::namespaced(self.client.clone(), &key.namespace);
        match events.create(&parameters, &event).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            created => Ok(created.map(drop)?),
        }
    }
}

const REPORTER: &str = "armorgate.dev/controller";

/// The name of the Event that says this of an object.
fn name(object: &str, said: (&str, &str, &str)) -> String {
    let mut hasher = DefaultHasher::new();
    said.hash(&mut hasher);
    let object = cut(object, MAX_NAME).trim_end_matches(['-', '.']);
    format!("{object}.{:016x}", hasher.finish())
}

fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_says_what_is_said() {
        let said = name("web", ("uid", "Reason", "note"));
        assert_eq!(said, name("web", ("uid", "Reason", "note")));
        assert_ne!(said, name("web", ("uid", "Reason", "another")));
        assert_ne!(said, name("web", ("another", "Reason", "note")));
        assert!(said.starts_with("web.") && said.len() == 20);
        let long = format!("{}-.{}", "a".repeat(235), "b".repeat(16));
        assert_eq!(name(&long, ("", "", "")).len(), 252);
    }
}
