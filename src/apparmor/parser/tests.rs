//! What is refused, with which code, and what trees look like.

use super::{Context, parse};
use crate::apparmor::{
    ast::{ConditionOperator, Expression, File, ProfileKeyword, Rule, Statement},
    diagnostic::Diagnostic,
    source::FileId,
};

fn parsed(text: &str) -> (File, Vec<Diagnostic>) {
    parse(FileId(0), text.as_bytes(), Context::TopLevel)
}

/// The codes of a text's errors, each with the text it is about.
fn told(text: &str) -> Vec<String> {
    let (_, diagnostics) = parsed(text);
    let about = |diagnostic: &Diagnostic| {
        let span = diagnostic.span.start as usize..diagnostic.span.end as usize;
        let place = text.get(span).unwrap_or_default();
        format!("{}: {place}", diagnostic.code)
    };
    diagnostics.iter().map(about).collect()
}

/// The statements in a profile's body.
fn body(rules: &str) -> Vec<Statement> {
    let text = format!("profile a {{\n{rules}\n}}\n");
    let (file, diagnostics) = parsed(&text);
    assert_eq!(diagnostics, [], "{rules}");
    match file
        .items
        .into_iter()
        .next()
        .map(|item| item.statement.value)
    {
        Some(Statement::Profile(profile)) => {
            let items = profile.body.items.into_iter();
            items.map(|item| item.statement.value).collect()
        }
        other => panic!("no profile but {other:?}"),
    }
}

#[test]
fn what_the_grammar_does_not_have_is_refused() {
    for (text, expected) in [
        ("foo { }", "invalid-profile-name: foo"),
        ("profile &a { }", "invalid-profile-name: &a"),
        ("profile :a { }", "invalid-profile-name: :a"),
        ("profile a b { }", "invalid-attachment: b"),
        ("profile a flags=(bad) { }", "invalid-flag: bad"),
        (
            "profile a flags=(error=EMANY) { }",
            "invalid-flag: error=EMANY",
        ),
        (
            "profile a (kill, enforce) { }",
            "conflicting-flags: enforce",
        ),
        (
            "profile a (no_attach_disconnected attach_disconnected.ipc) { }",
            "conflicting-flags: attach_disconnected.ipc",
        ),
        ("profile a peer=(b=c) { }", "invalid-group: peer"),
        (
            "profile a +identities=(\"b c\") { }",
            "invalid-identity: \"b c\"",
        ),
        ("profile a { ^b xattrs=(c=d) { } }", "invalid-group: c"),
        (
            "profile a { /b include <c> }",
            "include-inside-statement: include",
        ),
        (
            "profile a { deny #include if exists <c>\n }",
            "include-inside-statement: #include if exists",
        ),
        (
            "profile a { capability include <c>, }",
            "include-inside-statement: include",
        ),
        ("profile a { /b r\n include <c> }", "missing-comma: r"),
        (
            "profile a include <c>\n{ }",
            "include-inside-statement: include",
        ),
        ("profile a { priority=1001 all, }", "invalid-priority: 1001"),
        (
            "profile a { priority=1 { } }",
            "invalid-qualifier: priority=1",
        ),
        (
            "profile a { priority=1 network, }",
            "invalid-qualifier: priority=1",
        ),
        (
            "profile a { owner capability, }",
            "invalid-qualifier: owner",
        ),
        (
            "profile a { deny profile b { } }",
            "invalid-qualifier: deny",
        ),
        ("profile a { deny audit /b r, }", "qualifier-order: audit"),
        ("profile a { /b r\n /c r, }", "missing-comma: r"),
        ("profile a { /b rz, }", "syntax: rz"),
        ("profile a { safe /b r, }", "missing-exec-permission: safe"),
        ("profile a { r subset /b, }", "invalid-subset: r"),
        ("profile a { lx /b -> /c, }", "ambiguous-target: lx"),
        ("profile a { l /b -> :c:d, }", "invalid-link: :c:d"),
        (
            "profile a { change_profile b, }",
            "invalid-exec-condition: b",
        ),
        (
            "profile a { change_profile safe, }",
            "missing-exec-condition: safe",
        ),
        ("profile a { mount /b -> a=c /d, }", "invalid-condition: a"),
        ("profile a { signal peer=(b), }", "syntax: peer"),
        ("profile a { options=(), }", "syntax: options"),
        ("profile a { @{B} = c\n}", "misplaced-preamble: c"),
        ("profile a { }\n@{B} = c\n", "misplaced-preamble: @{B}"),
        ("/a r,\nprofile b { }", "rule-outside-profile: r"),
        ("$a += true\n", "add-to-boolean: +="),
        ("@{A} = b,\n", "comma-after-assignment: ,"),
        ("include <a>,\n", "comma-after-include: ,"),
        ("if true { }\n", "misplaced-condition: if"),
        ("profile a{ }", "brace-in-word: {"),
        ("profile a {", "unclosed-block: {"),
        ("}", "unopened-block: }"),
        ("profile a { } # b", "unterminated-comment: #"),
        ("profile \"a { }", "unterminated-quote: \""),
        ("profile\na { }", "unexpected-character: \n"),
        (
            "profile a { deny include <b>\n}",
            "include-inside-statement: include",
        ),
    ] {
        assert_eq!(told(text), [expected], "{text}");
    }
}

