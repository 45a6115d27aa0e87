//! The command line: one file per subcommand.
//!
//! Exit codes: 0 fine · 1 the policy says no · 2 could not do it (usage, unreadable, network). A closed pipe on standard
//! output is fine.

mod agent;
mod check;
mod compare;
mod completions;
mod config;
mod controller;
mod demo;
mod explain;
mod generate;
mod includes;
mod lint;
mod manifest;
mod policy_file;
mod profiles;
mod registries;
mod reload;
mod serve;
mod service;
mod yaml;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    report::text::sentence,
    telemetry::{LogFormat, start_logging},
    tls::install_provider,
    verdict::Mode,
};

/// The AppArmor gate of a Kubernetes cluster.
///
/// A custom AppArmor profile replaces the container runtime's default profile, so a careless one makes a pod weaker.
/// Armorgate refuses pods that would run with less than that default: as an admission webhook (`serve`), and offline with
/// the same verdicts (`check`).
#[derive(Debug, Parser)]
#[command(
    name = "armorgate",
    version,
    propagate_version = true,
    max_term_width = 110,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 fine, 1 the policy says no, 2 could not do it.\n\nBegin with: armorgate demo"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Agent(agent::AgentCommand),
    Check(check::Check),
    Compare(compare::Compare),
    Completions(completions::Completions),
    Controller(controller::ControllerCommand),
    Demo(demo::Demo),
    Explain(explain::Explain),
    Generate(generate::Generate),
    Lint(lint::Lint),
    Serve(serve::Serve),
}

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// All is fine.
    Fine,
    /// The policy says no.
    Refused,
}

/// Runs the program on the process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    install_provider();
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Agent(agent) => {
            start_logging(LogFormat::detect());
            agent.run()
        }
        Command::Check(check) => check.run(),
        Command::Compare(compare) => compare.run(),
        Command::Completions(completions) => completions.run(),
        Command::Controller(controller) => {
            start_logging(LogFormat::detect());
            controller.run()
        }
        Command::Demo(demo) => demo.run(),
        Command::Explain(explain) => explain.run(),
        Command::Generate(generate) => generate.run(),
        Command::Lint(lint) => lint.run(),
        Command::Serve(serve) => {
            start_logging(LogFormat::detect());
            serve.run()
        }
    };
    match done {
        Ok(Done::Fine) => ExitCode::SUCCESS,
        Ok(Done::Refused) => ExitCode::from(1),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let causes: Vec<String> = error
                .chain()
                .map(|cause| sentence(&cause.to_string()))
                .collect();
            let _ = writeln!(io::stderr(), "error: {}", causes.join(": "));
            ExitCode::from(2)
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.downcast_ref::<io::Error>();
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes a warning to standard error.
fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "warning: {}", sentence(text));
}

/// Writes to standard error.
fn print_error(text: &str) -> io::Result<()> {
    io::stderr().lock().write_all(text.as_bytes())
}

/// Writes to standard output.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The modes, as an option takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// Deny what fails
    Enforce,
    /// Allow, with warnings
    Warn,
    /// Allow in silence
    Audit,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Audit => Self::Audit,
            ModeName::Enforce => Self::Enforce,
            ModeName::Warn => Self::Warn,
        }
    }
}
