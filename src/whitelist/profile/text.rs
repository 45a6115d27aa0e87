//! The profile's lines.

use std::collections::{BTreeMap, BTreeSet};

use super::comment::comment;
use super::{Code, CodeRule, Mounts, Name, ProfileInputs, Stage};

/// LIMIT: reasons that are told of a program.
const MAX_REASONS: usize = 8;

impl ProfileInputs {
    /// The whole text. Depends on nothing but the inputs and the name.
    pub(super) fn text(&self, name: &str) -> String {
        let sources: BTreeSet<&str> = self.sources.iter().map(String::as_str).collect();
        let head = [
            "# Made by Armorgate; what changes here is lost with the next one.".to_owned(),
            format!("# Begins with the default of {}.", self.baseline),
        ];
        let mut lines = Vec::from(head);
        lines.extend(sources.into_iter().map(|source| comment("from", source)));
        let files = match self.stage {
            Stage::Audit => self.audited(),
            Stage::Enforce => self.enforced(),
        };
        let profile = self.baseline.template().text_with(name, &files);
        format!("{}\n{profile}", lines.join("\n"))
    }

    /// What the default permits, with a line in the log for every program that is run.
    fn audited(&self) -> Vec<String> {
        let mut lines = vec![
            "# Nothing is forbidden yet that the default permits.".to_owned(),
            "file,".to_owned(),
            "audit /{,**} ix,".to_owned(),
            "# The programs that will be listed:".to_owned(),
        ];
        for (name, reasons) in self.listed() {
            lines.push(format!("# {}", name.word("")));
            lines.extend(told(&reasons));
        }
        lines
    }

    fn enforced(&self) -> Vec<String> {
        let mut lines = vec![
            "# Every file is data.".to_owned(),
            "/{,**} rwlk,".to_owned(),
        ];
        match self.code_rule {
            CodeRule::Any => {
                lines.push("# Code may be mapped from every file.".to_owned());
                lines.push("/{,**} m,".to_owned());
            }
            CodeRule::Only => {
                lines.push("# Code may be mapped from where the image holds it.".to_owned());
                lines.extend(self.places_of_code().map(|place| match place {
                    Code::File(name) => format!("{} m,", name.word("")),
                    Code::Folder(name) => format!("{} m,", name.word("/**")),
                }));
            }
        }
        lines.push("# The programs that may be run, with where they are asked for.".to_owned());
        for (name, reasons) in self.listed() {
            lines.extend(told(&reasons));
            lines.push(format!("{} ix,", name.word("")));
        }
        lines.extend(self.closing());
        if self.mounts == Mounts::Closed {
            lines.push("# Mounts give files other names.".to_owned());
            lines.push("audit deny capability sys_admin,".to_owned());
        }
        lines
    }

    /// What keeps the list one of contents.
    ///
    /// `w` is all that changes a file, its mode and owner too; of a folder, whose name ends in `/`, it is to rename or remove it,
    /// and leaves what is in it alone. `l` is a link by this name. A link by another name to a closed file needs no rule: what
    /// the new name permits must be permitted on the file too (`profile_path_link` in Linux), and writing is not.
    fn closing(&self) -> Vec<String> {
        let folders: BTreeSet<&Name> = self
            .code
            .iter()
            .filter_map(|place| match place {
                Code::Folder(name) => Some(name),
                Code::File(_) => None,
            })
            .collect();
        let is_in_one = |name: &Name| folders.iter().any(|folder| name.is_within(folder));
        let files: BTreeSet<&Name> = self
            .code
            .iter()
            .filter_map(|place| match place {
                Code::File(name) => Some(name),
                Code::Folder(_) => None,
            })
            .chain(self.programs.iter().map(|listed| &listed.name))
            .chain(&self.closed)
            .filter(|name| !is_in_one(name))
            .collect();
        let outermost = folders.iter().filter(|folder| {
            let mut above = folder.folders();
            !above.any(|above| folders.contains(&above))
        });
        let outermost: Vec<&Name> = outermost.copied().collect();
        let above: BTreeSet<Name> = files
            .iter()
            .chain(&outermost)
            .flat_map(|name| name.folders())
            .collect();
        if files.is_empty() && outermost.is_empty() {
            return Vec::new();
        }
        let mut lines = vec!["# What runs stays what it is,".to_owned()];
        let closed = |word: String| format!("audit deny {word} wl,");
        lines.extend(outermost.iter().map(|name| closed(name.word("/{,**}"))));
        lines.extend(files.iter().map(|name| closed(name.word(""))));
        lines.push("# and where it is.".to_owned());
        lines.extend(
            above
                .iter()
                .map(|name| format!("audit deny {} w,", name.word("/"))),
        );
        lines
    }

    /// The programs by name, each with all of its reasons.
    fn listed(&self) -> BTreeMap<&Name, BTreeSet<&str>> {
        let mut listed: BTreeMap<&Name, BTreeSet<&str>> = BTreeMap::new();
        for program in &self.programs {
            let reasons = program.reasons.iter().map(String::as_str);
            listed.entry(&program.name).or_default().extend(reasons);
        }
        listed
    }

    fn places_of_code(&self) -> impl Iterator<Item = &Code> {
        self.code.iter().collect::<BTreeSet<_>>().into_iter()
    }
}

fn told(reasons: &BTreeSet<&str>) -> Vec<String> {
    let mut lines: Vec<String> = reasons
        .iter()
        .take(MAX_REASONS)
        .map(|reason| comment("-", reason))
        .collect();
    let more = reasons.len().saturating_sub(MAX_REASONS);
    if more > 0 {
        lines.push(format!("# - and {more} more"));
    }
    lines
}
