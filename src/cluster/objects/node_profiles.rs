//! `NodeProfiles`: what a node's agent has loaded. One object a node, so that the objects grow with the nodes and not with the
//! nodes times the profiles.

#![expect(
    clippy::duplicated_attributes,
    reason = "columns of one kind say `type_` each"
)]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing: a node's profiles are what its pods name.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema,
)]
#[kube(
    group = "armorgate.dev",
    version = "v1alpha1",
    kind = "NodeProfiles",
    plural = "nodeprofiles",
    shortname = "nap",
    category = "armorgate",
    status = "NodeProfilesStatus",
    derive = "PartialEq",
    printcolumn(name = "AppArmor", type_ = "string", json_path = ".status.appArmor"),
    printcolumn(name = "Loaded", type_ = "integer", json_path = ".status.loaded"),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.waiting"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.failed"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.message",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
pub struct NodeProfilesSpec {}

/// What is loaded on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeProfilesStatus {
    /// Whether the node's kernel confines with AppArmor.
    pub app_armor: AppArmorState,
    /// How many profiles are loaded by the agent.
    pub loaded: u32,
    /// How many its pods name that have no text yet.
    pub waiting: u32,
    /// How many cannot be loaded.
    pub failed: u32,
    /// What is wrong first, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The profiles, in the order of their names: at most 1,000.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000))]
    pub profiles: Vec<NodeProfile>,
}

/// Whether a node's kernel confines with AppArmor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum AppArmorState {
    /// It has no AppArmor, or it is switched off.
    Disabled,
    /// It does.
    Enabled,
    /// The agent has not looked yet.
    #[default]
    Unknown,
}

/// A profile on a node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeProfile {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: NodeProfileState,
    /// The SHA-256 of its text, in hex; none before there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The kernel's own hash of what it has loaded (`raw_sha256`), in hex, where it tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What is wrong with it, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How far a profile on a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum NodeProfileState {
    /// `apparmor_parser` or the kernel refuses it.
    Failed,
    /// Another one of this name is loaded, which is not the agent's: it is left alone.
    Foreign,
    /// It is in the kernel.
    Loaded,
    /// A pod names it, and there is no text yet.
    Waiting,
}
