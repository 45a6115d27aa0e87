//! The syntax tree: what the text says, word for word, before anything is looked up.
//!
//! Words stay as written, quotes and escapes included, so that a tree prints back to text which parses to the same tree.
//! Grammar: `apparmor.d(5)`, and where that is silent what `apparmor_parser` 5.0 accepts.

use super::source::Located;

/// A word as written, with its quotes and escapes.
pub type Word = Located<Vec<u8>>;

/// A comment, from its `#` to before the end of its line.
pub type Comment = Located<Vec<u8>>;

/// A file, or the text that an include brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Everything in it, in order.
    pub items: Vec<Item>,
    /// Comments after the last item.
    pub comments: Vec<Comment>,
}

/// `{ … }`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// What stands in it.
    pub items: Vec<Item>,
    /// Comments after the last item.
    pub comments: Vec<Comment>,
}

/// A statement with the comments around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Comments on the lines above.
    pub comments: Vec<Comment>,
    /// The statement.
    pub statement: Located<Statement>,
    /// The comment on its last line.
    pub remark: Option<Comment>,
}

/// What can stand in a file or a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `abi <abi/4.0>,`
    Abi(IncludePath),
    /// `alias /home/ -> /mnt/users/,`
    Alias {
        /// The prefix.
        from: Word,
        /// What may stand for it.
        to: Word,
    },
    /// `@{HOME} = /home/*/ /root/`
    Assignment(Assignment),
    /// `$debug = true`, `$loud = $debug and not defined @{QUIET}`
    BooleanAssignment {
        /// `${NAME}` or `$NAME`
        variable: Word,
        /// How; never [`AssignmentOperator::Add`].
        operator: AssignmentOperator,
        /// What.
        value: Located<Expression>,
    },
    /// `deny owner { … }`
    Block {
        /// The qualifiers.
        prefix: Prefix,
        /// The rules.
        block: Block,
    },
    /// `if … { … } else { … }`
    If(If),
    /// `include if exists <local/web>`
    Include {
        /// Whether it may be missing.
        if_exists: bool,
        /// Whether it is written `#include`.
        hash: bool,
        /// What.
        path: IncludePath,
    },
    /// `profile web /usr/bin/web flags=(…) { … }`
    Profile(Profile),
    /// A rule.
    Rule {
        /// The qualifiers.
        prefix: Prefix,
        /// What it is about.
        rule: Rule,
    },
}

/// `<path>`, `"path"` or `path`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncludePath {
    /// Whether it is looked up in the search path: written `<…>`.
    pub searched: bool,
    /// The path as written between the angle brackets, or with its quotes.
    pub path: Word,
}

/// A set variable gets values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// `@{NAME}` or `@NAME`
    pub variable: Word,
    /// How.
    pub operator: AssignmentOperator,
    /// What: one or more.
    pub values: Vec<Word>,
}

/// How a variable gets values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AssignmentOperator {
    /// `+=`: more of them; it must be defined.
    Add,
    /// `?=`: unless it is defined.
    Default,
    /// `:=`: whatever it was before.
    Override,
    /// `=`: it must not be defined.
    Set,
}

/// `if … { } else if … { } else { }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct If {
    /// Conditions with their blocks, in order.
    pub branches: Vec<(Located<Expression>, Block)>,
    /// The last `else`.
    pub otherwise: Option<Block>,
}

/// What an `if` asks or a boolean variable gets. Parentheses are in the shape of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// `a and b`
    And(Box<Located<Expression>>, Box<Located<Expression>>),
    /// `a or b`
    Or(Box<Located<Expression>>, Box<Located<Expression>>),
    /// `not a`
    Not(Box<Located<Expression>>),
    /// `$debug`
    Boolean(Word),
    /// `defined @{HOME}`, `defined $debug`
    Defined(Word),
    /// `@{a} in @{b}`, `@{n} >= 4`
    Compare {
        /// The left side.
        left: Word,
        /// How.
        operator: Comparison,
        /// The right side.
        right: Word,
    },
    /// A word alone: `true` or `false`
    Value(Word),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `in`
    In,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `!=`
    NotEqual,
}

/// A profile or hat, at the top or in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What it is introduced by.
    pub keyword: ProfileKeyword,
    /// Its name, with its namespace.
    pub name: Word,
    /// What it attaches to.
    pub attachment: Option<Word>,
    /// `xattrs=( … )`
    pub xattrs: Vec<Condition>,
    /// `+identities=( … )`, of all of them
    pub identities: Vec<Word>,
    /// `flags=( … )`, `( … )`
    pub flags: Vec<Word>,
    /// Its body.
    pub body: Block,
}

/// What a profile is introduced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProfileKeyword {
    /// `^`
    Caret,
    /// `hat`
    Hat,
    /// Nothing: the name is a path or has a namespace.
    None,
    /// `profile`
    Profile,
}

