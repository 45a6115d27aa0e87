//! How things stand on a node, as its `NodeProfiles` object says it. Pure.

use super::{Report, plan::Standing};
use crate::cluster::objects::{AppArmorState, NodeProfile, NodeProfileState, NodeProfilesStatus};

/// LIMIT: profiles that are listed, as the object's definition has it. All are counted.
const MAX_LISTED: usize = 1_000;

/// LIMIT: letters of a message: a thousand of them are an object that etcd takes.
const MAX_MESSAGE: usize = 512;

/// What the object of a node says whose kernel confines; `note` is what is wrong with the whole.
pub(super) fn status(report: &Report, note: Option<&str>) -> NodeProfilesStatus {
    let mut status = NodeProfilesStatus {
        app_armor: AppArmorState::Enabled,
        message: note.map(cut),
        ..Default::default()
    };
    for (name, profile) in &report.profiles {
        let (state, message) = state(&profile.standing);
        let count = match state {
            NodeProfileState::Loaded => &mut status.loaded,
            NodeProfileState::Waiting => &mut status.waiting,
            NodeProfileState::Failed | NodeProfileState::Foreign => &mut status.failed,
        };
        *count = count.saturating_add(1);
        if state != NodeProfileState::Loaded && state != NodeProfileState::Waiting {
            let first = message.as_deref().unwrap_or_default();
            status
                .message
                .get_or_insert_with(|| cut(&format!("{name}: {first}")));
        }
        if status.profiles.len() < MAX_LISTED {
            status.profiles.push(NodeProfile {
                name: name.to_string(),
                state,
                text: profile.text.map(Into::into),
                policy: profile.policy.map(Into::into),
                message: message.as_deref().map(cut),
            });
        }
    }
    status
}

/// What the object of a node says on which nothing can be done.
pub(super) fn without(app_armor: AppArmorState, why: &str) -> NodeProfilesStatus {
    NodeProfilesStatus {
        app_armor,
        message: Some(cut(why)),
        ..Default::default()
    }
}

fn state(standing: &Standing) -> (NodeProfileState, Option<String>) {
    match standing {
        Standing::Failed(why) => (NodeProfileState::Failed, Some(why.clone())),
        Standing::Foreign => {
            let why = "another profile of this name is loaded, which is not Armorgate's: it stays as it is";
            (NodeProfileState::Foreign, Some(why.to_owned()))
        }
        Standing::Loaded => (NodeProfileState::Loaded, None),
        Standing::Pending => {
            let why = "it is about to be loaded";
            (NodeProfileState::Waiting, Some(why.to_owned()))
        }
        Standing::Waiting(why) => (NodeProfileState::Waiting, Some((*why).to_owned())),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Fingerprint, ProfileName, ProfileReport, Report, plan::Standing},
        NodeProfileState, status,
    };

    #[test]
    fn all_are_counted_and_a_thousand_are_listed() {
        let standings = [
            Standing::Loaded,
            Standing::Waiting("no text"),
            Standing::Pending,
            Standing::Failed("é".repeat(1000)),
            Standing::Foreign,
        ];
        let profiles = (0..1500).map(|number: usize| {
            let name = ProfileName::parse(&format!("p{number:04}")).unwrap();
            let report = ProfileReport {
                standing: standings[number % standings.len()].clone(),
                text: Some(Fingerprint::of(b"")),
                policy: None,
            };
            (name, report)
        });
        let report = Report {
            profiles: profiles.collect(),
            ..Default::default()
        };
        let status = status(&report, None);
        assert_eq!(
            (status.loaded, status.waiting, status.failed),
            (300, 600, 600)
        );
        assert_eq!(status.profiles.len(), 1000);
        assert_eq!(status.profiles[0].state, NodeProfileState::Loaded);
        assert_eq!(status.profiles[0].text.as_ref().map(String::len), Some(64));
        assert_eq!(
            status.profiles[3]
                .message
                .as_ref()
                .map(|text| text.chars().count()),
            Some(512)
        );
        assert!(status.message.unwrap().starts_with("p0003: é"));
    }
}
