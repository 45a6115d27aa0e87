//! The AppArmor policy language.
//!
//! Text becomes tokens (`lexer`), tokens a tree ([`parser`], [`ast`]), the tree of a file and of what it includes
//! ([`mod@include`]) a [`model`] of what its profiles permit. The language is that of AppArmor 5.0: `apparmor.d(5)`, and where that is
//! silent what `apparmor_parser` does.

pub mod ast;
pub mod automaton;
pub mod diagnostic;
pub mod glob;
pub mod include;
mod lexer;
pub mod model;
pub mod parser;
pub mod pattern;
pub mod printer;
pub mod quoting;
pub mod source;
pub mod variables;
