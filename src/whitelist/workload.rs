//! What a pod says about a container, as far as it decides which programs run.

use std::sync::Arc;

use crate::image::tree::Tree;

/// A container's part of a pod. The default says nothing: the image runs as it is.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// `command`; empty is the same as absent.
    pub command: Vec<String>,
    /// `args`; empty is the same as absent.
    pub args: Vec<String>,
    /// `env`, with what `envFrom` brings where that is known.
    pub env: Vec<PodVariable>,
    /// Whether there may be variables besides `env`: an `envFrom` that was not read.
    pub unread_env: bool,
    /// `workingDir`
    pub working_dir: Option<String>,
    /// The commands of the `exec` probes.
    pub probes: Vec<Vec<String>>,
    /// The commands of the `exec` lifecycle hooks.
    pub hooks: Vec<Vec<String>>,
    /// What is mounted over the image.
    pub mounts: Vec<Mount>,
    /// Programs that somebody asked for besides: absolute paths.
    pub allow_exec: Vec<String>,
}

/// A variable of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodVariable {
    /// Its name.
    pub name: String,
    /// Its value; none where it comes from what was not read, such as a Secret.
    pub value: Option<String>,
}

/// Something that is mounted over the image.
#[derive(Clone, Debug)]
pub struct Mount {
    /// `mountPath`, absolute.
    pub path: String,
    /// Whether the container cannot write there.
    pub read_only: bool,
    /// What is there.
    pub kind: MountKind,
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
