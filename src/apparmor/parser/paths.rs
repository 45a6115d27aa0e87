//! Rules about files: `file`, paths with permissions, links.

use super::{
    Parsed, Parser, TokenKind, Word, preamble::is_word_or_variable, profile::has_namespace,
};
use crate::apparmor::{
    ast::{PathRule, Rule},
    lexer::Keyword,
    quoting::decode,
    source::Span,
};

impl Parser<'_> {
    /// `file,`, `file /etc/** r,`, `/bin/sh px -> shell,`, `l subset /a -> /b,`
    pub(super) fn path_rule(&mut self) -> Parsed<Rule> {
        let keyword = self.skip(TokenKind::Keyword(Keyword::File));
        if keyword && self.skip(TokenKind::Comma) {
            return Ok(Rule::File);
        }
        let mode_span = self.here();
        let mode = self.exec_mode();
        let is_permissions = |kind| kind == TokenKind::PermissionLetters;
        let (leading, subset, permissions, path) = if is_permissions(self.token.kind) {
            let permissions = self.word()?;
            let subset = self.skip(TokenKind::Keyword(Keyword::Subset));
            let path = self.expect_word(is_word_or_variable, "a path")?;
            (true, subset, permissions, path)
        } else {
            let path = self.expect_word(is_word_or_variable, "a rule")?;
            if self.operator().is_some() {
                return Err(self.assignment_inside());
            }
            let permissions = self.expect_word(is_permissions, "permissions")?;
            (false, false, permissions, path)
        };
        let target = self.target()?;
        self.comma()?;
        let rule = PathRule {
            keyword,
            mode,
            leading,
            subset,
            permissions,
            path,
            target,
        };
        self.check_path_rule(&rule, mode_span);
        Ok(Rule::Path(rule))
    }

    /// What can be told about permissions without knowing what they mean.
    fn check_path_rule(&mut self, rule: &PathRule, mode: Span) {
        let letters = rule.permissions.value.to_ascii_lowercase();
        let [exec, link] = [b'x', b'l'].map(|letter| letters.contains(&letter));
        if rule.mode.is_some() && !exec {
            let _ = self.error(
                "missing-exec-permission",
                mode,
                "`safe` and `unsafe` are about programs that are run, which this rule does not permit",
                "add an execute permission, or remove the word",
            );
        }
        if !rule.leading {
            return;
        }
        if rule.subset && letters.iter().any(|&letter| letter != b'l') {
            let _ = self.error(
                "invalid-subset",
                rule.permissions.span,
                "only links can be to a subset",
                "write `link subset NEW -> OLD,`",
            );
        }
        let Some(target) = &rule.target else { return };
        self.check_target(rule, target, exec, link);
    }

    fn check_target(&mut self, rule: &PathRule, target: &Word, exec: bool, link: bool) {
        if exec && link {
            let _ = self.error(
                "ambiguous-target",
                rule.permissions.span,
                "a link and an execute permission cannot share one target",
                "write two rules",
            );
        } else if link && has_namespace(&decode(&target.value)) {
            let _ = self.error(
                "invalid-link",
                target.span,
                "a link leads to a path, not to a profile",
                "write the path that is linked to",
            );
        }
    }

    /// `link subset /a -> /b,`
    pub(super) fn link(&mut self) -> Parsed<Rule> {
        self.advance();
        let subset = self.skip(TokenKind::Keyword(Keyword::Subset));
        let link = self.expect_word(is_word_or_variable, "the path of the link")?;
        self.expect(TokenKind::Arrow, "`->`")?;
        let target = self.expect_word(is_word_or_variable, "the path it leads to")?;
        self.comma()?;
        Ok(Rule::Link {
            subset,
            link,
            target,
        })
    }
}
