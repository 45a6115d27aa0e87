//! The `armorgate` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    armorgate::cli::run()
}
