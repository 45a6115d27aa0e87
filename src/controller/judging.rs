//! What a profile's text is to the runtimes' defaults, as the status of its object tells it. Pure.

use crate::{
    apparmor::{
        automaton::Budget,
        diagnostic::Severity,
        include::{Includes, Loaded, load},
        model::{Policy, conflicts, policy},
    },
    cluster::objects::{
        AppArmorProfile, AppArmorProfileStatus, BaselineRelation, Condition, LIST_ANNOTATION,
    },
    compare::{Baseline, Comparison, Relation, Subject, Yardstick, compare_within},
    report::{comparison::short, text::sentence},
};

/// The defaults that profiles are held to, each read once.
pub(crate) struct Yardsticks(Vec<(Baseline, Yardstick)>);

/// LIMIT: witnesses of each relation in a status: objects are kept in etcd.
const MAX_WITNESSES: usize = 8;

/// Whether a profile's text is sound, in the words of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// `True` or `False`.
    pub(crate) status: &'static str,
    /// One word.
    pub(crate) reason: &'static str,
    /// A sentence.
    pub(crate) message: String,
}

/// A text as it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    /// Whether it is sound.
    pub(crate) readiness: Readiness,
    /// Its relation to each baseline, where it is.
    pub(crate) relations: Vec<BaselineRelation>,
}

impl Yardsticks {
    /// Those of these defaults.
    pub(crate) fn new(baselines: &[Baseline]) -> Self {
        let yardsticks = baselines
            .iter()
            .filter_map(|baseline| Some((*baseline, Yardstick::baseline(*baseline)?)));
        Self(yardsticks.collect())
    }

    /// The defaults' names.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.0.iter();
        names.map(|(baseline, _)| baseline.to_string()).collect()
    }

    /// Judges the text of an object of this name.
    pub(crate) fn judge(&self, name: &str, text: &str, includes: &dyn Includes) -> Judged {
        let (loaded, mut diagnostics) = load(name.to_owned(), text.as_bytes().into(), includes);
        let (policy, more) = policy(&loaded, includes);
        diagnostics.extend(more);
        diagnostics.extend(conflicts(&policy));
        let mut errors = diagnostics.iter();
        if let Some(error) = errors.find(|diagnostic| diagnostic.severity == Severity::Error) {
            let line = loaded.sources.location(error.span);
            let line = line.map_or(0, |location| location.line);
            let help = error
                .help
                .as_ref()
                .map_or_else(String::new, |help| format!(": {help}"));
            let message = format!("line {line}: {}{help}", error.message);
            return Judged::unsound("InvalidText", &message);
        }
        match subject(name, &policy) {
            Ok(()) => self.relate(name, &loaded, &policy),
            Err(message) => Judged::unsound("WrongProfile", &message),
        }
    }

    fn relate(&self, name: &str, loaded: &Loaded, policy: &Policy) -> Judged {
        let Some(profile) = policy.profile(name.as_bytes()) else {
            return Judged::unsound("WrongProfile", "its text declares no such profile");
        };
        let subject = Subject {
            policy,
            sources: &loaded.sources,
            profile,
        };
        let relations = self.0.iter().map(|(baseline, yardstick)| {
            relation(
                *baseline,
                &compare_within(subject, yardstick, &mut Budget::default()),
            )
        });
        Judged {
            readiness: Readiness {
                status: "True",
                reason: "Valid",
                message: "the text declares this profile, and can be loaded".to_owned(),
            },
            relations: relations.collect(),
        }
    }
}

/// Whether the text declares the profile of this name, and no other: hats and children belong to it.
fn subject(name: &str, policy: &Policy) -> Result<(), String> {
    let below = format!("{name}//");
    for profile in &policy.profiles {
        if let Some(namespace) = &profile.namespace {
            let namespace = String::from_utf8_lossy(namespace);
            return Err(format!(
                "its profile is loaded to the namespace `{namespace}`, where no container finds it: name it without one"
            ));
        }
        if profile.name != name.as_bytes() && !profile.name.starts_with(below.as_bytes()) {
            let other = String::from_utf8_lossy(&profile.name);
            return Err(format!(
                "its text declares the profile `{other}` as well: give each an object of its own name"
            ));
        }
    }
    let mut declared = policy.profiles.iter();
    if declared.any(|profile| profile.name == name.as_bytes()) {
        Ok(())
    } else {
        Err("its text declares no profile of the object's name".to_owned())
    }
}

fn relation(baseline: Baseline, comparison: &Comparison) -> BaselineRelation {
    let witnesses = comparison.witnesses.iter().take(MAX_WITNESSES);
    let mut witnesses: Vec<String> = witnesses.map(|witness| sentence(&short(witness))).collect();
    if let Relation::Unknown { why } = &comparison.relation {
        witnesses.push(sentence(&format!("cannot be told: {why}")));
    }
    BaselineRelation {
        baseline: baseline.to_string(),
        relation: comparison.relation.as_str().to_owned(),
        witnesses,
    }
}

impl Judged {
    fn unsound(reason: &'static str, message: &str) -> Self {
        Self {
            readiness: Readiness::not(reason, message),
            relations: Vec::new(),
        }
    }

    /// The new status of an object; `now` is the time as RFC 3339 has it.
    pub(crate) fn status(self, object: &AppArmorProfile, now: String) -> AppArmorProfileStatus {
        let (before, generation) = (object.status.as_ref(), generation(object));
        // People's own have none, whatever they write.
        let annotations = object
            .spec
            .source
            .as_ref()
            .and(object.metadata.annotations.as_ref());
        let list = annotations.and_then(|annotations| annotations.get(LIST_ANNOTATION).cloned());
        let worst = self
            .relations
            .iter()
            .max_by_key(|relation| badness(&relation.relation));
        AppArmorProfileStatus {
            observed_generation: generation,
            relation: Some(worst.map_or("unknown", |worst| &worst.relation).to_owned()),
            witness: worst.and_then(|worst| worst.witnesses.first().cloned()),
            list: list.or_else(|| before.and_then(|before| before.list.clone())),
            conditions: vec![self.readiness.condition(before, generation, now)],
            relations: self.relations,
        }
    }
}

