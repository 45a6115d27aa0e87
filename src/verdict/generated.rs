//! The names of generated profiles that a pod's own images and commands give: no other such name is its own.
//!
//! A profile that was made for another image allows the programs of that image. A pod that names it would borrow its list.

use std::{collections::HashMap, sync::Arc};

/// What each container of a pod may be called to run under, of generated profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneratedNames {
    /// Whether another name is refused.
    pub are_enforced: bool,
    /// The name by the container's own name, or why it cannot be told.
    pub names: HashMap<String, Result<String, Arc<str>>>,
    /// Why the name of any other container cannot be told, where that is so.
    pub otherwise: Option<Arc<str>>,
}

/// What a generated profile's name is to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// It is of another image or command; where it can be told, what the right one is.
    Borrowed(Option<String>),
    /// It is as good as any.
    Free,
    /// It is the container's own.
    Own,
    /// It cannot be told: why.
    Untold(Arc<str>),
}

impl GeneratedNames {
    /// No name can be told: why.
    pub(crate) fn untold(are_enforced: bool, why: &str) -> Self {
        Self {
            are_enforced,
            names: HashMap::new(),
            otherwise: Some(why.into()),
        }
    }

    pub(super) fn ownership(&self, container: &str, profile: &str) -> Ownership {
        match self.names.get(container) {
            Some(Ok(own)) if own == profile => Ownership::Own,
            _ if !self.are_enforced => Ownership::Free,
            Some(Ok(own)) => Ownership::Borrowed(Some(own.clone())),
            Some(Err(why)) => Ownership::Untold(Arc::clone(why)),
            None => match &self.otherwise {
                Some(why) => Ownership::Untold(Arc::clone(why)),
                None => Ownership::Borrowed(None),
            },
        }
    }
}
