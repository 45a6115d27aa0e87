//! `/mutate` and pods that no API server has looked at yet: as many of everything as are read, and more.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{Server, review};

/// An image that nobody need be asked about.
const IMAGE: &str = "web@sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Elements of one list that are read.
const MOST: usize = 10_000;

fn server(on_unresolved: &str) -> Result<Server> {
    Server::configured(&json!({
        "baselines": ["containerd"], "modes": { "whitelist": "enforce" },
        "whitelist": { "allowExec": true, "onUnresolved": on_unresolved, "localhost": "deny" },
    }))
}

fn mutate(server: &Server, pod: &Value) -> Result<Value> {
    let answer = server.post_to("/mutate", review(pod).to_string().as_bytes())?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(serde_json::from_str::<Value>(&answer.text)?["response"].take())
}

/// What containers share is read once, not once for each: it is answered before the client's patience ends.
#[test]
fn what_many_containers_share_is_read_once() -> Result<()> {
    let server = server("allow")?;
    // As much as is read of each.
    let digests: serde_json::Map<String, Value> = (0..20_000)
        .map(|number| (format!("c{number}"), "".into()))
        .collect();
    let named = json!({ "appArmorProfile": { "type": "Localhost", "localhostProfile": "armorgate.web.0" } });
    let images = json!({ "armorgate.dev/images": Value::Object(digests).to_string() });
    let asked = json!({ "armorgate.dev/allow-exec.a": "/bin/x,".repeat(585) });
    let volumes: Vec<Value> = (0..MOST)
        .map(|number| json!({ "name": format!("v{number}") }))
        .collect();
    let padded = json!({ "type": "Localhost", "localhostProfile": " ".repeat(1 << 20) });
    let mount = json!([{ "name": "v0", "mountPath": "/mnt" }]);
    for (annotations, context, container) in [
        (images, &named, json!({ "image": IMAGE })),
        (
            asked.clone(),
            &json!(null),
            json!({ "name": "a", "image": IMAGE }),
        ),
        (asked, &named, json!({ "name": "a", "image": IMAGE })),
        (
            json!({}),
            &json!({ "appArmorProfile": padded }),
            json!({ "image": IMAGE }),
        ),
        (
            json!({}),
            &json!(null),
            json!({ "image": IMAGE, "volumeMounts": mount }),
        ),
    ] {
        let pod = json!({
            "metadata": { "annotations": annotations },
            "spec": { "securityContext": context, "volumes": volumes, "containers": vec![container; MOST] },
        });
        for path in ["/mutate", "/validate"] {
            let answer = server.post_to(path, review(&pod).to_string().as_bytes())?;
            ensure!(answer.status == 200, "{path}: {}", answer.status);
        }
    }
    server.is_unharmed()
}

#[test]
fn a_pod_with_more_than_is_read_does_not_pass_in_silence() -> Result<()> {
    let arguments = json!({ "spec": { "containers": [{ "name": "web", "image": IMAGE, "args": vec!["x"; MOST + 1] }] } });
    let annotations: serde_json::Map<String, Value> = (0..=MOST)
        .map(|number| (format!("armorgate.dev/{number}"), "".into()))
        .collect();
    let annotated = json!({
        "metadata": { "annotations": annotations },
        "spec": { "containers": [{ "name": "web", "image": IMAGE }] },
    });
    let (allowing, denying) = (server("allow")?, server("deny")?);
    for pod in [arguments, annotated] {
        let allowed = mutate(&allowing, &pod)?;
        let warning = allowed["warnings"][0].as_str().unwrap_or_default();
        ensure!(
            allowed["allowed"] == true
                && warning.contains("the pod cannot be read: more than 10000")
                && warning.ends_with("the runtime's default profile holds"),
            "{allowed}"
        );
        let denied = mutate(&denying, &pod)?;
        ensure!(denied["allowed"] == false, "{denied}");
    }
    // What cannot be read may not name a profile that was generated for something else.
    let named = json!({ "type": "Localhost", "localhostProfile": "armorgate.web.0" });
    let unread = json!({ "spec": { "containers": [{
        "name": "web", "image": IMAGE, "args": vec!["x"; MOST + 1], "securityContext": { "appArmorProfile": named },
    }] } });
    let answer = allowing.review(&unread)?;
    let message = answer["status"]["message"].as_str().unwrap_or_default();
    ensure!(
        answer["allowed"] == false && message.contains("the pod cannot be read"),
        "{answer}"
    );
    // One that asks for too much besides gets nothing of it.
    let much = |context: &Value| {
        json!({
            "metadata": { "annotations": { "armorgate.dev/allow-exec.web": "/x,".repeat(10_000) } },
            "spec": { "containers": [{ "name": "web", "image": IMAGE, "securityContext": context }] },
        })
    };
    let answer = mutate(&allowing, &much(&json!(null)))?;
    let warning = answer["warnings"][0].as_str().unwrap_or_default();
    ensure!(warning.contains("is over 4 KiB"), "{answer}");
    let answer = mutate(&denying, &much(&json!(null)))?;
    ensure!(answer["allowed"] == false, "{answer}");
    // It is no way around what is said of the container's own profile.
    let own = json!({ "appArmorProfile": { "type": "Localhost", "localhostProfile": "own" } });
    let answer = mutate(&denying, &much(&own))?;
    let message = answer["status"]["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("a profile of its own is refused here"),
        "{answer}"
    );
    Ok(())
}
