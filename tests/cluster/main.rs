//! The gate in a real control plane: etcd, kube-apiserver, kubectl, the project's own manifests, and the real program
//! with nothing but its service account's token.
//!
//! One control plane serves all tests, each in a namespace of its own; they run one after the other, since some take the
//! webhook away.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test may fail loudly, and has something to print"
)]

mod agent;
mod controller;
mod gone;
#[path = "../support/images.rs"]
mod images;
mod install;
mod leaders;
mod lifecycle;
mod modes;
mod mutation;
mod nodes;
mod objects;
mod permissions;
#[expect(dead_code, reason = "tokens are for tests/registry.rs")]
#[path = "../support/registry.rs"]
mod registry;
#[path = "../support/replica.rs"]
mod replica;
mod secrets;
#[path = "../support/mod.rs"]
mod support;
mod updates;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};

use support::{
    CertificateFiles, Webhook,
    control_plane::{ControlPlane, Ran},
    free_port,
};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    if arguments.list {
        let trials = TESTS
            .iter()
            .map(|(name, _)| Trial::test(*name, || Ok(())))
            .collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let cluster = match Cluster::start() {
        Ok(cluster) => Arc::new(cluster),
        Err(error) => {
            eprintln!("the cluster does not start: {error:#}");
            return ExitCode::from(101);
        }
    };
    let trials = TESTS.iter().map(|(name, test)| {
        let cluster = Arc::clone(&cluster);
        Trial::test(*name, move || {
            test(&cluster).map_err(|error| Failed::from(format!("{error:#}")))
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    drop(cluster);
    conclusion.exit_code()
}

type Test = fn(&Cluster) -> Result<()>;

/// In this order: those that take the webhook away come last.
const TESTS: &[(&str, Test)] = &[
    (
        "deploy_manifests_are_accepted_and_its_pods_are_restricted",
        permissions::deploy_is_accepted,
    ),
    (
        "service_account_may_watch_namespaces_and_nodes_and_nothing_else",
        permissions::least_privilege,
    ),
    (
        "deploy_is_applied_again_with_the_gate_at_work",
        install::is_applied_again,
    ),
    (
        "every_way_to_a_certificate_installs_all_with_one_image",
        install::every_way_installs_all,
    ),
    (
        "good_objects_are_created",
        objects::good_objects_are_created,
    ),
    (
        "weak_objects_are_refused_with_the_reason",
        objects::weak_objects_are_refused,
    ),
    (
        "check_and_the_webhook_agree_on_every_object",
        objects::check_agrees,
    ),
    (
        "a_pods_profile_is_what_the_api_server_makes_of_it",
        objects::api_server_resolves_the_same,
    ),
    (
        "what_the_api_server_refuses_by_itself_is_no_pass_for_us_either",
        objects::api_server_refuses_the_same,
    ),
    ("dry_run_gets_the_same_answer", objects::dry_run),
    ("warn_mode_shows_warnings", modes::warn),
    (
        "audit_mode_is_silent_and_lands_in_the_audit_log",
        modes::audit,
    ),
    (
        "denials_land_in_the_audit_log_too",
        modes::denied_in_audit_log,
    ),
    ("off_does_not_look", modes::off),
    (
        "a_namespace_label_flips_the_mode_without_a_restart",
        modes::label_flips,
    ),
    (
        "an_unknown_label_value_warns_and_the_clusters_mode_holds",
        modes::unknown_label,
    ),
    (
        "a_namespace_and_its_pod_in_one_apply_are_judged_by_the_label",
        modes::new_namespace,
    ),
    (
        "a_flood_of_unknown_namespaces_keeps_nobody_out",
        modes::unknown_namespaces,
    ),
    (
        "a_new_configuration_holds_without_a_restart",
        modes::configuration_reload,
    ),
    (
        "a_cold_cluster_starts_and_localhost_profiles_wait_for_a_node",
        nodes::cold_cluster,
    ),
    (
        "a_profile_is_held_to_the_nodes_that_there_are",
        nodes::come_and_go,
    ),
    ("a_list_of_many_nodes_is_read_to_its_end", nodes::many),
    (
        "a_configuration_that_asks_for_nodes_waits_for_the_permission",
        nodes::permission,
    ),
    (
        "profiles_may_be_objects_and_pods_are_judged_by_them",
        mutation::profile_objects,
    ),
    (
        "pods_are_given_the_profiles_of_their_images_and_no_others",
        mutation::profiles_of_images,
    ),
    (
        "images_behind_pull_secrets_are_read_with_them",
        secrets::are_used,
    ),
    (
        "an_old_weak_deployment_scales_and_updates_with_a_warning",
        updates::old_weak_deployment,
    ),
    (
        "an_update_that_makes_it_worse_is_refused",
        updates::worse_update,
    ),
    ("an_agent_reports_its_own_node_and_no_other", agent::reports),
    (
        "an_agent_hears_of_its_nodes_pods_and_of_their_profiles",
        agent::hears,
    ),
    (
        "an_agents_token_may_no_more_than_it_needs",
        agent::may_no_more,
    ),
    (
        "profiles_are_made_for_templates_and_for_pods_of_their_own_names",
        controller::profiles_are_made,
    ),
    (
        "an_image_that_cannot_be_read_is_told_and_tried_again",
        controller::failures_are_told,
    ),
    (
        "a_profile_that_people_write_shows_what_it_permits",
        controller::profiles_of_people_are_judged,
    ),
    (
        "of_two_controllers_one_leads_and_the_other_takes_over",
        controller::one_leads,
    ),
    (
        "replicas_are_killed_in_turn_and_nothing_is_done_twice_or_lost",
        leaders::killed_in_turn,
    ),
    (
        "a_leader_that_was_stopped_for_longer_than_its_lease_leads_no_more",
        leaders::stopped,
    ),
    (
        "a_leader_that_cannot_renew_its_lease_steps_down",
        leaders::silent_api_server,
    ),
    (
        "generated_profiles_that_nothing_names_are_deleted",
        controller::garbage_is_collected,
    ),
    (
        "the_objects_of_nodes_that_are_gone_are_deleted",
        gone::nodes_that_are_gone,
    ),
    ("debug_containers_are_judged", updates::debug_containers),
    ("deletion_is_never_in_the_way", updates::deletion),
    (
        "a_certificate_is_swapped_under_load_without_a_failed_request",
        lifecycle::certificate_swap,
    ),
    (
        "a_killed_webhook_fails_closed_and_leaves_system_namespaces_alone",
        lifecycle::killed,
    ),
    (
        "a_stopping_webhook_answers_what_it_has",
        lifecycle::stopping,
    ),
];

/// A control plane with the gate in it.
struct Cluster {
    plane: ControlPlane,
    webhook: Mutex<Option<Webhook>>,
    certificates: CertificateFiles,
    folder: tempfile::TempDir,
    port: u16,
}

impl Cluster {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let plane = ControlPlane::start(folder.path())?;
        let certificates = CertificateFiles::new(folder.path())?;
        let cluster = Self {
            plane,
            webhook: Mutex::new(None),
            certificates,
            folder,
            port: free_port()?,
        };
        cluster.install()?;
        cluster.start_webhook()?;
        Ok(cluster)
    }

    /// What a user does: `kubectl apply -k deploy/`, with the webhook's address and CA bundle changed to reach this process.
    fn install(&self) -> Result<()> {
        let authority = self.certificates.authority.pem();
        let manifests = self.plane.manifests(self.port, authority)?;
        self.plane.must_apply(&manifests)?;
        fs::write(self.manifests(), manifests)?;
        // What the command line says of a profile can then be told from what the webhook says; nodes.rs has it as deployed.
        let config = self.plane.config(&[(nodes::FROM_NODES, nodes::LISTED)])?;
        fs::write(self.config(), config)?;
        let token = self
            .plane
            .must(&["-n", "armorgate", "create", "token", "armorgate"])?;
        Ok(fs::write(
            self.folder.path().join("webhook.kubeconfig"),
            self.plane.kubeconfig_for(token.trim()),
        )?)
    }

    /// What was applied.
    fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests.yaml")
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    /// Starts the webhook as its Deployment would, with its service account's token and no other credentials.
    fn start_webhook(&self) -> Result<()> {
        let log = self.folder.path().join("armorgate.log");
        let mut webhook = Webhook::start(&program(), &log, self.port, |command| {
            command.env("KUBECONFIG", self.folder.path().join("webhook.kubeconfig"));
            command.arg("--drain-seconds").arg("15");
            command.arg("--config").arg(self.config());
            command
                .arg("--profiles")
                .arg(repository("tests/corpus/profiles"));
            command
                .arg("--tls-cert")
                .arg(&self.certificates.chain)
                .arg("--tls-key")
                .arg(&self.certificates.key);
        })?;
        webhook.wait_until_ready()?;
        *self.webhook() = Some(webhook);
        Ok(())
    }

    fn webhook(&self) -> MutexGuard<'_, Option<Webhook>> {
        self.webhook.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new namespace whose gate has this mode, `None` for the cluster's.
    fn namespace(&self, name: &str, mode: Option<&str>) -> Result<()> {
        let labels = mode.map_or_else(
            || serde_json::json!({}),
            |mode| serde_json::json!({ "armorgate.dev/profile": mode }),
        );
        let manifest = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels }
        });
        self.plane.must_apply(&manifest.to_string())
    }

    /// `kubectl create` of a manifest in a namespace.
    fn create(&self, namespace: &str, manifest: &str) -> Result<Ran> {
        self.plane
            .kubectl_with(&["-n", namespace, "create", "-f", "-"], manifest)
    }

    /// What is in a place of the controllers' lease.
    fn lease(&self, place: &str) -> Result<String> {
        let (name, place) = ("armorgate-controller", format!("jsonpath={place}"));
        self.plane
            .must(&["-n", "armorgate", "get", "lease", name, "-o", &place])
    }

    /// Whether an object exists.
    fn exists(&self, namespace: &str, object: &str) -> Result<bool> {
        let found = self.plane.must(&[
            "-n",
            namespace,
            "get",
            object,
            "--ignore-not-found",
            "-o",
            "name",
        ])?;
        Ok(!found.trim().is_empty())
    }
}

/// A pod whose one container asks for no profile at all.
fn unconfined_pod(name: &str) -> String {
    pod(name, r#"{"appArmorProfile":{"type":"Unconfined"}}"#)
}

/// A pod whose one container has this security context.
fn pod(name: &str, context: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}"}},
            "spec":{{"containers":[{{"name":"web","image":"nginx","securityContext":{context}}}]}}}}"#
    )
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_armorgate"))
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The manifests of a folder of the corpus: name, text, and what the first comment says.
fn corpus(folder: &str) -> Result<Vec<(String, String, String)>> {
    let mut files = fs::read_dir(repository("tests/corpus/manifests").join(folder))?
        .collect::<std::io::Result<Vec<_>>>()?;
    files.sort_by_key(fs::DirEntry::path);
    ensure!(!files.is_empty(), "the corpus is empty");
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(file.path())?;
            let comment = text
                .lines()
                .next()
                .context("a comment first")?
                .trim_start_matches("# ")
                .to_owned();
            Ok((
                file.file_name().to_string_lossy().into_owned(),
                text,
                comment,
            ))
        })
        .collect()
}
