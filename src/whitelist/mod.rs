//! Which programs a container needs.

pub(crate) mod script;
