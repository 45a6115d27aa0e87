//! What stands in a profile's body: rules with their qualifiers, and all else.

use super::{
    Parsed, Parser, TokenKind,
    conditions::Shape,
    preamble::{is_word, is_word_or_variable},
    recovery::shown,
};
use crate::apparmor::{
    ast::{ExecMode, Mount, MountTarget, Owner, Prefix, ProfileKeyword, Rule, RuleMode, Statement},
    lexer::Keyword,
    quoting::decode,
    source::{Located, Span},
};

/// LIMIT of the language: what a priority may be.
const PRIORITIES: std::ops::RangeInclusive<i32> = -1000..=1000;

impl Parser<'_> {
    /// A statement in a profile.
    pub(super) fn rule_statement(&mut self) -> Parsed<Statement> {
        let start = self.token.start;
        let prefix = self.prefix()?;
        let bare = start == self.token.start;
        let qualifiers = self.span(start, self.last_end);
        let statement = match self.token.kind {
            TokenKind::Open => return self.prefixed_block(prefix),
            TokenKind::Include { hash, if_exists } if bare => self.include(hash, if_exists),
            TokenKind::Profile => self.child(ProfileKeyword::Profile),
            TokenKind::Hat => self.child(ProfileKeyword::Hat),
            TokenKind::Caret => self.child(ProfileKeyword::Caret),
            TokenKind::BooleanVariable => Err(self.assignment_inside()),
            TokenKind::Keyword(Keyword::Abi) => self.abi(),
            TokenKind::Keyword(Keyword::If) => self.condition_blocks(),
            TokenKind::Keyword(Keyword::Set) => self.rlimit(),
            TokenKind::Keyword(Keyword::Alias) => Err(self.error(
                "misplaced-preamble",
                self.here(),
                "an alias cannot stand in a profile",
                "move it in front of the first profile",
            )),
            _ => return self.rule(prefix, qualifiers),
        }?;
        if !bare {
            let _ = self.error(
                "invalid-qualifier",
                qualifiers,
                "what follows is no rule that qualifiers could be for",
                "remove them, or give them to the rules it holds",
            );
        }
        Ok(statement)
    }

    /// A profile in a profile.
    fn child(&mut self, keyword: ProfileKeyword) -> Parsed<Statement> {
        let statement = self.profile(keyword)?;
        if let Statement::Profile(hat) = &statement
            && keyword != ProfileKeyword::Profile
            && let Some(xattr) = hat.xattrs.first()
        {
            let _ = self.error(
                "invalid-group",
                xattr.name.span,
                "a hat cannot attach by `xattrs=( … )`",
                "remove it, or make a child profile of the hat",
            );
        }
        Ok(statement)
    }

    pub(super) fn assignment_inside(&mut self) -> super::Failed {
        self.error(
            "misplaced-preamble",
            self.here(),
            "a variable cannot get values in a profile",
            "move the assignment in front of the first profile",
        )
    }

    /// `priority=N audit deny owner`
    fn prefix(&mut self) -> Parsed<Prefix> {
        let mut prefix = Prefix::default();
        if self.token.kind == TokenKind::Priority {
            prefix.priority = Some(self.priority()?);
        }
        prefix.audit = self.skip(TokenKind::Keyword(Keyword::Audit));
        let mode = match self.token.kind {
            TokenKind::Keyword(Keyword::Allow) => Some(RuleMode::Allow),
            TokenKind::Keyword(Keyword::Deny) => Some(RuleMode::Deny),
            TokenKind::Keyword(Keyword::Prompt) => Some(RuleMode::Prompt),
            _ => None,
        };
        prefix.mode = mode.map(|mode| self.located(mode));
        let owner = match self.token.kind {
            TokenKind::Keyword(Keyword::Other) => Some(Owner::Other),
            TokenKind::Keyword(Keyword::Owner) => Some(Owner::Owner),
            _ => None,
        };
        prefix.owner = owner.map(|owner| self.located(owner));
        match self.token.kind {
            TokenKind::Priority
            | TokenKind::Keyword(
                Keyword::Allow
                | Keyword::Audit
                | Keyword::Deny
                | Keyword::Other
                | Keyword::Owner
                | Keyword::Prompt,
            ) => {
                let (word, _) = self.taken();
                let message = format!("`{}` cannot stand here", shown(word));
                Err(self.error(
                    "qualifier-order",
                    self.here(),
                    message,
                    "each once, in this order: `priority=N audit allow|deny|prompt owner|other`",
                ))
            }
            _ => Ok(prefix),
        }
    }

    /// Takes the next token for a value.
    fn located<T>(&mut self, value: T) -> Located<T> {
        let span = self.here();
        self.advance();
        Located { value, span }
    }

    /// `priority=N`
    fn priority(&mut self) -> Parsed<Located<i32>> {
        let start = self.token.start;
        self.advance();
        self.expect(TokenKind::Equals, "`=`")?;
        let number = self.expect_word(|kind| kind == TokenKind::Value, "a number")?;
        let span = self.span(start, self.last_end);
        let value = std::str::from_utf8(&number.value)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .filter(|priority| PRIORITIES.contains(priority));
        match value {
            Some(value) => Ok(Located { value, span }),
            None => Err(self.error(
                "invalid-priority",
                number.span,
                "a priority that is out of range",
                "priorities are -1000 to 1000",
            )),
        }
    }

    /// A rule behind its qualifiers.
    fn rule(&mut self, prefix: Prefix, qualifiers: Span) -> Parsed<Statement> {
        let keyword = match self.token.kind {
            TokenKind::Keyword(keyword) => Some(keyword),
            _ => None,
        };
        let rule = match keyword {
            Some(Keyword::All) => {
                self.advance();
                self.comma()?;
                Rule::All
            }
            Some(Keyword::Capability) => self.capability()?,
            Some(Keyword::ChangeProfile) => self.change_profile()?,
            Some(Keyword::Dbus) => Rule::Dbus(self.conditional(Shape::Peer)?),
            Some(Keyword::IoUring) => Rule::IoUring(self.conditional(Shape::IoUring)?),
            Some(Keyword::Link) => self.link()?,
            Some(Keyword::Mount) => self.mount()?,
            Some(Keyword::Mqueue) => Rule::Mqueue(self.conditional(Shape::Named)?),
            Some(Keyword::Network) => Rule::Network(self.conditional(Shape::Socket)?),
            Some(Keyword::PivotRoot) => self.pivot_root()?,
            Some(Keyword::Ptrace) => Rule::Ptrace(self.conditional(Shape::Conditions)?),
            Some(Keyword::Remount) => self.remount()?,
            Some(Keyword::Signal) => Rule::Signal(self.conditional(Shape::Conditions)?),
            Some(Keyword::Umount) => self.umount()?,
            Some(Keyword::Unix) => Rule::Unix(self.conditional(Shape::Peer)?),
            Some(Keyword::Userns) => Rule::Userns(self.conditional(Shape::Conditions)?),
            _ => self.path_rule()?,
        };
        self.check_prefix(&prefix, &rule, qualifiers);
        Ok(Statement::Rule { prefix, rule })
    }

    /// Whether a rule may have its qualifiers.
    fn check_prefix(&mut self, prefix: &Prefix, rule: &Rule, qualifiers: Span) {
        let of_files = matches!(rule, Rule::File | Rule::Link { .. } | Rule::Path(_));
        if let Some(owner) = prefix.owner
            && !of_files
        {
            let _ = self.error(
                "invalid-qualifier",
                owner.span,
                "only rules about files can be about their owner",
                "remove it",
            );
        }
        if let Some(priority) = prefix.priority
            && priority.value != 0
            && matches!(rule, Rule::All | Rule::Network(_))
        {
            let _ = self.error(
                "invalid-qualifier",
                Span {
                    end: priority.span.end,
                    ..qualifiers
                },
                "`all` and `network` rules take no priority",
                "remove it",
            );
        }
    }

    /// `capability net_admin,`
    fn capability(&mut self) -> Parsed<Rule> {
        self.advance();
        let mut names = Vec::new();
        while let Some(name) = self.word_if(is_word)? {
            names.push(name);
        }
        self.comma()?;
        Ok(Rule::Capability(names))
    }

    /// `change_profile unsafe /bin/sh -> target,`
    fn change_profile(&mut self) -> Parsed<Rule> {
        self.advance();
        let mode_span = self.here();
        let mode = self.exec_mode();
        let exec = self.word_if(is_word)?;
        let target = self.target()?;
        self.comma()?;
        if let Some(exec) = &exec {
            let pattern = decode(&exec.value);
            if !pattern.starts_with(b"/") && !pattern.starts_with(b"@{") {
                let _ = self.error(
                    "invalid-exec-condition",
                    exec.span,
                    "the program must begin with `/` or `@{`",
                    "write the target behind `-> `",
                );
            }
        } else if mode.is_some() {
            let _ = self.error(
                "missing-exec-condition",
                mode_span,
                "`safe` and `unsafe` are about a program that is run",
                "name the program, or remove the word",
            );
        }
        Ok(Rule::ChangeProfile { mode, exec, target })
    }

    /// `safe` or `unsafe`, if it is next.
    pub(super) fn exec_mode(&mut self) -> Option<ExecMode> {
        let mode = match self.token.kind {
            TokenKind::Keyword(Keyword::Safe) => ExecMode::Safe,
            TokenKind::Keyword(Keyword::Unsafe) => ExecMode::Unsafe,
            _ => return None,
        };
        self.advance();
        Some(mode)
    }

    /// `-> target`, if it is next.
    pub(super) fn target(&mut self) -> Parsed<Option<super::Word>> {
        if !self.skip(TokenKind::Arrow) {
            return Ok(None);
        }
        self.expect_word(is_word_or_variable, "a target").map(Some)
    }

    /// `mount options=(ro, bind) /a -> /b,`
    fn mount(&mut self) -> Parsed<Rule> {
        self.advance();
        let conditions = self.conditions()?;
        let source = self.word_if(is_word)?;
        let target = if self.skip(TokenKind::Arrow) {
            let conditions = self.conditions()?;
            if let Some(condition) = conditions.first() {
                let _ = self.error(
                    "invalid-condition",
                    condition.name.span,
                    "a mount point takes no conditions",
                    "write them in front of what is mounted",
                );
            }
            Some(MountTarget {
                conditions,
                path: self.expect_word(is_word, "a mount point")?,
            })
        } else {
            None
        };
        self.comma()?;
        Ok(Rule::Mount(Mount {
            conditions,
            source,
            target,
        }))
    }

    /// `remount options=ro /a,`
    fn remount(&mut self) -> Parsed<Rule> {
        self.advance();
        let conditions = self.conditions()?;
        let path = self.word_if(is_word)?;
        self.comma()?;
        Ok(Rule::Remount { conditions, path })
    }

    /// `umount /a,`
    fn umount(&mut self) -> Parsed<Rule> {
        self.advance();
        let conditions = self.conditions()?;
        let path = self.word_if(is_word)?;
        self.comma()?;
        Ok(Rule::Umount { conditions, path })
    }

    /// `pivot_root oldroot=/old /new -> target,`
    fn pivot_root(&mut self) -> Parsed<Rule> {
        self.advance();
        let conditions = self.conditions()?;
        let root = self.word_if(is_word)?;
        let target = self.target()?;
        self.comma()?;
        Ok(Rule::PivotRoot {
            conditions,
            root,
            target,
        })
    }

    /// `set rlimit nofile <= 1024,`
    fn rlimit(&mut self) -> Parsed<Statement> {
        self.advance();
        self.expect(TokenKind::Keyword(Keyword::Rlimit), "`rlimit`")?;
        let name = self.expect_word(is_word, "the name of a limit")?;
        self.expect(TokenKind::LessOrEqual, "`<=`")?;
        let value = self.expect_word(|kind| kind == TokenKind::Value, "a number or `infinity`")?;
        let unit = self.word_if(is_word)?;
        self.comma()?;
        Ok(Statement::Rule {
            prefix: Prefix::default(),
            rule: Rule::Rlimit { name, value, unit },
        })
    }
}
