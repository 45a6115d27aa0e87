//! What the fuzzer started from and what it found, run again.

#[path = "fuzz/laws.rs"]
mod laws;

use std::{fs, path::Path};

use anyhow::{Result, ensure};

fn replay(folder: &str, at_least: usize, run: fn(&[u8]) -> Result<(), laws::Broken>) -> Result<()> {
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
    ensure!(inputs >= at_least, "only {inputs} inputs");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

#[test]
fn every_fuzzed_text_is_read_printed_and_understood() -> Result<()> {
    replay("parse", 50, laws::parse)
}

#[test]
fn every_fuzzed_pair_keeps_the_laws_of_comparing() -> Result<()> {
    replay("compare", 50, laws::compare)
}

#[test]
fn every_fuzzed_script_is_read_to_its_end() -> Result<()> {
    replay("script", 50, laws::script)
}

#[test]
fn every_fuzzed_reference_is_read_as_it_prints() -> Result<()> {
    replay("reference", 20, laws::images::reference)
}

#[test]
fn every_fuzzed_configuration_says_the_same_again() -> Result<()> {
    replay("config", 20, laws::images::config)
}

#[test]
fn every_fuzzed_layer_makes_a_tree_or_is_refused() -> Result<()> {
    replay("layer", 20, laws::images::layer)
}

#[test]
fn every_fuzzed_layout_is_described_as_it_is_read() -> Result<()> {
    replay("layout", 20, laws::images::layout)
}

#[test]
fn every_fuzzed_archive_is_described_as_it_is_read() -> Result<()> {
    replay("archive", 20, laws::images::archive)
}
