//! Laws of the relation, on random policies: every answer is checked by what it claims.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "support/compiled/mod.rs"]
mod compiled;
#[path = "support/mod.rs"]
mod support;

use std::{collections::HashMap, fmt::Write as _};

use armorgate::{
    apparmor::{
        diagnostic::Severity,
        include::{Loaded, NoIncludes, load},
        model::{Class, Policy, policy},
    },
    compare::{Asked, Comparison, Question, Relation, Subject, ask, compare, fix},
};
use compiled::{Parser, ParserVersion, Source, profile::CompiledProfile};
use proptest::{prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner};

/// Paths of few names, so that rules meet.
fn path() -> impl Strategy<Value = String> {
    let part = select(vec![
        "/a", "/b", "/*", "/**", "/{a,b}", "/[ab]", "/[^a]", "/?", "/{,**}", "/a*", "/{a/,}b",
        "/c/",
    ]);
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.concat())
}

/// A rule without its qualifiers, and whether it may have `owner`.
fn rule() -> impl Strategy<Value = (String, bool)> {
    let permissions = select(vec![
        "r", "w", "a", "rw", "k", "m", "l", "rl", "rwlk", "rwlkm",
    ]);
    let file =
        (path(), permissions).prop_map(|(path, letters)| (format!("{path} {letters}"), true));
    let other = select(vec![
        "capability net_admin",
        "capability",
        "network inet stream",
        "network",
        "network unix",
        "signal",
        "signal send set=(term kill)",
        "signal (receive) peer=web",
        "signal peer=p*",
        "signal peer=@{profile_name}",
        "ptrace (read) peer=/usr/**",
        "ptrace",
        "unix (connect) peer=(label=web)",
        "unix type=stream",
        "mount",
        "mount fstype=tmpfs -> /a/**",
        "mount options=(ro,bind) /a/ -> /b/",
        "remount /a/",
        "umount /a/**",
        "umount",
        "pivot_root /a/",
        "dbus send bus=system",
        "dbus",
        "userns",
        "mqueue (read, create) /q",
        "link /a -> /b",
        "link subset /a* -> /b",
        "change_profile -> web",
    ])
    .prop_map(|text| (text.to_owned(), false));
    prop_oneof![3 => file, 2 => other]
}

/// A whole rule; what an exec would change is left to rules of the head.
fn statement() -> impl Strategy<Value = String> {
    (
        rule(),
        select(vec!["", "", "deny "]),
        select(vec!["", "", "owner "]),
    )
        .prop_map(|((rule, may_own), mode, owner)| {
            let owner = if may_own { owner } else { "" };
            format!("{mode}{owner}{rule},")
        })
}

fn rules() -> impl Strategy<Value = Vec<String>> {
    let execs = select(vec!["", "/** ix,", "/a ix,", "/{,**} rwlkmix,", "file,"]);
    (execs, prop::collection::vec(statement(), 0..8)).prop_map(|(exec, mut rules)| {
        if !exec.is_empty() {
            rules.push(exec.to_owned());
        }
        rules
    })
}

fn text(name: &str, rules: &[String]) -> String {
    let mut text = format!("abi <abi/4.0>,\nprofile {name} {{\n");
    for rule in rules {
        let _ = writeln!(text, "  {rule}");
    }
    text + "}\n"
}

/// A rule that permits links with the subset test.
///
/// The test is a bit of the pair (`AA_LINK_SUBSET`), so where another rule permits the same link without the test, such a rule
/// takes something away, though it allows: the kernel then asks what the new name may do that its target may not (`aa_path_link`).
fn tests_links(rule: &str) -> bool {
    let letters = rule.rsplit(' ').next().unwrap_or_default();
    rule.starts_with("link subset") || (rule.starts_with('/') && letters.contains('l'))
}

struct Read {
    text: String,
    loaded: Loaded,
    policy: Policy,
}

impl Read {
    fn of(text: String) -> Self {
        let (loaded, mut diagnostics) =
            load("text".to_owned(), text.as_bytes().into(), &NoIncludes);
        let (policy, more) = policy(&loaded, &NoIncludes);
        diagnostics.extend(more);
        diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
        assert!(diagnostics.is_empty(), "{diagnostics:?}\n{text}");
        Self {
            text,
            loaded,
            policy,
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            policy: &self.policy,
            sources: &self.loaded.sources,
            profile: &self.policy.profiles[0],
        }
    }
}

fn is_no_more(comparison: &Comparison) -> bool {
    matches!(comparison.relation, Relation::Equal | Relation::Stronger)
}