#[test]
fn one_run_tells_several() {
    let text = "@{A} = b,\nprofile a (c) {\n /d r\n /e w,\n network inet\n /f r,\n owner all,\n}\n";
    assert_eq!(
        told(text),
        [
            "comma-after-assignment: ,",
            "invalid-flag: c",
            "missing-comma: r",
            "missing-comma: f",
            "invalid-qualifier: owner"
        ]
    );
}

#[test]
fn conditions_keep_their_form() {
    let rules = body("mount a=b c=(d e) f in (g) /h,\nunix peer=(label i=j),");
    let [
        Statement::Rule {
            rule: Rule::Mount(mount),
            ..
        },
        Statement::Rule {
            rule: Rule::Unix(unix),
            ..
        },
    ] = &rules[..]
    else {
        panic!("{rules:?}");
    };
    let forms: Vec<_> = mount
        .conditions
        .iter()
        .chain(unix.peer.iter().flatten())
        .map(|condition| (condition.operator, condition.values.len()))
        .collect();
    assert_eq!(
        forms,
        [
            (ConditionOperator::Equals, 1),
            (ConditionOperator::Equals, 2),
            (ConditionOperator::In, 1),
            (ConditionOperator::None, 0),
            (ConditionOperator::Equals, 1),
        ]
    );
}

#[test]
fn and_binds_more_than_or_and_not_more_than_both() {
    let (file, _) = parsed("$a = $b or not $c and ($d or $e)\n");
    let Some(Statement::BooleanAssignment { value, .. }) =
        file.items.first().map(|item| &item.statement.value)
    else {
        panic!("{file:?}");
    };
    let Expression::Or(left, right) = &value.value else {
        panic!("{value:?}");
    };
    assert!(matches!(left.value, Expression::Boolean(_)));
    let Expression::And(left, right) = &right.value else {
        panic!("{right:?}");
    };
    assert!(matches!(left.value, Expression::Not(_)));
    assert!(matches!(right.value, Expression::Or(..)));
}

#[test]
fn keywords_are_names_where_names_stand() {
    let rules = body("profile deny { }\n^hat { }\n/a px -> unsafe,\nchange_profile -> safe,");
    let [
        Statement::Profile(child),
        Statement::Profile(hat),
        Statement::Rule {
            rule: Rule::Path(path),
            ..
        },
        Statement::Rule {
            rule: Rule::ChangeProfile { mode, target, .. },
            ..
        },
    ] = &rules[..]
    else {
        panic!("{rules:?}");
    };
    assert_eq!(child.name.value, b"deny");
    assert_eq!(
        (hat.keyword, &*hat.name.value),
        (ProfileKeyword::Caret, &b"hat"[..])
    );
    assert_eq!(path.target.as_ref().unwrap().value, b"unsafe");
    assert_eq!(
        (*mode, &*target.as_ref().unwrap().value),
        (None, &b"safe"[..])
    );
}
