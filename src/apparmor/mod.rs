//! The AppArmor policy language.
//!
//! So far as much of it as tells which profiles a file declares: [`declarations`]. What `apparmor_parser` accepts is
//! `apparmor.d(5)`; its lexer decides what a word, a comment and a block are.

mod declarations;
mod words;

pub use declarations::{Declaration, DeclarationError, DeclarationErrorKind, declarations};
