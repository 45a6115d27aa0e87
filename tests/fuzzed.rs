//! What the fuzzer started from and what it found, run again.

#[path = "fuzz/laws.rs"]
mod laws;

use std::{fs, path::Path};

use anyhow::{Result, ensure};

fn replay(folder: &str, run: fn(&[u8]) -> Result<(), laws::Broken>) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus/fuzz")
        .join(folder);
    let mut wrong = Vec::new();
    let mut inputs = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        inputs += 1;
        if let Err(laws::Broken(why)) = run(&fs::read(&path)?) {
            wrong.push(format!("{}: {why}", path.display()));
        }
    }
    ensure!(inputs >= 50, "only {inputs} inputs");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

#[test]
fn every_fuzzed_text_is_read_printed_and_understood() -> Result<()> {
    replay("parse", laws::parse)
}

#[test]
fn every_fuzzed_pair_keeps_the_laws_of_comparing() -> Result<()> {
    replay("compare", laws::compare)
}

#[test]
fn every_fuzzed_script_is_read_to_its_end() -> Result<()> {
    replay("script", laws::script)
}
