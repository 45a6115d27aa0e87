//! What a pod says about a container, as far as it decides which programs run.

use std::sync::Arc;

use crate::image::tree::Tree;

/// A container's part of a pod, in strings of its own, or borrowed from the pod's text. The default says nothing: the image runs as
/// it is.
#[derive(Clone, Debug, Default)]
pub struct Workload<S = String> {
    /// `command`; empty is the same as absent.
    pub command: Vec<S>,
    /// `args`; empty is the same as absent.
    pub args: Vec<S>,
    /// `env`, with what `envFrom` brings where that is known.
    pub env: Vec<PodVariable<S>>,
    /// Whether there may be variables besides `env`: an `envFrom` that was not read.
    pub unread_env: bool,
    /// `workingDir`
    pub working_dir: Option<S>,
    /// The commands of the `exec` probes.
    pub probes: Vec<Vec<S>>,
    /// The commands of the `exec` lifecycle hooks.
    pub hooks: Vec<Vec<S>>,
    /// What is mounted over the image.
    pub mounts: Vec<Mount<S>>,
    /// Programs that somebody asked for besides: absolute paths.
    pub allow_exec: Vec<S>,
}

impl Workload<&str> {
    /// The same in strings of its own.
    #[must_use]
    pub fn to_owned(&self) -> Workload {
        let strings = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let commands =
            |commands: &[Vec<&str>]| commands.iter().map(|words| strings(words)).collect();
        Workload {
            command: strings(&self.command),
            args: strings(&self.args),
            env: self.env.iter().map(PodVariable::to_owned).collect(),
            unread_env: self.unread_env,
            working_dir: self.working_dir.map(str::to_owned),
            probes: commands(&self.probes),
            hooks: commands(&self.hooks),
            mounts: self.mounts.iter().map(Mount::to_owned).collect(),
            allow_exec: strings(&self.allow_exec),
        }
    }
}

/// A variable of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodVariable<S = String> {
    /// Its name.
    pub name: S,
    /// Its value; none where it comes from what was not read, such as a Secret.
    pub value: Option<S>,
}

impl PodVariable<&str> {
    fn to_owned(&self) -> PodVariable {
        PodVariable {
            name: self.name.to_owned(),
            value: self.value.map(str::to_owned),
        }
    }
}

/// Something that is mounted over the image.
#[derive(Clone, Debug)]
pub struct Mount<S = String> {
    /// `mountPath`, absolute.
    pub path: S,
    /// Whether the container cannot write there.
    pub read_only: bool,
    /// What is there.
    pub kind: MountKind,
}

impl Mount<&str> {
    fn to_owned(&self) -> Mount {
        Mount {
            path: self.path.to_owned(),
            read_only: self.read_only,
            kind: self.kind.clone(),
        }
    }
}

/// What a mount brings.
#[derive(Clone, Debug)]
pub enum MountKind {
    /// A ConfigMap, Secret or projected volume: links to files in a folder with a time in its name.
    ConfigMap {
        /// Its files; none where it was not read.
        files: Option<Vec<ConfigFile>>,
    },
    /// One file of such a volume, by `subPath`: the mounted path is the file itself.
    ConfigMapFile {
        /// The file, its name unused; none where it was not read.
        file: Option<ConfigFile>,
    },
    /// An `emptyDir`: empty, or what an init container put there.
    EmptyDir,
    /// An image as a volume.
    Image {
        /// Its files.
        tree: Arc<Tree>,
        /// `subPath`, or empty.
        sub_path: String,
    },
    /// Anything else: a claim, a folder of the node.
    Opaque,
}

/// A file of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its path in the volume.
    pub name: String,
    /// Its bytes; none where they were not read.
    pub text: Option<Vec<u8>>,
    /// Its permission bits: `defaultMode`, `items[].mode`.
    pub mode: u32,
}
