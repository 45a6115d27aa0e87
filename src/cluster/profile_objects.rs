//! The texts of all `AppArmorProfile` objects, from a watch.

use std::collections::HashSet;

use futures_util::{StreamExt as _, pin_mut};
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};

use super::objects::AppArmorProfile;
use crate::verdict::ObjectTexts;

/// LIMIT: objects in an answer of the API server. A text may have a megabyte.
const PAGE: u32 = 16;

/// Follows the cluster's objects for ever, coping with whatever the API server does.
pub async fn watch_profile_objects(client: Client, texts: ObjectTexts) {
    let api: Api<AppArmorProfile> = Api::all(client);
    let stream = watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff();
    pin_mut!(stream);
    let mut listed = HashSet::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                listed.insert(object.name_any());
                apply(&texts, object).await;
            }
            Ok(watcher::Event::InitDone) => {
                texts.retain(|name| listed.contains(name));
                listed = HashSet::new();
            }
            Ok(watcher::Event::Apply(object)) => apply(&texts, object).await,
            Ok(watcher::Event::Delete(object)) => texts.remove(&object.name_any()),
            Err(error) => {
                tracing::warn!(%error, "cannot watch AppArmorProfile objects, trying again");
            }
        }
    }
}

/// Reads a text on a thread for such work: a long one takes a while.
async fn apply(texts: &ObjectTexts, object: AppArmorProfile) {
    let texts = texts.clone();
    let name = object.name_any();
    let read = tokio::task::spawn_blocking(move || match object.spec.text {
        Some(text) => texts.set(&name, &text),
        None => texts.remove(&name),
    });
    if read.await.is_err() {
        tracing::error!("an AppArmorProfile could not be read: this is a defect, please report it");
    }
}