impl Readiness {
    /// It is not.
    pub(crate) fn not(reason: &'static str, message: &str) -> Self {
        Self {
            status: "False",
            reason,
            message: sentence(message),
        }
    }

    /// The condition of an object. It keeps the time of its last change.
    pub(crate) fn condition(
        self,
        before: Option<&AppArmorProfileStatus>,
        generation: i64,
        now: String,
    ) -> Condition {
        let before = before.and_then(|before| {
            let mut conditions = before.conditions.iter();
            conditions.find(|condition| condition.kind == READY && condition.status == self.status)
        });
        Condition {
            kind: READY.to_owned(),
            status: self.status.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message,
            last_transition_time: before.map_or(now, |before| before.last_transition_time.clone()),
            observed_generation: generation,
        }
    }
}

/// The generation of an object's spec.
pub(crate) fn generation(object: &AppArmorProfile) -> i64 {
    object.metadata.generation.unwrap_or_default()
}

const READY: &str = "Ready";

/// How much a relation is to be told rather than another.
fn badness(relation: &str) -> u8 {
    match relation {
        "stronger" => 0,
        "equal" => 1,
        "incomparable" => 3,
        "weaker" => 4,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::{Judged, Yardsticks};
    use crate::{
        apparmor::include::NoIncludes,
        cluster::{
            ProfileSeen,
            objects::{
                AppArmorProfile, AppArmorProfileSpec, AppArmorProfileStatus, LIST_ANNOTATION,
                ProfileSource,
            },
        },
        compare::{Baseline, Runtime},
    };

    fn both() -> Yardsticks {
        Yardsticks::new(&[Runtime::Containerd, Runtime::Docker].map(Baseline::newest))
    }

    /// An object of this generation, with this status.
    fn object(status: Option<&AppArmorProfileStatus>, generation: i64) -> AppArmorProfile {
        let spec = AppArmorProfileSpec {
            text: None,
            source: None,
        };
        let mut object = AppArmorProfile::new("web", spec);
        object.metadata.generation = Some(generation);
        object.status = status.cloned();
        object
    }

    fn is_judged(status: &AppArmorProfileStatus, generation: i64, yardsticks: &Yardsticks) -> bool {
        ProfileSeen::of(&object(Some(status), generation)).is_judged(&yardsticks.names())
    }

    fn judge(text: &str) -> Judged {
        both().judge("web", text, &NoIncludes)
    }

    #[test]
    fn a_weak_text_is_sound_and_shows_its_witness() {
        let status = judge("abi <abi/3.0>,\nprofile web { file, }")
            .status(&object(None, 2), "t1".to_owned());
        assert_eq!(status.relation.as_deref(), Some("incomparable"));
        let witness = status.witness.clone().unwrap();
        assert!(
            witness.starts_with("may ") && witness.contains('/'),
            "{witness}"
        );
        assert_eq!((status.relations.len(), status.observed_generation), (2, 2));
        let condition = &status.conditions[0];
        assert_eq!(
            (
                condition.status.as_str(),
                condition.last_transition_time.as_str()
            ),
            ("True", "t1")
        );
        let containerd = Yardsticks::new(&[Baseline::newest(Runtime::Containerd)]);
        assert!(is_judged(&status, 2, &both()) && !is_judged(&status, 3, &both()));
        assert!(!is_judged(&status, 2, &containerd));
        // Still sound: the time of the change stays. Unsound: it does not.
        let mut generated = object(Some(&status), 3);
        let list = (LIST_ANNOTATION.to_owned(), "partial".to_owned());
        generated.metadata.annotations = Some([list].into());
        let written = judge("profile web { /x r, }").status(&generated, "t2".to_owned());
        assert_eq!(written.list, None, "of people's own");
        generated.spec.source = Some(ProfileSource {
            image: "web".to_owned(),
            digest: "sha256:0".to_owned(),
            argv: Vec::new(),
            stage: "enforce".to_owned(),
        });
        let same =
            judge("abi <abi/3.0>,\nprofile web { /x r, }").status(&generated, "t2".to_owned());
        assert_eq!(same.relation.as_deref(), Some("stronger"));
        assert_eq!(same.list.as_deref(), Some("partial"));
        assert_eq!(same.conditions[0].last_transition_time, "t1");
        let broken =
            judge("profile web { /x{ r, }").status(&object(Some(&status), 4), "t3".to_owned());
        assert_eq!(broken.conditions[0].last_transition_time, "t3");
        assert!(is_judged(&broken, 4, &containerd), "whatever the defaults");
        assert_eq!(
            (broken.relation.as_deref(), broken.witness),
            (Some("unknown"), None)
        );
    }

    #[test]
    fn a_text_declares_the_profile_of_its_object_alone() {
        for (text, reason) in [
            ("profile web { /x r, }", "Valid"),
            (
                "profile web { /x r,\n ^hat { } profile child { } }",
                "Valid",
            ),
            ("profile web { ", "InvalidText"),
            ("", "WrongProfile"),
            ("profile db { }", "WrongProfile"),
            ("profile web { }\nprofile db { }", "WrongProfile"),
            ("profile :ns:web { }", "WrongProfile"),
            ("profile web { }\nprofile webs { }", "WrongProfile"),
        ] {
            assert_eq!(judge(text).readiness.reason, reason, "{text}");
        }
    }
}
