//! The model of policies against what `apparmor_parser` compiles them to.
//!
//! Random profiles are compiled and modelled, and both automata are walked together, so that every string is compared and not
//! some. What the parser refuses the model refuses, by a diagnostic or by a conflict of two rules. `ARMORGATE_TEST_SEED` and
//! `ARMORGATE_TEST_PROFILES` ask for other profiles, or more. Profiles that were modelled wrongly once are kept in
//! `tests/corpus/language/differential`, and compared first.
//!
//! The model is that of 5.0. Known to differ from it, and kept out of what is generated or compared:
//!
//! * bits where no operation asks: marks of classes, the empty name, `x` and `m` at pairs of program and label, mount bits at
//!   strings of another operation and bytes that are no options, `sqpoll` at labels of io_uring,
//! * rules that 5.0 merges by mistake: a path with the label of a `change_profile` rule that has no more than another first byte,
//!   and unix rules with network rules that say the same of Unix sockets (the family alone is lost),
//! * `audit unix setopt` taking `getopt` away from rules of less priority,
//! * rules in conflict that only one of greater priority hides: refused, depending on their order.
//!
//! Of 4.1: which `m` an `ix` implies, slashes and repeated values of variables, aliases of `link subset`, types of sockets without a
//! name, variables and namespaces in targets of programs, `or` in conditions, labels of message queues. Of 3.0 also: rules about
//! mounts, sockets and D-Bus, blocks, what branches keep, and that sets of bytes are not exact.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail loudly, and says how much it asked"
)]

#[path = "support/compiled/mod.rs"]
mod compiled;
#[path = "differential/generate.rs"]
mod generate;
#[path = "support/mod.rs"]
mod support;
#[path = "differential/walk.rs"]
mod walk;

use std::{env, fmt::Write as _, fs, path::Path, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use armorgate::apparmor::{
    automaton::Budget,
    diagnostic::{Diagnostic, Severity},
    include::{NoIncludes, load},
    model::{self, Policy},
};

use compiled::{Compiled, Parser, ParserVersion, Source};
use generate::{Generated, Generator, Random, Theme};
use walk::Count;

/// Reads a text as the program does.
fn model(text: &str) -> (Policy, Vec<Diagnostic>) {
    let (loaded, mut diagnostics) = load("profile".to_owned(), text.as_bytes().into(), &NoIncludes);
    let (policy, more) = model::policy(&loaded, &NoIncludes);
    diagnostics.extend(more);
    (policy, diagnostics)
}

/// The error says how model and compiled form differ.
fn compare(
    text: &str,
    compiled: &Compiled,
    version: ParserVersion,
    count: &mut Count,
) -> Result<()> {
    let (policy, diagnostics) = model(text);
    let refused = diagnostics
        .iter()
        .find(|diagnostic| diagnostic.severity == Severity::Error);
    let compiled = match (refused, compiled) {
        (None, Ok(compiled)) => compiled,
        (Some(_), Err(_)) => return Ok(()),
        (Some(refused), Ok(_)) => bail!("refused, but the parser takes it: {refused:?}"),
        (None, Err(refused)) => {
            // The parser of 4.1 dies of automata without any permission.
            if refused.0.contains("Assertion `states.size()") {
                return Ok(());
            }
            // What `change_profile` leaves at pairs of program and label may be in conflict with `x` there, which no operation
            // asks for; and rules in conflict are refused even if one of greater priority decides, when they are read first.
            let hidden = text.contains("change_profile") || text.contains("priority=");
            if hidden && refused.0.contains("conflicting x modifiers") {
                return Ok(());
            }
            for profile in &policy.profiles {
                if model::conflict(profile, &mut Budget::default())?.is_some() {
                    return Ok(());
                }
            }
            bail!("taken, but the parser refuses it: {}", refused.0.trim())
        }
    };
    ensure!(
        policy.profiles.len() == compiled.len(),
        "{} profiles, compiled {}",
        policy.profiles.len(),
        compiled.len()
    );
    for profile in &policy.profiles {
        let name = String::from_utf8_lossy(&profile.name);
        let compiled = compiled
            .iter()
            .find(|compiled| compiled.name == name)
            .with_context(|| format!("`{name}` was not compiled"))?;
        walk::compare(profile, compiled, version, count)
            .with_context(|| format!("profile `{name}`"))?;
    }
    Ok(())
}

/// A kernel that mediates everything the version knows.
fn parser(version: ParserVersion) -> Result<Parser> {
    let parser = Parser::new(version)?;
    let newest = match version {
        ParserVersion::V3_0 => "abi/3.0",
        ParserVersion::V4_1 => "abi/4.0",
        ParserVersion::V5_0 => "abi/5.0",
    };
    let features = parser.folder().join(newest);
    let parser = parser.with_kernel_features(&features);
    Ok(match version {
        // It never ends with `(a||)`.
        ParserVersion::V3_0 => parser.with_option("-Ono-expr-simplify"),
        ParserVersion::V4_1 | ParserVersion::V5_0 => parser,
    })
}

/// The name in a profile's head.
fn name(profile: &Generated) -> &str {
    let mut words = profile.head.split_whitespace();
    words.nth(1).unwrap_or_default()
}

/// Drops what can go while the profile still fails. Gives what is left, and how that fails.
fn shrink(
    parser: &Parser,
    version: ParserVersion,
    profile: &Generated,
) -> Result<(Generated, String)> {
    let fails = |profile: &Generated| -> Result<Option<String>> {
        let text = profile.text();
        let compiled = parser.compile(&text)?;
        let compared = compare(&text, &compiled, version, &mut Count::default());
        Ok(compared.err().map(|error| format!("{error:#}")))
    };
    let mut best = profile.clone();
    let mut message = fails(&best)?.context("it does not fail alone")?;
    loop {
        let mut smaller = Vec::new();
        for index in 0..best.body.len() {
            let mut next = best.clone();
            next.body.remove(index);
            smaller.push(next);
        }
        for index in 0..best.preamble.len() {
            let mut next = best.clone();
            next.preamble.remove(index);
            smaller.push(next);
        }
        let mut plain = best.clone();
        plain.head = format!("profile {}", name(&best));
        if plain.head != best.head {
            smaller.push(plain);
        }
        let mut found = false;
        for next in smaller {
            // It must go on failing in the same way.
            let same = |how: &String| kind(how) == kind(&message);
            if let Some(how) = fails(&next)?.filter(same) {
                (best, message) = (next, how);
                found = true;
                break;
            }
        }
        if !found {
            return Ok((best, message));
        }
    }
}

/// What kind of difference a message tells of.
fn kind(message: &str) -> String {
    let words = message.split(['`', '"']).step_by(2);
    words
        .flat_map(str::chars)
        .filter(|letter| !letter.is_ascii_digit())
        .take(60)
        .collect()
}

fn number(variable: &str, default: u64) -> Result<u64> {
    match env::var(variable) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{variable} is no number")),
        Err(_) => Ok(default),
    }
}

