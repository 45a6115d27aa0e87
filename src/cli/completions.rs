//! `armorgate completions`: completions for a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Done, print};

/// Print completions for a shell
///
/// For bash: armorgate completions bash > /etc/bash_completion.d/armorgate
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> anyhow::Result<Done> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "armorgate", &mut text);
        print(&String::from_utf8_lossy(&text))?;
        Ok(Done::Fine)
    }
}
