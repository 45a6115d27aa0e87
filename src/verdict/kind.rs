//! The Kubernetes kinds that hold a pod or a pod template.

use super::path::FieldPath;

/// A Kubernetes kind that holds a pod or a pod template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `batch` `CronJob`
    CronJob,
    /// `apps` `DaemonSet`
    DaemonSet,
    /// `apps` `Deployment`
    Deployment,
    /// `batch` `Job`
    Job,
    /// core `Pod`
    Pod,
    /// core `PodTemplate`
    PodTemplate,
    /// `apps` `ReplicaSet`
    ReplicaSet,
    /// core `ReplicationController`
    ReplicationController,
    /// `apps` `StatefulSet`
    StatefulSet,
}

impl Kind {
    /// The kind of this API group (`""` for the core) and name, or `None` for one that holds no pod.
    #[must_use]
    pub fn of(group: &str, name: &str) -> Option<Self> {
        Some(match (group, name) {
            ("", "Pod") => Self::Pod,
            ("", "PodTemplate") => Self::PodTemplate,
            ("", "ReplicationController") => Self::ReplicationController,
            ("apps", "DaemonSet") => Self::DaemonSet,
            ("apps", "Deployment") => Self::Deployment,
            ("apps", "ReplicaSet") => Self::ReplicaSet,
            ("apps", "StatefulSet") => Self::StatefulSet,
            ("batch", "CronJob") => Self::CronJob,
            ("batch", "Job") => Self::Job,
            _ => return None,
        })
    }

    /// The kind's name as in manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CronJob => "CronJob",
            Self::DaemonSet => "DaemonSet",
            Self::Deployment => "Deployment",
            Self::Job => "Job",
            Self::Pod => "Pod",
            Self::PodTemplate => "PodTemplate",
            Self::ReplicaSet => "ReplicaSet",
            Self::ReplicationController => "ReplicationController",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// Where the pod (its `metadata` and `spec`) lies in an object of this kind.
    #[must_use]
    pub fn pod_path(self) -> FieldPath {
        FieldPath::of(match self {
            Self::CronJob => &["spec", "jobTemplate", "spec", "template"],
            Self::Pod => &[],
            Self::PodTemplate => &["template"],
            _ => &["spec", "template"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_kind_of_another_group_holds_no_pod() {
        assert_eq!(Kind::of("apps", "Deployment"), Some(Kind::Deployment));
        assert_eq!(Kind::of("serving.example", "Deployment"), None);
        assert_eq!(Kind::of("", "Service"), None);
    }
}
