//! Which profiles a pod, or a template, needs: nobody gets one for a name that is not its own.

use crate::{
    cluster::PullSecrets,
    compare::Baseline,
    image::ImageDigest,
    verdict::Policy,
    whitelist::{
        ClusterTerms, PodContainer, PodTemplate, ProfileRequest, Recorded, Stage, generated,
    },
};

/// A profile that somebody needs.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    /// Its name.
    pub(crate) name: String,
    /// All that decides it.
    pub(crate) request: ProfileRequest,
    /// With whose credentials its image may be read.
    pub(crate) secrets: PullSecrets,
}

/// The profiles that a pod needs: of each container whose profile has a generated name, if that is really the name of what the
/// pod says of it. A name of an earlier configuration has its profile already, or none.
pub(crate) fn of_pod(
    pod: &PodTemplate<'_>,
    namespace: &str,
    policy: &Policy,
    baselines: &[Baseline],
) -> Vec<Need> {
    let Recorded(digests) = Recorded::of(pod);
    let needs = pod.containers().filter_map(|(_, _, container)| {
        let name = generated(pod, container)?;
        let digest: ImageDigest = digests.get(container.name())?.parse().ok()?;
        let terms = baselines
            .iter()
            .flat_map(|baseline| [(baseline, Stage::Enforce), (baseline, Stage::Audit)])
            .map(|(baseline, stage)| ClusterTerms::new(&policy.whitelist, *baseline, stage));
        let mut requests =
            terms.map(|terms| ProfileRequest::of(pod, container, digest, &terms));
        let Some(request) = requests.find(|request| request.name() == name) else {
            tracing::warn!(namespace, profile = %crate::report::text::quote(name), "a pod's profile has not the name of what it runs, so it is not made");
            return None;
        };
        Some(need(pod, namespace, request))
    });
    needs.collect()
}

/// What a container of a template needs, whose image has this digest.
pub(crate) fn of_container(
    pod: &PodTemplate<'_>,
    container: &PodContainer<'_>,
    namespace: &str,
    policy: &Policy,
    (digest, baseline, stage): (ImageDigest, Baseline, Stage),
) -> Need {
    let terms = ClusterTerms::new(&policy.whitelist, baseline, stage);
    let request = ProfileRequest::of(pod, container, digest, &terms);
    need(pod, namespace, request)
}

fn need(pod: &PodTemplate<'_>, namespace: &str, request: ProfileRequest) -> Need {
    Need {
        name: request.name(),
        request,
        secrets: secrets(pod, namespace),
    }
}

/// With whose credentials a pod's images may be read.
pub(crate) fn secrets(pod: &PodTemplate<'_>, namespace: &str) -> PullSecrets {
    PullSecrets::new(namespace, pod.service_account(), pod.pull_secrets())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Need, of_pod};
    use crate::{
        compare::{Baseline, Runtime},
        image::ImageDigest,
        verdict::Policy,
        whitelist::{ClusterTerms, PodTemplate, ProfileRequest, Stage},
    };

    const BASELINE: Baseline = Baseline::newest(Runtime::Containerd);

    fn pod(profile: &str, digest: &str) -> String {
        json!({
            "metadata": { "annotations": { "armorgate.dev/images": json!({ "web": digest }).to_string() } },
            "spec": { "serviceAccountName": "s", "imagePullSecrets": [{ "name": "p" }], "containers": [{
                "name": "web", "image": "nginx:1", "args": ["a"],
                "securityContext": { "appArmorProfile": { "type": "Localhost", "localhostProfile": profile } },
            }] },
        })
        .to_string()
    }

    fn needs(text: &str) -> Vec<Need> {
        let pod: PodTemplate<'_> = serde_json::from_str(text).unwrap();
        of_pod(&pod, "shop", &Policy::default(), &[BASELINE])
    }

    #[test]
    fn a_pod_gets_the_profile_of_its_own_name_only() {
        let digest = ImageDigest::of(b"image");
        let text = pod("", &digest.to_string());
        let template: PodTemplate<'_> = serde_json::from_str(&text).unwrap();
        let (_, _, container) = template.containers().next().unwrap();
        for stage in [Stage::Enforce, Stage::Audit] {
            let rules = Policy::default().whitelist;
            let terms = ClusterTerms::new(&rules, BASELINE, stage);
            let name = ProfileRequest::of(&template, container, digest, &terms).name();
            // A node of another patch version asks for the same, one with another template does not.
            for (baseline, is_same) in [("containerd@2.4.1", true), ("containerd@2.2.1", false)] {
                let terms = ClusterTerms::new(&rules, baseline.parse().unwrap(), stage);
                let other = ProfileRequest::of(&template, container, digest, &terms);
                assert_eq!(other.name() == name, is_same, "{baseline}");
            }
            let needs = needs(&pod(&name, &digest.to_string()));
            assert_eq!(needs[0].name, name);
            assert_eq!(needs[0].secrets.names(), ["p"]);
            assert_eq!(needs[0].secrets.service_account, "s");
            // Of another image, or of other arguments.
            let other = ImageDigest::of(b"other").to_string();
            assert!(super::tests::needs(&pod(&name, &other)).is_empty());
            let args = pod(&name, &digest.to_string()).replace(r#"["a"]"#, r#"["b"]"#);
            assert!(super::tests::needs(&args).is_empty());
            assert!(super::tests::needs(&pod(&name, "sha256:x")).is_empty());
        }
        // As it is named before Kubernetes 1.30.
        let rules = Policy::default().whitelist;
        let terms = ClusterTerms::new(&rules, BASELINE, Stage::Enforce);
        let name = ProfileRequest::of(&template, container, digest, &terms).name();
        let mut legacy: serde_json::Value = text.parse().unwrap();
        let key = "container.apparmor.security.beta.kubernetes.io/web";
        legacy["metadata"]["annotations"][key] = format!("localhost/{name}").into();
        legacy["spec"]["containers"][0]["securityContext"] = json!(null);
        assert_eq!(needs(&legacy.to_string())[0].name, name);
        for name in ["", "web", "armorgate.", "armorgate.nginx.0123456789abcdef"] {
            assert!(needs(&pod(name, &digest.to_string())).is_empty(), "{name}");
        }
    }
}
