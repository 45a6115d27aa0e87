//! A whitelist in words: a page that a reviewer reads in a minute, and all facts for programs.
//!
//! Names and reasons come from images, which are hostile: all are stripped of control characters and cut.

use std::fmt::Write as _;

use serde::Serialize;

use super::text::{quote, quote_at_most};
use crate::{
    compare::Relation,
    image::Image,
    whitelist::{
        GeneratedProfile, Kind, Outcome, Place, ProfileInputs, Program, Stage, StartKind, Whitelist,
    },
};

/// LIMIT: characters of a name or a reason that are shown.
const MAX_TEXT: usize = 300;
/// LIMIT: unknowns, and reasons of a program, that are shown to people.
const MAX_SHOWN: usize = 20;
const MAX_REASONS: usize = 2;

/// A whitelist, with the image that it was made for and the profile that was made of it.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// The image.
    pub image: &'a Image,
    /// The list.
    pub whitelist: &'a Whitelist,
    /// What the profile is made of, and the profile; none where no list can be enforced.
    pub profile: Option<(&'a ProfileInputs, &'a GeneratedProfile)>,
}

/// The page.
#[must_use]
pub fn human(made: Made<'_>) -> String {
    let Made {
        image,
        whitelist,
        profile,
    } = made;
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "{} ({}, {})",
        quote(&image.reference.to_string()),
        image.platform,
        image.digest
    );
    let _ = writeln!(out, "{}", outcome(&whitelist.outcome));
    section(
        &mut out,
        "Runs",
        whitelist.starts.iter().map(|start| {
            let words: Vec<&str> = start
                .argv
                .iter()
                .map(|word| word.as_deref().unwrap_or("?"))
                .collect();
            let occasion = match start.kind {
                StartKind::Container => "the container",
                StartKind::Hook => "a hook",
                StartKind::Probe => "a probe",
            };
            format!("{occasion}: {}", quote_at_most(&words.join(" "), MAX_TEXT))
        }),
    );
    let title = format!(
        "May execute {}",
        counted(whitelist.programs.len(), "program")
    );
    section(&mut out, &title, whitelist.programs.iter().map(program));
    let told = whitelist.unknowns.iter().take(MAX_SHOWN);
    section(
        &mut out,
        "Could not be told",
        told.map(|gap| at(&gap.what, gap.place.as_ref())),
    );
    rest(&mut out, whitelist.unknowns.len());
    section(
        &mut out,
        "What the list still allows",
        whitelist.strength.iter().map(|strength| {
            format!(
                "{}: {}",
                quote_at_most(&strength.program.to_string(), MAX_TEXT),
                quote_at_most(&strength.allows, MAX_TEXT)
            )
        }),
    );
    if let Some((inputs, generated)) = profile {
        let stage = match inputs.stage {
            Stage::Audit => "nothing is forbidden yet, every exec is logged",
            Stage::Enforce => "enforces the list",
        };
        let _ = writeln!(
            out,
            "\nProfile {}\n  {} {} {}'s default; {stage}",
            generated.name,
            generated.relation.as_str(),
            match generated.relation {
                Relation::Equal => "to",
                _ => "than",
            },
            inputs.baseline,
        );
    }
    out
}

/// All facts.
pub fn json(made: Made<'_>) -> Result<String, serde_json::Error> {
    let Made {
        image,
        whitelist,
        profile,
    } = made;
    let facts = Facts {
        image: ImageFacts {
            reference: image.reference.to_string(),
            digest: image.digest.to_string(),
            index: image.index.map(|digest| digest.to_string()),
            platform: image.platform.to_string(),
        },
        whitelist,
        profile: profile.map(|(inputs, generated)| ProfileFacts {
            name: &generated.name,
            baseline: inputs.baseline.to_string(),
            relation: generated.relation.as_str(),
            stage: match inputs.stage {
                Stage::Audit => "audit",
                Stage::Enforce => "enforce",
            },
            text: &generated.text,
        }),
    };
    serde_json::to_string_pretty(&facts).map(|text| text + "\n")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Facts<'a> {
    image: ImageFacts,
    whitelist: &'a Whitelist,
    /// `null` where no list can be enforced.
    profile: Option<ProfileFacts<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageFacts {
    reference: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<String>,
    platform: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProfileFacts<'a> {
    name: &'a str,
    baseline: String,
    relation: &'static str,
    stage: &'static str,
    text: &'a str,
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Complete => "complete: everything that was met could be told".to_owned(),
        Outcome::NotWhitelistable { why } => {
            let why: Vec<String> = why.iter().map(|why| quote_at_most(why, MAX_TEXT)).collect();
            format!("not whitelistable: {}", why.join("; "))
        }
        Outcome::Partial => {
            "partial: the list is right as far as it goes, something more may be needed".to_owned()
        }
    }
}

fn program(program: &Program) -> String {
    let kind = match program.kind {
        Kind::Dynamic => "program",
        Kind::Opaque => "in a volume, or not read",
        Kind::Script => "script",
        Kind::Static => "static program",
    };
    let mut line = format!(
        "{} ({kind})",
        quote_at_most(&program.name.to_string(), MAX_TEXT)
    );
    for reason in program.reasons.iter().take(MAX_REASONS) {
        let _ = write!(line, "\n      {}", at(&reason.why, reason.place.as_ref()));
    }
    let more = program.reasons.len().saturating_sub(MAX_REASONS);
    if more > 0 {
        let _ = write!(line, "\n      and {}", counted(more, "more reason"));
    }
    line
}

fn section(out: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for line in lines {
        let _ = writeln!(out, "  - {line}");
    }
}

fn rest(out: &mut String, all: usize) {
    let more = all.saturating_sub(MAX_SHOWN);
    if more > 0 {
        let _ = writeln!(out, "  and {more} more (`-o json` has all)");
    }
}

fn at(what: &str, place: Option<&Place>) -> String {
    let what = quote_at_most(what, MAX_TEXT);
    match place {
        Some(Place { file, line }) => {
            format!("{what}, at {}:{line}", quote_at_most(file, MAX_TEXT))
        }
        None => what,
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
