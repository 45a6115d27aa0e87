use super::{
    Code, CodeRule, GeneratedProfile, Listed, Mounts, ProfileError, ProfileInputs, Slug, Stage,
};
use crate::apparmor::include::{NoIncludes, load};
use crate::apparmor::model::policy;
use crate::compare::{Baseline, Question, Relation, Runtime, Template, ask};
use crate::whitelist::{Name, NameError};

fn name(path: &str) -> Name {
    Name::exact(path.as_bytes()).unwrap()
}

fn listed(path: &str, reasons: &[&str]) -> Listed {
    Listed {
        name: name(path),
        reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
    }
}

/// An image with a script as its entrypoint, and a hook from a ConfigMap.
fn redis() -> ProfileInputs {
    let hook = Listed {
        name: Name::projected(b"/hooks", b"ready.sh").unwrap(),
        reasons: vec!["readinessProbe of the pod".into()],
    };
    ProfileInputs {
        slug: Slug::of_image("redis:8"),
        programs: vec![
            listed(
                "/usr/local/bin/redis-server",
                &["docker-entrypoint.sh:20 `exec \"$@\"`"],
            ),
            listed(
                "/usr/bin/find",
                &["docker-entrypoint.sh:11 `find . -exec chown`"],
            ),
            listed("/usr/local/lib/redis/modules/check", &[]),
            hook,
        ],
        closed: vec![
            name("/usr/local/bin/docker-entrypoint.sh"),
            name("/usr/bin/dash"),
        ],
        code: vec![
            Code::Folder(name("/usr/lib/x86_64-linux-gnu")),
            Code::Folder(name("/usr/local/lib/redis/modules")),
            Code::File(name("/opt/own.so")),
        ],
        code_rule: CodeRule::Only,
        mounts: Mounts::Closed,
        stage: Stage::Enforce,
        baseline: Baseline::newest(Runtime::Containerd),
        sources: vec![
            "image docker.io/library/redis@sha256:4c1db1c9".into(),
            "arguments redis-server".into(),
        ],
    }
}

fn text(inputs: &ProfileInputs) -> String {
    inputs.generate().unwrap().text
}

#[test]
fn a_profile_reads_so() {
    insta::assert_snapshot!("enforced", text(&redis()));
    insta::assert_snapshot!(
        "audited",
        text(&ProfileInputs {
            stage: Stage::Audit,
            ..redis()
        })
    );
}

#[test]
fn the_order_of_inputs_does_not_matter_and_anything_else_does() {
    let first = redis().generate().unwrap();
    assert_eq!(first, redis().generate().unwrap());
    let mut turned = redis();
    turned.programs.reverse();
    turned.programs.push(listed("/usr/bin/find", &[]));
    turned.closed.reverse();
    turned.code.reverse();
    turned.sources.reverse();
    assert_eq!(first, turned.generate().unwrap());

    let others = [
        ProfileInputs {
            slug: Slug::of("other"),
            ..redis()
        },
        ProfileInputs {
            programs: Vec::new(),
            ..redis()
        },
        ProfileInputs {
            closed: Vec::new(),
            ..redis()
        },
        ProfileInputs {
            code: Vec::new(),
            ..redis()
        },
        ProfileInputs {
            code_rule: CodeRule::Any,
            ..redis()
        },
        ProfileInputs {
            mounts: Mounts::Open,
            ..redis()
        },
        ProfileInputs {
            stage: Stage::Audit,
            ..redis()
        },
        ProfileInputs {
            baseline: "containerd@2.2".parse().unwrap(),
            ..redis()
        },
        ProfileInputs {
            sources: Vec::new(),
            ..redis()
        },
    ];
    let mut names = std::collections::HashSet::from([first.name]);
    for other in others {
        assert!(names.insert(other.generate().unwrap().name), "{other:?}");
    }
}

#[test]
fn names_are_good_for_files_and_for_kubernetes() {
    let inputs = ProfileInputs {
        slug: Slug::of(&"x".repeat(99)),
        ..redis()
    };
    let GeneratedProfile { name, text, .. } = inputs.generate().unwrap();
    let parts: Vec<&str> = name.split('.').collect();
    assert_eq!(
        (parts[0], parts[1].len(), parts[2].len()),
        ("armorgate", 36, 16)
    );
    assert!(
        parts[2]
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
    );
    assert_eq!(name.len(), 63);
    assert!(text.is_ascii());
}

