//! Laws that hold for every object, and parsers that survive every text.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::sync::Arc;

use armorgate::{
    apparmor::{
        include::{NoIncludes, load},
        model::policy,
    },
    compare::{Baseline, Comparison, Relation},
    report::{findings, text},
    verdict::{Kind, Mode, Overall, Policy, Profiles, Standard, Treatment, Workload, review},
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Relations by the last letter of a name.
struct ByName;

impl Profiles for ByName {
    fn comparison(&self, name: &str, _: Baseline) -> Option<Arc<Comparison>> {
        let relation = match name.chars().last()? {
            'e' => Relation::Equal,
            's' => Relation::Stronger,
            'w' => Relation::Weaker,
            'i' => Relation::Incomparable,
            'u' => Relation::Unknown {
                why: "of its name".to_owned(),
            },
            _ => return None,
        };
        Some(Arc::new(Comparison {
            relation,
            witnesses: Vec::new(),
            stricter: None,
        }))
    }
}

fn profile() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!({ "type": "RuntimeDefault" })),
        Just(json!({ "type": "Unconfined" })),
        Just(json!({ "type": "Nonsense" })),
        "[eswiux]".prop_map(|name| json!({ "type": "Localhost", "localhostProfile": name })),
    ]
}

fn container() -> impl Strategy<Value = Value> {
    ("[abc]", profile(), any::<Option<bool>>()).prop_map(|(name, profile, privileged)| {
        json!({ "name": name, "securityContext": { "appArmorProfile": profile, "privileged": privileged } })
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let list = || prop::collection::vec(container(), 0..4);
    let annotation = (
        "[abcd]",
        prop_oneof!["", "unconfined", "runtime/default", "localhost/[eswx]", "x"],
    );
    let annotations = prop::collection::vec(annotation, 0..3);
    (list(), list(), list(), profile(), annotations).prop_map(
        |(init, regular, ephemeral, profile, annotations)| {
            let annotations: serde_json::Map<String, Value> = annotations
                .into_iter()
                .map(|(name, value)| {
                    (
                        format!("container.apparmor.security.beta.kubernetes.io/{name}"),
                        json!(value),
                    )
                })
                .collect();
            json!({
                "metadata": { "name": "p", "annotations": annotations },
                "spec": {
                    "securityContext": { "appArmorProfile": profile },
                    "initContainers": init, "containers": regular, "ephemeralContainers": ephemeral,
                },
            })
        },
    )
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Audit), Just(Mode::Enforce), Just(Mode::Warn)]
}

fn judged(object: &Value, old: Option<&Value>, mode: Mode) -> (bool, Overall, Vec<Treatment>) {
    let (object, old) = (object.to_string(), old.map(ToString::to_string));
    let workload = Workload::parse(Kind::Pod, &object);
    let standard = Standard {
        policy: &Policy::default(),
        nodes: None,
        profiles: &ByName,
        generated: None,
    };
    let (judgements, decision) = review(&workload, old.as_deref(), mode, standard);
    let found = findings(Kind::Pod, &judgements);
    (
        decision.allowed,
        decision.verdict,
        found.iter().map(|finding| finding.treatment).collect(),
    )
}

proptest! {
    #[test]
    fn an_update_that_changes_nothing_goes_on(pod in pod(), mode in mode()) {
        // Names may repeat in generated pods, which the API server forbids.
        prop_assume!(names_are_unique(&pod));
        prop_assert!(judged(&pod, Some(&pod), mode).0);
    }

    #[test]
    fn only_enforce_denies_and_only_what_is_wrong(pod in pod(), mode in mode()) {
        let (allowed, verdict, treatments) = judged(&pod, None, mode);
        prop_assert!(allowed || mode == Mode::Enforce);
        prop_assert_eq!(verdict <= Overall::Pass, treatments.is_empty());
        prop_assert!(allowed || treatments.contains(&Treatment::Deny));
    }

    #[test]
    fn an_update_is_never_judged_harder_than_a_creation(new in pod(), old in pod()) {
        let created = judged(&new, None, Mode::Enforce);
        let updated = judged(&new, Some(&old), Mode::Enforce);
        prop_assert!(updated.0 || !created.0);
        prop_assert_eq!(updated.1, created.1);
    }

    #[test]
    fn another_container_never_excuses_the_first(pod in pod(), more in container()) {
        let before = judged(&pod, None, Mode::Enforce);
        let mut larger = pod.clone();
        if let Some(list) = larger.pointer_mut("/spec/containers").and_then(Value::as_array_mut) {
            list.push(more);
        }
        // An annotation without its container may find one.
        prop_assume!(larger["metadata"]["annotations"].as_object().is_none_or(serde_json::Map::is_empty));
        prop_assert!(before.0 || !judged(&larger, None, Mode::Enforce).0);
    }

    #[test]
    fn no_text_upsets_a_parser(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for kind in [Kind::Pod, Kind::CronJob, Kind::Deployment, Kind::PodTemplate] {
            let _ = Workload::parse(kind, &text);
        }
        read_policy(&bytes);
        read_policy(text.as_bytes());
    }

    #[test]
    fn profile_like_text_upsets_no_parser(text in "(profile |hat |\\^| |\\{|\\}|,|\n|\"|\\(|\\)|\\\\|#|#include|@\\{A\\}|=|a|/){0,60}") {
        read_policy(text.as_bytes());
    }

    #[test]
    fn what_is_shown_stays_on_its_line(text in any::<String>()) {
        let shown = text::quote(&text);
        prop_assert!(!shown.chars().any(char::is_control));
        prop_assert!(shown.chars().count() <= 1 + 80 * 10);
    }
}

fn read_policy(text: &[u8]) {
    let (loaded, _) = load("a".to_owned(), text.into(), &NoIncludes);
    let _ = policy(&loaded, &NoIncludes);
}

fn names_are_unique(pod: &Value) -> bool {
    let mut names = std::collections::HashSet::new();
    ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .all(|list| {
            let containers = pod["spec"][list].as_array().cloned().unwrap_or_default();
            containers
                .iter()
                .all(|container| names.insert((*list, container["name"].to_string())))
        })
}
