//! The reader of words: once over the text, to the end of what surrounds it.

use super::{Name, NotUnderstood, Operation, Parameter, Piece, is_name};

/// LIMIT: how deep `${…}`, quotes and substitutions of one word are nested.
const MAX_DEPTH: usize = 32;

/// What surrounds the text being read: it decides which characters are special, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// `$((…))`, to its end.
    Arithmetic,
    /// `${name:-…}`: ends before `}`.
    Braces,
    /// `"${name:-…}"`: ends before `}`; single quotes are themselves.
    QuotedBraces,
    /// `${name/…/…}`: ends before `/` or `}`.
    Search,
    HereDocument,
    /// `"…"`: ends before `"`.
    Quotes,
    Word,
}

pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    depth: usize,
    line: usize,
    /// Whether only the end is looked for: what is read twice at each level takes for ever.
    skipping: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            line: 0,
            skipping: false,
        }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn peek_at(&self, offset: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + offset).copied()
    }

    /// The next character, whole.
    pub(super) fn take(&mut self) -> Option<char> {
        let character = self.rest().chars().next()?;
        self.at += character.len_utf8();
        self.line += usize::from(character == '\n');
        Some(character)
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, NotUnderstood>,
    ) -> Result<T, NotUnderstood> {
        if self.depth >= MAX_DEPTH {
            return Err(NotUnderstood);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Pieces up to the end of the surroundings, which is left to the caller.
    pub(super) fn pieces(&mut self, within: Within) -> Result<Vec<Piece>, NotUnderstood> {
        let mut pieces = Vec::new();
        let quoted = matches!(
            within,
            Within::Quotes | Within::QuotedBraces | Within::HereDocument | Within::Arithmetic
        );
        if within == Within::Word && self.peek() == Some(b'~') {
            self.tilde(&mut pieces);
        }
        while let Some(byte) = self.peek() {
            match (byte, within) {
                (b'}', Within::Braces | Within::QuotedBraces | Within::Search)
                | (b'/', Within::Search)
                | (b'"', Within::Quotes) => return Ok(pieces),
                (b'\\', _) => self.backslash(within, &mut pieces),
                (b'\'', Within::Word | Within::Braces | Within::Search) => {
                    self.at += 1;
                    let end = self.rest().find('\'').ok_or(NotUnderstood)?;
                    self.literal(end, true, &mut pieces);
                    self.at += 1;
                }
                (b'"', Within::Word | Within::Braces | Within::QuotedBraces | Within::Search) => {
                    self.at += 1;
                    let inner = self.deeper(|scanner| scanner.pieces(Within::Quotes))?;
                    if !self.eat("\"") {
                        return Err(NotUnderstood);
                    }
                    if !matches!(inner.first(), Some(Piece::Literal { .. })) {
                        push_text(&mut pieces, "", true);
                    }
                    pieces.extend(inner);
                }
                (b'$', _) => {
                    let piece = self.deeper(|scanner| scanner.dollar(quoted))?;
                    pieces.extend(piece);
                }
                (b'`', _) => {
                    let piece = self.backquotes(quoted)?;
                    pieces.push(piece);
                }
                _ => {
                    let start = self.at;
                    self.take();
                    let text = self.text.get(start..self.at).unwrap_or_default();
                    push_text(&mut pieces, text, quoted);
                }
            }
        }
        match within {
            Within::Arithmetic | Within::HereDocument | Within::Word => Ok(pieces),
            Within::Braces | Within::QuotedBraces | Within::Quotes | Within::Search => {
                Err(NotUnderstood)
            }
        }
    }

    fn literal(&mut self, length: usize, quoted: bool, pieces: &mut Vec<Piece>) {
        let text = self.rest().get(..length).unwrap_or_default();
        self.line += text.matches('\n').count();
        self.at += length;
        push_text(pieces, text, quoted);
    }

    fn tilde(&mut self, pieces: &mut Vec<Piece>) {
        let rest = self.rest().get(1..).unwrap_or_default();
        let end = rest
            .find(|character: char| {
                !(character.is_ascii_alphanumeric() || "_-.+".contains(character))
            })
            .unwrap_or(rest.len());
        if matches!(rest.as_bytes().get(end), None | Some(b'/' | b':')) {
            self.at += 1 + end;
            pieces.push(Piece::Tilde(rest.get(..end).unwrap_or_default().to_owned()));
        }
    }

    fn backslash(&mut self, within: Within, pieces: &mut Vec<Piece>) {
        self.at += 1;
        let special: &[u8] = match within {
            Within::Word | Within::Braces | Within::Search => b"",
            Within::HereDocument | Within::Arithmetic => b"$`\\\n",
            Within::Quotes => b"$`\"\\\n",
            Within::QuotedBraces => b"$`\"\\\n}",
        };
        match self.peek() {
            Some(b'\n') => {
                self.take();
            }
            Some(byte) if special.is_empty() || special.contains(&byte) => {
                let start = self.at;
                self.take();
                push_text(
                    pieces,
                    self.text.get(start..self.at).unwrap_or_default(),
                    true,
                );
            }
            _ => push_text(pieces, "\\", true),
        }
    }

    fn dollar(&mut self, quoted: bool) -> Result<Vec<Piece>, NotUnderstood> {
        self.at += 1;
        let line = self.line;
        match self.peek() {
            Some(b'(') => {
                let start = self.at + 1;
                let end = self.skip_parentheses()?;
                let text = self.text.get(start..end).ok_or(NotUnderstood)?;
                if self.skipping {
                    return Ok(Vec::new());
                }
                if let Some(expression) = text
                    .strip_prefix('(')
                    .and_then(|text| text.strip_suffix(')'))
                    .filter(|expression| is_balanced(expression))
                {
                    let mut inner = Scanner::new(expression);
                    inner.depth = self.depth;
                    return Ok(vec![Piece::Arithmetic(inner.pieces(Within::Arithmetic)?)]);
                }
                Ok(vec![Piece::Command {
                    text: text.to_owned(),
                    line,
                    quoted,
                }])
            }
            Some(b'{') => {
                self.at += 1;
                let parameter = self.parameter(quoted)?;
                if !self.eat("}") {
                    return Err(NotUnderstood);
                }
                Ok(vec![Piece::Parameter {
                    parameter: Box::new(parameter),
                    quoted,
                }])
            }
            Some(b'[') => {
                let end = self.rest().find(']').ok_or(NotUnderstood)?;
                let expression = self.rest().get(1..end).ok_or(NotUnderstood)?;
                self.at += end + 1;
                let mut inner = Scanner::new(expression);
                inner.depth = self.depth;
                Ok(vec![Piece::Arithmetic(inner.pieces(Within::Arithmetic)?)])
            }
            Some(b'\'') if !quoted => {
                self.at += 1;
                Ok(vec![Piece::Literal {
                    text: self.ansi_c()?,
                    quoted: true,
                }])
            }
            // A translated text, `$"…"`: read on, the quotes follow.
            Some(b'"') if !quoted => Ok(Vec::new()),
            _ => Ok(vec![match self.simple_name() {
                Some(name) => Piece::Parameter {
                    parameter: Box::new(Parameter {
                        name,
                        operation: Operation::Plain,
                    }),
                    quoted,
                },
                None => Piece::Literal {
                    text: "$".to_owned(),
                    quoted: true,
                },
            }]),
        }
    }

    /// What may stand behind a `$` without braces.
    pub(super) fn simple_name(&mut self) -> Option<Name> {
        let byte = self.peek()?;
        let name = match byte {
            b'@' => Name::All { joined: false },
            b'*' => Name::All { joined: true },
            b'0' => Name::Script,
            b'1'..=b'9' => Name::Positional(usize::from(byte - b'0')),
            b'#' => Name::Count,
            b'?' | b'-' | b'$' | b'!' => Name::Special,
            _ => return self.identifier().map(Name::Named),
        };
        self.at += 1;
        Some(name)
    }

    fn identifier(&mut self) -> Option<String> {
        let rest = self.rest();
        let length = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            .count();
        let name = rest.get(..length).filter(|name| is_name(name))?;
        self.at += length;
        Some(name.to_owned())
    }

    /// `'…'` behind a `$`, the opening quote eaten.
    fn ansi_c(&mut self) -> Result<String, NotUnderstood> {
        let mut text = String::new();
        loop {
            match self.take().ok_or(NotUnderstood)? {
                '\'' => return Ok(text),
                '\\' => match self.take().ok_or(NotUnderstood)? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    quoted @ ('\'' | '"' | '\\' | '?') => text.push(quoted),
                    // Octal and hexadecimal bytes name no program that anyone wrote on purpose.
                    _ => return Err(NotUnderstood),
                },
                character => text.push(character),
            }
        }
    }

    fn backquotes(&mut self, quoted: bool) -> Result<Piece, NotUnderstood> {
        let line = self.line;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.take().ok_or(NotUnderstood)? {
                '`' => return Ok(Piece::Command { text, line, quoted }),
                '\\' => match self.take().ok_or(NotUnderstood)? {
                    special @ ('`' | '\\' | '$') => text.push(special),
                    '"' if quoted => text.push('"'),
                    other => text.extend(['\\', other]),
                },
                character => text.push(character),
            }
        }
    }

    /// From a `(` to behind its `)`; gives where that stands.
    fn skip_parentheses(&mut self) -> Result<usize, NotUnderstood> {
        let skipping = std::mem::replace(&mut self.skipping, true);
        let end = self.deeper(Self::skip_nested);
        self.skipping = skipping;
        end
    }

    fn skip_nested(&mut self) -> Result<usize, NotUnderstood> {
        let (mut depth, mut cases, mut boundary) = (0_usize, 0_usize, true);
        while let Some(byte) = self.peek() {
            let was_boundary = std::mem::replace(
                &mut boundary,
                matches!(
                    byte,
                    b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')'
                ),
            );
            match byte {
                b'(' => depth += 1,
                // The end of a pattern of `case`.
                b')' if depth == 1 && cases > 0 => {}
                b')' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        self.at += 1;
                        return Ok(self.at - 1);
                    }
                }
                b'\\' => {
                    self.take();
                }
                b'\'' => {
                    self.take();
                    let end = self.rest().find('\'').ok_or(NotUnderstood)?;
                    self.literal(end, true, &mut Vec::new());
                }
                b'"' => {
                    self.at += 1;
                    self.skip_quotes()?;
                }
                b'`' => {
                    self.backquotes(false)?;
                    continue;
                }
                b'$' if matches!(self.peek_at(1), Some(b'{')) => {
                    self.deeper(|scanner| scanner.dollar(false))?;
                    continue;
                }
                b'#' if was_boundary => {
                    let end = self.rest().find('\n').unwrap_or(self.rest().len());
                    self.at += end;
                    continue;
                }
                b'c' if was_boundary && self.is_word("case") => cases += 1,
                b'e' if was_boundary && self.is_word("esac") => cases = cases.saturating_sub(1),
                _ => {}
            }
            self.take();
        }
        Err(NotUnderstood)
    }

    /// To the `"` that ends a quotation.
    fn skip_quotes(&mut self) -> Result<(), NotUnderstood> {
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => return Ok(()),
                b'\\' => {
                    self.take();
                    self.take();
                }
                b'$' if matches!(self.peek_at(1), Some(b'(' | b'{')) => {
                    self.deeper(|scanner| scanner.dollar(true))?;
                }
                b'`' => {
                    self.backquotes(true)?;
                }
                _ => {
                    self.take();
                }
            }
        }
        Err(NotUnderstood)
    }

    fn is_word(&self, word: &str) -> bool {
        self.rest().strip_prefix(word).is_some_and(|rest| {
            rest.bytes()
                .next()
                .is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'_')
        })
    }
}

/// Whether each `)` of an expression has its `(`: `$((a)(b))` is no arithmetic.
fn is_balanced(expression: &str) -> bool {
    let mut depth = 0_usize;
    for byte in expression.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return false,
            b')' => depth -= 1,
            _ => {}
        }
    }
    depth == 0
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, quoted: bool) {
    if let Some(Piece::Literal {
        text: last,
        quoted: same,
    }) = pieces.last_mut()
        && *same == quoted
    {
        last.push_str(text);
    } else {
        pieces.push(Piece::Literal {
            text: text.to_owned(),
            quoted,
        });
    }
}
