//! The node: loads the profiles that its pods name, and says what it has loaded.
//!
//! Of the cluster it hears which profiles the node's own pods name and what their texts are; [`plan`] decides what is to be
//! done, [`Node`] looks and does it, and what came of it goes into the node's one `NodeProfiles` object. It unloads nothing that
//! is not its own, nothing that is in use or that a pod names, and nothing when it stops. It reads no events of the kernel.

mod files;
mod fingerprint;
mod follow;
mod health;
mod kernel;
mod name;
mod node;
mod parser;
pub mod plan;
mod status;
mod text;

pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use follow::{Agent, run};
pub use health::Health;
pub use kernel::Kernel;
pub use name::ProfileName;
pub use node::{Node, NodeError, Options, ProfileReport, Report, Text, Wishes};
pub use parser::{Parser, ParserError};
