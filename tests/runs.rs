//! Whether real software runs under the profile that is made for its image: `armorgate generate` reads the image, runc starts it
//! in a real kernel, and it has to start, answer its probe, do its `preStop` and stop, with no denial but of what was tried on
//! purpose.
//!
//! The images are made of Debian's packages, with start scripts in the way such images have them, in `tests/runs`. One boot
//! serves a family of them. In each container an attacker tries what `tests/guest/breaker.rs` knows; `tests/escapes.rs` knows
//! more ways, in a container that is made for them.

#![expect(clippy::print_stdout, reason = "a test tells what it did")]

#[path = "runs/attacker.rs"]
mod attacker;
#[path = "runs/brokers.rs"]
mod brokers;
#[path = "runs/bundle.rs"]
mod bundle;
#[path = "runs/databases.rs"]
mod databases;
#[path = "support/images.rs"]
mod images;
#[path = "runs/judge.rs"]
mod judge;
#[path = "runs/languages.rs"]
mod languages;
#[path = "runs/life.rs"]
mod life;
#[path = "support/machine/mod.rs"]
mod machine;
#[path = "runs/servers.rs"]
mod servers;
#[path = "runs/starts.rs"]
mod starts;
#[path = "runs/subject.rs"]
mod subject;
#[path = "support/mod.rs"]
mod support;

use anyhow::{Result, bail};
use armorgate::compare::{Baseline, Runtime};
use judge::succeeded;
use life::Prepared;
use machine::{Kernel, Machine, build, commands::GuestCommand};
use subject::Subject;
use support::from_setup;

/// Gives each a life in the one guest.
fn live(kernel: Kernel, subjects: Vec<Subject>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let prepared = subjects
        .into_iter()
        .map(|subject| Prepared::new(subject, folder.path()))
        .collect::<Result<Vec<_>>>()?;
    let runc = from_setup("ARMORGATE_TEST_IMAGES")?.join("runc.tar");
    let breaker = [
        ("breaker.rs", include_str!("guest/breaker.rs")),
        ("sys.rs", include_str!("guest/sys.rs")),
    ];
    let options = ["-Cstrip=symbols", "-Ctarget-feature=+crt-static"];
    let breaker = build("breaker", &breaker, &options)?;
    let dynamic = [("dynamic.rs", include_str!("guest/dynamic.rs"))];
    let library = [("library.rs", include_str!("guest/library.rs"))];
    let shared = [
        "--crate-type=cdylib",
        "-Clink-arg=-nostdlib",
        "--check-cfg=cfg(regular)",
    ];
    let mut files = vec![
        ("breaker".to_owned(), breaker),
        (
            "dropped/dynamic".to_owned(),
            build("dynamic", &dynamic, &[])?,
        ),
        (
            "dropped/library.so".to_owned(),
            build("dropped", &library, &shared)?,
        ),
        ("layers/runc.tar".to_owned(), runc),
    ];
    for (path, file) in prepared.iter().flat_map(|prepared| &prepared.layers) {
        if files.iter().all(|(other, _)| other != path) {
            files.push((path.clone(), file.clone()));
        }
    }
    let default = Baseline::newest(Runtime::Containerd).template().text();
    let mut policies = vec![("the default", default.as_str())];
    policies.extend(
        prepared
            .iter()
            .map(|prepared| (prepared.subject.name, prepared.text.as_str())),
    );
    let mut script = vec![GuestCommand::Shell {
        script: PREPARE.to_owned(),
    }];
    script.extend(prepared.iter().flat_map(Prepared::life));
    let answers = Machine::run_with(kernel, &files, &policies, &script)?;
    let [ready, answers @ ..] = &answers[..] else {
        bail!("no answers")
    };
    succeeded("preparing the guest", ready)?;
    let lives = answers.chunks(answers.len() / prepared.len());
    let mut wrong = Vec::new();
    for (prepared, answers) in prepared.iter().zip(lives) {
        match prepared.check(answers) {
            Ok(told) => println!("{told}"),
            Err(error) => wrong.push(format!("{error:?}")),
        }
    }
    if !wrong.is_empty() {
        bail!("{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
    }
    Ok(())
}

/// Gives the guest what runc wants: itself with its libraries, control groups, and the usual commands.
const PREPARE: &str = "set -e; /bin/busybox --install -s /bin; mount -t cgroup2 none /sys/fs/cgroup; \
     tar -xf /layers/runc.tar -C /; ln -s usr/lib64 /lib64; runc --version";

#[test]
fn servers_run_under_their_generated_profiles() -> Result<()> {
    use servers::{haproxy, memcached, nginx, redis};
    let subjects = vec![redis(), nginx(), memcached(), haproxy()];
    live(Kernel::V6_12, subjects)
}

#[test]
fn other_starts_run_under_their_generated_profiles() -> Result<()> {
    use starts::{busybox, s6, scratch, tini};
    live(Kernel::V6_12, vec![busybox()?, scratch()?, tini(), s6()])
}

#[test]
fn languages_run_under_their_generated_profiles() -> Result<()> {
    use languages::{java, node, php, python};
    live(Kernel::V6_12, vec![python(), node(), php(), java()])
}

#[test]
fn databases_run_under_their_generated_profiles() -> Result<()> {
    use databases::{mariadb, postgres};
    live(Kernel::V6_12, vec![postgres(), mariadb()])
}

#[test]
fn brokers_run_under_their_generated_profiles() -> Result<()> {
    live(Kernel::V6_12, vec![brokers::rabbitmq()])
}

/// The other kernel, with one of each kind of start.
#[test]
fn linux_6_1_runs_them_too() -> Result<()> {
    live(
        Kernel::V6_1,
        vec![
            servers::redis(),
            servers::nginx(),
            starts::busybox()?,
            starts::scratch()?,
            starts::s6(),
        ],
    )
}
