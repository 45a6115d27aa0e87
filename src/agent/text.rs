//! Whether a profile's text may be given to `apparmor_parser` at all. Pure.
//!
//! The text comes from whoever may write `AppArmorProfile` objects, and `apparmor_parser` runs as root: it would load every
//! profile that stands in the text, under any name and in any namespace, and read whatever file an include names, on whose
//! lines it then complains aloud. So the text is read here first, by the same language, and only the one profile of the
//! object's name goes on.

use std::{path::Path, sync::Arc};

use super::{Fingerprint, ProfileName};
use crate::apparmor::{
    diagnostic::{Diagnostic, Severity},
    include::{IncludeError, Included, Includes, load},
    model::{ProfileMode, conflicts, policy},
    source::Sources,
};

/// LIMIT: bytes of a text, as the objects' definition has it.
const MAX_TEXT: usize = 1 << 20;

/// A text that may be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    /// Its hash.
    pub(super) fingerprint: Fingerprint,
    /// The mode in which the kernel will have it.
    pub(super) mode: &'static str,
}

/// Reads a text, which must be sound and declare the profile of this name and nothing else. The error is a sentence.
pub(super) fn check(
    name: &ProfileName,
    text: &str,
    includes: &dyn Includes,
) -> Result<Checked, String> {
    if name.is_of_a_runtime() {
        return Err(format!(
            "`{name}` is the name of a container runtime's own profile: give the object another"
        ));
    }
    if text.len() > MAX_TEXT {
        return Err(format!("the text has more than {MAX_TEXT} bytes"));
    }
    let includes = Confined(includes);
    let text: Arc<[u8]> = text.as_bytes().into();
    let (loaded, mut found) = load(name.to_string(), Arc::clone(&text), &includes);
    let (policy, more) = policy(&loaded, &includes);
    found.extend(more);
    found.extend(conflicts(&policy));
    let mut errors: Vec<Diagnostic> = found
        .into_iter()
        .filter(|found| found.severity == Severity::Error)
        .collect();
    errors.sort_by_key(|error| error.span);
    if let Some(error) = errors.first() {
        return Err(sentence(&loaded.sources, error));
    }
    let mut outer = policy
        .profiles
        .iter()
        .filter(|profile| profile.parent.is_none());
    let (Some(profile), None) = (outer.next(), outer.next()) else {
        return Err("the text must declare one profile, with its hats and children".to_owned());
    };
    if profile.namespace.is_some() || profile.name != name.as_str().as_bytes() {
        return Err(format!(
            "the text declares `{}`: it must be the object's name, `{name}`",
            profile.shown()
        ));
    }
    Ok(Checked {
        fingerprint: Fingerprint::of(&text),
        mode: mode(profile.mode),
    })
}

fn sentence(sources: &Sources, error: &Diagnostic) -> String {
    match sources.location(error.span) {
        Some(at) => format!("{}:{}:{}: {}", at.file, at.line, at.column, error.message),
        None => error.message.clone(),
    }
}

/// What the kernel shows as a profile's mode (`aa_profile_mode_names`).
///
/// `default_allow` is a matter of the rules alone: the kernel enforces them.
const fn mode(mode: ProfileMode) -> &'static str {
    match mode {
        ProfileMode::Complain => "complain",
        ProfileMode::DefaultAllow | ProfileMode::Enforce => "enforce",
        ProfileMode::Kill => "kill",
        ProfileMode::Prompt => "user",
        ProfileMode::Unconfined => "unconfined",
    }
}

/// Includes of AppArmor's own folder and of nothing else.
struct Confined<'a>(&'a dyn Includes);

impl Includes for Confined<'_> {
    fn read(&self, path: &[u8], searched: bool) -> Result<Included, IncludeError> {
        let refused = || IncludeError::Unreadable(format!("not in {FOLDER}"));
        let text = std::str::from_utf8(path).map_err(|_| refused())?;
        // `<…>` is looked up in the folder, also with a `/` in front; other paths are files of the node.
        let is_inside = searched || Path::new(text).starts_with(FOLDER);
        if !is_inside || text.split('/').any(|part| part == "..") {
            return Err(refused());
        }
        self.0.read(path, searched)
    }
}

/// Where AppArmor's own includes are.
const FOLDER: &str = "/etc/apparmor.d";

#[cfg(test)]
mod tests {
    use super::{Fingerprint, ProfileName, check};
    use crate::apparmor::include::MapIncludes;

    fn checked(text: &str) -> Result<&'static str, String> {
        let includes = MapIncludes {
            files: [
                ("abstractions/base", "/lib/** r,"),
                ("/etc/apparmor.d/local/web", "/a r,"),
                ("/etc/shadow", "/secret r,"),
                ("../shadow", "/secret r,"),
                ("/etc/apparmor.d/../shadow", "/secret r,"),
                ("shadow", "/secret r,"),
                ("two", "profile other { }"),
            ]
            .map(|(name, text)| (name.to_owned(), text.as_bytes().into()))
            .into(),
        };
        let name = ProfileName::parse("web").unwrap();
        let checked = check(&name, text, &includes)?;
        assert_eq!(checked.fingerprint, Fingerprint::of(text.as_bytes()));
        Ok(checked.mode)
    }

    #[test]
    fn one_profile_of_the_objects_name_is_taken() {
        for (text, mode) in [
            ("profile web { file, }", "enforce"),
            ("profile web { profile child { } ^hat { } }", "enforce"),
            (
                "profile web flags=(complain) { include <abstractions/base> }",
                "complain",
            ),
            (
                "profile web flags=(kill) { include \"/etc/apparmor.d/local/web\" }",
                "kill",
            ),
            ("profile web flags=(unconfined) { }", "unconfined"),
        ] {
            assert_eq!(checked(text), Ok(mode), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "one profile"),
            ("profile web { file }", "web:1:"),
            ("profile web { } profile other { }", "one profile"),
            ("profile other { }", "`other`: it must be"),
            ("profile :ns:web { }", "`:ns:web`: it must be"),
            ("profile web//child { }", "must be the object's name"),
            ("/bin/web { }", "`/bin/web`: it must be"),
            ("include <two> profile web { }", "one profile"),
            ("profile web { include <missing> }", "no file"),
            (
                "profile web { include \"/etc/shadow\" }",
                "not in /etc/apparmor.d",
            ),
            (
                "profile web { include \"/etc/apparmor.d/../shadow\" }",
                "not in /etc/apparmor.d",
            ),
            (
                "profile web { include <../shadow> }",
                "not in /etc/apparmor.d",
            ),
            (
                "profile web { include \"shadow\" }",
                "not in /etc/apparmor.d",
            ),
            (
                "abi \"/etc/shadow\", profile web { }",
                "no ABI `/etc/shadow`",
            ),
        ] {
            let error = checked(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let long = format!("profile web {{ }} #{}", "a".repeat(1 << 20));
        assert!(checked(&long).unwrap_err().contains("more than"));
    }

    #[test]
    fn names_of_runtimes_are_not_for_objects() {
        let name = ProfileName::parse("docker-default").unwrap();
        let error = check(&name, "profile docker-default { }", &MapIncludes::default());
        assert!(error.unwrap_err().contains("runtime's own"));
    }
}
