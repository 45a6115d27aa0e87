use std::collections::HashSet;

use super::{AbiLine, Baseline, ProcessPattern, PtraceWithin, Rules, Runtime, Version};

fn rules(text: &str) -> Rules {
    text.parse::<Baseline>().unwrap().template().rules
}

/// Whether something holds of these releases.
fn holds(of: impl Fn(Rules) -> bool, baselines: &str) -> Vec<(&str, bool)> {
    baselines
        .split_whitespace()
        .map(|text| (text, of(rules(text))))
        .collect()
}

#[track_caller]
fn begins(of: impl Fn(Rules) -> bool, before: &str, from: &str) {
    for (text, holds) in holds(&of, before) {
        assert!(!holds, "{text} has it already");
    }
    for (text, holds) in holds(&of, from) {
        assert!(holds, "{text} has it not");
    }
}

#[test]
fn abi_is_said() {
    begins(
        |rules| rules.abi != AbiLine::Absent,
        "containerd@1.4 containerd@1.6 containerd@1.7.30 containerd@2.0.0 containerd@2.0.8 containerd@2.1.6
         containerd@2.2.0 containerd@2.2.1 docker@28 docker@29.4.2 crio podman",
        "containerd@1.7.31 containerd@1.7 containerd@1 containerd@2.0.9 containerd@2.1.7 containerd@2.2.2 containerd@2.3.0
         containerd docker@29.4.3 docker",
    );
    begins(
        |rules| rules.abi == AbiLine::WhereFound,
        "containerd@1.7.31 containerd@2.1.7 containerd@2.2.2 containerd@2.2.3",
        "containerd@1.7.32 containerd@2.0.9 containerd@2.1.8 containerd@2.2.4 containerd@2.3.0 docker@29.4.3",
    );
}

#[test]
fn socket_families_are_denied() {
    begins(
        |rules| rules.denied_families.contains(&"alg"),
        "containerd crio podman docker@29.4.2",
        "docker@29.4.3 docker",
    );
    begins(
        |rules| rules.denied_families.contains(&"vsock"),
        "containerd docker@29.7.2 docker@29.4.3",
        "docker@29.8.0 docker@29 docker@30 docker",
    );
}

#[test]
fn runtimes_may_send_signals() {
    let runc = |rules: Rules| rules.senders.iter().any(|sender| sender.peer == "runc");
    begins(
        runc,
        "docker@23.0.11 docker@23.0.10 docker@24 docker@24.0.9 docker@25.0.5 docker@26.0 docker@26.1.0 docker@26.1.2
         containerd@1.6.32 containerd@1.7.15 crio podman",
        "docker@23.0.12 docker@25.0.6 docker@26.1.3 docker@27.0.0 docker containerd@1.6.33 containerd@1.7.16
         containerd@2.0.0 containerd",
    );
    let engines = |rules: Rules| {
        rules
            .senders
            .iter()
            .any(|sender| sender.peer.ends_with("runc"))
    };
    begins(
        engines,
        "crio@1.30 podman@5.0",
        "crio@1.31.0 crio podman@5.1.0 podman",
    );
    let every_signal = |rules: Rules| rules.senders.iter().all(|sender| sender.signals.is_empty());
    begins(
        every_signal,
        "crio@1.33.9 podman@5.4",
        "crio@1.34.0 crio podman@5.5.0 podman",
    );
}

#[test]
fn the_host_may_send_signals() {
    begins(
        |rules| !rules.senders.is_empty(),
        "containerd@1.4.13 containerd@1.3",
        "containerd@1.5.0 docker@19.03 docker@20.10.0 crio@1.20 podman@3",
    );
}

#[test]
fn processes_may_trace_each_other() {
    begins(
        |rules| rules.ptrace == PtraceWithin::Everything,
        "docker@19.03.15 containerd@1.6 crio podman",
        "docker@20.10.0 docker containerd@1.7.0 containerd",
    );
}

#[test]
fn powercap_is_denied() {
    begins(
        |rules| rules.denies_powercap,
        "docker@20.10.26 docker@23.0.7 docker@24.0.6 containerd@1.5 containerd@1.6.25 containerd@1.7.0 containerd@1.7.10
         crio podman",
        "docker@20.10.27 docker@20.10 docker@23.0.8 docker@24.0.7 docker@25.0.0 docker@26.0.0 docker containerd@1.6.26
         containerd@1.7.11 containerd@2.0.0 containerd",
    );
}

#[test]
fn memory_devices_are_no_longer_denied() {
    begins(
        |rules| !rules.denies_memory,
        "containerd@1.4 containerd@1.7 containerd@2.0 containerd@2.1 containerd@2.2",
        "containerd@2.3.0 containerd docker@19.03 docker crio podman",
    );
}

