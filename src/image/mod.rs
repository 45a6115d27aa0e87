//! Container images: from a name to the image's configuration and file tree.
//!
//! Nothing is unpacked or run. Pure but for `archive`, `cache`, `layout` and `registry`, which read and write.

pub mod config;
mod content;
pub mod digest;
mod elf;
pub mod layer;
pub mod limits;
pub mod platform;
pub mod reference;
pub mod tree;
