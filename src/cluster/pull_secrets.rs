//! The pull secrets of a pod: those that it names, then those of its service account.
//!
//! As the kubelet has it, a secret that is missing or of another type is passed over: the registry's answer then tells.

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::{Api, Client};

use super::ClusterError;
use crate::image::registry::CredentialSource;

/// LIMIT: pull secrets of a pod. The API server has no limit but 1 MiB for each.
const MAX_SECRETS: usize = 16;

/// What the API server has them called.
const KIND: &str = "kubernetes.io/dockerconfigjson";
const KEY: &str = ".dockerconfigjson";

/// Whose pull secrets are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullSecrets {
    /// The pod's namespace.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// What it names itself, each once.
    names: Vec<String>,
}

impl PullSecrets {
    /// Of a pod in this namespace, with this service account and these names in it: nobody checks how many, or how often.
    pub fn new<'n>(
        namespace: &str,
        service_account: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Self {
        let mut distinct: Vec<String> = Vec::new();
        for name in names.filter(|name| !name.is_empty()) {
            if distinct.len() < MAX_SECRETS && !distinct.iter().any(|known| known == name) {
                distinct.push(name.to_owned());
            }
        }
        Self {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            names: distinct,
        }
    }

    /// What the pod names itself.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads them. One that may not be read is an error: a pod would be told that its image does not exist.
    pub async fn read(&self, client: &Client) -> Result<Vec<CredentialSource>, ClusterError> {
        let mut names = self.names.clone();
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &self.namespace);
        if let Some(account) = accounts.get_opt(&self.service_account).await? {
            let of_account = account.image_pull_secrets.into_iter().flatten();
            names.extend(of_account.map(|secret| secret.name));
        }
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        let mut sources = Vec::new();
        let mut asked: Vec<&str> = Vec::new();
        for name in names.iter().filter(|name| !name.is_empty()) {
            if asked.len() == MAX_SECRETS {
                break;
            }
            if asked.contains(&name.as_str()) {
                continue;
            }
            asked.push(name);
            sources.extend(secrets.get_opt(name).await?.and_then(source));
        }
        Ok(sources)
    }
}

fn source(secret: Secret) -> Option<CredentialSource> {
    if secret.type_.as_deref() != Some(KIND) {
        return None;
    }
    let text = secret.data?.remove(KEY)?;
    Some(CredentialSource::Secret(text.0))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use serde_json::json;

    use super::{CredentialSource, MAX_SECRETS, PullSecrets, source};

    #[test]
    fn only_secrets_of_the_type_are_taken() {
        let secret = |kind: &str, key: &str| -> Option<CredentialSource> {
            let secret =
                json!({ "metadata": { "name": "s" }, "type": kind, "data": { key: "e30=" } });
            source(serde_json::from_value::<Secret>(secret).unwrap())
        };
        let found = secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson");
        assert!(matches!(found, Some(CredentialSource::Secret(text)) if text == b"{}"));
        assert!(secret("Opaque", ".dockerconfigjson").is_none());
        assert!(secret("kubernetes.io/dockerconfigjson", "other").is_none());
    }

    #[test]
    fn names_are_kept_once_and_no_more_than_are_read() {
        let names: Vec<String> = (0..2 * MAX_SECRETS)
            .map(|number| number.to_string())
            .collect();
        let twice = names.iter().flat_map(|name| ["", name, name]);
        let secrets = PullSecrets::new("shop", "default", twice);
        assert_eq!(secrets.names(), &names[..MAX_SECRETS]);
    }
}
