//! The Kubernetes API: the only room that names `kube::Client`.

mod events;
mod lease;
mod namespaces;
mod node_profiles;
mod nodes;
pub mod objects;
mod pods;
mod profile_objects;
mod profiles;
mod pull_secrets;
mod templates;
mod texts;
mod version;
mod watches;

use kube::Config;

pub use events::Events;
pub use kube::Client;
pub use lease::Candidate;
pub use namespaces::{Label, Namespaces};
pub use node_profiles::{LeftOver, NodeObject, NotWritten, delete_left_over, left_over};
pub use nodes::{NoCluster, Nodes, NotListed, Since};
pub use pods::{NodePods, PodNames};
pub use profile_objects::watch_profile_objects;
pub use profiles::{ProfileObjects, Written};
pub use pull_secrets::PullSecrets;
pub use templates::{pod_template, profiles_of_pods};
pub use texts::{ObjectText, Texts};
pub use version::has_profile_fields;
pub use watches::{Happening, ObjectKey, ObjectSeen, ProfileSeen, WATCHED_KINDS, watch_all};

/// The namespace label that sets the gate's mode.
pub const PROFILE_LABEL: &str = "armorgate.dev/profile";

/// The namespace label that sets the mode of generated profiles.
pub const WHITELIST_LABEL: &str = "armorgate.dev/whitelist";

/// Why there is no connection to a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The client could not be built, or what it asked was refused.
    #[error("cannot talk to the cluster: {0}")]
    Client(#[from] kube::Error),
    /// Neither a kubeconfig nor a pod's service account.
    #[error("no cluster: neither a kubeconfig nor a pod's service account ({0})")]
    Config(#[from] kube::config::InferConfigError),
}

/// A connection to the cluster: `KUBECONFIG`, `~/.kube/config`, else the pod's own service account. Nothing is asked yet.
pub async fn connect() -> Result<Client, ClusterError> {
    Ok(Client::try_from(Config::infer().await?)?)
}
