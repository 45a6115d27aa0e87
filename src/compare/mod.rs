//! How one AppArmor policy relates to another by what it permits.
//!
//! A policy is a set of languages, one per class of mediation: the strings for which the kernel would say yes. Whether one is
//! a subset of another is decided by walking both automata together, never by comparing texts and never by trying
//! examples; each difference is a shortest string that proves it, with the rules that explain it.

mod ask;
mod baseline;
mod classes;
mod domain;
mod execs;
mod fix;
mod links;
mod moves;
mod relation;
mod side;
mod walk;
mod witness;
mod yardstick;

pub use ask::{Answer, Question, ask, ask_capability};
pub use baseline::{
    AbiLine, Baseline, BaselineError, Era, NoVersion, ProcessPattern, PtraceWithin, Rules, Runtime,
    Sender, Template, Version,
};
pub use fix::{FixError, fix};
pub use relation::{Comparison, MAX_WITNESSES, Relation, Subject, compare, compare_within};
pub use witness::{Asked, Explanation, Move, Whose, Witness};
pub use yardstick::Yardstick;
