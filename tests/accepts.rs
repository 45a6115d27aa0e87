//! What is refused, and what is taken, against `apparmor_parser` 5.0.
//!
//! Debian's profiles, the cases of `tests/corpus/language/*.toml`, and profiles that were damaged at random: a token less, twice,
//! elsewhere or another. `ARMORGATE_TEST_SEED` and `ARMORGATE_TEST_PROFILES` ask for other ones of those, or more.

#![expect(
    clippy::expect_used,
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

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use armorgate::apparmor::{
    automaton::Budget,
    diagnostic::{Diagnostic, Severity},
    include::{IncludeError, Included, Includes, is_ignored, load},
    model,
};
use serde::Deserialize;

use compiled::{Parser, ParserVersion};
use generate::{Generator, Random, Theme};

/// The folder that includes are searched in.
struct Folder(PathBuf);

impl Includes for Folder {
    fn read(&self, path: &[u8], searched: bool) -> Result<Included, IncludeError> {
        let path = std::str::from_utf8(path).map_err(|_| IncludeError::Missing)?;
        // Others are relative to where the parser runs, and these tests put nothing there.
        if !searched {
            return Err(IncludeError::Missing);
        }
        let full = self.0.join(path);
        let read = |file: &Path| fs::read(file).map_err(|_| IncludeError::Missing);
        if !full.is_dir() {
            return Ok(Included::File(
                full.display().to_string(),
                read(&full)?.into(),
            ));
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(&full).map_err(|_| IncludeError::Missing)? {
            let file = entry.map_err(|_| IncludeError::Missing)?.path();
            let name = file.file_name().unwrap_or_default();
            if file.is_file() && !is_ignored(name.as_encoded_bytes()) {
                files.push((file.display().to_string(), Arc::from(read(&file)?)));
            }
        }
        files.sort();
        Ok(Included::Directory(files))
    }
}

/// What is wrong with a text, errors only.
fn errors(text: &[u8], includes: &dyn Includes) -> Vec<Diagnostic> {
    let (loaded, mut diagnostics) = load("profile".to_owned(), text.into(), includes);
    let (policy, more) = model::policy(&loaded, includes);
    diagnostics.extend(more);
    diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    for profile in &policy.profiles {
        if let Ok(Some((span, _))) = model::conflict(profile, &mut Budget::default()) {
            diagnostics.push(Diagnostic::error(
                "conflicting-exec",
                span,
                "two ways to run a program",
            ));
        }
    }
    diagnostics
}

/// Asks the parser about each text; why it refuses those that it does.
fn judge(parser: &Parser, texts: &[String]) -> Result<Vec<Option<String>>> {
    let half = texts.len().div_ceil(2).max(1);
    let answers = thread::scope(|scope| {
        let workers: Vec<_> = texts
            .chunks(half)
            .map(|texts| {
                scope.spawn(|| -> Result<Vec<Option<String>>> {
                    let verdicts = texts.iter().map(|text| parser.compile_to_binary(text));
                    verdicts
                        .map(|verdict| Ok(verdict?.err().map(|refused| refused.0)))
                        .collect()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker panicked"))
            .collect::<Result<Vec<_>>>()
    })?;
    Ok(answers.concat())
}

fn parser() -> Result<(Parser, Folder)> {
    let parser = Parser::new(ParserVersion::V5_0)?;
    let folder = parser.folder().to_owned();
    let features = folder.join("abi/5.0");
    Ok((parser.with_kernel_features(&features), Folder(folder)))
}

#[test]
fn debian_profiles_are_taken() -> Result<()> {
    let (_, folder) = parser()?;
    let root = support::from_setup("ARMORGATE_TEST_PARSERS")?.join("5.0");
    let mut wrong = Vec::new();
    let mut count = 0;
    for folders in ["etc/apparmor.d", "usr/share/apparmor/extra-profiles"] {
        for entry in fs::read_dir(root.join(folders))? {
            let file = entry?.path();
            let name = file.file_name().unwrap_or_default();
            if !file.is_file() || is_ignored(name.as_encoded_bytes()) {
                continue;
            }
            count += 1;
            let found = errors(&fs::read(&file)?, &folder);
            if let Some(first) = found.first() {
                wrong.push(format!("{}: {first:?}", file.display()));
            }
        }
    }
    println!("{count} files");
    ensure!(count > 100, "only {count} profiles");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// A file of cases.
#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// A whole file, or the rules of a profile if `profile` is nowhere in it.
    text: String,
    expected: Expected,
    /// The code of the first error.
    code: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Expected {
    Accept,
    Reject,
}

impl Case {
    fn file(&self) -> String {
        // `change_profile` is a rule, and `@{profile_name}` stands in rules.
        let others = self.text.replace("change_profile", "");
        let others = others.replace("profile_name", "");
        if others.contains("profile") || others.contains("hat ") {
            self.text.clone()
        } else {
            format!("abi <abi/5.0>,\nprofile p {{\n{}\n}}\n", self.text)
        }
    }
}

#[test]
fn cases_are_refused_and_taken_as_by_the_parser() -> Result<()> {
    let (parser, folder) = parser()?;
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/language");
    let mut wrong = Vec::new();
    let mut count = 0;
    let entries = fs::read_dir(&corpus).with_context(|| format!("{}", corpus.display()))?;
    for entry in entries {
        let file = entry?.path();
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let cases: Cases = toml::from_str(&fs::read_to_string(&file)?)
            .with_context(|| file.display().to_string())?;
        let texts: Vec<String> = cases.case.iter().map(Case::file).collect();
        for ((case, text), refused) in cases.case.iter().zip(&texts).zip(judge(&parser, &texts)?) {
            count += 1;
            let found = errors(text.as_bytes(), &folder);
            let ours = found.first().map(|first| first.code);
            let expected = (case.expected == Expected::Reject).then_some(());
            if ours.map(|_| ()) != expected
                || refused.as_ref().map(|_| ()) != expected
                || ours != case.code.as_deref()
            {
                wrong.push(format!(
                    "{}\n  here: {found:?}\n  parser: {refused:?}",
                    case.text
                ));
            }
        }
    }
    println!("{count} cases");
    ensure!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// Tokens that can be moved about: words, quoted ones, and single marks.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for line in text.lines() {
        let mut word = String::new();
        let mut quoted = false;
        for letter in line.chars() {
            if letter == '"' {
                quoted = !quoted;
            }
            let ends = !quoted && matches!(letter, ' ' | '(' | ')' | '=');
            if !ends {
                word.push(letter);
                continue;
            }
            tokens.push(std::mem::take(&mut word));
            tokens.push(letter.to_string());
        }
        if let Some(before) = word.strip_suffix(',') {
            tokens.extend([before.to_owned(), ",".to_owned()]);
        } else {
            tokens.push(word);
        }
        tokens.push("\n".to_owned());
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}

/// One token less, twice, elsewhere, or another.
fn damage(random: &mut Random, text: &str) -> String {
    let mut tokens = tokens(text);
    let words: Vec<usize> = (0..tokens.len())
        .filter(|&at| !tokens[at].trim().is_empty())
        .collect();
    let at = words[random.below(words.len())];
    let other = words[random.below(words.len())];
    match random.below(5) {
        0 => {
            tokens.remove(at);
        }
        1 => tokens.insert(at, format!("{} ", tokens[at])),
        2 => tokens.swap(at, other),
        3 => {
            tokens[at] = String::from(tokens[other].as_str());
        }
        _ => tokens[at] = String::from(random.pick(&WORDS)),
    }
    tokens.concat()
}

const WORDS: [&str; 40] = [
    "deny",
    "owner",
    "audit",
    "/a",
    "r",
    "rw",
    "px",
    "->",
    "{",
    "}",
    ",",
    "=",
    "(",
    ")",
    "file",
    "network",
    "inet",
    "capability",
    "chown",
    "signal",
    "peer=x",
    "mount",
    "priority=1",
    "x",
    "wa",
    "all",
    "include",
    "if",
    "profile",
    "set",
    "rlimit",
    "@{V}",
    "\"\"",
    "link",
    "subset",
    "safe",
    "flags=(complain)",
    "#",
    "other",
    "unix",
];

#[test]
fn damaged_profiles_are_refused_and_taken_as_by_the_parser() -> Result<()> {
    let number = |variable: &str, default: u64| -> Result<u64> {
        env::var(variable).map_or(Ok(default), |text| Ok(text.parse()?))
    };
    let seed = number("ARMORGATE_TEST_SEED", 1)?;
    let count = usize::try_from(number("ARMORGATE_TEST_PROFILES", 1500)?)?;
    let (parser, folder) = parser()?;
    let mut random = Random::new(seed);
    let texts: Vec<String> = (0..count)
        .map(|index| {
            let mut profile = Generator::new(&mut random, ParserVersion::V5_0)
                .profile("p", [Theme::Files, Theme::Others, Theme::All][index % 3]);
            profile.body.truncate(4);
            damage(&mut random, &profile.text())
        })
        .collect();
    let mut wrong: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut refusals = 0;
    for (text, refused) in texts.iter().zip(judge(&parser, &texts)?) {
        let found = errors(text.as_bytes(), &folder);
        refusals += usize::from(refused.is_some());
        if found.is_empty() == refused.is_none() {
            continue;
        }
        // The parser says so as well, and then makes a profile without those values or dies.
        if found.iter().any(|found| found.code == "recursive-variable") {
            continue;
        }
        let why = match (found.first(), refused) {
            (Some(found), _) => format!("refused here: {} {}", found.code, found.message),
            (None, refused) => {
                let refused = refused.unwrap_or_default();
                format!(
                    "refused by the parser: {}",
                    refused.lines().last().unwrap_or_default()
                )
            }
        };
        wrong.entry(why).or_default().push(text);
    }
    println!("seed {seed}: {count} damaged profiles, {refusals} refused");
    let report: Vec<String> = wrong
        .iter()
        .map(|(why, texts)| format!("{} times {why}\n{}", texts.len(), texts[0]))
        .collect();
    ensure!(wrong.is_empty(), "{}", report.join("\n"));
    Ok(())
}
