//! What a shell that is started reads: a text, a file, its input; and what the script in it goes on to run.
//!
//! LIMIT: files that `ENV` and `BASH_ENV` name are not read; a login shell reads `/etc/profile` and nothing of the user's.

use std::sync::Arc;

use super::{
    GapKind, Place, StartKind,
    closure::{Closure, How, Origin, Task},
    files::Files,
    list::text,
    locate::absolute,
    script,
    script::{Context, Dialect, SiteKind, Source, Value},
    shell::{Reads, shell_call},
};

/// LIMIT: readings of one script with the same first argument: a script that starts itself again with one word more would be
/// read for ever. What more words add was met in these.
const MAX_READINGS: usize = 3;

impl Closure<'_> {
    /// A shell with its arguments: a text, a file, or whatever it is given.
    pub(super) fn shell(&mut self, dialect: Dialect, arguments: &[Value], task: &Task) {
        let call = shell_call(arguments);
        if call
            .options
            .iter()
            .any(|option| option.bytes().is_none_or(|option| option == b"lastpipe"))
        {
            let what = "variables that the end of a pipe sets, by `lastpipe`";
            self.gap(GapKind::Dynamic, what.to_owned(), &task.origin);
        }
        if call.is_interactive {
            let what = "an interactive shell reads files and variables that are not looked at";
            self.gap(GapKind::Unread, what.to_owned(), &task.origin);
        }
        if call.is_login
            && let Ok(profile) = self.files.resolve(b"/etc/profile")
            && let Source::Text(script) = Files::text_of(&profile)
        {
            self.read(
                &profile.path,
                0,
                &script,
                dialect,
                Value::known("sh"),
                Vec::new(),
                task,
            );
        }
        match call.reads {
            Reads::Input => match task.input.clone() {
                Some(text @ (Value::Known(_) | Value::Numbered(_))) => {
                    self.shell_text(dialect, text, Value::known("sh"), Vec::new(), task);
                }
                Some(_) | None => self.input(task),
            },
            Reads::Text(value, name, arguments) => {
                self.shell_text(dialect, value, name, arguments, task);
            }
            Reads::File(Value::Known(name), arguments) => {
                let path = absolute(&name, &task.directory);
                let found = path.as_deref().map(|path| self.files.resolve(path));
                match found {
                    Some(Ok(found)) => match Files::text_of(&found) {
                        Source::Text(script) => {
                            let name = Value::Known(name);
                            self.read(&found.path, 0, &script, dialect, name, arguments, task);
                        }
                        Source::Opaque(kind, why) => {
                            let what =
                                format!("what the script `{}` runs: {why}", text(&found.path));
                            self.gap(kind, what, &task.origin);
                        }
                        Source::Missing => self.no_script(&name, task),
                    },
                    Some(Err(_)) => self.no_script(&name, task),
                    None => {
                        let what = format!(
                            "the script `{}` is in a folder that is not known",
                            text(&name)
                        );
                        self.gap(GapKind::Dynamic, what, &task.origin);
                    }
                }
            }
            Reads::File(value, _) => {
                if let Value::Files(pattern) = &value {
                    self.folder(pattern.folder(), &task.origin);
                }
                if let Some(why) = value.why() {
                    let what = format!("a shell reads a script whose name is not known: {why}");
                    self.gap(GapKind::Dynamic, what, &task.origin);
                }
            }
        }
    }

    /// A text that a shell is given, as an argument or on its input.
    fn shell_text(
        &mut self,
        dialect: Dialect,
        value: Value,
        name: Value,
        arguments: Vec<Value>,
        task: &Task,
    ) {
        match value {
            Value::Known(script) | Value::Numbered(script) => {
                let (file, line) = match &task.origin.place {
                    Some(place) => (
                        place.file.clone().into_bytes(),
                        place.line.saturating_sub(1),
                    ),
                    None => (b"sh -c".to_vec(), 0),
                };
                self.read(&file, line, &script, dialect, name, arguments, task);
            }
            value => {
                if let Some(why) = value.why() {
                    let what = format!("a shell runs a text that is not known: {why}");
                    self.gap(GapKind::Dynamic, what, &task.origin);
                }
            }
        }
    }

    fn no_script(&mut self, name: &[u8], task: &Task) {
        let what = format!("the script `{}` is not there", text(name));
        // Wherever a shell is given it: a script may have written it before.
        self.gap(GapKind::Missing, what, &task.origin);
    }

    fn input(&mut self, task: &Task) {
        if let How::First(kind) = task.how {
            if kind == StartKind::Container {
                self.never("the container's command is a shell that waits for input: name the program in `command`".to_owned());
            }
        } else {
            self.gap(
                GapKind::Dynamic,
                "a shell reads commands from its input".to_owned(),
                &task.origin,
            );
        }
    }

    /// Reads a script, and follows what it runs.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is what a shell is given with a script"
    )]
    pub(super) fn read(
        &mut self,
        file: &[u8],
        line: usize,
        script: &[u8],
        dialect: Dialect,
        name: Value,
        arguments: Vec<Value>,
        task: &Task,
    ) {
        let readings = self
            .readings
            .entry((file.to_vec(), arguments.first().cloned()))
            .or_default();
        *readings += 1;
        // Texts of `sh -c` have no file of their own, and differ.
        if *readings > MAX_READINGS && file.starts_with(b"/") && line == 0 {
            return;
        }
        if self.steps == 0 {
            let what = "there are more scripts than are read";
            self.gap(GapKind::Unread, what.to_owned(), &task.origin);
            return;
        }
        let reading = script::read(
            script,
            &Context {
                file: Arc::from(file),
                line,
                dialect,
                name,
                arguments,
                environment: Arc::clone(&task.environment),
                directory: task.directory.clone(),
                input: task.input.clone(),
                files: &self.files,
                steps: self.steps,
            },
        );
        self.steps = self.steps.saturating_sub(reading.steps);
        let place = |line: &script::Line| {
            Some(Place {
                file: text(&line.file),
                line: line.line,
            })
        };
        let environment = Arc::new(reading.environment);
        for gap in reading.unknowns {
            let origin = Origin {
                place: place(&gap.place),
                ..task.origin.clone()
            };
            self.gap(gap.kind, gap.what, &origin);
        }
        for missing in reading.missing {
            let origin = Origin {
                place: place(&missing.place),
                ..task.origin.clone()
            };
            let what = format!("`{}` is read where it is there", text(&missing.path));
            self.note(what, &origin);
        }
        for written in reading.written {
            let origin = Origin {
                place: place(&written.place),
                ..task.origin.clone()
            };
            self.written.file(&written.path, origin);
        }
        for folder in reading.folders {
            let origin = Origin {
                place: place(&folder.place),
                ..task.origin.clone()
            };
            self.folder(&folder.path, &origin);
        }
        for site in reading.sites {
            self.push(Task {
                words: site.words,
                directory: site.directory,
                input: site.input,
                environment: Arc::clone(&environment),
                origin: Origin {
                    place: place(&site.place),
                    why: because(site.way, site.function.as_deref()),
                    chain: Arc::clone(&task.origin.chain),
                },
                how: How::Child(Some(dialect)),
            });
        }
    }
}

fn because(way: SiteKind, function: Option<&str>) -> String {
    let way = match way {
        SiteKind::Command => "a command",
        SiteKind::Eval => "a command in an `eval`",
        SiteKind::Exec => "it takes the shell's place by `exec`",
        SiteKind::Substitution => "a command whose output is used",
        SiteKind::Trap => "a command in a `trap`",
    };
    match function {
        Some("source") | None => way.to_owned(),
        Some(function) => format!("{way}, in the function `{}`", text(function.as_bytes())),
    }
}
