//! One file per kind of rule: from the words to entries.

mod addresses;
pub(super) mod all;
pub(super) mod capability;
pub(super) mod change_profile;
mod conditions;
pub(crate) mod dbus;
pub mod file;
mod file_mode;
pub(crate) mod io_uring;
pub(crate) mod mount;
mod mount_options;
pub(crate) mod mqueue;
pub(super) mod network;
mod network_strings;
mod permissions;
pub(crate) mod ptrace;
pub(super) mod rlimit;
pub(crate) mod signal;
pub(crate) mod sockets;
pub(super) mod unix;
pub(crate) mod userns;