/// The witnesses of `first` over `second` that are single questions hold on both models.
fn replay(first: &Read, second: &Read, comparison: &Comparison) -> Vec<Asked> {
    let mut asked = Vec::new();
    for witness in &comparison.witnesses {
        let Some(question) = witness.asked.clone() else {
            continue;
        };
        if !witness.moves.is_empty() {
            continue;
        }
        for bit in (0..u32::BITS).map(|number| 1 << number) {
            if question.bits & bit == 0 {
                continue;
            }
            let ask = |subject: &Read, string: &[u8]| {
                let question = Question {
                    class: question.class,
                    string: string.to_vec(),
                    bits: bit,
                    mediated: |_| true,
                };
                ask(subject.subject().profile, &question).is_ok_and(|answer| answer.permitted)
            };
            assert!(
                ask(first, &question.string) && !ask(second, &question.other),
                "{witness:?}\n{}\n{}",
                first.text,
                second.text
            );
        }
        asked.push(question);
    }
    asked
}

fn check(first: &Read, second: &Read) -> Result<Comparison, TestCaseError> {
    let comparison = compare(first.subject(), second.subject());
    let weaker = matches!(
        comparison.relation,
        Relation::Weaker | Relation::Incomparable
    );
    let unknown = matches!(comparison.relation, Relation::Unknown { .. });
    prop_assert!(!unknown, "{:?}", comparison);
    prop_assert_eq!(weaker, !comparison.witnesses.is_empty());
    replay(first, second, &comparison);
    Ok(comparison)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_policy_is_equal_to_itself_under_any_name(rules in rules()) {
        let first = Read::of(text("p", &rules));
        prop_assert_eq!(compare(first.subject(), first.subject()).relation, Relation::Equal);
        // Names that say what they are, and denials of the own name only: those make the other's name another thing.
        let is_named = |rule: &&String| {
            rule.contains("peer=p*") || (rule.starts_with("deny") && rule.contains("profile_name"))
        };
        let named: Vec<String> = rules.iter().filter(|rule| !is_named(rule)).cloned().collect();
        let (first, second) = (Read::of(text("p", &named)), Read::of(text("other", &named)));
        prop_assert_eq!(compare(first.subject(), second.subject()).relation, Relation::Equal, "{}", first.text);
    }

    #[test]
    fn the_other_way_round_is_the_opposite(first in rules(), second in rules()) {
        let (first, second) = (Read::of(text("p", &first)), Read::of(text("q", &second)));
        let there = check(&first, &second)?.relation;
        let back = check(&second, &first)?.relation;
        let expected = match there {
            Relation::Stronger => Relation::Weaker,
            Relation::Weaker => Relation::Stronger,
            same => same,
        };
        prop_assert_eq!(back, expected, "{}\n{}", first.text, second.text);
    }

    #[test]
    fn more_allows_never_make_it_stronger_and_more_denials_never_weaker(
        // The parser permits writing below /proc for a rule about changing profiles, also for one that denies it.
        rules in rules(), added in rule().prop_filter("implies more", |rule| !rule.0.contains("change_profile")),
    ) {
        let before = Read::of(text("p", &rules));
        let with = |mode: &str| {
            let mut rules = rules.clone();
            rules.push(format!("{mode}{},", added.0));
            Read::of(text("p", &rules))
        };
        if !tests_links(&added.0) || !rules.iter().any(|rule| rule == "link /a -> /b,") {
            prop_assert!(is_no_more(&check(&before, &with(""))?), "{}\n{added:?}", before.text);
        }
        prop_assert!(is_no_more(&check(&with("deny "), &before)?), "{}\n{added:?}", before.text);
    }

    #[test]
    fn it_is_transitive(first in rules(), second in rules(), third in rules()) {
        // Random ones are seldom comparable: each begins with all of the one before.
        let second = [first.clone(), second].concat();
        let third = [second.clone(), third].concat();
        let [first, second, third] = [first, second, third].map(|rules| Read::of(text("p", &rules)));
        for [a, b, c] in [[&first, &second, &third], [&third, &second, &first], [&second, &first, &third]] {
            if is_no_more(&check(a, b)?) && is_no_more(&check(b, c)?) {
                prop_assert!(is_no_more(&check(a, c)?), "{}\n{}\n{}", a.text, b.text, c.text);
            }
        }
    }

    #[test]
    fn what_is_fixed_is_not_weaker(first in rules(), second in rules()) {
        let (first, second) = (Read::of(text("p", &first)), Read::of(text("q", &second)));
        let fixed = fix("text", first.text.as_bytes(), &NoIncludes, b"p", second.subject());
        let fixed = fixed.map_err(|error| TestCaseError::fail(format!("{error}\n{}\n{}", first.text, second.text)))?;
        let fixed = Read::of(String::from_utf8(fixed).unwrap());
        prop_assert!(is_no_more(&check(&fixed, &second)?), "{}", fixed.text);
    }
}

