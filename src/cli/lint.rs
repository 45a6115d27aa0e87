//! `armorgate lint`: what is wrong with a policy's text.

use std::{
    collections::HashSet,
    fs,
    io::{self, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Done, includes::DirectoryIncludes, print};
use crate::{
    apparmor::{
        diagnostic::{Diagnostic, Severity},
        include::{Includes, Loaded, MAX_FILE, load},
        model::{conflicts, policy},
    },
    report::{frame::frame, text::sentence},
};

/// Find what is wrong with AppArmor profiles
///
/// Reads profile files with all that they include, and tells every error at once, with its place. A profile without errors
/// is one that apparmor_parser 5.0 loads.
///
/// Exit code 0: no errors. 1: errors. 2: something could not be read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  armorgate lint profiles/*                        with the includes of this machine
  armorgate lint --include apparmor.d web.profile  with those of a folder
  armorgate lint -o json web.profile               for programs")]
pub(super) struct Lint {
    /// Profile files, or `-` for standard input
    #[arg(required = true, value_name = "FILE|-")]
    files: Vec<PathBuf>,
    /// Folders in which `include <…>` is looked up, in this order (/etc/apparmor.d when not given)
    #[arg(long, value_name = "DIR")]
    include: Vec<PathBuf>,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Format::Human)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, with the lines
    Human,
    /// One JSON document: an array of findings
    Json,
}

/// A finding, as programs read it.
#[derive(Debug, PartialEq, Eq, Hash, Serialize)]
struct Shown {
    code: &'static str,
    severity: &'static str,
    message: String,
    file: String,
    line: usize,
    column: usize,
    help: Option<String>,
}

impl Lint {
    pub(super) fn run(&self) -> anyhow::Result<Done> {
        for folder in &self.include {
            if !folder.is_dir() {
                bail!("--include {}: not a folder", folder.display());
            }
        }
        let includes = DirectoryIncludes::new(self.include.clone());
        let mut report = Report::new(self.output);
        for path in &self.files {
            let (name, text) = read(path)?;
            let (loaded, mut found) = load(name, text, &includes);
            found.extend(diagnostics(&loaded, &includes));
            found.sort_by_key(|diagnostic| diagnostic.span);
            for diagnostic in &found {
                report.add(&loaded, diagnostic);
            }
        }
        print(&report.finish(self.files.len())?)?;
        Ok(if report.errors > 0 {
            Done::Refused
        } else {
            Done::Fine
        })
    }
}

/// What is wrong with what the text means.
fn diagnostics(loaded: &Loaded, includes: &dyn Includes) -> Vec<Diagnostic> {
    let (policy, mut found) = policy(loaded, includes);
    found.extend(conflicts(&policy));
    found
}

/// Findings as they come in.
struct Report {
    format: Format,
    styled: bool,
    text: String,
    /// All so far: files that several include are told about once.
    seen: HashSet<Arc<Shown>>,
    shown: Vec<Arc<Shown>>,
    errors: usize,
}

impl Report {
    fn new(format: Format) -> Self {
        Self {
            format,
            styled: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            text: String::new(),
            seen: HashSet::new(),
            shown: Vec::new(),
            errors: 0,
        }
    }

    fn add(&mut self, loaded: &Loaded, diagnostic: &Diagnostic) {
        let place = loaded.sources.location(diagnostic.span);
        let (file, line, column) = place.map_or((String::new(), 0, 0), |place| {
            (sentence(place.file), place.line, place.column)
        });
        let shown = Arc::new(Shown {
            code: diagnostic.code,
            severity: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            message: sentence(&diagnostic.message),
            file,
            line,
            column,
            help: diagnostic.help.as_deref().map(sentence),
        });
        if !self.seen.insert(Arc::clone(&shown)) {
            return;
        }
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        self.shown.push(shown);
        if self.format == Format::Human {
            self.text += &frame(&loaded.sources, diagnostic, self.styled);
            self.text.push('\n');
        }
    }

    fn finish(&self, files: usize) -> anyhow::Result<String> {
        if self.format == Format::Json {
            let shown: Vec<&Shown> = self.shown.iter().map(Arc::as_ref).collect();
            return Ok(serde_json::to_string_pretty(&shown)? + "\n");
        }
        let warnings = self.shown.len() - self.errors;
        let count = |count: usize, name: &str| {
            let plural = if count == 1 { "" } else { "s" };
            format!("{count} {name}{plural}")
        };
        Ok(format!(
            "{}{} checked: {}, {}\n",
            self.text,
            count(files, "file"),
            count(self.errors, "error"),
            count(warnings, "warning")
        ))
    }
}

/// A file's name and text.
pub(super) fn read(path: &Path) -> anyhow::Result<(String, Arc<[u8]>)> {
    if path == Path::new("-") {
        let text = read_all(io::stdin().lock()).context("cannot read standard input")?;
        return Ok(("<stdin>".to_owned(), text));
    }
    let context = || format!("cannot read {}", path.display());
    if fs::metadata(path).with_context(context)?.is_dir() {
        bail!("{}: a folder; name the files in it", path.display());
    }
    let file = fs::File::open(path).with_context(context)?;
    Ok((
        path.display().to_string(),
        read_all(file).with_context(context)?,
    ))
}

fn read_all(source: impl io::Read) -> anyhow::Result<Arc<[u8]>> {
    let mut text = Vec::new();
    let most = u64::try_from(MAX_FILE)?;
    source.take(most + 1).read_to_end(&mut text)?;
    if text.len() > MAX_FILE {
        bail!("over {} MiB", MAX_FILE >> 20);
    }
    Ok(text.into())
}
