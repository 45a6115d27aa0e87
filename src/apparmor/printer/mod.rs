//! A tree to text, in one canonical layout, which parses to an equal tree.
//!
//! Words are written as they were read: what a word means depends on what stands in front of it, which stays the same.

mod rules;

use super::ast::{
    Assignment, AssignmentOperator, Block, Comment, Comparison, Expression, File, If, IncludePath,
    Item, Owner, Prefix, Profile, ProfileKeyword, RuleMode, Statement, Word,
};

/// The text of a tree.
#[must_use]
pub fn print(file: &File) -> Vec<u8> {
    let mut printer = Printer::default();
    printer.items(&file.items, &file.comments);
    printer.text
}

#[derive(Default)]
struct Printer {
    text: Vec<u8>,
    depth: usize,
    /// Whether the next word stands right behind what is there.
    tight: bool,
}

impl Printer {
    fn items(&mut self, items: &[Item], comments: &[Comment]) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 && matches!(item.statement.value, Statement::Profile(_)) {
                self.text.push(b'\n');
            }
            self.comments(&item.comments);
            self.indent();
            self.statement(&item.statement.value);
            if let Some(remark) = &item.remark {
                self.text.push(b' ');
                self.text.extend_from_slice(&remark.value);
            }
            self.text.push(b'\n');
        }
        self.comments(comments);
    }

    fn comments(&mut self, comments: &[Comment]) {
        for comment in comments {
            self.indent();
            self.text.extend_from_slice(&comment.value);
            self.text.push(b'\n');
        }
    }

    fn indent(&mut self) {
        for _ in 0..self.depth {
            self.put("  ");
        }
        self.tight = true;
    }

    fn put(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// A blank, unless the next word is to stand right here. Behind a backslash, which would bring the blank into its word,
    /// a newline.
    fn gap(&mut self) {
        let byte = if self.text.ends_with(b"\\") {
            b'\n'
        } else {
            b' '
        };
        if !std::mem::take(&mut self.tight) {
            self.text.push(byte);
        }
    }

    fn say(&mut self, text: &str) {
        self.gap();
        self.put(text);
    }

    fn word(&mut self, word: &Word) {
        self.gap();
        self.text.extend_from_slice(&word.value);
    }

    fn words<'a>(&mut self, words: impl IntoIterator<Item = &'a Word>) {
        for word in words {
            self.word(word);
        }
    }

    /// What ends a rule or a list.
    fn close(&mut self, mark: &str) {
        self.tight = false;
        if self.text.ends_with(b"\\") {
            self.text.push(b'\n');
        }
        self.put(mark);
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Abi(path) => {
                self.say("abi");
                self.path(path);
                self.close(",");
            }
            Statement::Alias { from, to } => {
                self.say("alias");
                self.word(from);
                self.say("->");
                self.word(to);
                self.close(",");
            }
            Statement::Assignment(Assignment {
                variable,
                operator,
                values,
            }) => {
                self.word(variable);
                self.say(assignment(*operator));
                self.words(values);
                if values.last().is_some_and(|value| value.value == b"\\") {
                    // In front of a bare newline it would continue the line.
                    self.text.push(b'\r');
                }
            }
            Statement::BooleanAssignment {
                variable,
                operator,
                value,
            } => {
                self.word(variable);
                self.say(assignment(*operator));
                self.expression(&value.value, 0);
            }
            Statement::Block { prefix, block } => {
                self.prefix(prefix);
                self.block(block);
            }
            Statement::If(condition) => self.condition(condition),
            Statement::Include {
                if_exists,
                hash,
                path,
            } => {
                self.say(if *hash { "#include" } else { "include" });
                if *if_exists {
                    self.say("if exists");
                }
                self.path(path);
            }
            Statement::Profile(profile) => self.profile(profile),
            Statement::Rule { prefix, rule } => {
                self.prefix(prefix);
                self.rule(rule);
                self.close(",");
            }
        }
    }

    fn path(&mut self, path: &IncludePath) {
        if path.searched {
            self.say("<");
            self.text.extend_from_slice(&path.path.value);
            self.put(">");
        } else {
            self.word(&path.path);
        }
    }

    fn block(&mut self, block: &Block) {
        self.say("{");
        self.put("\n");
        self.depth += 1;
        self.items(&block.items, &block.comments);
        self.depth -= 1;
        self.indent();
        self.close("}");
    }

    fn condition(&mut self, condition: &If) {
        for (index, (expression, block)) in condition.branches.iter().enumerate() {
            if index > 0 {
                self.say("else");
            }
            self.say("if");
            self.expression(&expression.value, 0);
            self.block(block);
        }
        if let Some(block) = &condition.otherwise {
            self.say("else");
            self.block(block);
        }
    }

    /// An expression; in parentheses when it binds less than what it stands in: `or` 0, `and` 1, `not` 2.
    fn expression(&mut self, expression: &Expression, least: usize) {
        let strength = match expression {
            Expression::Or(..) => 0,
            Expression::And(..) => 1,
            _ => 2,
        };
        if strength < least {
            self.say("(");
            self.expression(expression, 0);
            self.say(")");
            return;
        }
        match expression {
            // Both lean to the left.
            Expression::Or(left, right) => {
                self.expression(&left.value, 0);
                self.say("or");
                self.expression(&right.value, 1);
            }
            Expression::And(left, right) => {
                self.expression(&left.value, 1);
                self.say("and");
                self.expression(&right.value, 2);
            }
            Expression::Not(inner) => {
                self.say("not");
                self.expression(&inner.value, 2);
            }
            Expression::Boolean(word) | Expression::Value(word) => self.word(word),
            Expression::Defined(variable) => {
                self.say("defined");
                self.word(variable);
            }
            Expression::Compare {
                left,
                operator,
                right,
            } => {
                self.word(left);
                self.say(comparison(*operator));
                self.word(right);
            }
        }
    }

    fn profile(&mut self, profile: &Profile) {
        match profile.keyword {
            ProfileKeyword::Caret => {
                self.say("^");
                self.tight = true;
            }
            ProfileKeyword::Hat => self.say("hat"),
            ProfileKeyword::None => {}
            ProfileKeyword::Profile => self.say("profile"),
        }
        self.word(&profile.name);
        self.words(&profile.attachment);
        if !profile.xattrs.is_empty() {
            self.group("xattrs", &profile.xattrs);
        }
        if !profile.identities.is_empty() {
            self.say("+identities=");
            self.list(&profile.identities);
        }
        if !profile.flags.is_empty() {
            self.say("flags=");
            self.list(&profile.flags);
        }
        self.block(&profile.body);
    }

    fn prefix(&mut self, prefix: &Prefix) {
        if let Some(priority) = prefix.priority {
            self.say(&format!("priority={}", priority.value));
        }
        if prefix.audit {
            self.say("audit");
        }
        match prefix.mode.map(|mode| mode.value) {
            Some(RuleMode::Allow) => self.say("allow"),
            Some(RuleMode::Deny) => self.say("deny"),
            Some(RuleMode::Prompt) => self.say("prompt"),
            None => {}
        }
        match prefix.owner.map(|owner| owner.value) {
            Some(Owner::Other) => self.say("other"),
            Some(Owner::Owner) => self.say("owner"),
            None => {}
        }
    }
}

