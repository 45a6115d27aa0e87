//! Armorgate's own objects, of the group `armorgate.dev/v1alpha1`. The manifests of their definitions are made from these types.

mod app_armor_profile;
mod node_profiles;

pub use app_armor_profile::{
    AppArmorProfile, AppArmorProfileSpec, AppArmorProfileStatus, BaselineRelation, Condition,
    ProfileSource,
};
pub use node_profiles::{
    AppArmorState, NodeProfile, NodeProfileState, NodeProfiles, NodeProfilesSpec,
    NodeProfilesStatus,
};

/// The field manager under which Armorgate writes objects.
pub const FIELD_MANAGER: &str = "armorgate";

/// The annotation of a generated profile that says how much of its list is known.
pub const LIST_ANNOTATION: &str = "armorgate.dev/list";

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use kube::CustomResourceExt as _;

    use super::{AppArmorProfile, NodeProfiles};

    /// The manifests in `deploy/` are those of these types. With `INSTA_UPDATE=always` they are written.
    #[test]
    fn the_definitions_in_deploy_are_current() {
        let mut made = String::from(
            "# Made from src/cluster/objects: INSTA_UPDATE=always cargo test the_definitions_in_deploy\n",
        );
        for definition in [AppArmorProfile::crd(), NodeProfiles::crd()] {
            made.push_str("---\n");
            made.push_str(&serde_saphyr::to_string(&definition).unwrap());
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/definitions.yaml");
        if env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
            fs::write(file, &made).unwrap();
        }
        assert!(
            fs::read_to_string(file).unwrap() == made,
            "deploy/definitions.yaml is not what src/cluster/objects says"
        );
    }
}
