//! Every decision rule, by example: runs the cases of `tests/corpus/verdict/*.toml`.

#[path = "support/corpus.rs"]
mod corpus;

use std::{
    collections::{BTreeMap, HashMap},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use armorgate::{
    compare::{Baseline, Comparison, Relation},
    report::findings,
    verdict::{
        Kind, Mode, NodeDefaults, NodeRuntime, Policy, Profiles, Standard, Workload, review,
    },
};
use serde::Deserialize;

/// A case of the corpus.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// A sentence.
    name: String,
    /// Group and kind of the object: `apps/Deployment`, `Pod`.
    #[serde(default = "pod")]
    kind: String,
    /// The object, as YAML.
    object: String,
    /// The object before an update.
    old: Option<String>,
    /// The configuration.
    policy: Option<String>,
    #[serde(default = "enforce")]
    mode: String,
    /// What is known of profiles: the relation to every baseline, or `NAME@BASELINE`.
    #[serde(default)]
    profiles: HashMap<String, String>,
    /// The cluster's Linux nodes, with what they say of their runtimes.
    #[serde(default)]
    nodes: BTreeMap<String, String>,
    /// What must come out.
    allowed: bool,
    verdict: String,
    /// `subject: reason (field)`, with ` inherited` behind it, in order.
    #[serde(default)]
    findings: Vec<String>,
}

fn pod() -> String {
    "Pod".to_owned()
}

fn enforce() -> String {
    "enforce".to_owned()
}

struct Relations(HashMap<String, String>);

impl Profiles for Relations {
    fn comparison(&self, name: &str, baseline: Baseline) -> Option<Arc<Comparison>> {
        let known = self
            .0
            .get(&format!("{name}@{baseline}"))
            .or_else(|| self.0.get(name))?;
        let relation = match known.as_str() {
            "equal" => Relation::Equal,
            "incomparable" => Relation::Incomparable,
            "stronger" => Relation::Stronger,
            "weaker" => Relation::Weaker,
            why => Relation::Unknown {
                why: why.to_owned(),
            },
        };
        Some(Arc::new(Comparison {
            relation,
            witnesses: Vec::new(),
            stricter: None,
        }))
    }
}

fn main() -> ExitCode {
    corpus::main("verdict", 90, |case: &Case| &case.name, run)
}

fn run(case: &Case) -> Result<()> {
    let (group, kind) = case.kind.split_once('/').unwrap_or(("", &case.kind));
    let kind = Kind::of(group, kind).context("a kind that holds a pod")?;
    let policy: Policy = case
        .policy
        .as_deref()
        .map(serde_saphyr::from_str)
        .transpose()?
        .unwrap_or_default();
    let mode = Mode::named(&case.mode).context("a mode")?;
    let (object, old) = (
        json(&case.object)?,
        case.old.as_deref().map(json).transpose()?,
    );
    let workload = Workload::parse(kind, &object);
    let nodes = case.nodes.iter();
    let nodes = nodes.map(|(name, version)| (name.as_str().into(), NodeRuntime::of(version)));
    let standard = Standard {
        policy: &policy,
        nodes: Some(&NodeDefaults::new(nodes.collect())),
        profiles: &Relations(case.profiles.clone()),
        generated: None,
    };
    let (judgements, decision) = review(&workload, old.as_deref(), mode, standard);
    let found: Vec<String> = findings(kind, &judgements)
        .iter()
        .map(|finding| {
            let inherited = if finding.inherited { " inherited" } else { "" };
            format!(
                "{}: {} ({}){inherited}",
                finding.subject, finding.reason, finding.field
            )
        })
        .collect();
    ensure!(
        found == case.findings,
        "findings {found:#?}\nexpected {:#?}",
        case.findings
    );
    ensure!(
        decision.verdict.as_str() == case.verdict,
        "verdict {}",
        decision.verdict.as_str()
    );
    ensure!(
        decision.allowed == case.allowed,
        "allowed {}",
        decision.allowed
    );
    Ok(())
}

fn json(yaml: &str) -> Result<String> {
    let value: serde_json::Value = serde_saphyr::from_str(yaml)?;
    Ok(value.to_string())
}
