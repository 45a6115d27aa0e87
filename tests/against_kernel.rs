//! The model of policies against the kernels that enforce them.
//!
//! Three ways: what random profiles permit of random strings, asked of the kernel's own query interface; what happens when
//! confined processes really do things, where the outcome to expect is computed from the model; and the proofs of differences
//! that a comparison finds, carried out. `ARMORGATE_TEST_SEED` asks for other profiles and strings.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly")]
#![expect(
    clippy::print_stdout,
    reason = "what was compared, for who wants to see it"
)]

#[path = "against_kernel/automata.rs"]
mod automata;
#[path = "support/compiled/mod.rs"]
mod compiled;
#[path = "differential/generate.rs"]
mod generate;
#[path = "support/machine/mod.rs"]
mod machine;
#[path = "against_kernel/operations.rs"]
mod operations;
#[path = "against_kernel/queries.rs"]
mod queries;
#[path = "against_kernel/strings.rs"]
mod strings;
#[path = "support/mod.rs"]
mod support;
#[path = "against_kernel/witnesses.rs"]
mod witnesses;
#[path = "against_kernel/world.rs"]
mod world;

use std::{
    collections::BTreeMap,
    env, fs,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail, ensure};
use armorgate::{
    apparmor::{
        diagnostic::{Diagnostic, Severity},
        include::{Loaded, NoIncludes, load},
        model::{self, Features, Policy},
    },
    compare::Subject,
};

use compiled::{Parser, ParserVersion, Rejected};
use machine::{
    Kernel, Machine,
    commands::{GuestAnswer, GuestCommand},
};

/// A text as the program reads it.
struct Modelled {
    loaded: Loaded,
    policy: Policy,
}

impl Modelled {
    /// None for a text that the program refuses.
    fn of(text: &str) -> Option<Self> {
        let (loaded, mut diagnostics) =
            load("profile".to_owned(), text.as_bytes().into(), &NoIncludes);
        let (policy, more) = model::policy(&loaded, &NoIncludes);
        diagnostics.extend(more);
        let refused = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
        (!diagnostics.iter().any(refused)).then_some(Self { loaded, policy })
    }

    fn subject(&self) -> Result<Subject<'_>> {
        Ok(Subject {
            policy: &self.policy,
            sources: &self.loaded.sources,
            profile: self.policy.profiles.first().context("no profile")?,
        })
    }
}

/// A kernel with what its AppArmor can do, and parsers that compile for it.
struct Target {
    kernel: Kernel,
    features: Features,
    features_file: tempfile::NamedTempFile,
}

impl Target {
    fn new(kernel: Kernel) -> Result<Self> {
        let features = features(kernel)?;
        let features_file = tempfile::NamedTempFile::new()?;
        fs::write(features_file.path(), &features)?;
        Ok(Self {
            kernel,
            features: Features::read(features.as_bytes()),
            features_file,
        })
    }

    /// The parser of the kernel's own distribution.
    fn parser(&self) -> ParserVersion {
        match self.kernel {
            Kernel::V6_1 => ParserVersion::V3_0,
            Kernel::V6_12 => ParserVersion::V4_1,
        }
    }

    /// What the kernel can load; the error is the parser's refusal.
    fn compile(&self, version: ParserVersion, text: &str) -> Result<Result<Vec<u8>, Rejected>> {
        let parser = Parser::new(version)?.with_kernel_features(self.features_file.path());
        parser.compile_to_binary(text)
    }

    /// The command that loads a text, and what the model makes of it.
    fn load(&self, version: ParserVersion, text: &str) -> Result<(GuestCommand, Modelled)> {
        let modelled =
            Modelled::of(text).with_context(|| format!("the model refuses it:\n{text}"))?;
        match self.compile(version, text)? {
            Ok(policy) => Ok((GuestCommand::Replace { policy }, modelled)),
            Err(rejected) => bail!("the parser refuses it: {}\n{text}", rejected.0),
        }
    }
}

/// What a kernel's AppArmor can do, in the form of a features file: asked once.
fn features(kernel: Kernel) -> Result<String> {
    static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(features) = known.get(&kernel.to_string()) {
        return Ok(features.clone());
    }
    let answers = Machine::run(kernel, &[], &[GuestCommand::Features])?;
    let [GuestAnswer::Done(features)] = &answers[..] else {
        bail!("{answers:?}")
    };
    known.insert(kernel.to_string(), features.clone());
    Ok(features.clone())
}

fn seed() -> Result<u64> {
    match env::var("ARMORGATE_TEST_SEED") {
        Ok(text) => text.parse().context("ARMORGATE_TEST_SEED is no number"),
        Err(_) => Ok(1),
    }
}

/// Fails with the first of what was found to be wrong.
fn none_wrong(kernel: Kernel, wrong: &[String]) -> Result<()> {
    let shown = wrong.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    ensure!(
        wrong.is_empty(),
        "linux {kernel}: {} disagreements, such as\n{}",
        wrong.len(),
        shown.join("\n")
    );
    Ok(())
}

const SHOWN: usize = 12;

#[test]
fn linux_6_1_answers_what_the_model_says() -> Result<()> {
    queries::check(&Target::new(Kernel::V6_1)?, seed()?)
}

#[test]
fn linux_6_12_answers_what_the_model_says() -> Result<()> {
    queries::check(&Target::new(Kernel::V6_12)?, seed()?)
}

#[test]
fn linux_6_1_does_what_the_model_says() -> Result<()> {
    operations::check(&Target::new(Kernel::V6_1)?)
}

#[test]
fn linux_6_12_does_what_the_model_says() -> Result<()> {
    operations::check(&Target::new(Kernel::V6_12)?)
}

#[test]
fn linux_6_1_lets_witnesses_happen() -> Result<()> {
    witnesses::check(&Target::new(Kernel::V6_1)?)
}

#[test]
fn linux_6_12_lets_witnesses_happen() -> Result<()> {
    witnesses::check(&Target::new(Kernel::V6_12)?)
}
