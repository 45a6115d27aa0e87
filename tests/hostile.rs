//! Inputs that nobody should write: each is put to the program in a process of its own, which has to give the right answer
//! within its memory and before a deadline. How fast it is, an optimised build tells: `make bench`.
//!
//! `cargo test --test hostile -- braces` runs the cases with that in their name.

#[path = "fuzz/cases/mod.rs"]
mod cases;

use std::{path::Path, process::ExitCode, time::Duration};

use libtest_mimic::{Arguments, Failed, Trial};

/// Time enough for a busy machine and a build that is hardly optimised; memory is that of every build.
const LIMITS: cases::Limits = cases::Limits {
    deadline: Duration::from_mins(10),
    data: 256,
};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = cases::all()
        .into_iter()
        .map(|case| Trial::test(case.name, move || run(&case)))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(case: &cases::Case) -> Result<(), Failed> {
    let taken = case.run(Path::new(env!("CARGO_BIN_EXE_armorgate")), LIMITS);
    let taken = taken.map_err(|error| format!("{error:#}"))?;
    // The program's own text counts as well, which a limit on data does not.
    if taken.memory > f64::from(LIMITS.data) {
        let (memory, seconds) = (taken.memory, taken.seconds);
        return Err(format!("{memory:.0} MiB, {seconds:.1} s").into());
    }
    Ok(())
}