#[test]
fn processes_are_told_by_three_patterns() {
    for (pattern, baselines) in [
        (
            ProcessPattern::Crossing,
            "docker@20.10.25 docker@19 containerd@1.7 containerd@2.2 crio podman",
        ),
        (
            ProcessPattern::Half,
            "docker@20.10.26 docker@23.0.0 docker@29.4.2",
        ),
        (
            ProcessPattern::Exact,
            "docker@29.4.3 docker containerd@2.3.0 containerd",
        ),
    ] {
        for (text, holds) in holds(|rules| rules.processes == pattern, baselines) {
            assert!(holds, "{text}");
        }
    }
}

#[test]
fn eras_follow_each_other_without_gap() {
    for runtime in Runtime::ALL {
        let eras: Vec<_> = runtime.eras().collect();
        for pair in eras.windows(2) {
            let (since, until) = (pair[1].since.unwrap(), pair[0].until.unwrap());
            assert_eq!(since, until);
            assert!(pair[0].since.is_none_or(|before| before.at_most(since)));
            assert_ne!(pair[0].rules, pair[1].rules, "{}", pair[1]);
        }
        let (first, last) = (eras.first().unwrap(), eras.last().unwrap());
        assert_eq!((first.since, last.until), (None, None));
        assert_eq!(last.rules, Baseline::newest(runtime).template().rules);
        for era in &eras {
            let version = era.since.unwrap_or(Version::new(0, 0, 0));
            assert_eq!(runtime.rules(Some(version)), era.rules, "{era}");
        }
    }
}

#[test]
fn eras_are_named() {
    let names: Vec<_> = Runtime::Crio.eras().map(|era| era.to_string()).collect();
    assert_eq!(
        names,
        [
            "crio before 1.31",
            "crio 1.31 and later, before 1.34",
            "crio 1.34 and later"
        ]
    );
    let names: Vec<_> = Runtime::Containerd
        .eras()
        .map(|era| era.to_string())
        .collect();
    for name in [
        "containerd before 1.5",
        "containerd 1.5 to 1.6.25",
        "containerd 1.7.32 and later, before 2.0",
        "containerd 1.7.16 to 1.7.30",
        "containerd 1.7.31",
        "containerd 2.1 to 2.1.6",
        "containerd 2.3 and later",
    ] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
}

#[test]
fn a_text_and_its_baseline_are_the_same() {
    for text in [
        "containerd",
        "containerd@1",
        "containerd@1.7",
        "containerd@1.7.20",
        "crio:bare",
        "docker@29.4.3:bare",
        "podman@5.4.0",
    ] {
        assert_eq!(text.parse::<Baseline>().unwrap().to_string(), text);
    }
    for (text, plain) in [
        ("crio@v1.30", "crio@1.30"),
        ("docker@27.0.3-rc.1", "docker@27.0.3"),
        ("containerd@1.7.24~ds1:bare", "containerd@1.7.24:bare"),
        ("docker@28.5.1+1", "docker@28.5.1"),
    ] {
        assert_eq!(text.parse::<Baseline>().unwrap().to_string(), plain);
    }
}

#[test]
fn mistakes_are_told_with_a_suggestion() {
    for (text, message) in [
        ("dokcer", "unknown runtime `dokcer`, did you mean `docker`?"),
        (
            "cri-o@1.33",
            "unknown runtime `cri-o`, did you mean `crio`?",
        ),
        (
            "Containerd",
            "unknown runtime `Containerd`, did you mean `containerd`?",
        ),
        (
            "runc",
            "unknown runtime `runc`, there are containerd, crio, docker, podman",
        ),
        (
            "",
            "unknown runtime ``, there are containerd, crio, docker, podman",
        ),
        (
            "crio@latest",
            "`latest` is no version: write one like `2`, `1.7` or `2.1.4`",
        ),
        (
            "crio:naked",
            "unknown `:naked`, only `:bare` may stand there",
        ),
        (
            "crio:bare:bare",
            "unknown `:bare:bare`, only `:bare` may stand there",
        ),
    ] {
        assert_eq!(text.parse::<Baseline>().unwrap_err().to_string(), message);
    }
    for version in [
        "",
        "v",
        "1.",
        ".1",
        "1..2",
        "1.2.3.4",
        "-1",
        "+1",
        "1.+2",
        "1.x",
        "99999999999",
        "1 ",
        "é",
    ] {
        let text = format!("crio@{version}");
        assert!(text.parse::<Baseline>().is_err(), "{text:?}");
    }
}

