//! What includes bring, in which order, and what is said when they bring nothing.

use std::sync::Arc;

use super::{Loaded, MapIncludes, Unit, is_ignored, load};
use crate::apparmor::{
    ast::{Block, Item, Statement},
    diagnostic::Diagnostic,
};

fn loaded(text: &str, files: &[(&str, &str)]) -> (Loaded, Vec<Diagnostic>) {
    let files = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), Arc::from(text.as_bytes())));
    let includes = MapIncludes {
        files: files.collect(),
    };
    load("web".to_owned(), Arc::from(text.as_bytes()), &includes)
}

/// The paths of all rules, in order.
fn rules(loaded: &Loaded) -> String {
    fn block(unit: &Unit, block: &Block, found: &mut Vec<String>) {
        items(unit, &block.items, found);
    }
    fn items(unit: &Unit, all: &[Item], found: &mut Vec<String>) {
        for item in all {
            match &item.statement.value {
                Statement::Rule {
                    rule: crate::apparmor::ast::Rule::Path(rule),
                    ..
                } => {
                    let path = String::from_utf8_lossy(&rule.path.value);
                    found.push(path.into_owned());
                }
                Statement::Profile(profile) => block(unit, &profile.body, found),
                Statement::Block { block: inner, .. } => block(unit, inner, found),
                Statement::If(condition) => {
                    for (_, inner) in &condition.branches {
                        block(unit, inner, found);
                    }
                }
                Statement::Include { path, .. } => {
                    for unit in unit.included(path) {
                        items(unit, &unit.ast.items, found);
                    }
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    items(&loaded.root, &loaded.root.ast.items, &mut found);
    found.join(" ")
}

fn codes(diagnostics: &[Diagnostic]) -> Vec<&str> {
    diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect()
}

#[test]
fn a_file_is_included_once_in_each_profile() {
    let files = [
        ("a", "/a r,\ninclude <b>\n"),
        ("b", "/b r,\ninclude <a>\ninclude <b>\n"),
    ];
    let text = "profile x { include <a> include <b> /x r, profile y { include <b> } include <a> }
        profile z { if defined @{A} { include <b> } include <b> }\n";
    let (loaded, diagnostics) = loaded(text, &files);
    assert_eq!(diagnostics, []);
    assert_eq!(rules(&loaded), "/a /b /x /b /a /b /a");
}

#[test]
fn the_files_of_a_folder_come_last_first() {
    let files = [
        ("d/1", "/1 r,\n"),
        ("d/2", "/2 r,\ninclude <d/1>\n"),
        ("d/3~", "broken"),
        ("d/sub/4", "/4 r,\n"),
    ];
    let (loaded, diagnostics) = loaded("profile x { include <d> }\n", &files);
    assert_eq!(diagnostics, []);
    assert_eq!(rules(&loaded), "/2 /1");
    assert!(is_ignored(b".git") && is_ignored(b"README") && !is_ignored(b"README.d"));
}

#[test]
fn what_is_missing_or_endless_is_told() {
    let text = "include if exists <no>\nprofile x { include <no> include \"no\" }\n";
    let (_, diagnostics) = loaded(text, &[]);
    assert_eq!(codes(&diagnostics), ["missing-include"; 2]);
    let text = "profile x { include <p> }\n";
    let (_, diagnostics) = loaded(text, &[("p", "profile y { include <p> }\n")]);
    assert_eq!(codes(&diagnostics), ["too-many-includes"]);
    let text = "include <p>\n@{A} = b\n";
    let (_, diagnostics) = loaded(text, &[("p", "profile y { }\n")]);
    assert_eq!(codes(&diagnostics), ["misplaced-preamble"]);
}

#[test]
fn a_broken_include_is_told_once_in_its_own_file() {
    let text = "profile x { include <a> } profile y { include <a> }\n";
    let (loaded, diagnostics) = loaded(text, &[("a", "/a r\n")]);
    assert_eq!(codes(&diagnostics), ["missing-comma"]);
    let place = loaded.sources.location(diagnostics[0].span).unwrap();
    assert_eq!((place.file, place.line), ("a", 1));
}
