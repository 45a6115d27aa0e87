//! The attacker in each container: root, with programs and libraries of his own. What he starts, and what he has to say.

use anyhow::{Result, ensure};

use crate::{
    judge::{denials, log, succeeded},
    life::{Prepared, owned},
    machine::commands::GuestAnswer,
};

impl Prepared {
    /// A program with shared libraries that is to load one more; where the image has no loader, with one that came along.
    pub(crate) fn load(&self) -> Vec<String> {
        let own = owned(&["/dynamic", "load", LOADED]);
        if self.has_loader() {
            return own;
        }
        let mut words = owned(&["/tmp/brought/loader", "--library-path", "/tmp/brought"]);
        words.extend(own);
        words
    }

    fn has_loader(&self) -> bool {
        self.subject.packages.contains(&"base")
    }

    /// What the attacker in a container has to say under its profile.
    pub(crate) fn nothing_else_runs(&self, broken: &GuestAnswer, told: &GuestAnswer) -> Result<()> {
        let said = succeeded("trying to run something else", broken)?;
        let is_expected = |line: &str| line.ends_with(": refused") || self.is_impossible(line);
        ensure!(
            said.lines().count() == WAYS && said.lines().all(is_expected),
            "something else has run: {said}"
        );
        if !self.is_rooted() {
            // The kernel ends names of folders with a slash.
            self.is_logged(&["operation=\"rename_src\"", "/\" "], told)?;
        }
        Ok(())
    }

    /// What the dynamic loader has to say of libraries that were dropped, by its environment and by the program's wish.
    pub(crate) fn nothing_else_is_loaded(
        &self,
        loading: &GuestAnswer,
        told: &GuestAnswer,
    ) -> Result<()> {
        let said = succeeded("loading what was dropped", loading)?;
        let files: &[&str] = if self.has_loader() {
            &["/tmp/preloaded.so", LOADED]
        } else {
            // A loader that came along may not even load the program.
            &["/dynamic"]
        };
        ensure!(
            said.matches(NOT_MAPPED).count() == files.len() && !said.contains("escaped"),
            "what was dropped is not refused: {said}"
        );
        for file in files {
            let name = format!("name=\"{file}\"");
            self.is_logged(&["operation=\"file_mmap\"", &name], told)?;
        }
        Ok(())
    }

    /// What the same attacker has to say under the default: it is seen to bite.
    pub(crate) fn attacker_is_able(&self, free: &GuestAnswer, loading: &GuestAnswer) -> Result<()> {
        let said = succeeded("trying the same under the default", free)?;
        let is_expected = |line: &str| {
            let closed = CLOSED.iter().any(|way| line.starts_with(way));
            line.contains(if closed { ": refused" } else { ": escaped" })
                || self.is_impossible(line)
        };
        ensure!(
            said.lines().count() == WAYS && said.lines().all(is_expected),
            "under the default: {said}"
        );
        let said = succeeded("loading the same under the default", loading)?;
        ensure!(
            said.lines().filter(|line| *line == "escaped").count() == 2,
            "what was dropped is not loaded under the default: {said}"
        );
        Ok(())
    }

    /// The root itself has no other name: `EBUSY`.
    fn is_impossible(&self, line: &str) -> bool {
        self.is_rooted() && line == "folder renamed: failed 16"
    }

    /// Whether all that is listed is in the root.
    fn is_rooted(&self) -> bool {
        self.listed.iter().all(|name| name.rfind('/') == Some(0))
    }

    /// Whether the kernel has told that the profile denied this.
    fn is_logged(&self, parts: &[&str], told: &GuestAnswer) -> Result<()> {
        let log = log(told);
        let profile = format!("profile=\"{}\"", self.profile);
        let is_it =
            |line: &&str| line.contains(&profile) && parts.iter().all(|part| line.contains(part));
        ensure!(
            denials(&log).iter().any(is_it),
            "no denial with {parts:?} in the log: {log}"
        );
        Ok(())
    }
}

/// What tries to run something else than these.
pub(crate) fn breaker(what: &str, listed: &[String]) -> Vec<String> {
    let mut words = owned(&["/breaker", what]);
    words.extend(listed.iter().cloned());
    words
}

/// Puts a program with shared libraries into the container, two that it is to load, and a loader with the C library.
pub(crate) const DROP: &str = "cd /bundle/rootfs && mkdir tmp/brought && cp /dropped/dynamic . && cp /dropped/library.so tmp/preloaded.so && \
     cp /dropped/library.so tmp/loaded.so && cp /parser/loader /parser/lib/libc.so.6 tmp/brought/";
pub(crate) const PRELOADED: &str = "LD_PRELOAD=/tmp/preloaded.so";
const LOADED: &str = "/tmp/loaded.so";

/// How many lines `tests/guest/breaker.rs` says: of all the other programs, and of each other way.
const WAYS: usize = 23;
/// What the runtime's default closes, or a container without the right to mount.
const CLOSED: [&str; 3] = ["bind:", "namespace:", "profile:"];

/// What the dynamic loader says of a file that it may not map as code.
const NOT_MAPPED: &str = "failed to map segment";
