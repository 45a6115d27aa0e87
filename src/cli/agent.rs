//! `armorgate agent`: the node's part.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;

use super::{
    Done,
    includes::DirectoryIncludes,
    service::{AdminArgs, Signals},
};
use crate::{
    agent::{Agent, Health, Kernel, Options, Parser, ProfileName, run},
    cluster::{self, NodeObject, NodePods, Texts},
    telemetry::AgentMetrics,
};

/// Load the profiles that a node's pods name
///
/// Runs on every node, as root. Follows the pods of the node and the AppArmorProfile objects that they name, loads those into
/// the kernel, and writes what is loaded to the node's NodeProfiles object. What it has loaded stays when it ends; what
/// others have loaded it leaves alone.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  armorgate agent --node worker-1
  NODE_NAME=worker-1 armorgate agent --keep-hours 1")]
pub(super) struct AgentCommand {
    /// Name of the node
    #[arg(long, value_name = "NAME", env = "NODE_NAME", value_parser = node_name)]
    node: String,
    /// Folder for the profiles that it loads; those in /etc/apparmor.d are there again when the node has started
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/etc/apparmor.d/armorgate",
        env = "ARMORGATE_PROFILES_DIR"
    )]
    profiles_dir: PathBuf,
    #[command(flatten)]
    admin: AdminArgs,
    /// The program that compiles and loads profiles
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/usr/sbin/apparmor_parser",
        env = "ARMORGATE_PARSER"
    )]
    parser: PathBuf,
    /// Hours for which a profile stays that no pod names any more
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760), env = "ARMORGATE_KEEP_HOURS")]
    keep_hours: u64,
    /// Seconds that the parser may take for a profile
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600), env = "ARMORGATE_PARSER_SECONDS")]
    parser_seconds: u64,
}

/// Nodes are named as profiles' objects are; the name goes into a selector and into a path.
fn node_name(name: &str) -> Result<String, String> {
    match ProfileName::parse(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err("a node's name has lower-case letters, digits, `-` and `.` only".to_owned()),
    }
}

impl AgentCommand {
    pub(super) fn run(&self) -> anyhow::Result<Done> {
        // It waits, nearly always: one thread does. What blocks has threads of its own, which go again.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .thread_keep_alive(Duration::from_secs(1))
            .build()
            .context("cannot start")?;
        let done = runtime.block_on(self.follow());
        // Not waited for: what is half done is gone through with by the next.
        runtime.shutdown_background();
        done
    }

    async fn follow(&self) -> anyhow::Result<Done> {
        let (health, metrics) = (
            Arc::new(Health::default()),
            Arc::new(AgentMetrics::default()),
        );
        let (told, counted) = (Arc::clone(&health), Arc::clone(&metrics));
        let ready = move || told.ready();
        let admin = self.admin.serve(ready, move || counted.render()).await?;
        let client = cluster::connect().await?;
        let agent = Agent {
            pods: NodePods::new(client.clone(), self.node.clone()),
            texts: Texts::new(client.clone()),
            object: NodeObject::new(client, self.node.clone()),
            options: Options {
                kernel: Kernel::default(),
                folder: self.profiles_dir.clone(),
                parser: Parser {
                    program: self.parser.clone(),
                    base: "/etc/apparmor.d".into(),
                    deadline: Duration::from_secs(self.parser_seconds),
                },
                keep: Duration::from_hours(self.keep_hours),
            },
            includes: || Box::new(DirectoryIncludes::new(Vec::new())),
            health,
            metrics,
        };
        let mut signals = Signals::new()?;
        tokio::select! {
            () = run(agent) => anyhow::bail!("the agent has ended by itself"),
            () = signals.next() => {}
        }
        tracing::info!("stopping: what is loaded stays");
        admin.stop().await;
        Ok(Done::Fine)
    }
}
