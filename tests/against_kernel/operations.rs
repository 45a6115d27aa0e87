//! What really happens when a confined process does something, and what the model says: every operation in every profile.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use armorgate::{
    apparmor::model::{Class, file},
    compare::{Baseline, Question},
};

use crate::{
    Target,
    compiled::ParserVersion,
    machine::{
        Machine,
        commands::{Enter, GuestAnswer, GuestCommand, Operation},
    },
    none_wrong,
    world::{About, Ask, Outcome, World},
};

/// Kinds of operations: those that a profile has nothing to say of would all come to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Theme {
    Files,
    Links,
    Mounts,
    Processes,
    Programs,
    Rest,
}

const ALL: &[Theme] = &[
    Theme::Files,
    Theme::Links,
    Theme::Mounts,
    Theme::Processes,
    Theme::Programs,
    Theme::Rest,
];

/// An operation, what must be there before, and what the kernel asks about it.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) user: u32,
    pub(crate) before: Vec<GuestCommand>,
    pub(crate) operation: Operation,
    pub(crate) asks: Vec<Ask>,
}

impl Deed {
    pub(crate) fn new(operation: Operation, asks: Vec<Ask>) -> Self {
        Self {
            user: 0,
            before: Vec::new(),
            operation,
            asks,
        }
    }

    fn after(mut self, before: Vec<GuestCommand>) -> Self {
        self.before = before;
        self
    }

    pub(crate) fn commands(&self, profile: &str) -> Vec<GuestCommand> {
        let mut commands = self.before.clone();
        commands.push(GuestCommand::As {
            profile: profile.to_owned(),
            enter: Enter::Change,
            user: self.user,
            operation: self.operation.clone(),
        });
        commands
    }
}

/// What came of it; none where it cannot be told.
pub(crate) fn outcome(deed: &Deed, answer: &GuestAnswer) -> Result<Outcome> {
    Ok(match answer {
        answer if answer.is_denied() => Outcome::Denied,
        GuestAnswer::Done(label) if matches!(deed.operation, Operation::Exec(_)) => {
            let label = label
                .split_once(" (")
                .map_or(label.as_str(), |(name, _)| name);
            let parts: BTreeSet<&str> = label.split("//&").collect();
            Outcome::Label(Vec::from_iter(parts).join("//&"))
        }
        // Whatever else the kernel finds fault with, it does so after it has permitted it.
        GuestAnswer::Done(_) | GuestAnswer::Errno(_) => Outcome::Permitted,
        answer => bail!("{deed:?}: {answer:?}"),
    })
}

pub(crate) fn check(target: &Target) -> Result<()> {
    let begin = Instant::now();
    let mut script = files();
    let mut policies = Vec::new();
    let mut who: Vec<(String, &[Theme])> = Vec::new();
    for text in texts()? {
        let version = if text.newest {
            ParserVersion::V5_0
        } else {
            target.parser()
        };
        let (command, modelled) = target.load(version, &text.rules)?;
        let first = modelled.policy.profiles.first().context("a profile")?;
        who.push((
            String::from_utf8_lossy(&first.name).into_owned(),
            text.themes,
        ));
        script.push(command);
        policies.push(modelled);
    }
    who.push(("unconfined".to_owned(), ALL));
    let world = World::new(policies, target.features);
    let deeds = deeds();
    let mut expected = vec![None; script.len()];
    for (name, themes) in &who {
        for (theme, deed) in &deeds {
            if !themes.contains(theme) {
                continue;
            }
            let commands = deed.commands(name);
            expected.extend(vec![None; commands.len() - 1]);
            expected.push(Some((name, deed, world.outcome(name, &deed.asks)?)));
            script.extend(commands);
        }
    }
    let prepared = begin.elapsed();
    let answers = Machine::run(target.kernel, &[], &script)?;
    ensure!(answers.len() == expected.len(), "{} answers", answers.len());
    let mut wrong = Vec::new();
    let (mut done, mut denied) = (0, 0);
    for ((answer, expected), command) in answers.iter().zip(&expected).zip(&script) {
        match (expected, command) {
            (Some((name, deed, expected)), _) => {
                done += 1;
                denied += usize::from(*expected == Outcome::Denied);
                let found = outcome(deed, answer)?;
                if found != *expected {
                    wrong.push(format!(
                        "{name}, user {}: {:?} is {found:?} ({answer:?}), by the model {expected:?}",
                        deed.user, deed.operation
                    ));
                }
            }
            // What is to be removed may not be there.
            (None, GuestCommand::As { .. }) => {}
            (None, command) => ensure!(
                matches!(answer, GuestAnswer::Done(_)),
                "{command:?}: {answer:?}"
            ),
        }
    }
    println!(
        "linux {}: {} operations, {} profiles, {done} in all, {denied} of them denied, prepared in {:.1} s, all in {:.1} s",
        target.kernel,
        deeds.len(),
        who.len(),
        prepared.as_secs_f64(),
        begin.elapsed().as_secs_f64(),
    );
    none_wrong(target.kernel, &wrong)
}

