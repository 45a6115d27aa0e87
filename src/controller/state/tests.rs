use std::{sync::Arc, time::Duration};

use super::{Action, Looked, MAX_OBJECTS, MAX_WAITING, MAX_WANTED, State};
use crate::{
    cluster::{Happening, ObjectKey, ObjectSeen, ProfileSeen, PullSecrets, WATCHED_KINDS},
    compare::{Baseline, Runtime},
    controller::{lane::Ending, needs::Need},
    image::ImageDigest,
    verdict::{Kind, Mode},
    whitelist::{Mounts, ProfileRequest, Stage, Terms, Workload},
};

const UNUSED_FOR: Duration = Duration::from_hours(1);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey {
        kind,
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn pod(name: &str, uid: &str) -> Happening {
    let seen = ObjectSeen {
        uid: uid.to_owned(),
        images: Some("{}".to_owned()),
        ..ObjectSeen::default()
    };
    Happening::Object(key(Kind::Pod, name), seen)
}

fn deployment(name: &str, generation: i64) -> Happening {
    let seen = ObjectSeen {
        uid: name.to_owned(),
        generation,
        ..ObjectSeen::default()
    };
    Happening::Object(key(Kind::Deployment, name), seen)
}

fn need(name: &str, image: &str) -> Need {
    let baseline = Baseline::newest(Runtime::Containerd);
    let request = ProfileRequest {
        image: image.to_owned(),
        digest: ImageDigest::of(image.as_bytes()),
        workload: Workload::default(),
        terms: Terms {
            baseline,
            stage: Stage::Enforce,
            partial_stage: Stage::Enforce,
            mounts: Mounts::Closed,
        },
    };
    let secrets = PullSecrets::new("", "", std::iter::empty());
    Need {
        name: name.to_owned(),
        request,
        secrets,
    }
}

fn generated(has_text: bool) -> ProfileSeen {
    ProfileSeen {
        generation: 1,
        observed_generation: 1,
        has_text,
        has_source: true,
        is_ready: has_text,
        baselines: vec!["containerd".to_owned()],
    }
}

/// A state that has seen empty lists of everything.
fn listed() -> State {
    let mut state = State::new(UNUSED_FOR);
    state.baselines(vec!["containerd".to_owned()], Duration::ZERO);
    for kind in WATCHED_KINDS {
        state.happened(Happening::ObjectsBegin(kind), Duration::ZERO);
        state.happened(Happening::ObjectsEnd(kind), Duration::ZERO);
    }
    state.happened(Happening::ProfilesBegin, Duration::ZERO);
    state.happened(Happening::ProfilesEnd, Duration::ZERO);
    state
}

fn all(state: &mut State, now: Duration) -> Vec<String> {
    std::iter::from_fn(|| state.begin(now))
        .map(|action| match action {
            Action::Look(key) => format!("look {}", key.name),
            Action::Make(name, _) => format!("make {name}"),
            Action::Judge(name) => format!("judge {name}"),
            Action::Collect(names) => format!("collect {names:?}"),
        })
        .collect()
}

fn looked(state: &mut State, kind: Kind, name: &str, needs: Vec<Need>) {
    state.looked(
        &key(kind, name),
        Mode::Enforce,
        Looked::Needs(needs),
        Duration::ZERO,
    );
}

#[test]
fn nothing_is_begun_before_the_profiles_are_listed() {
    let mut state = State::new(UNUSED_FOR);
    state.happened(pod("a", "1"), Duration::ZERO);
    assert!(all(&mut state, Duration::ZERO).is_empty());
    state.happened(Happening::ProfilesBegin, Duration::ZERO);
    state.happened(Happening::ProfilesEnd, Duration::ZERO);
    assert_eq!(all(&mut state, Duration::ZERO), ["look a"]);
}

#[test]
fn objects_are_looked_at_when_they_change_and_owned_ones_never() {
    let mut state = listed();
    state.happened(pod("a", "1"), Duration::ZERO);
    state.happened(deployment("d", 1), Duration::ZERO);
    let (replica_set, plain) = (key(Kind::ReplicaSet, "r"), key(Kind::Pod, "plain"));
    let owned = ObjectSeen {
        is_owned: true,
        ..ObjectSeen::default()
    };
    state.happened(Happening::Object(replica_set, owned), Duration::ZERO);
    state.happened(
        Happening::Object(plain, ObjectSeen::default()),
        Duration::ZERO,
    );
    assert_eq!(all(&mut state, Duration::ZERO), ["look a", "look d"]);
    looked(&mut state, Kind::Pod, "a", Vec::new());
    looked(&mut state, Kind::Deployment, "d", Vec::new());
    state.happened(pod("a", "1"), Duration::ZERO);
    state.happened(deployment("d", 1), Duration::ZERO);
    assert!(all(&mut state, Duration::ZERO).is_empty());
    state.happened(pod("a", "2"), Duration::ZERO);
    state.happened(deployment("d", 2), Duration::ZERO);
    assert_eq!(all(&mut state, Duration::ZERO), ["look a", "look d"]);
}

#[test]
fn a_profile_is_made_once_and_an_image_read_by_one_at_a_time() {
    let mut state = listed();
    for name in ["a", "b", "c"] {
        state.happened(pod(name, "1"), Duration::ZERO);
    }
    all(&mut state, Duration::ZERO);
    looked(&mut state, Kind::Pod, "a", vec![need("p", "web")]);
    looked(
        &mut state,
        Kind::Pod,
        "b",
        vec![need("p", "web"), need("q", "web")],
    );
    looked(&mut state, Kind::Pod, "c", vec![need("r", "db")]);
    assert_eq!(all(&mut state, Duration::ZERO), ["make p", "make r"]);
    let p: Arc<str> = "p".into();
    state.happened(
        Happening::Profile(Arc::clone(&p), generated(true)),
        Duration::ZERO,
    );
    state.made(&p, Ending::Done, Duration::ZERO);
    assert_eq!(all(&mut state, Duration::ZERO), ["make q"]);
    // It has its text: another pod of the same name needs nothing.
    state.happened(pod("d", "1"), Duration::ZERO);
    all(&mut state, Duration::ZERO);
    looked(&mut state, Kind::Pod, "d", vec![need("p", "web")]);
    assert!(all(&mut state, Duration::ZERO).is_empty());
    // Somebody deletes it.
    state.happened(Happening::ProfileGone(p), Duration::ZERO);
    let again = all(&mut state, Duration::ZERO);
    assert_eq!(again.len(), 3, "{again:?}");
}

#[test]
fn what_failed_is_tried_again_while_somebody_needs_it() {
    let mut state = listed();
    state.happened(pod("a", "1"), Duration::ZERO);
    all(&mut state, Duration::ZERO);
    looked(&mut state, Kind::Pod, "a", vec![need("p", "web")]);
    let p: Arc<str> = "p".into();
    assert_eq!(all(&mut state, Duration::ZERO), ["make p"]);
    state.made(&p, Ending::Failed, Duration::ZERO);
    assert!(all(&mut state, Duration::ZERO).is_empty());
    assert!(state.next_due().is_some_and(|due| due <= seconds(1)));
    assert_eq!(all(&mut state, seconds(1)), ["make p"]);
    state.made(&p, Ending::Failed, seconds(1));
    state.happened(Happening::ObjectGone(key(Kind::Pod, "a")), seconds(1));
    assert!(all(&mut state, seconds(10)).is_empty());
    assert_eq!(state.queued(), 0);
}

#[test]
fn profiles_are_judged_when_they_or_the_baselines_are_new() {
    let mut state = listed();
    let web: Arc<str> = "web".into();
    let mut seen = ProfileSeen {
        generation: 1,
        has_text: true,
        ..ProfileSeen::default()
    };
    state.happened(
        Happening::Profile(Arc::clone(&web), seen.clone()),
        Duration::ZERO,
    );
    assert_eq!(all(&mut state, Duration::ZERO), ["judge web"]);
    (seen.observed_generation, seen.is_ready) = (1, true);
    seen.baselines = vec!["containerd".to_owned()];
    state.happened(
        Happening::Profile(Arc::clone(&web), seen.clone()),
        Duration::ZERO,
    );
    state.judged(&web, Ending::Done, Duration::ZERO);
    assert!(all(&mut state, Duration::ZERO).is_empty());
    state.baselines(vec!["crio".to_owned()], Duration::ZERO);
    assert_eq!(all(&mut state, Duration::ZERO), ["judge web"]);
}

#[test]
fn a_namespaces_new_mode_has_its_templates_looked_at() {
    let mut state = listed();
    state.happened(deployment("d", 1), Duration::ZERO);
    all(&mut state, Duration::ZERO);
    looked(&mut state, Kind::Deployment, "d", Vec::new());
    assert!(state.tick(Duration::ZERO, |_| Mode::Enforce).is_none());
    assert!(all(&mut state, Duration::ZERO).is_empty());
    assert!(state.tick(Duration::ZERO, |_| Mode::Audit).is_none());
    assert_eq!(all(&mut state, Duration::ZERO), ["look d"]);
}

fn collected(state: &mut State, now: Duration) -> Vec<String> {
    match state.tick(now, |_| Mode::Enforce) {
        Some(Action::Collect(names)) => names.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn garbage_is_what_nobody_has_named_for_long() {
    let mut state = listed();
    let (p, q): (Arc<str>, Arc<str>) = ("p".into(), "q".into());
    let written = ProfileSeen {
        has_source: false,
        ..generated(true)
    };
    state.happened(
        Happening::Profile("written".into(), written),
        Duration::ZERO,
    );
    for name in [&p, &q] {
        state.happened(
            Happening::Profile(Arc::clone(name), generated(true)),
            Duration::ZERO,
        );
    }
    state.happened(pod("a", "1"), Duration::ZERO);
    // Not while it is not known what a pod names.
    assert!(collected(&mut state, seconds(0)).is_empty());
    assert!(collected(&mut state, UNUSED_FOR).is_empty());
    all(&mut state, UNUSED_FOR);
    looked(&mut state, Kind::Pod, "a", vec![need("p", "web")]);
    // The time counts from here.
    assert!(collected(&mut state, UNUSED_FOR).is_empty());
    assert!(collected(&mut state, (UNUSED_FOR * 2).saturating_sub(seconds(1))).is_empty());
    assert_eq!(collected(&mut state, UNUSED_FOR * 2), ["q"]);
    // One at a time; and what a pod names after all waits anew.
    assert!(collected(&mut state, UNUSED_FOR * 3).is_empty());
    state.collected(&[q], UNUSED_FOR * 3);
    assert!(collected(&mut state, (UNUSED_FOR * 4).saturating_sub(seconds(1))).is_empty());
    assert_eq!(collected(&mut state, UNUSED_FOR * 4), ["q"]);
}

#[test]
fn a_list_that_has_not_ended_keeps_everything() {
    let mut state = State::new(UNUSED_FOR);
    for kind in WATCHED_KINDS {
        state.happened(Happening::ObjectsBegin(kind), Duration::ZERO);
        if kind != Kind::Pod {
            state.happened(Happening::ObjectsEnd(kind), Duration::ZERO);
        }
    }
    state.happened(Happening::ProfilesBegin, Duration::ZERO);
    state.happened(
        Happening::Profile("p".into(), generated(true)),
        Duration::ZERO,
    );
    state.happened(Happening::ProfilesEnd, Duration::ZERO);
    assert!(collected(&mut state, Duration::ZERO).is_empty());
    assert!(collected(&mut state, UNUSED_FOR * 2).is_empty());
    state.happened(Happening::ObjectsEnd(Kind::Pod), UNUSED_FOR * 2);
    assert!(collected(&mut state, UNUSED_FOR * 2).is_empty());
    assert_eq!(collected(&mut state, UNUSED_FOR * 3), ["p"]);
}

#[test]
fn what_a_new_list_does_not_name_is_gone() {
    let mut state = listed();
    state.happened(pod("a", "1"), Duration::ZERO);
    state.happened(pod("b", "1"), Duration::ZERO);
    all(&mut state, Duration::ZERO);
    looked(&mut state, Kind::Pod, "a", vec![need("p", "web")]);
    looked(&mut state, Kind::Pod, "b", vec![need("p", "web")]);
    state.happened(Happening::ObjectsBegin(Kind::Pod), Duration::ZERO);
    state.happened(pod("b", "1"), Duration::ZERO);
    state.happened(Happening::ObjectsEnd(Kind::Pod), Duration::ZERO);
    assert_eq!(state.objects.len(), 1);
    assert_eq!(all(&mut state, Duration::ZERO), ["make p"]);
}

#[test]
fn what_does_not_fit_waits_outside_and_is_found_again() {
    let mut state = listed();
    for number in 0..MAX_OBJECTS + 10 {
        state.happened(pod(&number.to_string(), "1"), Duration::ZERO);
    }
    assert_eq!(
        (state.objects.len(), state.queued()),
        (MAX_OBJECTS, MAX_WAITING)
    );
    let mut seen = 0;
    while let Some(Action::Look(key)) = state.begin(Duration::ZERO) {
        state.looked(
            &key,
            Mode::Enforce,
            Looked::Needs(Vec::new()),
            Duration::ZERO,
        );
        seen += 1;
    }
    assert_eq!(seen, MAX_WAITING);
    state.tick(Duration::ZERO, |_| Mode::Enforce);
    assert_eq!(state.queued(), MAX_WAITING);
    // As many profiles as may be made are asked for; who needs another one is looked at again.
    let mut state = listed();
    state.happened(pod("greedy", "1"), Duration::ZERO);
    all(&mut state, Duration::ZERO);
    let needs = (0..MAX_WANTED + 10).map(|number| need(&format!("p{number}"), "web"));
    looked(&mut state, Kind::Pod, "greedy", needs.collect());
    assert_eq!(
        (state.wanted.len(), state.queued()),
        (MAX_WANTED, MAX_WANTED + 1)
    );
}