/// Every template of every runtime, with and without the host's files.
fn baselines() -> Vec<Baseline> {
    let mut baselines = Vec::new();
    let mut seen: Vec<Template> = Vec::new();
    for runtime in Runtime::ALL {
        for bare in [false, true] {
            for era in runtime.eras() {
                let version = era.since.or(Some("0.1".parse().unwrap()));
                let baseline = Baseline {
                    runtime,
                    version,
                    bare,
                };
                if !seen.contains(&baseline.template()) {
                    seen.push(baseline.template());
                    baselines.push(baseline);
                }
            }
        }
    }
    baselines
}

#[test]
fn no_profile_is_weaker_than_any_default_that_it_begins_with() {
    let baselines = baselines();
    assert!(baselines.len() > 40, "{}", baselines.len());
    let relation = |inputs: &ProfileInputs| inputs.generate().unwrap().relation;
    for baseline in baselines {
        let enforced = ProfileInputs {
            baseline,
            ..redis()
        };
        assert_eq!(relation(&enforced), Relation::Stronger, "{baseline}");
        // The other forms differ from the baselines in the same rules each: those of the newest say enough.
        let newest = Baseline {
            version: None,
            ..baseline
        };
        if baseline.template() != newest.template() {
            continue;
        }
        let relaxed = ProfileInputs {
            code_rule: CodeRule::Any,
            mounts: Mounts::Open,
            ..enforced.clone()
        };
        assert_eq!(relation(&relaxed), Relation::Stronger, "{baseline}");
        let audited = ProfileInputs {
            stage: Stage::Audit,
            ..enforced
        };
        assert_eq!(relation(&audited), Relation::Equal, "{baseline}");
    }
}

#[test]
fn rules_of_the_default_stay_word_for_word() {
    for baseline in baselines() {
        let text = text(&ProfileInputs {
            baseline,
            ..redis()
        });
        let own = text
            .split_whitespace()
            .skip_while(|word| *word != "profile")
            .nth(1)
            .unwrap();
        let default = baseline.template().text();
        let default = default.replace(baseline.runtime.profile_name(), own);
        for line in default.lines().filter(|line| line.trim() != "file,") {
            assert!(
                text.lines().any(|found| found == line),
                "{baseline}: {line}"
            );
        }
    }
}

/// Letters of a path that the profile permits to the owner.
fn letters(text: &str, path: &str) -> String {
    let (loaded, _) = load("p".into(), text.as_bytes().into(), &NoIncludes);
    let (policy, _) = policy(&loaded, &NoIncludes);
    let profile = &policy.profiles[0];
    ["r", "w", "a", "k", "m", "x"]
        .into_iter()
        .filter(|letter| {
            let question = Question::file(path, letter, false).unwrap();
            ask(profile, &question).unwrap().permitted
        })
        .collect()
}

#[test]
fn what_runs_is_closed_and_data_is_not() {
    let text = text(&redis());
    for (path, expected) in [
        ("/usr/local/bin/redis-server", "rkmx"),
        ("/usr/bin/find", "rkmx"),
        ("/usr/bin/dash", "rk"),
        ("/usr/local/bin/docker-entrypoint.sh", "rk"),
        ("/usr/local/lib/redis/modules/check", "rkmx"),
        ("/usr/local/lib/redis/modules/json.so", "rkm"),
        ("/usr/local/lib/redis/modules/new/", "rkm"),
        ("/usr/local/lib/redis/modules/", "rk"),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "rkm"),
        ("/opt/own.so", "rkm"),
        ("/opt/other.so", "rwak"),
        ("/opt/", "rk"),
        ("/usr/", "rk"),
        ("/usr/local/bin/", "rk"),
        ("/usr/local/bin/new", "rwak"),
        ("/usr/bin/sh", "rwak"),
        ("/hooks/..2026_11_22_17_03_04.123456/ready.sh", "rkmx"),
        ("/hooks/..2026_11_22_17_03_04.123456/", "rk"),
        ("/hooks/..2026_11_22_17_03_04.123456/other.sh", "rwak"),
        ("/hooks/..2026_11_22_17_03_04.x/ready.sh", "rwak"),
        ("/hooks/ready.sh", "rwak"),
        ("/hooks/", "rk"),
        ("/data/dump.rdb", "rwak"),
        ("/data/", "rwak"),
        ("/", "rwak"),
        ("/tmp/x", "rwak"),
        ("/memfd:x//deleted", "rwak"),
        ("/dev/zero", "rwak"),
        ("/proc/sysrq-trigger", ""),
    ] {
        assert_eq!(letters(&text, path), expected, "{path}");
    }
}