#[test]
fn a_node_tells_its_baseline() {
    for (node, baseline) in [
        ("containerd://2.1.4", "containerd@2.1.4"),
        ("containerd://1.7.24~ds1", "containerd@1.7.24"),
        ("containerd://2.0.5-k3s2", "containerd@2.0.5"),
        ("containerd://v1.6.8", "containerd@1.6.8"),
        ("cri-o://1.33.0", "crio@1.33.0"),
        ("docker://28.0.1", "docker@28.0.1"),
        ("docker://20.10.21+dfsg1", "docker@20.10.21"),
    ] {
        let found = Baseline::from_node(node).map(|found| found.to_string());
        assert_eq!(found.as_deref(), Some(baseline));
    }
    for node in [
        "",
        "containerd",
        "containerd://",
        "containerd://Unknown",
        "rkt://1.30",
        "crio://1.33.0",
    ] {
        assert_eq!(Baseline::from_node(node), None, "{node}");
    }
}

#[test]
fn one_release_stands_for_all_with_its_template() {
    for (baseline, first) in [
        ("containerd@1.7.24", "containerd@1.7.16"),
        ("containerd@2.0.3", "containerd@1.7.16"),
        ("containerd@2.4.1", "containerd@2.3.0"),
        ("containerd", "containerd@2.3.0"),
        ("containerd@1.4.13:bare", "containerd@0.0.0:bare"),
        ("crio@1.30.6", "crio@0.0.0"),
    ] {
        let baseline: Baseline = baseline.parse().unwrap();
        assert_eq!(baseline.first_alike().to_string(), first);
        assert_eq!(baseline.first_alike().template(), baseline.template());
    }
}

#[test]
fn a_baseline_is_read_from_one_string() {
    let read: Vec<Baseline> = serde_json::from_str(r#"["crio", "docker@29:bare"]"#).unwrap();
    assert_eq!(read[0], Baseline::newest(Runtime::Crio));
    assert!(read[1].bare);
    let error = serde_json::from_str::<Baseline>("\"podmna\"").unwrap_err();
    assert!(error.to_string().contains("did you mean `podman`?"));
}

#[test]
fn texts_differ_as_templates_do() {
    let mut texts = HashSet::new();
    let mut templates = HashSet::new();
    for (runtime, bare) in Runtime::ALL
        .into_iter()
        .flat_map(|runtime| [(runtime, false), (runtime, true)])
    {
        for era in runtime.eras() {
            let template = super::Template {
                runtime,
                bare,
                rules: era.rules,
            };
            // With the file, `WhereFound` is `Always`; without it, `Absent`.
            let same = match era.rules.abi {
                AbiLine::Absent => false,
                AbiLine::Always => !bare,
                AbiLine::WhereFound => bare,
            };
            if !same && templates.insert(template) {
                assert!(texts.insert(template.text()), "{era}");
            }
        }
    }
    assert!(texts.len() > 30);
}

#[test]
fn the_newest_of_docker_reads_so() {
    let text = Baseline::newest(Runtime::Docker).template().text();
    let expected = "\
abi <abi/3.0>,

@{PROC} = /proc/

profile docker-default flags=(attach_disconnected, mediate_deleted) {
    capability,
    file,
    network,
    deny network alg,
    deny network vsock,
    umount,
    deny mount,
    ptrace (read, readby, trace, tracedby) peer=docker-default,
    signal (receive, send) peer=docker-default,
    signal receive peer=unconfined,
    signal receive peer=runc,
    signal receive peer=crun,
    deny @{PROC}/* w,
    deny @{PROC}/{[^1-9/],[^1-9/][^0-9/],[^1-9s/][^0-9y/][^0-9s/],[^1-9/][^0-9/][^0-9/][^0-9/]*}/** w,
    deny @{PROC}/sys/[^k]** w,
    deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,
    deny @{PROC}/kcore rwklx,
    deny @{PROC}/sysrq-trigger rwklx,
    deny /sys/[^f]*/** wklx,
    deny /sys/f[^s]*/** wklx,
    deny /sys/fs/[^c]*/** wklx,
    deny /sys/fs/c[^g]*/** wklx,
    deny /sys/fs/cg[^r]*/** wklx,
    deny /sys/firmware/** rwklx,
    deny /sys/kernel/security/** rwklx,
    deny /sys/devices/virtual/powercap/** rwklx,
    ptrace (readby, tracedby),
    signal (receive, send) set=exists,
}
";
    assert_eq!(text, expected);
}

#[test]
fn signals_may_be_named() {
    let text = "podman@5.4:bare"
        .parse::<Baseline>()
        .unwrap()
        .template()
        .text();
    let rule = "signal receive set=(int, kill, quit, term) peer={/usr/bin/,/usr/sbin/,}podman,";
    assert!(text.contains(rule), "{text}");
    assert!(
        !text.contains("abi/3.0") && !text.contains("exists"),
        "{text}"
    );
}