fn assignment(operator: AssignmentOperator) -> &'static str {
    match operator {
        AssignmentOperator::Add => "+=",
        AssignmentOperator::Default => "?=",
        AssignmentOperator::Override => ":=",
        AssignmentOperator::Set => "=",
    }
}

fn comparison(operator: Comparison) -> &'static str {
    match operator {
        Comparison::Equal => "==",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
        Comparison::In => "in",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::NotEqual => "!=",
    }
}

#[cfg(test)]
mod tests {
    use super::print;
    use crate::apparmor::{
        parser::{Context, parse},
        source::FileId,
    };

    fn printed(text: &str) -> String {
        let (file, diagnostics) = parse(FileId(0), text.as_bytes(), Context::TopLevel);
        assert!(diagnostics.is_empty(), "{text}: {diagnostics:?}");
        let printed = print(&file);
        let (again, diagnostics) = parse(FileId(0), &printed, Context::TopLevel);
        let printed = String::from_utf8(printed).unwrap();
        assert!(diagnostics.is_empty(), "{printed}: {diagnostics:?}");
        assert_eq!(again, file, "{printed}");
        printed
    }

    #[test]
    fn the_layout_is_canonical() {
        let text = r#"# top
abi   <abi/4.0> , #pinned
#include <tunables/global>
@{A}=b  c # d
$x = not ($y or ( $z and true ))
alias /a ->/b,
profile  web "/usr/bin/w b"  ( complain ) { # head
 include if exists <local/web>
 priority=+3 audit deny
   # why
   owner /a,b rw,    # remark
 file, file r /c, /d px ->e, l subset /f -> /g,
 network ( send ) inet stream peer=( ip=1 , port=2 ),
 mqueue (create,read) type=posix /q,
 mount options=(ro,bind) fstype in (a b) /h->/i -> /j,
 set rlimit nofile<=10K,
 if defined @{A} { } else if $x { all, } else { ^hat { } }
 # end
}
"#;
        let expected = r#"# top
abi <abi/4.0>, #pinned
#include <tunables/global>
@{A} = b c # d
$x = not ( $y or $z and true )
alias /a -> /b,

profile web "/usr/bin/w b" flags=(complain) {
  # head
  include if exists <local/web>
  # why
  priority=3 audit deny owner /a,b rw, # remark
  file,
  file r /c,
  /d px -> e,
  l subset /f -> /g,
  network send inet stream peer=(ip=1 port=2),
  mqueue (create, read) type=posix /q,
  mount options=(ro, bind) fstype in (a, b) /h->/i -> /j,
  set rlimit nofile <= 10 K,
  if defined @{A} {
  } else if $x {
    all,
  } else {
    ^hat {
    }
  }
  # end
}
"#;
        assert_eq!(printed(text), expected);
    }

    #[test]
    fn words_with_a_backslash_at_their_end_stay_apart() {
        printed("@{A} = \\\r\nprofile a {\n link /a -> /b\\\n,\n signal set=(a\\\n),\n}\n");
    }
}
