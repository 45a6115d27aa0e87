//! A container's life under the profile of its image, as commands for the guest, and how its answers are judged.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use armorgate::compare::Runtime;
use serde_json::json;

use crate::{
    attacker::{DROP, PRELOADED, breaker},
    bundle::{BUNDLE, bundle},
    images::{Store, named},
    machine::commands::GuestCommand,
    subject::{Subject, layer},
    support::from_setup,
};

/// A subject with its layers as files and its profile.
pub(crate) struct Prepared {
    pub(crate) subject: Subject,
    /// Where each layer is in the guest, and on this machine.
    pub(crate) layers: Vec<(String, PathBuf)>,
    pub(crate) profile: String,
    pub(crate) text: String,
    /// The programs that the profile permits to run.
    pub(crate) listed: Vec<String>,
    /// The same profile, by another name, without what is needed.
    lacking: String,
}

impl Prepared {
    /// Makes the image, and has the real program make its profile.
    pub(crate) fn new(subject: Subject, folder: &Path) -> Result<Self> {
        let setup = from_setup("ARMORGATE_TEST_IMAGES")?;
        let own = folder.join(format!("{}.tar", subject.name));
        fs::write(&own, layer(&subject.own)?)?;
        let mut layers: Vec<(String, PathBuf)> = Vec::new();
        for name in subject.packages {
            let file = format!("{name}.tar");
            layers.push((format!("layers/{file}"), setup.join(file)));
        }
        layers.push((format!("layers/own-{}.tar", subject.name), own));
        let mut store = Store::default();
        let tars = layers.iter().map(|(_, file)| fs::read(file));
        let tars = tars.collect::<std::io::Result<Vec<_>>>()?;
        let image = store.image(&tars, "amd64", &subject.config)?;
        let layout = folder.join(subject.name);
        store.write_layout(&layout, &[named(image, "latest")])?;

        let mut generate = Command::new(env!("CARGO_BIN_EXE_armorgate"));
        generate.args(["generate", "--no-cache", "--platform", "linux/amd64"]);
        for word in &subject.command {
            generate.arg(format!("--command={word}"));
        }
        generate
            .arg("--probe")
            .arg(json!(subject.probe).to_string())
            .arg("--hook")
            .arg(json!(subject.hook).to_string());
        generate.arg(format!("oci:{}:latest", layout.display()));
        let made = generate.output()?;
        let told = String::from_utf8_lossy(&made.stderr);
        ensure!(
            made.status.success()
                && told.is_empty() == subject.unknown.is_empty()
                && told.contains(subject.unknown),
            "{}: {} {told}, not {:?}",
            subject.name,
            made.status,
            subject.unknown
        );
        let text = String::from_utf8(made.stdout)?;
        let mut lines = text.lines();
        let profile = lines.find_map(|line| line.strip_prefix("profile ")?.split(' ').next());
        let profile = profile.context("a profile has a name")?.to_owned();
        let listed = text.lines().filter_map(|line| {
            let name = line.strip_prefix("    \"")?.strip_suffix("\" ix,")?;
            Some(name.to_owned())
        });
        let listed = listed.collect();
        let mut lacks = text.replace(&profile, &lacking(subject.name));
        if let Some(needed) = subject.needs {
            let rule = format!("    \"{needed}\" ix,\n");
            ensure!(text.contains(&rule), "{needed} is not listed:\n{text}");
            lacks = lacks.replace(&rule, "");
        }
        Ok(Self {
            lacking: lacks,
            subject,
            layers,
            profile,
            listed,
            text,
        })
    }

