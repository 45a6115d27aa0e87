//! A real kernel with AppArmor does what is known of it, and answers what the compiled policy answers.

#[path = "support/compiled/mod.rs"]
mod compiled;
#[path = "support/machine/mod.rs"]
mod machine;
#[path = "support/mod.rs"]
mod support;

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use compiled::{Parser, ParserVersion, automaton::State};
use machine::{
    Kernel, Machine,
    commands::{Enter, GuestAnswer, GuestCommand, Masks, Operation},
};

/// What a fact says the answer is.
#[derive(Debug)]
enum Expected {
    Allowed,
    Denied,
    /// A program runs, and is then in this profile.
    Label(String),
    /// A program runs to its end, and writes something with this in it.
    Output(String),
    /// The kernel's masks: these bits allowed, these not.
    Masks(u32, u32),
}

impl Expected {
    fn fits(&self, answer: &GuestAnswer) -> bool {
        match (self, answer) {
            (Self::Allowed, GuestAnswer::Done(_)) => true,
            (Self::Denied, answer) => answer.is_denied(),
            (Self::Label(label), GuestAnswer::Done(found)) => found.starts_with(label),
            (Self::Output(part), GuestAnswer::Ended { output, .. }) => output.contains(part),
            (Self::Masks(set, unset), GuestAnswer::Masks(Masks { allow, .. })) => {
                allow & (set | unset) == *set
            }
            _ => false,
        }
    }
}

/// What the rest of the facts needs to be there.
fn files() -> Vec<GuestCommand> {
    let mut commands = Vec::new();
    for path in [
        "/app/listed",
        "/app/other",
        "/guarded/listed",
        "/swap/bin/listed",
        "/new/bin/listed",
        "/held/bin/listed",
    ] {
        commands.push(GuestCommand::Program {
            path: path.to_owned(),
        });
    }
    for path in [
        "/app/data",
        "/app/less",
        "/lib/library",
        "/app/library",
        "/app/old",
        "/guarded/spare",
        "/held/new/x",
    ] {
        commands.push(GuestCommand::write(path, "text"));
    }
    commands.push(GuestCommand::write(
        "/app/script",
        "#!/bin/sh\necho from the script\n",
    ));
    for (path, user) in [("/app/mine", 0), ("/app/theirs", 1000)] {
        commands.push(GuestCommand::Write {
            path: path.to_owned(),
            content: Vec::new(),
            mode: 0o666,
            user,
        });
    }
    for path in ["/mounts/a", "/mounts/b/old"] {
        commands.push(GuestCommand::Directory {
            path: path.to_owned(),
        });
    }
    let link = Operation::Symlink {
        target: "listed".to_owned(),
        path: "/app/link".to_owned(),
    };
    commands.push(GuestCommand::attempt("unconfined", link));
    commands
}

