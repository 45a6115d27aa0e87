//! The language on what Debian ships and on what nobody should write: trees, printing, includes, errors.

#[path = "support/mod.rs"]
mod support;

use std::{fs, path::Path, sync::Arc, time::Instant};

use anyhow::{Context as _, Result, ensure};
use armorgate::apparmor::{
    ast::File,
    diagnostic::{Diagnostic, Severity},
    include::{MapIncludes, is_ignored, load},
    parser::{Context, parse},
    printer::print,
    source::FileId,
};
use proptest::{prelude::*, sample::select};

/// The files below a folder, by their paths in it.
fn files_below(root: &Path, below: &str, files: &mut MapIncludes) -> Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry
            .file_name()
            .into_string()
            .ok()
            .context("a name in UTF-8")?;
        let path = if below.is_empty() {
            name.clone()
        } else {
            format!("{below}/{name}")
        };
        let kind = fs::metadata(entry.path())?;
        if kind.is_dir() {
            files_below(root, &path, files)?;
            files.files.insert(path + "/", Arc::default());
        } else if !is_ignored(name.as_bytes()) {
            files.files.insert(path, fs::read(entry.path())?.into());
        }
    }
    Ok(())
}

/// Every policy file of Debian's packages.
fn debian() -> Result<(MapIncludes, MapIncludes)> {
    let root = support::from_setup("ARMORGATE_TEST_APPARMOR")?;
    let [mut includes, mut extra] = [MapIncludes::default(), MapIncludes::default()];
    files_below(&root.join("etc/apparmor.d"), "", &mut includes)?;
    files_below(
        &root.join("usr/share/apparmor/extra-profiles"),
        "",
        &mut extra,
    )?;
    Ok((includes, extra))
}

fn errors(diagnostics: &[Diagnostic]) -> Vec<&Diagnostic> {
    diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .collect()
}

/// Prints a tree and reads it again.
fn printed(file: &File, context: Context) -> (File, Vec<Diagnostic>) {
    parse(FileId(0), &print(file), context)
}

#[test]
fn every_profile_of_debian_loads_with_its_includes() -> Result<()> {
    let (includes, extra) = debian()?;
    let profiles = includes
        .files
        .iter()
        .filter(|(name, _)| !name.contains('/'))
        .chain(&extra.files);
    let mut loaded = 0;
    for (name, text) in profiles {
        let (_, diagnostics) = load(name.clone(), Arc::clone(text), &includes);
        ensure!(errors(&diagnostics).is_empty(), "{name}: {diagnostics:?}");
        loaded += 1;
    }
    ensure!(loaded > 100, "only {loaded} files");
    Ok(())
}

#[test]
fn every_file_of_debian_prints_to_an_equal_one() -> Result<()> {
    let (includes, extra) = debian()?;
    for (name, text) in includes.files.iter().chain(&extra.files) {
        let context = match name.split('/').next() {
            Some("abi") => continue,
            Some("abstractions" | "local") => Context::Body,
            _ => Context::TopLevel,
        };
        let (file, diagnostics) = parse(FileId(0), text, context);
        ensure!(errors(&diagnostics).is_empty(), "{name}: {diagnostics:?}");
        let (again, diagnostics) = printed(&file, context);
        ensure!(diagnostics.is_empty(), "{name}: {diagnostics:?}");
        ensure!(again == file, "{name}: printed, it is another");
        ensure!(print(&again) == print(&file), "{name}: not canonical");
    }
    Ok(())
}