    /// A container's life: made, started, asked, tempted, stopped.
    pub(crate) fn life(&self) -> Vec<GuestCommand> {
        let Subject { name, .. } = self.subject;
        let default = Runtime::Containerd.profile_name().to_owned();
        let shell = |script: String| GuestCommand::Shell { script };
        let unpack: Vec<String> = self
            .layers
            .iter()
            .map(|(path, _)| format!("tar -xf /{path} -C {BUNDLE}/rootfs"))
            .collect();
        vec![
            GuestCommand::Log,
            // Each in memory of its own, that goes with it.
            shell(format!(
                "set -e; mkdir -p {BUNDLE}/rootfs; mount -t tmpfs none {BUNDLE}/rootfs; {}",
                unpack.join("; ")
            )),
            bundle(&self.subject, &self.profile, &self.command(), &[]),
            shell(self.start()),
            shell(self.ask()),
            shell(format!(
                "for process in $(cat /sys/fs/cgroup/{name}/cgroup.procs); do cat /proc/$process/attr/current; done"
            )),
            GuestCommand::Log,
            shell(format!(
                "runc exec {name} {}",
                quoted(&owned(self.subject.attempt))
            )),
            GuestCommand::Log,
            // An attacker who is root in it, and has brought a program of his own.
            shell(format!(
                "cp /breaker {BUNDLE}/rootfs/ && runc exec {name} {}",
                quoted(&breaker("all", &self.listed))
            )),
            GuestCommand::Log,
            // Libraries that he has dropped, for a program that the loader starts: by its environment, and by the program's wish.
            shell(format!(
                "{DROP} && runc exec --env {PRELOADED} {name} {} 2>&1 || :",
                quoted(&self.load())
            )),
            GuestCommand::Log,
            shell(self.ask()),
            // A hook that ends the first process goes with it: the kernel kills what is left of the container.
            shell(format!(
                "runc exec {name} {} || {{ [ $? = 137 ] && runc state {name} | grep -q '\"status\": \"stopped\"'; }}",
                quoted(&owned(self.subject.hook))
            )),
            // The hook may have ended it: then there is nobody to tell.
            shell(format!(
                "runc kill {name} TERM || runc state {name} | grep -q '\"status\": \"stopped\"'"
            )),
            shell(until(
                90,
                // The first process of the guest reaps nothing that it did not start: how this one ended stays to be read.
                &format!(
                    "runc state {name} | grep -q '\"status\": \"stopped\"' \
                     && exec sed 's/.*) //' /proc/$(cat /{name}.pid)/stat"
                ),
                &format!("runc state {name}; cat /{name}.log"),
            )),
            GuestCommand::Log,
            GuestCommand::Load {
                text: self.lacking.clone(),
            },
            bundle(&self.subject, &lacking(name), &self.command(), &[]),
            shell(self.starve()),
            // Under the default the same attacker gets through.
            bundle(&self.subject, &default, &breaker("some", &self.listed), &[]),
            shell(format!(
                "runc delete --force {name}; runc run --bundle {BUNDLE} {name} </dev/null"
            )),
            bundle(&self.subject, &default, &self.load(), &[PRELOADED]),
            shell(format!(
                "runc delete --force {name}; runc run --bundle {BUNDLE} {name} </dev/null 2>&1"
            )),
            shell(format!(
                "runc delete --force {name}; umount {BUNDLE}/rootfs"
            )),
            GuestCommand::Forget,
        ]
    }

    /// Asks its probe until it answers.
    fn ask(&self) -> String {
        let Subject { name, answer, .. } = self.subject;
        until(
            480,
            &format!(
                "runc exec {name} {} >/asked 2>&1 && grep -q {answer} /asked && exec cat /asked",
                quoted(&owned(self.subject.probe)),
            ),
            &format!("cat /asked /{name}.log"),
        )
    }

    /// What the container starts with.
    fn command(&self) -> Vec<String> {
        if !self.subject.command.is_empty() {
            return self.subject.command.clone();
        }
        let words = ["Entrypoint", "Cmd"]
            .into_iter()
            .filter_map(|key| self.subject.config.get(key)?.as_array());
        words
            .flatten()
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect()
    }

    /// Starts a container from the bundle. Its output goes to a file: who asks is not to wait for its end.
    fn start(&self) -> String {
        let name = self.subject.name;
        format!(
            "runc run --detach --bundle {BUNDLE} --pid-file /{name}.pid {name} </dev/null >/{name}.log 2>&1 \
             || {{ cat /{name}.log; exit 1; }}"
        )
    }

    /// Starts it again under the profile that lacks a program, until the kernel has told of it.
    fn starve(&self) -> String {
        let Subject { name, needs, .. } = self.subject;
        let Some(needed) = needs else {
            return String::new();
        };
        let told = format!(
            "dmesg | grep 'DENIED.*\"{}\".*\"{needed}\"' && exit",
            lacking(name)
        );
        format!(
            "runc delete --force {name}; {}; {}",
            self.start(),
            until(480, &told, &format!("cat /{name}.log"))
        )
    }
}

/// Tries twice a second until it has left, for as many seconds; then says what there is to say, and fails.
fn until(seconds: u32, attempt: &str, failed: &str) -> String {
    format!(
        "end=$(($(date +%s) + {seconds})); while [ $(date +%s) -lt $end ]; do {attempt}; sleep 0.5; done; {failed}; exit 1"
    )
}

/// What the profile is called that lacks what is needed: who sees no denial in a container's life has to see that one.
fn lacking(name: &str) -> String {
    format!("lacking-{name}")
}

pub(crate) fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn quoted(words: &[String]) -> String {
    let quote = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
    let words: Vec<String> = words.iter().map(quote).collect();
    words.join(" ")
}
