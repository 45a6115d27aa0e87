//! Inputs that nobody should write: the program survives them, says what is wrong and where, and stays small. How fast it is, and
//! how small, the benchmark says; this only prints it.

#![expect(clippy::print_stdout, reason = "numbers to look at when a test is slow")]

#[path = "fuzz/cases.rs"]
mod cases;
#[path = "fuzz/src/lib.rs"]
mod fuzz;

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, ensure};

/// This program is not optimised, and others may run beside it.
const LIMITS: cases::Limits = cases::Limits {
    deadline: Duration::from_secs(60),
    data: 512,
};

#[test]
fn every_hostile_input_is_answered() -> Result<()> {
    let program = Path::new(env!("CARGO_BIN_EXE_armorgate"));
    let mut wrong = Vec::new();
    for case in cases::all() {
        match case.run(program, LIMITS) {
            Ok(taken) => println!(
                "{}: exit code {}, {:.2} s, {:.0} MiB",
                case.name, taken.code, taken.seconds, taken.memory
            ),
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

/// Runs what the fuzzer runs on what it found, and on what it started from.
fn replay(folder: &str, run: fn(&[u8]) -> Result<(), fuzz::Broken>) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus/fuzz")
        .join(folder);
    let mut wrong = Vec::new();
    let mut inputs = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        inputs += 1;
        if let Err(fuzz::Broken(why)) = run(&fs::read(&path)?) {
            wrong.push(format!("{}: {why}", path.display()));
        }
    }
    ensure!(inputs >= 50, "only {inputs} inputs");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

#[test]
fn every_fuzzed_text_is_read_printed_and_understood() -> Result<()> {
    replay("parse", fuzz::parse)
}

#[test]
fn every_fuzzed_pair_keeps_the_laws_of_comparing() -> Result<()> {
    replay("compare", fuzz::compare)
}