/// The qualifiers in front of a rule, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    /// `priority=N`
    pub priority: Option<Located<i32>>,
    /// `audit`
    pub audit: bool,
    /// `allow`, `deny` or `prompt`
    pub mode: Option<Located<RuleMode>>,
    /// `owner` (also `user`) or `other`
    pub owner: Option<Located<Owner>>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleMode {
    /// Permits.
    Allow,
    /// Forbids.
    Deny,
    /// Permits what somebody is asked for.
    Prompt,
}

/// Whose files a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Those of somebody else.
    Other,
    /// Those of the process's user.
    Owner,
}

/// `safe` or `unsafe`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExecMode {
    /// The environment is scrubbed.
    Safe,
    /// The environment is kept.
    Unsafe,
}

/// A rule without its qualifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `all,`
    All,
    /// `capability net_admin,`
    Capability(Vec<Word>),
    /// `change_profile unsafe /bin/sh -> target,`
    ChangeProfile {
        /// How the environment is treated.
        mode: Option<ExecMode>,
        /// The program that is run with it.
        exec: Option<Word>,
        /// The profile, any when absent.
        target: Option<Word>,
    },
    /// `dbus send bus=session peer=(name=org.example),`
    Dbus(Conditional),
    /// `file,`
    File,
    /// `file /etc/** r,`, `/bin/sh px -> shell,`
    Path(PathRule),
    /// `io_uring sqpoll,`
    IoUring(Conditional),
    /// `link subset /a -> /b,`
    Link {
        /// `subset`
        subset: bool,
        /// The new name.
        link: Word,
        /// The old.
        target: Word,
    },
    /// `mount options=(ro, bind) /a -> /b,`
    Mount(Mount),
    /// `mqueue (create read) type=posix /queue,`: the queue is the one of `names`
    Mqueue(Conditional),
    /// `network inet stream,`: family and type are `names`
    Network(Conditional),
    /// `pivot_root oldroot=/old /new -> target,`
    PivotRoot {
        /// `oldroot=`
        conditions: Vec<Condition>,
        /// The new root.
        root: Option<Word>,
        /// The profile to move to.
        target: Option<Word>,
    },
    /// `ptrace (trace read) peer=web,`
    Ptrace(Conditional),
    /// `remount options=ro /a,`
    Remount {
        /// Options and types.
        conditions: Vec<Condition>,
        /// Where.
        path: Option<Word>,
    },
    /// `set rlimit nofile <= 1024,`
    Rlimit {
        /// Which.
        name: Word,
        /// How much: a number or `infinity`.
        value: Word,
        /// Of what.
        unit: Option<Word>,
    },
    /// `signal send set=(term kill) peer=web,`
    Signal(Conditional),
    /// `umount /a,`
    Umount {
        /// Options and types.
        conditions: Vec<Condition>,
        /// Where.
        path: Option<Word>,
    },
    /// `unix stream …,`
    Unix(Conditional),
    /// `userns create,`
    Userns(Conditional),
}

/// A rule about a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// Whether it says `file`.
    pub keyword: bool,
    /// `safe` or `unsafe`
    pub mode: Option<ExecMode>,
    /// Whether the permissions stand in front.
    pub leading: bool,
    /// `subset`, between leading permissions and path
    pub subset: bool,
    /// Permissions, as `rwPux`
    pub permissions: Word,
    /// The path.
    pub path: Word,
    /// What follows `->`: the profile of an exec, or the target of a leading link.
    pub target: Option<Word>,
}

/// A mount rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// In front of the source.
    pub conditions: Vec<Condition>,
    /// The source.
    pub source: Option<Word>,
    /// What follows `->`.
    pub target: Option<MountTarget>,
}

/// What follows a mount rule's `->`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountTarget {
    /// In front of the mount point.
    pub conditions: Vec<Condition>,
    /// The mount point.
    pub path: Word,
}

/// A rule of permissions, words and conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditional {
    /// Permissions: one word, or those in parentheses.
    pub permissions: Vec<Word>,
    /// Words without `=`: the family and type of network rules before the conditions, the name of mqueue rules after.
    pub names: Vec<Word>,
    /// `name=value`, `name=(…)`, `name in (…)`
    pub conditions: Vec<Condition>,
    /// What stands in `peer=( … )` after all of them.
    pub peer: Option<Vec<Condition>>,
}

/// `name=value`, `name=(a b)`, `name in (a b)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its name.
    pub name: Word,
    /// How.
    pub operator: ConditionOperator,
    /// The values: none when only the name is there.
    pub values: Vec<Word>,
}

/// How a condition's values are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionOperator {
    /// `=`
    Equals,
    /// `in`
    In,
    /// The name stands alone.
    None,
}
