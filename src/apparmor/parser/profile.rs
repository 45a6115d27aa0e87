//! Profiles, hats, and the blocks in them.

use super::{
    MAX_DEPTH, Parsed, Parser, TokenKind,
    preamble::{is_word, is_word_or_variable},
    recovery::shown,
};
use crate::apparmor::{
    ast::{Block, If, Prefix, Profile, ProfileKeyword, Statement, Word},
    lexer::Keyword,
    quoting::decode,
};

impl Parser<'_> {
    /// `profile web /usr/bin/web flags=(…) { … }`
    pub(super) fn profile(&mut self, keyword: ProfileKeyword) -> Parsed<Statement> {
        if keyword != ProfileKeyword::None {
            self.advance();
        }
        let name = self.expect_word(is_word, "a name")?;
        if keyword == ProfileKeyword::None && self.token.kind == TokenKind::PermissionLetters {
            return Err(self.rule_outside());
        }
        self.check_name(&name, keyword);
        let attachment = self.word_if(is_word_or_variable)?;
        if let Some(attachment) = &attachment {
            let pattern = decode(&attachment.value);
            if !pattern.starts_with(b"/") && !pattern.starts_with(b"@{") {
                let _ = self.error(
                    "invalid-attachment",
                    attachment.span,
                    "an attachment must begin with `/` or `@{`",
                    "write the program's path, or nothing",
                );
            }
        }
        let xattrs = match self.group()? {
            Some(group) => {
                if group.name.value != b"xattrs" {
                    let _ = self.error(
                        "invalid-group",
                        group.name.span,
                        format!("a profile takes no `{}=( … )`", shown(&group.name.value)),
                        "profiles have `xattrs=( … )` only",
                    );
                }
                group.conditions
            }
            None => Vec::new(),
        };
        let mut identities = Vec::new();
        while self.skip(TokenKind::Plus) {
            identities.extend(self.identities()?);
        }
        let flags = self.flags()?;
        let body = self.block()?;
        Ok(Statement::Profile(Profile {
            keyword,
            name,
            attachment,
            xattrs,
            identities,
            flags,
            body,
        }))
    }

    /// `identities=( … )`
    fn identities(&mut self) -> Parsed<Vec<Word>> {
        self.expect(TokenKind::Identities, "`identities=( … )`")?;
        self.expect(TokenKind::Equals, "`=`")?;
        let identities = self.list()?;
        for identity in &identities {
            let text = decode(&identity.value);
            if !text.starts_with(b"/") && text.contains(&b' ') {
                let _ = self.error(
                    "invalid-identity",
                    identity.span,
                    "an identity that is no path cannot hold a space",
                    "separate identities with commas, unquoted",
                );
            }
        }
        Ok(identities)
    }

    /// Whether a name is one, and may go without `profile`.
    fn check_name(&mut self, name: &Word, keyword: ProfileKeyword) {
        let text = decode(&name.value);
        let (message, help) = match label(&text) {
            Err(message) => (message, "write a name, `:namespace:name` or a path"),
            Ok((false, name)) if keyword == ProfileKeyword::None && !name.starts_with(b"/") => (
                "a name that is no path needs a keyword",
                "put `profile` in front of it",
            ),
            Ok(_) => return,
        };
        let _ = self.error("invalid-profile-name", name.span, message, help);
    }

    /// `{ … }`
    pub(super) fn block(&mut self) -> Parsed<Block> {
        let mut open = self.here();
        let opened = self.token.kind == TokenKind::Open;
        if !opened {
            let before = self.text.get(..self.last_end).unwrap_or_default();
            if !before.ends_with(b"{") {
                return Err(self.unexpected("`{`"));
            }
            open = self.span(self.last_end - 1, self.last_end);
            let _ = self.error(
                "brace-in-word",
                open,
                "this brace belongs to the word in front of it",
                "put a space in front of the brace",
            );
        }
        if self.depth >= MAX_DEPTH {
            let failed = self.error(
                "too-deep",
                open,
                format!("more than {MAX_DEPTH} blocks inside of each other"),
                "make child profiles of them, or includes",
            );
            self.stop();
            return Err(failed);
        }
        // What stands in the head comes to stand above it.
        self.carried.append(&mut self.comments);
        self.depth += 1;
        if opened {
            self.advance();
        }
        let (items, comments) = self.items(true);
        if self.token.kind == TokenKind::Close {
            self.depth -= 1;
            self.advance();
        } else if !self.stopped {
            let _ = self.error(
                "unclosed-block",
                open,
                "this block is never closed",
                "add a `}`",
            );
            // The blocks around it are not closed either, which goes without saying.
            self.stop();
        }
        Ok(Block { items, comments })
    }

    /// `if … { … } else if … { … } else { … }`
    pub(super) fn condition_blocks(&mut self) -> Parsed<Statement> {
        let mut branches = Vec::new();
        loop {
            self.advance();
            let condition = self.expression()?;
            branches.push((condition, self.block()?));
            if self.token.kind != TokenKind::Keyword(Keyword::Else) {
                return Ok(Statement::If(If {
                    branches,
                    otherwise: None,
                }));
            }
            self.carried.append(&mut self.comments);
            self.advance();
            if self.token.kind != TokenKind::Keyword(Keyword::If) {
                return Ok(Statement::If(If {
                    branches,
                    otherwise: Some(self.block()?),
                }));
            }
        }
    }

    /// `deny { … }`
    pub(super) fn prefixed_block(&mut self, prefix: Prefix) -> Parsed<Statement> {
        if let Some(priority) = prefix.priority
            && priority.value != 0
        {
            let _ = self.error(
                "invalid-qualifier",
                priority.span,
                "a block of rules takes no priority",
                "give it to the rules in the block",
            );
        }
        let block = self.block()?;
        Ok(Statement::Block { prefix, block })
    }
}

/// Whether a label has a namespace, and its name; or what is wrong with it.
fn label(text: &[u8]) -> Result<(bool, &[u8]), &'static str> {
    let (namespace, name) = match text.split_first() {
        Some((b'&', _)) => return Err("a profile's name cannot begin with `&`"),
        Some((b':', rest)) => {
            let mut parts = rest.splitn(2, |&byte| byte == b':');
            match (parts.next(), parts.next()) {
                (Some([]), Some(_)) => return Err("an empty namespace"),
                (_, Some(name)) => (true, name.strip_prefix(b"//").unwrap_or(name)),
                (_, None) => return Err("a namespace that does not end"),
            }
        }
        _ => (false, text),
    };
    if name.is_empty() {
        return Err("an empty name");
    }
    Ok((namespace, name))
}

/// Whether a label names a namespace.
pub(super) fn has_namespace(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"&").unwrap_or(text);
    label(text).is_ok_and(|(namespace, _)| namespace)
}
