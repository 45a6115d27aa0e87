//! The whole system on a real node: kube-apiserver with Kubernetes' own controllers, a kubelet with containerd on a kernel with
//! AppArmor, images in a registry, the project's own manifests. The webhook and the controller run beside the API server with
//! their service accounts' tokens; the agent is a DaemonSet's pod on the node.
//!
//! One world serves all tests; they run one after the other.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test may fail loudly, and has something to print"
)]

mod absence;
#[path = "../runs/brokers.rs"]
mod brokers;
#[path = "../runs/databases.rs"]
mod databases;
mod delivery;
#[path = "../support/images.rs"]
mod images;
#[path = "../runs/languages.rs"]
mod languages;
mod lives;
#[path = "../support/machine/mod.rs"]
mod machine;
#[path = "../support/node/mod.rs"]
mod node;
mod pods;
#[expect(dead_code, reason = "access is open here")]
#[path = "../support/registry.rs"]
mod registry;
#[path = "../runs/servers.rs"]
mod servers;
#[path = "../runs/starts.rs"]
mod starts;
mod stock;
#[expect(dead_code, reason = "what is asked of containers is in tests/runs.rs")]
#[path = "../runs/subject.rs"]
mod subject;
#[path = "../support/mod.rs"]
mod support;
mod templates;
mod trouble;
mod world;

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use world::World;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    if arguments.list {
        let trials = TESTS.iter().map(|(name, _)| Trial::test(*name, || Ok(())));
        return libtest_mimic::run(&arguments, trials.collect()).exit_code();
    }
    let world = match World::start() {
        Ok(world) => Arc::new(Mutex::new(world)),
        Err(error) => {
            eprintln!("the world does not start: {error:#}");
            return ExitCode::from(101);
        }
    };
    let trials = TESTS.iter().map(|(name, test)| {
        let world = Arc::clone(&world);
        Trial::test(*name, move || {
            let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
            test(&mut world).map_err(|error| {
                Failed::from(format!("{}\n== what failed\n{error:#}", world.told()))
            })
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    drop(world);
    conclusion.exit_code()
}

type Test = fn(&mut World) -> Result<()>;

/// In this order: what resets and takes away comes last.
const TESTS: &[(&str, Test)] = &[
    (
        "images_run_under_their_generated_profiles",
        lives::images_run,
    ),
    (
        "a_templates_profile_is_on_the_node_before_its_pod_starts",
        templates::are_seen_first,
    ),
    (
        "a_cold_pod_waits_and_then_runs_under_its_profile",
        delivery::cold,
    ),
    (
        "a_weaker_profile_shows_it_and_its_pod_is_refused",
        delivery::weaker,
    ),
    (
        "a_foreign_profile_is_left_alone_and_reported",
        delivery::foreign,
    ),
    (
        "without_the_webhook_the_cluster_goes_on_and_the_gate_is_closed",
        absence::of_the_webhook,
    ),
    (
        "without_the_controller_what_is_known_is_delivered",
        absence::of_the_controller,
    ),
    ("the_whole_system_runs_on_the_node", absence::of_nothing),
    (
        "an_agent_that_is_killed_at_any_step_loses_nothing",
        trouble::agent_is_killed,
    ),
    (
        "pods_that_come_at_once_run_under_their_profiles",
        trouble::pods_come_at_once,
    ),
    (
        "without_api_server_and_etcd_what_runs_goes_on",
        trouble::control_plane_goes,
    ),
    (
        "after_a_reset_all_pods_run_under_their_profiles_again",
        trouble::node_is_reset,
    ),
];