#[test]
fn code_may_be_mapped_from_everywhere_if_asked_for() {
    let text = text(&ProfileInputs {
        code_rule: CodeRule::Any,
        ..redis()
    });
    assert_eq!(letters(&text, "/tmp/x"), "rwakm");
    assert_eq!(letters(&text, "/opt/own.so"), "rkm");
    assert_eq!(letters(&text, "/usr/bin/sh"), "rwakm");
}

#[test]
fn nothing_listed_is_the_strongest_list() {
    let inputs = ProfileInputs {
        programs: Vec::new(),
        closed: Vec::new(),
        code: Vec::new(),
        ..redis()
    };
    let text = text(&inputs);
    assert_eq!(letters(&text, "/usr/bin/find"), "rwak");
    assert!(!text.contains(" ix,") && !text.contains(" wl,"), "{text}");
}

#[test]
fn hostile_comments_write_no_rules() {
    let mut inputs = redis();
    inputs.sources = vec![
        "#include <x>".into(),
        "x\nfile ux,\n#include <y>".into(),
        "}".into(),
    ];
    inputs.programs = vec![listed(
        "/a",
        &["\n/** ux,", "include <z>", "\r\n}\nprofile other {"],
    )];
    inputs.programs[0]
        .reasons
        .extend((0..100).map(|number| number.to_string()));
    let text = text(&inputs);
    assert_eq!(letters(&text, "/b"), "rwak");
    assert!(text.contains("# - and 95 more\n"), "{text}");
}

#[test]
fn what_no_rule_can_name_is_refused() {
    for (path, message) in [
        ("", "`` is no absolute path"),
        ("bin/sh", "`bin/sh` is no absolute path"),
        ("/", "`/` is every file: name a file or folder in it"),
        (
            "/a\0b",
            "`/a\\x00b` has a NUL in it, which no path can have",
        ),
        (
            "/a//b",
            "`/a//b` is no resolved path: leave out `.`, `..` and a `/` that is doubled or last",
        ),
        (
            "/a/../b",
            "`/a/../b` is no resolved path: leave out `.`, `..` and a `/` that is doubled or last",
        ),
        (
            "/a/",
            "`/a/` is no resolved path: leave out `.`, `..` and a `/` that is doubled or last",
        ),
        (
            "/memfd:x",
            "`/memfd:x` is what the kernel calls anonymous files: give the file another name",
        ),
        (
            "/proc/x",
            "`/proc/x` is below a folder that the kernel fills: a container does not see what an image has there",
        ),
    ] {
        assert_eq!(
            Name::exact(path.as_bytes()).unwrap_err().to_string(),
            message
        );
    }
    let long = format!("/{}", "x".repeat(256));
    assert!(matches!(
        Name::exact(long.as_bytes()),
        Err(NameError::TooLong { .. })
    ));
    let deep = "/x".repeat(2048);
    assert!(matches!(
        Name::exact(deep.as_bytes()),
        Err(NameError::TooLong { .. })
    ));
    for file in ["", "/x", "a//b", "../x", "x\0"] {
        assert!(
            Name::projected(b"/hooks", file.as_bytes()).is_err(),
            "{file}"
        );
    }
}

#[test]
fn too_many_names_are_refused() {
    let one = listed("/a", &[]);
    let inputs = ProfileInputs {
        programs: vec![one; 2_001],
        ..redis()
    };
    let error = inputs.generate().unwrap_err();
    assert_eq!(
        error,
        ProfileError::TooMany {
            what: "programs",
            found: 2_001
        }
    );
}
