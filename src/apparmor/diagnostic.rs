//! What is wrong with a policy, and where.

use super::source::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// `apparmor_parser` refuses the policy.
    Error,
    /// It is accepted, and hardly means what it says.
    Warning,
}

/// LIMIT: errors of a policy, and warnings; further ones are hardly about something else.
pub const MAX_DIAGNOSTICS: usize = 100;

/// The code of errors about how large a policy is. What stands behind is not looked at further.
pub(crate) const TOO_LARGE: &str = "too-large";

/// Findings, not too many: the first hundred errors, and the first hundred warnings.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    errors: usize,
    too_large: bool,
}

impl Diagnostics {
    /// Adds one, if there is room. An error is never left out for warnings.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let is_error = diagnostic.severity == Severity::Error;
        self.too_large |= diagnostic.code == TOO_LARGE;
        let count = if is_error {
            self.errors
        } else {
            self.list.len() - self.errors
        };
        if count < MAX_DIAGNOSTICS {
            self.errors += usize::from(is_error);
            self.list.push(diagnostic);
        }
    }

    /// Whether the policy was found too large, which ends every look at it.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.too_large
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in the order in which they were added.
    #[must_use]
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.list
    }
}

/// One finding about a policy's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable name of the rule that was broken, in kebab case.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub span: Span,
    /// What, in one line of lower case, without an end mark.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Something that `apparmor_parser` refuses.
    #[must_use]
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            span,
            message: message.into(),
            help: None,
        }
    }

    /// A policy that is larger than one can be.
    #[must_use]
    pub(crate) fn too_large(span: Span, message: impl Into<String>) -> Self {
        Self::error(TOO_LARGE, span, message).help("no policy is that large: split it")
    }

    /// Something that is accepted and hardly meant.
    #[must_use]
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// With what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