/// Much as container runtimes have it.
const DEFAULT: &str = "#include <tunables/global>
profile default flags=(attach_disconnected, mediate_deleted) {
  network, capability, file, umount,
  signal receive peer=unconfined, signal (send, receive) peer=default,
  ptrace (trace, read, tracedby, readby) peer=default,
  deny @{PROC}/* w, deny @{PROC}/{sysrq-trigger,kcore} rwklx, deny mount,
  deny /sys/[^f]*/** wklx, deny /sys/firmware/** rwklx, deny /sys/kernel/security/** rwklx,
}";

/// A list of programs, with the mistake that testing found, and without.
const LISTS: &str = "profile list flags=(attach_disconnected) {
  /{,**} rwlk, /{lib,bin}/** m, /app/{listed,script} ix, /guarded/listed ix, /swap/bin/listed ix, /held/bin/listed ix,
  deny /guarded/listed wl, deny /held/bin/listed wl, deny /held/{,bin/} w,
  signal receive peer=unconfined,
}";

const SMALL: &[(&str, &str)] = &[
    ("none", "profile none { /** r, }"),
    ("complain", "profile complain flags=(complain) { /app/data r, }"),
    ("audit", "profile audit { /{,**} rwlk, audit /{,**} ix, }"),
    ("owner", "profile owner { owner /app/** r, /app/less w, }"),
    (
        "links",
        "profile links { /app/plain rwl, /app/{mine,theirs} r, link /app/any -> /app/data, }",
    ),
    (
        "peers",
        "profile sender { signal send set=(term) peer=receiver, ptrace trace peer=receiver, /{,**} r, }
         profile receiver { signal receive peer=sender, ptrace tracedby peer=sender, }
         profile deaf { /a r, }",
    ),
    (
        "mounts",
        "profile mounts { capability sys_admin, mount options=ro fstype=tmpfs -> /mounts/a/, umount /mounts/a/,
           pivot_root /mounts/b/, /{,**} r, }",
    ),
    (
        "sockets",
        "abi <abi/3.0>, profile sockets { network inet stream, change_profile -> none, capability sys_chroot, }",
    ),
    ("three", "abi <abi/3.0>, profile three { capability, /{,**} r, }"),
];

/// What is known: of a process in a profile (`@` another user), doing something, by what it comes to, a line each.
const FACTS: &str = "
no x at all: the first program runs        | none       | sh echo here                          | output here
and its child does not                     | none       | sh /app/listed || echo not            | output not
a program on the list                      | list       | exec /app/listed                      | label list (enforce)
the same, the parent started as the first  | list!      | exec /app/listed                      | label list (enforce)
another operation, started as the first    | list!      | read /app/data                        | allowed
one that is not                            | list       | exec /app/other                       | denied
a link to one on the list                  | list       | exec /app/link                        | label list (enforce)
a script on the list, its interpreter not  | list       | run /app/script                       | output from the script
a script that is not                       | none       | exec /app/script                      | denied
its interpreter by name                    | list       | run /bin/sh -c echo                   | denied
a copy                                     | list       | sh cp /bin/sh /app/copy; /app/copy || echo not | output not
what the kernel says of a program          | list       | ask /app/listed                       | mask 3 0
and of a guarded one                       | list       | ask /guarded/listed                   | mask 1 2
code from a library                        | list       | map /lib/library                      | allowed
code from elsewhere                        | list       | map /app/library                      | denied
overwriting a program on the list          | list       | truncate /swap/bin/listed             | allowed
overwriting a guarded one                  | list       | truncate /guarded/listed              | denied
removing a guarded one                     | list       | unlink /guarded/listed                | denied
putting another in its place               | list       | rename /guarded/spare /guarded/listed | denied
moving the folder of a program             | list       | rename /swap/bin /swap/old            | allowed
and another there                          | list       | rename /new/bin /swap/bin             | allowed
which runs                                 | list       | exec /swap/bin/listed                 | label list (enforce)
moving a guarded folder                    | list       | rename /held/bin /held/old            | denied
moving the one above                       | list       | rename /held /moved                   | denied
complaining: a child is elsewhere          | complain   | exec /app/other                       | label complain//null-/app/other (complain)
complaining: all is permitted              | complain   | write /app/data                       | allowed
audited: runs                              | audit      | exec /app/other                       | label audit (enforce)
unconfined                                 | unconfined | exec /app/other                       | label unconfined

the trigger, read and written              | default    | ask /proc/sysrq-trigger               | mask 0 6
the memory                                 | default    | ask /proc/kcore                       | mask 0 6
a file of the container                    | default    | ask /etc/passwd                       | mask 7 0
the root                                   | default    | ask /                                 | mask 4 0
really listing a folder                    | default    | list /proc/                           | allowed
really writing the trigger                 | default    | write /proc/sysrq-trigger             | denied
two stars do not match the root            | none       | ask /                                 | mask 0 4
one's own file                             | owner@1000 | read /app/theirs                      | allowed
another's file                             | owner@1000 | read /app/mine                        | denied
the rule is not about root                 | owner      | read /app/theirs                      | denied
root asks as owner                         | owner      | ask /app/x                            | mask 4 2
reading and writing by two rules           | owner      | read_write /app/less                  | allowed
a link worth more than its target          | links      | link /app/mine /app/plain             | denied
the same to another's target               | links      | link /app/theirs /app/plain           | allowed
a link that its rule names                 | links      | link /app/data /app/any               | allowed
a link that no rule names                  | links      | link /app/data /app/none              | denied
creating                                   | list       | create /app/created                   | allowed
creating without a rule                    | none       | create /app/refused                   | denied
appending                                  | list       | append /app/data                      | allowed
a folder                                   | list       | mkdir /app/folder                     | allowed
a folder without a rule                    | none       | mkdir /app/refused                    | denied
its end                                    | list       | rmdir /app/folder                     | allowed
its mode                                   | none       | chmod /app/data                       | denied
its owner                                  | none       | chown /app/data                       | denied
a device                                   | none       | mknod /app/device                     | denied
locking                                    | list       | lock /app/data                        | allowed
locking without a rule                     | none       | lock /app/data                        | denied

a signal that both allow                   | sender     | signal receiver 15                    | allowed
another signal                             | sender     | signal receiver 10                    | denied
a signal that only one allows              | sender     | signal deaf 15                        | denied
a signal from outside                      | unconfined | signal deaf 15                        | denied
a signal from outside that is allowed      | unconfined | signal default 15                     | allowed
tracing that both allow                    | sender     | ptrace receiver                       | allowed
tracing that none allows                   | receiver   | ptrace sender                         | denied
tracing one's like                         | default    | ptrace default                        | allowed
looking at one's like                      | default    | inspect default                       | allowed
looking at another                         | default    | inspect receiver                      | denied
mounting                                   | default    | mount /mounts/a 0                     | denied
mounting with a rule                       | mounts     | mount /mounts/a 1                     | allowed
mounting with other options                | mounts     | mount /mounts/a 0                     | denied
mounting elsewhere                         | mounts     | mount /mounts/b 1                     | denied
unmounting with a rule                     | mounts     | umount /mounts/a                      | allowed
unmounting elsewhere                       | mounts     | umount /mounts/b                      | denied
unmounting in the default                  | default    | umount /mounts/b                      | allowed
a new root with a rule                     | mounts     | pivot_root /mounts/b                  | allowed
a new root without                         | default    | pivot_root /mounts/b                  | denied
a socket with a rule                       | sockets    | socket 2 1                            | allowed
a socket without                           | sockets    | socket 2 2                            | denied
another profile with a rule                | sockets    | change_profile none                   | allowed
another profile without                    | sockets    | change_profile list                   | denied
another profile on exec, with a rule       | sockets    | change_on_exec none                   | allowed
another profile on exec, without           | sockets    | change_on_exec list                   | denied
a capability with a rule                   | sockets    | capability sys_chroot                 | allowed
a user namespace under abi 3.0             | three      | user_namespace                        | allowed
";

/// By what the parser's configuration takes for granted: its features file, which has this class in the newer only.
const NEWER_FACTS: &str = "
a user namespace                           | list       | user_namespace                        | denied
a user namespace under abi 4.0             | four       | user_namespace                        | denied
";

const OLDER_FACTS: &str = "
a user namespace                           | list       | user_namespace                        | allowed
";

/// Denied without a rule, allowed with.
const CAPABILITIES: &str =
    "setgid setuid sys_admin sys_boot sys_module sys_nice sys_rawio sys_time";

struct Fact {
    what: String,
    command: GuestCommand,
    expected: Expected,
}

impl Fact {
    fn parse(line: &str) -> Result<Self> {
        let fields: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [what, who, doing, outcome] = fields[..] else {
            bail!("not a fact: {line}")
        };
        let (who, enter) = match who.strip_suffix('!') {
            Some(who) => (who, Enter::Exec),
            None => (who, Enter::Change),
        };
        let (profile, user) = who.split_once('@').unwrap_or((who, "0"));
        let command = match doing.split_once(' ') {
            Some(("ask", path)) => GuestCommand::query(profile, FILE, path.as_bytes()),
            Some(("sh", text)) => GuestCommand::start(profile, "/bin/sh", &["-c", text]),
            _ => GuestCommand::As {
                profile: profile.to_owned(),
                enter,
                user: user.parse()?,
                operation: operation(doing)?,
            },
        };
        Ok(Self {
            what: what.to_owned(),
            command,
            expected: Expected::parse(outcome)?,
        })
    }
}

impl Expected {
    fn parse(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        Ok(match name {
            "allowed" => Self::Allowed,
            "denied" => Self::Denied,
            "label" => Self::Label(rest.to_owned()),
            "mask" => {
                let (set, unset) = rest.split_once(' ').context("two masks")?;
                Self::Masks(set.parse()?, unset.parse()?)
            }
            "output" => Self::Output(rest.to_owned()),
            _ => bail!("not an outcome: {text}"),
        })
    }
}

fn operation(text: &str) -> Result<Operation> {
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    let word = |index: usize| words.get(index).cloned().unwrap_or_default();
    let (first, second) = (word(1), word(2));
    Ok(match word(0).as_str() {
        "append" => Operation::Append(first),
        "capability" => Operation::Capability(first),
        "change_on_exec" => Operation::ChangeOnExec(first),
        "change_profile" => Operation::ChangeProfile(first),
        "chmod" => Operation::Chmod(first),
        "chown" => Operation::Chown(first),
        "create" => Operation::Create(first),
        "exec" => Operation::Exec(first),
        "inspect" => Operation::Inspect { peer: first },
        "link" => Operation::Link {
            from: first,
            to: second,
        },
        "list" => Operation::List(first),
        "lock" => Operation::Lock(first),
        "map" => Operation::Map(first),
        "mkdir" => Operation::MakeDirectory(first),
        "mknod" => Operation::MakeDevice(first),
        "mount" => Operation::Mount {
            source: "none".to_owned(),
            target: first,
            kind: "tmpfs".to_owned(),
            flags: second.parse()?,
        },
        "pivot_root" => Operation::PivotRoot {
            old: format!("{first}/old"),
            new: first,
        },
        "ptrace" => Operation::Ptrace { peer: first },
        "read" => Operation::Read(first),
        "read_write" => Operation::ReadWrite(first),
        "rename" => Operation::Rename {
            from: first,
            to: second,
        },
        "rmdir" => Operation::RemoveDirectory(first),
        "run" => Operation::Run {
            program: first,
            arguments: words.into_iter().skip(2).collect(),
        },
        "signal" => Operation::Signal {
            peer: first,
            number: second.parse()?,
        },
        "socket" => Operation::Socket {
            family: first.parse()?,
            kind: second.parse()?,
            protocol: 0,
        },
        "truncate" => Operation::Truncate(first),
        "umount" => Operation::Umount(first),
        "unlink" => Operation::Unlink(first),
        "user_namespace" => Operation::UserNamespace,
        "write" => Operation::Write(first),
        _ => bail!("not an operation: {text}"),
    })
}

fn facts(kernel: Kernel) -> Result<Vec<Fact>> {
    let more = match kernel {
        Kernel::V6_1 => OLDER_FACTS,
        Kernel::V6_12 => NEWER_FACTS,
    };
    let lines = FACTS.lines().chain(more.lines());
    let mut facts = lines
        .filter(|line| !line.is_empty())
        .map(Fact::parse)
        .collect::<Result<Vec<_>>>()?;
    for name in CAPABILITIES.split(' ') {
        for (profile, outcome) in [("none", "denied"), ("default", "allowed")] {
            let line = format!("{name} | {profile} | capability {name} | {outcome}");
            facts.push(Fact::parse(&line)?);
        }
    }
    Ok(facts)
}

fn check_facts(kernel: Kernel) -> Result<()> {
    let mut policies = vec![("default", DEFAULT), ("list", LISTS)];
    policies.extend(SMALL);
    if kernel == Kernel::V6_12 {
        policies.push((
            "four",
            "abi <abi/4.0>, profile four { capability, /{,**} r, }",
        ));
    }
    let facts = facts(kernel)?;
    let mut script = files();
    let before = script.len();
    script.extend(facts.iter().map(|fact| fact.command.clone()));
    script.push(GuestCommand::Log);
    let mut answers = Machine::run(kernel, &policies, &script)?;
    let log = answers.pop().context("a log")?;
    let answers = answers.split_off(before);
    let wrong: Vec<String> = facts
        .iter()
        .zip(&answers)
        .filter(|(fact, answer)| !fact.expected.fits(answer))
        .map(|(fact, answer)| format!("{}: {answer:?}, not {:?}", fact.what, fact.expected))
        .collect();
    let GuestAnswer::Done(log) = log else {
        bail!("{log:?}")
    };
    let logged: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("apparmor=\"") && !line.contains("STATUS"))
        .collect();
    ensure!(
        wrong.is_empty(),
        "{}\n{}",
        wrong.join("\n"),
        logged.join("\n")
    );
    let has = |part: &str| logged.iter().any(|line| line.contains(part));
    ensure!(
        has("apparmor=\"DENIED\" operation=\"exec\""),
        "denials are logged"
    );
    ensure!(
        has("apparmor=\"AUDIT\" operation=\"exec\""),
        "audited ones too"
    );
    Ok(())
}

#[test]
fn linux_6_1_does_what_is_known() -> Result<()> {
    check_facts(Kernel::V6_1)
}

#[test]
fn linux_6_12_does_what_is_known() -> Result<()> {
    check_facts(Kernel::V6_12)
}

/// A question to a profile, and what its compiled policy answers: none before a question, for the policy itself.
type Question = (GuestCommand, Option<u32>);

/// Loads a policy, then asks each of its profiles.
fn questions(policy: Vec<u8>) -> Result<Vec<Question>> {
    let paths = [
        "/",
        "/a",
        "/app/listed",
        "/app/script",
        "/app/x",
        "/guarded/listed",
        "/held/",
        "/held/bin/",
        "/proc/kcore",
        "/proc/sysrq-trigger",
        "/proc/1/mem",
        "/proc/x",
        "/sys/firmware/x",
        "/sys/fs/cgroup/x",
        "/sys/devices/x/y",
        "/lib/x",
        "/app/plain",
        "/app/plain\0/app/mine",
        "/app/any\0/app/data",
        "none",
    ];
    let others: [(u8, &[u8]); 12] = [
        (NETWORK, &[0, 2, 0, 1]),
        (NETWORK, &[0, 2, 0, 2]),
        (NETWORK, b""),
        (MOUNT, b"/mounts/a/\0none\0tmpfs\0\x01"),
        (MOUNT, b"/mounts/a/\0none\0tmpfs\0"),
        (MOUNT, b"/mounts/a/"),
        (MOUNT, b"/mounts/b/\0/mounts/b/old/"),
        (PTRACE, b"receiver"),
        (PTRACE, b"default"),
        (SIGNAL, b"\x0freceiver"),
        (SIGNAL, b"\x09unconfined"),
        (USER_NAMESPACE, b""),
    ];
    let profiles = compiled::decode(&policy)?;
    let mut questions = vec![(GuestCommand::Replace { policy }, None)];
    for profile in profiles {
        for path in paths {
            let mask = profile.file.as_ref().map(|file| {
                let state = file.automaton.run(file.start(), path.as_bytes());
                let [owner, _] = file.file_masks_at(state);
                // What leads nowhere, the interface does not even allow to be looked at.
                if state == State::DEAD { 0 } else { owner }
            });
            let owner = mask.unwrap_or(0);
            let command = GuestCommand::query(&profile.name, FILE, path.as_bytes());
            questions.push((command, Some(owner)));
        }
        for (class, string) in others {
            let policy = profile.policy.as_ref().context("no other rules")?;
            let mask = profile.class_start(class).map(|start| {
                let state = policy.automaton.run(start, string);
                policy.mask_at(state)
            });
            let command = GuestCommand::query(&profile.name, class, string);
            questions.push((command, Some(mask.unwrap_or(u32::MAX))));
        }
    }
    Ok(questions)
}

#[test]
fn linux_answers_what_the_compiled_policy_answers() -> Result<()> {
    let texts = [DEFAULT, LISTS]
        .into_iter()
        .chain(SMALL.iter().map(|(_, text)| *text));
    let texts: Vec<&str> = texts
        .filter(|text| !text.contains("flags=(complain)"))
        .collect();
    for kernel in Kernel::ALL {
        let features = Machine::run(kernel, &[], &[GuestCommand::Features])?;
        let [GuestAnswer::Done(features)] = &features[..] else {
            bail!("{features:?}")
        };
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("features");
        fs::write(&file, features)?;
        let mut asked = Vec::new();
        for version in ParserVersion::ALL {
            let parser = Parser::new(version)?.with_kernel_features(&file);
            for text in &texts {
                let policy = parser.compile_to_binary(text)?.ok().context("rejected")?;
                asked.extend(
                    questions(policy)?
                        .into_iter()
                        .map(|question| (version, question)),
                );
            }
        }
        let script: Vec<GuestCommand> = asked
            .iter()
            .map(|(_, (command, _))| command.clone())
            .collect();
        let answers = Machine::run(kernel, &[], &script)?;
        for ((version, (command, expected)), answer) in asked.iter().zip(answers) {
            match (answer, expected) {
                (GuestAnswer::Done(_), None) => {}
                (GuestAnswer::Masks(masks), Some(expected)) => {
                    // `lock` is in every answer of newer kernels that is not about files.
                    let differ = (masks.allow ^ expected) & !LOCK;
                    let lock_differs = masks.allow & LOCK < expected & LOCK;
                    ensure!(
                        differ == 0 && !lock_differs,
                        "{kernel} {version} {command:?}: {:#x}, not {expected:#x}",
                        masks.allow
                    );
                }
                (answer, _) => bail!("{kernel} {version}: {answer:?}"),
            }
        }
    }
    Ok(())
}

const FILE: u8 = 2;
const MOUNT: u8 = 7;
const PTRACE: u8 = 9;
const SIGNAL: u8 = 10;
const NETWORK: u8 = 14;
const USER_NAMESPACE: u8 = 21;
const LOCK: u32 = 0x8000;
