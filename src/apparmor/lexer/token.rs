//! What the lexer finds.

use crate::apparmor::ast::{AssignmentOperator, Comparison};

/// A piece of text with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::apparmor) struct Token {
    /// What it is.
    pub(in crate::apparmor) kind: TokenKind,
    /// Offset of its first byte.
    pub(in crate::apparmor) start: usize,
    /// Offset of the byte after its last.
    pub(in crate::apparmor) end: usize,
}

/// What a piece of text is. It depends on what stands in front of it: `deny` is a keyword here and a name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::apparmor) enum TokenKind {
    /// `and`
    And,
    /// `->`
    Arrow,
    /// `+=`, `?=` or `:=`; a plain `=` is [`TokenKind::Equals`].
    Assign(AssignmentOperator),
    /// `$NAME`
    BooleanVariable,
    /// `^`
    Caret,
    /// `}`
    Close,
    /// `)`
    CloseParenthesis,
    /// `:`
    Colon,
    /// The comma that ends a rule.
    Comma,
    /// `# …`
    Comment,
    /// `==`, `in`, …
    Compare(Comparison),
    /// A name that `=` or `in (` follows, or any name in a group's parentheses.
    ConditionName,
    /// `defined`
    Defined,
    /// The end of the file.
    End,
    /// `=`
    Equals,
    /// `flags`, with `=` behind it
    Flags,
    /// `peer` or `xattrs`, with `=(` behind it
    GroupName,
    /// `hat`
    Hat,
    /// `identities`, with `=` behind it
    Identities,
    /// `in`, of a condition
    In,
    /// `include` or `#include`, with or without `if exists`
    Include { hash: bool, if_exists: bool },
    /// A word that opens a rule or qualifies one.
    Keyword(Keyword),
    /// `<=`, of an rlimit
    LessOrEqual,
    /// `not`
    Not,
    /// `{`
    Open,
    /// `(`
    OpenParenthesis,
    /// `or`
    Or,
    /// The word of a permission, such as `send`, where a rule's permissions may stand.
    Permission,
    /// Permission letters, such as `rwPx`.
    PermissionLetters,
    /// `+`
    Plus,
    /// `priority`, with `=` behind it
    Priority,
    /// `profile`
    Profile,
    /// What stands between `<` and `>`.
    SearchedPath,
    /// `@{NAME}` and nothing more
    SetVariable,
    /// What cannot stand here.
    Unexpected,
    /// A value, of a list or behind `=`.
    Value,
    /// A name, a path, a label.
    Word,
}

/// The keywords that are keywords wherever a statement may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::apparmor) enum Keyword {
    Abi,
    Alias,
    All,
    Allow,
    Audit,
    Capability,
    ChangeProfile,
    Dbus,
    Deny,
    Else,
    File,
    If,
    IoUring,
    Link,
    Mount,
    Mqueue,
    Network,
    Other,
    OverrideCreds,
    Owner,
    PivotRoot,
    Prompt,
    Ptrace,
    Remount,
    /// A keyword that begins nothing: `peer`, `send`.
    Reserved,
    Rlimit,
    Safe,
    Set,
    Signal,
    Sqpoll,
    Subset,
    Umount,
    Unix,
    Unsafe,
    Userns,
}

impl TokenKind {
    /// What a word is that stands where a statement may begin.
    pub(super) fn of_word(word: &[u8]) -> Self {
        Self::Keyword(match word {
            b"abi" => Keyword::Abi,
            b"alias" | b"rewrite" => Keyword::Alias,
            b"all" => Keyword::All,
            b"allow" => Keyword::Allow,
            b"audit" => Keyword::Audit,
            b"capability" => Keyword::Capability,
            b"change_profile" => Keyword::ChangeProfile,
            b"dbus" => Keyword::Dbus,
            b"deny" => Keyword::Deny,
            b"else" => Keyword::Else,
            b"file" => Keyword::File,
            b"if" => Keyword::If,
            b"io_uring" => Keyword::IoUring,
            b"link" => Keyword::Link,
            b"mount" => Keyword::Mount,
            b"mqueue" => Keyword::Mqueue,
            b"network" => Keyword::Network,
            b"other" => Keyword::Other,
            b"override_creds" => Keyword::OverrideCreds,
            b"owner" | b"user" => Keyword::Owner,
            b"pivot_root" => Keyword::PivotRoot,
            b"prompt" => Keyword::Prompt,
            b"ptrace" => Keyword::Ptrace,
            b"remount" => Keyword::Remount,
            b"rlimit" => Keyword::Rlimit,
            b"safe" => Keyword::Safe,
            b"set" => Keyword::Set,
            b"signal" => Keyword::Signal,
            b"sqpoll" => Keyword::Sqpoll,
            b"subset" => Keyword::Subset,
            b"umount" | b"unmount" => Keyword::Umount,
            b"unix" => Keyword::Unix,
            b"unsafe" => Keyword::Unsafe,
            b"userns" => Keyword::Userns,
            b"and" | b"bind" | b"defined" | b"delete" | b"eavesdrop" | b"in" | b"not" | b"or"
            | b"peer" | b"priority" | b"read" | b"readby" | b"receive" | b"send" | b"trace"
            | b"tracedby" | b"write" => Keyword::Reserved,
            // The parser's word for the permission of message queues is that of the brace.
            b"open" => return Self::Open,
            _ => return Self::Word,
        })
    }
}