#[test]
fn a_link_rule_with_the_test_takes_from_one_without() -> anyhow::Result<()> {
    let rules = ["link /a -> /b,", "/a ix,", "/* l,"].map(str::to_owned);
    let (before, after) = (
        Read::of(text("p", &rules[..2])),
        Read::of(text("p", &rules)),
    );
    for (first, second) in [(&before, &after), (&after, &before)] {
        let relation = check(first, second)
            .map_err(|error| anyhow::anyhow!("{error}"))?
            .relation;
        anyhow::ensure!(relation == Relation::Incomparable, "{relation:?}");
    }
    Ok(())
}

/// The byte in front of a class's strings, under ABI 4.0.
fn class_byte(class: Class) -> Option<u8> {
    Some(match class {
        Class::Dbus => 32,
        Class::Mount => 7,
        Class::Network => 14,
        Class::PosixMqueue => 17,
        Class::Ptrace => 9,
        Class::Signal => 10,
        _ => return None,
    })
}

/// Bits as the kernel spreads those that the parser writes (`map_other` in security/apparmor).
fn kernel_bits(class: Class, bits: u32) -> u32 {
    if class == Class::File {
        return bits;
    }
    let upper = bits >> 14 & 0x7f;
    bits & 0x7f | (upper & 3) << 8 | (upper & 0x1c) << 18 | (upper & 0x60) << 19
}

/// The bits of a question that a compiled profile permits.
fn compiled_bits(profile: &CompiledProfile, class: Class, string: &[u8]) -> Option<u32> {
    if let Some(byte) = class_byte(class) {
        // None where the features of Debian's kernel do not have the class.
        return profile.class_permissions(byte, string);
    }
    // Pairs are asked for elsewhere.
    (class == Class::File && !string.contains(&0)).then(|| {
        let permissions = profile.file_permissions(string);
        permissions.owner.bits | permissions.other.bits << 14
    })
}

#[test]
fn witnesses_hold_on_what_the_compiler_makes_of_the_texts() -> anyhow::Result<()> {
    let parser = Parser::new(ParserVersion::V5_0)?;
    let mut runner = TestRunner::deterministic();
    let strategy = (rules(), rules());
    let mut texts = Vec::new();
    let mut questions = HashMap::new();
    for number in 0..150 {
        let (first, second) = strategy
            .new_tree(&mut runner)
            .map_err(anyhow::Error::msg)?
            .current();
        let names = [format!("p{number}"), format!("q{number}")];
        let first = Read::of(text(&names[0], &first));
        let second = Read::of(text(&names[1], &second));
        let comparison = compare(first.subject(), second.subject());
        questions.insert(number, replay(&first, &second, &comparison));
        texts.extend([
            (names[0].clone(), first.text),
            (names[1].clone(), second.text),
        ]);
    }
    let sources: Vec<Source<'_>> = texts
        .iter()
        .map(|(name, text)| Source { name, text })
        .collect();
    let compiled = parser.compile_many(&sources)?;
    let mut replayed = 0;
    for (number, questions) in questions {
        let profile = |index: usize| match &compiled[index] {
            Ok(profiles) => Ok(&profiles[0]),
            Err(error) => Err(anyhow::anyhow!("{error:?}")),
        };
        let (first, second) = (profile(2 * number)?, profile(2 * number + 1)?);
        for asked in questions {
            let bits = |profile, string: &[u8]| compiled_bits(profile, asked.class, string);
            let (Some(permitted), Some(other)) =
                (bits(first, &asked.string), bits(second, &asked.other))
            else {
                continue;
            };
            let wanted = kernel_bits(asked.class, asked.bits);
            anyhow::ensure!(
                permitted & wanted == wanted && other & wanted == 0,
                "{asked:?}: {permitted:#x} {other:#x}\n{}\n{}",
                texts[2 * number].1,
                texts[2 * number + 1].1
            );
            replayed += 1;
        }
    }
    anyhow::ensure!(replayed > 300, "only {replayed} witnesses");
    Ok(())
}
