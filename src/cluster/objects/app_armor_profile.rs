//! `AppArmorProfile`: the text of a profile, and how it relates to the runtimes' defaults.
//!
//! The object's name is the profile's, as pods write it in `localhostProfile`. People write objects with a text; the controller
//! writes those that have a source, first without a text, which it adds once it has read the image.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an `AppArmorProfile` says.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "armorgate.dev",
    version = "v1alpha1",
    kind = "AppArmorProfile",
    plural = "apparmorprofiles",
    shortname = "aap",
    category = "armorgate",
    status = "AppArmorProfileStatus",
    derive = "PartialEq",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Relation", type_ = "string", json_path = ".status.relation", description = "to the runtimes' defaults, the worst of all"),
    printcolumn(name = "Witness", type_ = "string", json_path = ".status.witness", description = "what it permits beyond a default"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.source.image", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("has(self.spec.text) || has(self.spec.source)").message("spec.text: write the profile's text"),
    validation = Rule::new("!has(oldSelf.spec.source) || (has(self.spec.source) && self.spec.source == oldSelf.spec.source)")
        .message("spec.source: what a generated profile was made of does not change"),
    validation = Rule::new("!has(oldSelf.spec.source) || !has(oldSelf.spec.text) || (has(self.spec.text) && self.spec.text == oldSelf.spec.text)")
        .message("spec.text: the text of a generated profile does not change")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppArmorProfileSpec {
    /// The profile, as `apparmor_parser` reads it: one of the object's own name, with all of its hats and children.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_048_576))]
    pub text: Option<String>,
    /// What a generated profile is made of. People do not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ProfileSource>,
}

/// What a generated profile is made of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfileSource {
    /// The image as the pod names it.
    #[schemars(length(max = 4096))]
    pub image: String,
    /// The digest that it had.
    #[schemars(length(max = 256))]
    pub digest: String,
    /// What the container's own `command` and `args` are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096))]
    pub argv: Vec<String>,
    /// `enforce`, or `audit`: the profile permits what the default does, and logs.
    #[schemars(length(max = 16))]
    pub stage: String,
}

/// What is known of an `AppArmorProfile`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AppArmorProfileStatus {
    /// The generation of the object that this is about.
    pub observed_generation: i64,
    /// `equal`, `stronger`, `weaker`, `incomparable` or `unknown`: the worst of all baselines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relation: Option<String>,
    /// The first thing that it permits and a baseline does not, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<String>,
    /// Its relation to each baseline.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<BaselineRelation>,
    /// `complete`, `partial` or `not-whitelistable`, of a generated one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// `Ready`: its text is there and sound.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// How a profile relates to a runtime's default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaselineRelation {
    /// The default: `containerd@2.1`.
    pub baseline: String,
    /// `equal`, `stronger`, `weaker`, `incomparable` or `unknown`.
    pub relation: String,
    /// What it permits beyond the default, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<String>,
}

/// A condition, in the usual shape of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// When `status` changed last, as RFC 3339 has it.
    pub last_transition_time: String,
    /// The generation of the object that this is about.
    #[serde(default)]
    pub observed_generation: i64,
}
