//! Findings, and every way to show them: one value, many renderings.
//!
//! A [`Finding`] is made from a judgement once; the denial message, warnings, audit annotations ([`text`]) and the
//! reports of the command line (text, JSON, [`junit`], [`sarif`]) show the same words.

pub mod comparison;
mod finding;
pub mod frame;
pub mod junit;
mod object;
pub mod sarif;
pub mod text;
pub mod whitelist;

pub use finding::{Finding, Place, findings};
pub use object::{ObjectReport, Outcome, Report, Skipped};
