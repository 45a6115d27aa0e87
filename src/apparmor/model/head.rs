//! A profile's head: its name, what it attaches to, its flags.

use std::collections::BTreeSet;

use super::super::ast::{self, Word};
use super::super::diagnostic::Diagnostic;
use super::super::glob::Glob;
use super::super::pattern::Pattern;
use super::super::quoting;
use super::super::source::Span;
use super::ProfileMode;
use super::lowering::{Lowering, Slashes};

/// LIMIT: bytes of a profile's name, with those of its parents. Real ones have some dozens; a process that changes its profile
/// writes the name to a file of `/proc` that takes one page (`proc_pid_attr_write` of Linux).
pub(super) const MAX_NAME: usize = 4096;

/// What is said about a longer one.
pub(super) fn long_name(span: Span) -> Diagnostic {
    Diagnostic::error(
        "too-long",
        span,
        format!("the profile's full name has more than {MAX_NAME} bytes"),
    )
    .help("shorten it, or the names of the profiles around it")
}

/// Whether a process may enter it by `change_hat`.
pub(super) fn is_hat(profile: &ast::Profile) -> bool {
    matches!(
        profile.keyword,
        ast::ProfileKeyword::Caret | ast::ProfileKeyword::Hat
    )
}

/// What a profile attaches to, and the text that `@{exec_path}` stands for.
pub(super) fn attachments(
    cx: &mut Lowering<'_>,
    profile: &ast::Profile,
    name: &[u8],
    aliases: &[(Vec<u8>, Vec<u8>)],
) -> (Vec<Pattern>, Option<Vec<u8>>) {
    let (text, span) = match &profile.attachment {
        Some(word) => (cx.text(word), word.span),
        // A name that is a path is the attachment as well.
        None if name.starts_with(b"/") => (Some(name.to_vec()), profile.name.span),
        None => {
            // The parser reads every name as a glob, if only to see that it is one.
            cx.pattern_of(name, profile.name.span, Glob::Default, Slashes::Collapse);
            return (Vec::new(), None);
        }
    };
    let Some(text) = text else {
        return (Vec::new(), None);
    };
    let renamed = aliases
        .iter()
        .filter_map(|(from, to)| Some([to, text.strip_prefix(from.as_slice())?].concat()));
    let found = std::iter::once(text.clone())
        .chain(renamed)
        .filter_map(|text| cx.pattern_of(&text, span, Glob::Default, Slashes::Collapse))
        .map(|globbed| globbed.pattern)
        .collect();
    (found, Some(text))
}

/// Where disconnected paths are attached to is a whole path, with values in the place of its variables.
pub(super) fn disconnected_paths(cx: &mut Lowering<'_>, flags: &[Word]) {
    for flag in flags {
        let text = cx.decoded(flag);
        let names: [&[u8]; 2] = [b"attach_disconnected.path=", b"attach_disconnected.ipc="];
        let Some(path) = names.iter().find_map(|name| text.strip_prefix(*name)) else {
            continue;
        };
        let path = cx.expand(path, flag.span);
        if path.is_some_and(|path| !path.starts_with(b"/")) {
            cx.report(
                Diagnostic::error(
                    "invalid-flag",
                    flag.span,
                    "the path that disconnected ones are attached to does not begin with `/`",
                )
                .help("give the variable a value that does"),
            );
        }
    }
}

/// The mode and the words of the flags, which the parser has checked.
pub(super) fn flags(cx: &mut Lowering<'_>, words: &[Word]) -> (ProfileMode, BTreeSet<Vec<u8>>) {
    let mut flags = BTreeSet::new();
    for word in words {
        let flag = quoting::decode(&word.value).into_owned();
        cx.count_bytes(flag.len(), word.span);
        flags.insert(flag);
    }
    let mode = [
        ("complain", ProfileMode::Complain),
        ("default_allow", ProfileMode::DefaultAllow),
        ("kill", ProfileMode::Kill),
        ("prompt", ProfileMode::Prompt),
        ("unconfined", ProfileMode::Unconfined),
    ]
    .into_iter()
    .find(|(name, _)| flags.contains(name.as_bytes()))
    .map_or(ProfileMode::Enforce, |(_, mode)| mode);
    (mode, flags)
}

/// `:namespace:name`, `:namespace://name`
pub(crate) fn split_namespace(name: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let Some(rest) = name.strip_prefix(b":") else {
        return (None, name);
    };
    match rest.iter().position(|&byte| byte == b':') {
        Some(end) => {
            let (namespace, rest) = rest.split_at(end);
            let local = rest.strip_prefix(b":").unwrap_or(rest);
            (Some(namespace), local.strip_prefix(b"//").unwrap_or(local))
        }
        None => (None, name),
    }
}
