//! What each container of a workload will really run under, and whether that is allowed.
//!
//! The path of every caller (webhook, `check`, scanner) is the same: [`Workload::parse`] reads the few fields that
//! matter, [`review`] holds it to a [`Standard`] and gives a [`Verdict`] per container, and what a [`Policy`] makes of them: a
//! [`Decision`]. Pure: no I/O, no clock. What Kubernetes makes of fields and annotations is KEP-24; what runtimes make of it is in [`effective`].

mod decision;
mod effective;
mod fields;
mod generated;
mod judge;
mod kind;
mod nodes;
mod object;
mod objects;
mod path;
mod policy;
mod profiles;
mod standard;
mod text;
mod workload;

pub use decision::{Decision, Overall, review};
pub use effective::{Declared, Effective, GENERATED_PREFIX, Origin, Problem, Profile, effective};
pub use fields::{ANNOTATION_PREFIX, AppArmorField, Container, ContainerList, bounded_list};
pub use generated::GeneratedNames;
pub use judge::{Doubt, Judgement, Reason, Standing, Subject, Verdict};
pub use kind::Kind;
pub use nodes::{NodeDefaults, NodeRuntime};
pub use object::JsonObject;
pub use objects::{Both, ObjectError, ObjectTexts};
pub use path::{FieldPath, Segment};
pub use policy::{
    Baselines, Exemption, Exemptions, Mode, Modes, OwnProfileRule, PartialRule, Policy,
    PrivilegedRule, Registries, Treatment, UnknownRule, UnresolvedRule, WhitelistRules,
};
pub use profiles::{ProfileError, ProfileTexts, Profiles};
pub use standard::Standard;
pub use text::Text;
pub use workload::{Malformed, Pod, Workload};
