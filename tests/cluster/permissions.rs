//! `deploy/` as users apply it: accepted by the API server, and asking for no more than it needs.

use anyhow::{Result, ensure};

use crate::Cluster;

/// The API server has taken all of `deploy/`, and its pod template passes the restricted Pod Security of its own namespace.
pub(crate) fn deploy_is_accepted(cluster: &Cluster) -> Result<()> {
    let deployment = cluster.plane.must(&[
        "-n",
        "armorgate",
        "get",
        "deployment",
        "armorgate",
        "-o",
        "json",
    ])?;
    let deployment: serde_json::Value = serde_json::from_str(&deployment)?;
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["name"] = "armorgate-as-a-pod".into();
    template["apiVersion"] = "v1".into();
    template["kind"] = "Pod".into();
    let ran = cluster.create("armorgate", &template.to_string())?;
    ensure!(ran.ok, "{ran:?}");
    ensure!(!ran.stderr.contains("would violate"), "{ran:?}");
    // The level is really enforced there.
    let ran = cluster.create("armorgate", &crate::pod("not-restricted", "{}"))?;
    ensure!(
        !ran.ok && ran.stderr.contains("violates PodSecurity \"restricted"),
        "{ran:?}"
    );
    for object in ["service/armorgate", "poddisruptionbudget/armorgate"] {
        ensure!(cluster.exists("armorgate", object)?, "{object}");
    }
    Ok(())
}

/// It has worked with this token only, and the token may do no more.
pub(crate) fn least_privilege(cluster: &Cluster) -> Result<()> {
    let account = "--as=system:serviceaccount:armorgate:armorgate";
    // The group comes with every service account's real token, too.
    let groups = "--as-group=system:serviceaccounts";
    let can = |verb: &str, what: &str| -> Result<bool> {
        Ok(cluster
            .plane
            .kubectl(&["auth", "can-i", verb, what, account, groups, "-A"])?
            .stdout
            .starts_with("yes"))
    };
    for what in WATCHED {
        for verb in ["list", "watch"] {
            ensure!(can(verb, what)?, "may not {verb} {what}");
        }
    }
    for what in [
        "namespaces",
        "pods",
        "secrets",
        "configmaps",
        "validatingwebhookconfigurations",
        "nodes",
    ] {
        for verb in [
            "get", "list", "watch", "create", "update", "patch", "delete",
        ] {
            if WATCHED.contains(&what) && matches!(verb, "list" | "watch") {
                continue;
            }
            ensure!(!can(verb, what)?, "may {verb} {what}");
        }
    }
    // And whatever else there is: only what everybody may who is known.
    let rules =
        cluster
            .plane
            .must(&["auth", "can-i", "--list", account, groups, "--no-headers"])?;
    let own: Vec<&str> = rules
        .lines()
        .filter(|line| !line.starts_with(' ') && !line.starts_with("self"))
        .collect();
    ensure!(own.len() == WATCHED.len(), "{rules}");
    for what in WATCHED {
        let rule = own
            .iter()
            .find(|rule| rule.starts_with(&format!("{what} ")));
        ensure!(
            rule.is_some_and(|rule| rule.ends_with("[list watch]")),
            "{rules}"
        );
    }
    Ok(())
}

/// What may be listed and watched.
const WATCHED: [&str; 3] = ["namespaces", "nodes", "apparmorprofiles.armorgate.dev"];