/// A text, what its first profile is tried with, and whether the newest parser is to compile it.
struct Text {
    rules: String,
    themes: &'static [Theme],
    newest: bool,
}

fn texts() -> Result<Vec<Text>> {
    let mut texts = Vec::new();
    let files: &[Theme] = &[Theme::Files, Theme::Rest];
    for (name, themes) in [
        ("containerd", ALL),
        ("containerd@1.7.20", files),
        ("docker", ALL),
        ("crio", files),
        ("docker@20.10.5:bare", &[Theme::Files, Theme::Processes]),
    ] {
        let baseline: Baseline = name.parse()?;
        // Some runtimes' have the same name.
        let own = format!("{}-{}", baseline.runtime.as_str(), texts.len());
        let names = [
            "cri-containerd.apparmor.d",
            "docker-default",
            "crio-default",
        ];
        let text = baseline.template().text();
        texts.push(Text {
            rules: names
                .iter()
                .fold(text, |text, name| text.replace(name, &own)),
            themes,
            newest: false,
        });
    }
    texts.extend(PROFILES.iter().map(|&(themes, text)| Text {
        rules: text.to_owned(),
        themes,
        // The first parser widens rules about mounts.
        newest: themes == [Theme::Mounts],
    }));
    Ok(texts)
}

const PROFILES: &[(&[Theme], &str)] = &[
    (ALL, "profile nothing { }"),
    (ALL, "abi <abi/3.0>, profile listed flags=(attach_disconnected, mediate_deleted) {
       network, capability, umount, signal receive peer=unconfined, signal (send, receive) peer=listed,
       ptrace (trace, read, tracedby, readby) peer=listed,
       /{,**} rwlk, /{bin,d/lib}/** m, /d/prog/listed ix, /bin/* ix, /d/run/{ix,px} ix,
       deny /d/prog/ w, deny /d/prog/listed wl, deny mount, deny /proc/{*,[^1-9]**} w,
       deny /proc/{kcore,sysrq-trigger} rwklx, deny /sys/firmware/** rwklx, deny /sys/kernel/security/** rwklx,
     }"),
    // Much as KubeArmor has it.
    (ALL, "profile weak flags=(attach_disconnected, mediate_deleted) {
       file, network, capability, umount, signal, ptrace, /lib/x86_64-linux-gnu/{*,**} rm,
       deny /proc/{*,**^[0-9*],sys/kernel/shm*} wkx, deny /proc/sysrq-trigger rwklx, deny /proc/kcore rwklx, deny mount,
       deny /sys/kernel/security/** rwklx, deny /d/prog/other x, deny network inet dgram,
     }"),
    // The sample of Kubernetes' documentation.
    (&[Theme::Files, Theme::Links, Theme::Rest], "profile k8s-deny-write flags=(attach_disconnected) { file, deny /** w, }"),
    (&[Theme::Files, Theme::Links, Theme::Mounts, Theme::Processes, Theme::Rest], "profile lenient flags=(complain) { /d/plain r, }"),
    (ALL, "profile free flags=(unconfined) { }"),
    (&[Theme::Files], "profile files {
       /d/plain rw, owner /d/{own,theirs} r, /d/theirs w, /d/log a, /d/locked rk, /d/sub/ r, /d/sub/** w, /d/sub/inner r,
       deny /d/sub/no* w, deny owner /d/secret w, /d/secret rw, /d/[^a-p]* r, /d/lib/*.so mr, /d/lib/{a,b}? r, /proc/ r,
       /proc/[0-9]*/** r, /d/moved*/ w, /d/movable/ rw, /d/movable/** r, /proc/sysrq* w, audit /d/link* rw,
     }"),
    (&[Theme::Files], "profile others { other /d/{own,theirs} rw, owner /d/theirs k, deny other /d/plain r, /d/plain rw, /d/log wr, /d/ rw, }"),
    (&[Theme::Links], "abi <abi/3.0>, profile links {
       /d/{plain,secret,own,theirs} r, /d/new rl, /d/sub/new-* rwl, link /d/any -> /d/plain, link subset /d/subset -> /d/**,
       link /d/none -> /other/**, deny link /d/sub/new-no -> /d/secret, /d/exec rlix, /d/prog/listed rix, /d/execux rlux,
       /d/prog/other rux, owner /d/owners l, /d/bare l, link /d/pair -> /d/prog/*, /d/pair rw,
     }"),
    (&[Theme::Programs], "profile execs {
       /{,**} mr, /d/run/ix ix, /d/run/px px, /d/run/Px Px, /d/run/pix pix, /d/run/cx cx, /d/run/Cx Cx, /d/run/cix cix,
       /d/run/ux ux, /d/run/Ux Ux, /d/run/pux pux, /d/run/PUx PUx, /d/run/cux cux, /d/run/named px -> goal,
       /d/run/child cx -> kid, /d/run/nowhere px -> nowhere, /d/run/nowhere-ix pix -> nowhere, /d/run/nowhere-ux pux -> nowhere,
       /d/run/stack px -> &goal, /d/run/stack-ix pix -> &goal, /d/run/stack-ux pux -> &goal, /d/run/stacked px -> &goal,
       /d/run/g* ix, /d/run/glob px -> goal, /d/run/script ix, owner /d/prog/theirs ix,
       /d/prog/* ix, deny /d/prog/other x,
       profile kid { /{,**} mr, }
       profile attached /d/run/{cx,Cx} { /{,**} mr, }
     }"),
    (&[], "profile attached /d/run/{px,Px,PUx,stacked} { /{,**} mr, }"),
    (&[Theme::Programs], "profile goal { /{,**} mr, }"),
    (&[Theme::Processes], "profile sender {
       signal send set=(term, usr1) peer=receiver, signal send peer=deaf, signal (send, receive) set=(exists) peer=**,
       ptrace (trace, read) peer={receiver,deaf}, /{,**} r, signal send set=(hup) peer=@{profile_name},
     }"),
    (&[Theme::Processes], "profile receiver {
       signal receive set=(term, kill) peer=sender, signal receive set=(exists, usr1), signal receive peer=unconfined,
       ptrace (tracedby, readby) peer=sender, ptrace trace peer=sender, ptrace readby peer=**,
     }"),
    (&[Theme::Processes], "profile deaf {
       deny signal receive peer=listed, signal receive peer=l*, ptrace tracedby peer=s*, deny ptrace tracedby peer=sender,
     }"),
    (&[Theme::Rest], "abi <abi/3.0>, profile sockets {
       network inet stream, network inet6, network netlink raw, network packet, deny network packet raw, network alg,
       capability net_raw, network unix stream, network unix seqpacket, /{,**} r,
     }"),
    (&[Theme::Rest], "abi <abi/3.0>, profile streams {
       network stream, deny network inet6 stream, network raw, capability, deny capability net_raw, deny capability sys_admin,
     }"),
    (&[Theme::Rest], "profile changes {
       change_profile -> goal, change_profile -> {free,f*}, change_profile /d/run/** -> sender, deny change_profile -> files,
       change_profile -> un*, capability sys_chroot, capability setuid,
     }"),
    (&[Theme::Rest], "profile anyone { change_profile, deny /proc/** w, capability, }"),
    (&[Theme::Mounts], "profile mounts {
       capability sys_admin, /{,**} r, mount fstype=tmpfs options=(ro) -> /m/a/,
       mount fstype=tmpfs options in (nosuid,nodev) -> /m/b/, mount options=(bind) /m/a/ -> /m/b/,
       mount options=(rbind) /m/** -> /m/c/, remount /m/a/, remount options=(ro,bind) /m/b/, mount options=(make-private) /m/b/,
       mount options=(rw,make-rshared) -> /m/a/, mount options=move /m/a/ -> /m/c/, umount /m/a/,
       pivot_root oldroot=/m/new/old/ /m/new/, mount fstype=proc none -> /m/{a,c}/,
     }"),
    (&[Theme::Mounts], "profile mounter {
       capability sys_admin, mount, deny mount options=(bind), deny mount fstype=proc, deny umount /m/a/, umount, pivot_root,
       deny mount -> /m/c/, deny pivot_root /m/old/,
     }"),
    (&[Theme::Mounts], "profile powerless { mount, umount, pivot_root, }"),
    (&[Theme::Mounts], "profile simple { capability sys_admin, mount /m/a/, mount none -> /m/b/, mount fstype={tmpfs,sys*} options=(nosuid), remount, }"),
];

fn file_at(path: &str, user: u32) -> GuestCommand {
    GuestCommand::Write {
        path: path.to_owned(),
        content: b"text".to_vec(),
        mode: 0o666,
        user,
    }
}

fn folder(path: &str) -> GuestCommand {
    GuestCommand::Directory {
        path: path.to_owned(),
    }
}

fn freely(operation: Operation) -> GuestCommand {
    GuestCommand::attempt("unconfined", operation)
}

fn gone(path: &str) -> GuestCommand {
    freely(Operation::Unlink(path.to_owned()))
}

fn folder_gone(path: &str) -> GuestCommand {
    freely(Operation::RemoveDirectory(path.to_owned()))
}

/// Files that are opened, and whether they are root's.
const OPENED: &[(&str, bool)] = &[
    ("/d/plain", true),
    ("/d/secret", true),
    ("/d/own", true),
    ("/d/theirs", false),
    ("/d/log", true),
    ("/d/locked", true),
    ("/d/zebra", true),
    ("/d/sub/inner", true),
    ("/d/sub/no-1", true),
    ("/d/lib/x.so", true),
    ("/d/lib/ab", true),
    ("/d/lib/a", true),
];

/// Files of the kernel's own that are opened, and the capabilities that reading and writing take.
type Capabilities = &'static [&'static str];
const SYSTEM: &[(&str, Capabilities, Capabilities)] = &[
    ("/proc/sysrq-trigger", &["dac_override"], &[]),
    (
        "/proc/kcore",
        &["sys_rawio"],
        &["dac_override", "sys_rawio"],
    ),
    ("/proc/filesystems", &[], &["dac_override"]),
    ("/proc/sys/kernel/core_pattern", &[], &[]),
    ("/proc/sys/kernel/shmmax", &[], &[]),
    ("/proc/sys/vm/swappiness", &[], &[]),
    ("/proc/1/oom_score_adj", &[], &[]),
    (
        "/sys/kernel/security/apparmor/profiles",
        &[],
        &["dac_override"],
    ),
    ("/sys/kernel/mm/transparent_hugepage/enabled", &[], &[]),
];

const PROGRAMS: &[&str] = &[
    "ix",
    "px",
    "Px",
    "pix",
    "cx",
    "Cx",
    "cix",
    "ux",
    "Ux",
    "pux",
    "PUx",
    "cux",
    "named",
    "child",
    "nowhere",
    "nowhere-ix",
    "nowhere-ux",
    "stack",
    "stack-ix",
    "stack-ux",
    "stacked",
    "glob",
    "grab",
    "unknown",
];

fn files() -> Vec<GuestCommand> {
    let mut commands = Vec::new();
    for path in [
        "/m/a",
        "/m/b",
        "/m/c",
        "/m/new/old",
        "/m/old/old",
        "/d/sub",
        "/d/movable",
    ] {
        commands.push(folder(path));
    }
    for &(path, own) in OPENED {
        commands.push(file_at(path, if own { 0 } else { 1000 }));
    }
    let programs = PROGRAMS.iter().map(|name| format!("/d/run/{name}"));
    let more = ["/d/prog/listed", "/d/prog/other"].map(str::to_owned);
    for path in programs.chain(more) {
        commands.push(GuestCommand::Program { path });
    }
    commands.push(GuestCommand::write(
        "/d/run/script",
        "#!/bin/sh\necho text\n",
    ));
    commands
}

/// A question of [`Ask::File`].
fn may(path: &str, letters: &'static str) -> Ask {
    Ask::File(path.to_owned(), letters, false)
}

fn deeds() -> Vec<(Theme, Deed)> {
    type Make = fn(&mut Vec<Deed>);
    let makers: [(Theme, Make); 7] = [
        (Theme::Files, files_opened),
        (Theme::Files, files_moved),
        (Theme::Links, files_linked),
        (Theme::Programs, programs),
        (Theme::Processes, processes),
        (Theme::Mounts, mounts),
        (Theme::Rest, rest),
    ];
    let mut all = Vec::new();
    for (theme, make) in makers {
        let mut deeds = Vec::new();
        make(&mut deeds);
        all.extend(deeds.into_iter().map(|deed| (theme, deed)));
    }
    all
}

fn files_opened(deeds: &mut Vec<Deed>) {
    type Open = fn(String) -> Operation;
    let ways: [(Open, &str); 7] = [
        (Operation::Read, "r"),
        (Operation::Write, "w"),
        (Operation::ReadWrite, "rw"),
        (Operation::Append, "a"),
        (Operation::Truncate, "w"),
        (Operation::Lock, "rwk"),
        (Operation::Map, "rm"),
    ];
    for &(path, own) in OPENED {
        for (way, letters) in ways {
            let asks = vec![Ask::File(path.to_owned(), letters, !own)];
            deeds.push(Deed::new(way(path.to_owned()), asks));
        }
    }
    for &(path, reading, writing) in SYSTEM {
        // Not everything can be done to what the kernel makes up.
        for ((way, letters), capabilities) in ways.iter().zip([reading, writing]) {
            let mut asks = vec![may(path, letters)];
            asks.extend(capabilities.iter().map(|name| Ask::Capability(name)));
            deeds.push(Deed::new(way(path.to_owned()), asks));
        }
    }
    for (path, own) in [("/d/own", false), ("/d/theirs", true), ("/d/plain", false)] {
        for (way, letters) in &ways[..4] {
            let asks = vec![Ask::File(path.to_owned(), letters, !own)];
            let mut deed = Deed::new(way(path.to_owned()), asks);
            deed.user = 1000;
            // With the mode that lets all users do it.
            let user = if own { 1000 } else { 0 };
            deeds.push(deed.after(vec![file_at(path, user)]));
        }
    }
    for path in [
        "/d/",
        "/d/sub/",
        "/d/lib/",
        "/proc/",
        "/sys/kernel/security/",
        "/m/a/",
    ] {
        let operation = Operation::List(path.to_owned());
        deeds.push(Deed::new(operation, vec![may(path, "r")]));
    }
    for path in [
        "/d/plain",
        "/d/own",
        "/d/sub/inner",
        "/d/sub/no-1",
        "/d/locked",
    ] {
        let asks = || vec![may(path, "w")];
        deeds.push(Deed::new(Operation::Chmod(path.to_owned()), asks()));
        deeds.push(Deed::new(Operation::Chown(path.to_owned()), asks()));
    }
}

fn files_moved(deeds: &mut Vec<Deed>) {
    for path in ["/d/sub/made", "/d/sub/no-made", "/d/log-made", "/d/zoo"] {
        let device = vec![may(path, "w"), Ask::Capability("mknod")];
        for (operation, asks) in [
            (Operation::Create(path.to_owned()), vec![may(path, "w")]),
            (Operation::MakeDevice(path.to_owned()), device),
            (
                Operation::Symlink {
                    target: "x".to_owned(),
                    path: path.to_owned(),
                },
                vec![may(path, "w")],
            ),
        ] {
            deeds.push(Deed::new(operation, asks).after(vec![gone(path), folder_gone(path)]));
        }
        let folder_path = format!("{path}/");
        let make = Operation::MakeDirectory(path.to_owned());
        let make = Deed::new(make, vec![may(&folder_path, "w")]);
        deeds.push(make.after(vec![gone(path), folder_gone(path)]));
        let remove = Operation::RemoveDirectory(path.to_owned());
        let remove = Deed::new(remove, vec![may(&folder_path, "w")]);
        deeds.push(remove.after(vec![folder(path)]));
        // The next profile wants it gone.
        let remove = freely(Operation::RemoveDirectory(path.to_owned()));
        let unlink = Deed::new(Operation::Unlink(path.to_owned()), vec![may(path, "w")]);
        deeds.push(unlink.after(vec![remove, file_at(path, 0)]));
    }
    for (from, own) in [
        ("/d/plain", true),
        ("/d/sub/inner", true),
        ("/d/theirs", false),
        ("/d/log", true),
    ] {
        for to in ["/d/sub/moved", "/d/sub/no-moved", "/d/zoo", "/d/link-1"] {
            let rename = Operation::Rename {
                from: from.to_owned(),
                to: to.to_owned(),
            };
            let asks = vec![
                Ask::File(from.to_owned(), "rw", !own),
                Ask::File(to.to_owned(), "w", !own),
            ];
            let user = if own { 0 } else { 1000 };
            let again = file_at(from, user);
            deeds.push(Deed::new(rename, asks).after(vec![gone(to), again]));
            deeds.extend(deeds.last().cloned().map(|deed| {
                let new = file_at(to, 0);
                deed.after(vec![file_at(from, user), new])
            }));
        }
        deeds.extend(deeds.last().cloned().map(|mut deed| {
            // What the last one took away is there again.
            deed.operation = Operation::Read(from.to_owned());
            deed.asks = vec![Ask::File(from.to_owned(), "r", !own)];
            deed
        }));
    }
    for to in ["/d/moved-1", "/d/sub/moved-1", "/d/zoo"] {
        let rename = Operation::Rename {
            from: "/d/movable".to_owned(),
            to: to.to_owned(),
        };
        let asks = vec![may("/d/movable/", "rw"), may(&format!("{to}/"), "w")];
        let before = vec![gone(to), folder_gone(to), folder("/d/movable")];
        deeds.push(Deed::new(rename, asks).after(before));
    }
}

fn files_linked(deeds: &mut Vec<Deed>) {
    for from in [
        "/d/plain",
        "/d/secret",
        "/d/own",
        "/d/theirs",
        "/d/prog/listed",
        "/d/prog/other",
    ] {
        for to in [
            "new",
            "sub/new-1",
            "sub/new-no",
            "any",
            "subset",
            "none",
            "exec",
            "execux",
            "owners",
            "bare",
            "pair",
        ] {
            let to = format!("/d/{to}");
            let link = Operation::Link {
                from: from.to_owned(),
                to: to.clone(),
            };
            let others = from == "/d/theirs";
            let asks = vec![Ask::Link {
                from: from.to_owned(),
                to: to.clone(),
                others,
            }];
            deeds.push(Deed::new(link, asks).after(vec![gone(&to)]));
        }
    }
    // A name that is a link is not the file's.
    for target in ["/d/plain", "/d/log", "/proc/sys/kernel/core_pattern"] {
        let path = "/d/link-2";
        let symlink = freely(Operation::Symlink {
            target: target.to_owned(),
            path: path.to_owned(),
        });
        let read = Deed::new(Operation::Read(path.to_owned()), vec![may(target, "r")]);
        deeds.push(read.after(vec![gone(path), symlink]));
    }
}

fn programs(deeds: &mut Vec<Deed>) {
    let programs = PROGRAMS.iter().map(|name| format!("/d/run/{name}"));
    let more = ["/d/prog/listed", "/d/prog/other", "/d/run/script"].map(str::to_owned);
    for path in programs.chain(more) {
        deeds.push(Deed::new(
            Operation::Exec(path.clone()),
            vec![Ask::Exec(path)],
        ));
    }
}

fn processes(deeds: &mut Vec<Deed>) {
    for peer in [
        "receiver",
        "deaf",
        "sender",
        "listed",
        "weak",
        "containerd-0",
        "unconfined",
    ] {
        for (name, number) in [
            ("exists", 0),
            ("hup", 1),
            ("kill", 9),
            ("usr1", 10),
            ("term", 15),
            ("rtmin+3", 35),
        ] {
            let signal = Operation::Signal {
                peer: peer.to_owned(),
                number,
            };
            let asks = vec![Ask::Peer(peer.to_owned(), About::Signal(name))];
            deeds.push(Deed::new(signal, asks));
        }
        let peer = peer.to_owned();
        let trace = Ask::Peer(peer.clone(), About::Trace("trace", "tracedby"));
        deeds.push(Deed::new(
            Operation::Ptrace { peer: peer.clone() },
            vec![trace],
        ));
        let read = Ask::Peer(peer.clone(), About::Trace("read", "readby"));
        deeds.push(Deed::new(Operation::Inspect { peer }, vec![read]));
    }
}

fn mounts(deeds: &mut Vec<Deed>) {
    let mut push = |operation, string: String, bits| {
        let question = Question {
            class: Class::Mount,
            string: string.into_bytes(),
            bits,
            mediated: |features| features.mount,
        };
        deeds.push(Deed::new(
            operation,
            vec![Ask::Other(question), Ask::Capability("sys_admin")],
        ));
    };
    let mount = |source: &str, target: &str, kind: &str, flags| Operation::Mount {
        source: source.to_owned(),
        target: target.to_owned(),
        kind: kind.to_owned(),
        flags,
    };
    // The flags by their bytes: the first bit is 1.
    let bytes = |flags: u64| -> String {
        let bits = (0..32_u8).filter(|bit| flags >> bit & 1 == 1);
        bits.map(|bit| char::from(bit + 1)).collect()
    };
    for target in ["/m/a", "/m/b", "/m/c"] {
        for kind in ["tmpfs", "proc", "sysfs"] {
            for flags in [0, READ_ONLY, NO_SUID, READ_ONLY | NO_SUID, NO_DEVICES] {
                let string = format!("{target}/\0none\0{kind}\0{}", bytes(flags));
                push(mount("none", target, kind, flags), string, MOUNT);
            }
        }
        for source in ["/m/a", "/m/b", "/d"] {
            for flags in [BIND, BIND | RECURSIVE, BIND | READ_ONLY, MOVE] {
                let asked = bytes(flags & !READ_ONLY);
                let string = format!("{target}/\0{source}/\0\0{asked}");
                push(mount(source, target, "", flags), string, MOUNT);
            }
        }
        for flags in [
            REMOUNT,
            REMOUNT | READ_ONLY,
            REMOUNT | READ_ONLY | BIND,
            REMOUNT | NO_SUID | BIND,
            PRIVATE,
            SLAVE,
            SHARED | RECURSIVE,
            UNBINDABLE,
        ] {
            let string = format!("{target}/\0\0\0{}", bytes(flags));
            push(mount("none", target, "", flags), string, MOUNT);
        }
        push(
            Operation::Umount(target.to_owned()),
            format!("{target}/"),
            UMOUNT,
        );
    }
    for new in ["/m/new", "/m/old"] {
        let old = format!("{new}/old");
        let string = format!("{new}/\0{old}/");
        let new = new.to_owned();
        push(Operation::PivotRoot { new, old }, string, PIVOT_ROOT);
    }
}

fn rest(deeds: &mut Vec<Deed>) {
    for (number, family) in [
        (1, "unix"),
        (2, "inet"),
        (10, "inet6"),
        (16, "netlink"),
        (17, "packet"),
        (38, "alg"),
        (40, "vsock"),
        (31, "bluetooth"),
    ] {
        for (kind, word) in [(1, "stream"), (2, "dgram"), (3, "raw"), (5, "seqpacket")] {
            let socket = Operation::Socket {
                family: number,
                kind,
                protocol: 0,
            };
            let mut asks: Vec<Ask> = Question::network(family, word)
                .map(Ask::Other)
                .into_iter()
                .collect();
            // These are looked at before anything else is.
            if family == "packet" {
                asks.push(Ask::Capability("net_raw"));
            }
            deeds.push(Deed::new(socket, asks));
        }
    }
    for name in [
        "setgid",
        "setuid",
        "sys_admin",
        "sys_boot",
        "sys_chroot",
        "sys_module",
        "sys_nice",
        "sys_rawio",
        "sys_time",
    ] {
        let operation = Operation::Capability(name.to_owned());
        deeds.push(Deed::new(operation, vec![Ask::Capability(name)]));
    }
    let userns = vec![Ask::Other(Question::userns())];
    deeds.push(Deed::new(Operation::UserNamespace, userns));
    for label in [
        "goal",
        "files",
        "free",
        "sender",
        "receiver",
        "unconfined",
        "changes",
    ] {
        let change = Ask::Other(Question::change_profile(label));
        let current = may("/proc/1234/attr/current", "w");
        let operation = Operation::ChangeProfile(label.to_owned());
        deeds.push(Deed::new(operation, vec![current, change]));
        let on_exec = Ask::Other(Question {
            class: Class::File,
            string: label.as_bytes().to_vec(),
            bits: file::ON_EXEC,
            mediated: |_| true,
        });
        let exec = may("/proc/1234/attr/exec", "w");
        let operation = Operation::ChangeOnExec(label.to_owned());
        deeds.push(Deed::new(operation, vec![exec, on_exec]));
    }
}

const MOUNT: u32 = 2;
const UMOUNT: u32 = 4;
const PIVOT_ROOT: u32 = 1;

const READ_ONLY: u64 = 1;
const NO_SUID: u64 = 2;
const NO_DEVICES: u64 = 4;
pub(crate) const REMOUNT: u64 = 32;
pub(crate) const BIND: u64 = 4096;
pub(crate) const MOVE: u64 = 8192;
pub(crate) const RECURSIVE: u64 = 1 << 14;
const UNBINDABLE: u64 = 1 << 17;
pub(crate) const PRIVATE: u64 = 1 << 18;
const SLAVE: u64 = 1 << 19;
const SHARED: u64 = 1 << 20;