#[test]
fn what_nobody_should_write_is_told_with_its_place() -> Result<()> {
    let deep = |opening: &str| [b"profile a {\n", opening.repeat(10_000).as_bytes()].concat();
    let texts: [(&str, Vec<u8>); 14] = [
        ("a program", b"\x7fELF\x02\x01\x01\0\0\0\0".repeat(1_000)),
        ("a NUL in a path", b"profile a { /a\0b r, }\n".to_vec()),
        ("a NUL in quotes", b"profile a { \"/a\0b\" r, }\n".to_vec()),
        (
            "carriage returns",
            b"profile a {\r\n signal send,\r\n}\r\n".to_vec(),
        ),
        ("not UTF-8", b"\xff\xfe{\xff}".to_vec()),
        ("braces", deep("{ ")),
        ("profiles", deep("profile a { ")),
        ("conditions", deep("if defined @{A} { ")),
        ("parentheses", deep("if ( ")),
        ("negations", deep("if not ")),
        ("half a quote", b"profile \"a {\n}\n".to_vec()),
        (
            "half quotes",
            [&b"profile a { "[..], &b"\"/\0".repeat(100_000)].concat(),
        ),
        ("half a comment", b"profile a { }\n# b".to_vec()),
        ("commas", b",".repeat(1 << 20)),
    ];
    for (name, text) in texts {
        let start = Instant::now();
        let (_, diagnostics) = parse(FileId(0), &text, Context::TopLevel);
        let first = errors(&diagnostics)
            .first()
            .copied()
            .with_context(|| format!("{name}: no error"))?;
        ensure!((first.span.end as usize) <= text.len(), "{name}: {first:?}");
        ensure!(
            diagnostics.len() <= 100,
            "{name}: {} errors",
            diagnostics.len()
        );
        ensure!(
            start.elapsed().as_secs() < 5,
            "{name}: {:?}",
            start.elapsed()
        );
    }
    Ok(())
}

/// Pieces of policies, and of what breaks them.
const PIECES: [&str; 64] = [
    "profile a ",
    "profile b /c ",
    "hat d ",
    "^e ",
    "flags=(complain) ",
    "xattrs=(f=g h) ",
    "{ ",
    "{\n",
    "}\n",
    "} ",
    "/a r,\n",
    "/b* rwPux -> c,",
    "owner ",
    "deny ",
    "audit ",
    "priority=-5 ",
    "file ",
    "file,",
    "l subset /a -> /b,",
    "link /a -> /b,",
    "network ",
    "send ",
    "(send, r) ",
    "inet ",
    "stream",
    "set=(term kill) ",
    "peer=(name=a label=\"b c\")",
    "peer=b ",
    ",\n",
    ",",
    "signal ",
    "dbus ",
    "unix ",
    "mqueue ",
    "mount ",
    "options=(ro, bind) ",
    "options in (ro) ",
    "/a -> /b,",
    "umount /a,",
    "pivot_root oldroot=/a /b,",
    "change_profile -> a,",
    "all,",
    "userns create,",
    "io_uring sqpoll,",
    "set rlimit nofile <= 4K,",
    "capability kill,",
    "if $a and not (defined @{B} or 1 < 2 ) {\n",
    "else ",
    "if true {\n",
    "@{B} = c \\\n d\n",
    "@{B} += \"e\" # f\n",
    "$a = true or $b\n",
    "alias /a -> /b,\n",
    "abi <abi/4.0>,\n",
    "include <a>\n",
    "#include if exists \"b\"\n",
    "# comment\n",
    " # remark\n",
    "\\",
    "\"",
    "\r",
    "\n",
    " ",
    "\u{ff}",
];

proptest! {
    #[test]
    fn what_parses_prints_to_an_equal_tree(pieces in prop::collection::vec(select(&PIECES[..]), 0..24)) {
        let text = pieces.concat();
        for context in [Context::TopLevel, Context::Body] {
            let (file, diagnostics) = parse(FileId(0), text.as_bytes(), context);
            let (again, told) = printed(&file, context);
            if diagnostics.is_empty() {
                prop_assert_eq!(&told, &[]);
                prop_assert_eq!(&again, &file);
            }
            for diagnostic in diagnostics {
                prop_assert!(diagnostic.span.start <= diagnostic.span.end);
                prop_assert!((diagnostic.span.end as usize) <= text.len());
            }
        }
    }

    #[test]
    fn no_bytes_are_too_strange(text in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse(FileId(0), &text, Context::TopLevel);
        let _ = parse(FileId(0), &text, Context::Body);
    }
}