/// Generates, compiles and compares; fails with the first profiles that differ, made small.
fn run(version: ParserVersion, profiles: u64) -> Result<()> {
    let seed = number("ARMORGATE_TEST_SEED", 1)?;
    let profiles = number("ARMORGATE_TEST_PROFILES", profiles)?;
    let parser = parser(version)?;
    let mut random = Random::new(seed ^ (version as u64) << 32);
    let mut count = Count::default();
    let whole = parser.clone().with_option("-Ono-minimize");
    let (mut refused, mut merged, mut failed) = (0, 0, Vec::new());
    let begin = Instant::now();
    let mut left = profiles;
    while left > 0 {
        let size = left.min(BATCH);
        left -= size;
        let batch: Vec<Generated> = (0..size)
            .map(|index| {
                let theme = [Theme::Files, Theme::Others, Theme::All][random.below(3)];
                Generator::new(&mut random, version).profile(&format!("p{index}"), theme)
            })
            .collect();
        let texts: Vec<String> = batch.iter().map(Generated::text).collect();
        let sources: Vec<Source<'_>> = batch
            .iter()
            .zip(&texts)
            .map(|(profile, text)| Source {
                name: name(profile),
                text,
            })
            .collect();
        let compiled = parser.compile_many(&sources)?;
        for ((profile, text), compiled) in batch.iter().zip(&texts).zip(&compiled) {
            refused += u64::from(compiled.is_err());
            if compare(text, compiled, version, &mut count).is_ok() {
                continue;
            }
            // Minimising merges the start with states that only look the same, and loses what those permit.
            if compare(text, &whole.compile(text)?, version, &mut count).is_ok() {
                merged += 1;
            } else {
                failed.push(profile.clone());
            }
        }
    }
    println!(
        "parser {version}, seed {seed}: {profiles} profiles, {refused} of them refused, {merged} minimised wrongly, {} pairs of states, {} steps, {:.1} s",
        count.states,
        count.steps,
        begin.elapsed().as_secs_f64()
    );
    let mut report = String::new();
    for profile in failed.iter().take(SHOWN) {
        let (profile, how) = shrink(&whole, version, profile)?;
        let _ = writeln!(report, "# {how}\n{}", profile.text());
    }
    ensure!(
        failed.is_empty(),
        "{} of {profiles} profiles differ from what parser {version} makes of them (seed {seed}):\n{report}",
        failed.len()
    );
    ensure!(merged * 100 <= profiles, "{merged} of {profiles} profiles");
    ensure!(count.steps > profiles * 100, "too few questions: {count:?}");
    Ok(())
}

const BATCH: u64 = 100;
const SHOWN: usize = 12;

#[test]
fn parser_5_0_compiles_to_what_the_model_says() -> Result<()> {
    run(ParserVersion::V5_0, 900)
}

#[test]
fn parser_4_1_compiles_to_what_the_model_says() -> Result<()> {
    run(ParserVersion::V4_1, 250)
}

#[test]
fn parser_3_0_compiles_to_what_the_model_says() -> Result<()> {
    run(ParserVersion::V3_0, 250)
}

#[test]
fn profiles_that_once_differed_agree() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/language/differential");
    let parser = parser(ParserVersion::V5_0)?;
    let mut count = Count::default();
    let mut files: Vec<_> = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    ensure!(!files.is_empty(), "no files in {}", folder.display());
    for file in files {
        let text = fs::read_to_string(&file)?;
        compare(
            &text,
            &parser.compile(&text)?,
            ParserVersion::V5_0,
            &mut count,
        )
        .with_context(|| file.display().to_string())?;
    }
    Ok(())
}
