//! A corpus: folders of TOML files with cases, each case a test of its own.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use serde::{Deserialize, de::DeserializeOwned};

#[derive(Deserialize)]
struct File<C> {
    case: Vec<C>,
}

/// Runs all cases of an area, of which there must be some number at least.
#[expect(clippy::print_stderr, reason = "a broken corpus must say so")]
pub(crate) fn main<C: DeserializeOwned + Send + 'static>(
    area: &str,
    least: usize,
    name: impl Fn(&C) -> &str,
    run: fn(&C) -> Result<()>,
) -> ExitCode {
    match cases(area, least) {
        Ok(cases) => {
            let trials = cases.into_iter().map(|(file, case)| {
                let name = format!("{file}: {}", name(&case));
                Trial::test(name, move || {
                    run(&case).map_err(|error| Failed::from(format!("{error:#}")))
                })
            });
            libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
        }
        Err(error) => {
            eprintln!("the corpus cannot be read: {error:#}");
            ExitCode::from(101)
        }
    }
}

fn cases<C: DeserializeOwned>(area: &str, least: usize) -> Result<Vec<(String, C)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(area);
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().context("a name")?;
        let name = name.to_string_lossy().into_owned();
        let file: File<C> =
            toml::from_str(&fs::read_to_string(&path)?).with_context(|| name.clone())?;
        cases.extend(file.case.into_iter().map(|case| (name.clone(), case)));
    }
    ensure!(cases.len() >= least, "only {} cases", cases.len());
    Ok(cases)
}
