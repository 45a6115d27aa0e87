//! What a program does when it is started: what the kernel makes of its first bytes, and what it goes on to run.
//!
//! Of a `#!` script the kernel asks AppArmor about the script alone; the interpreter needs no rule. What an interpreter such as
//! `env` then executes itself does. A text without `#!` is refused by the kernel: dash and execvp(3) then execute `/bin/sh`,
//! bash reads it in place.
//!
//! LIMIT: files that `ENV` and `BASH_ENV` name are not read; a login shell reads `/etc/profile` and nothing of the user's.

use std::sync::Arc;

use crate::image::is_foreign;
use crate::image::tree::Content;

use super::{
    GapKind, Place, StartKind,
    closure::{Closure, How, Key, Origin, Task, absolute},
    files::{self, Files, Found, What},
    list::text,
    programs, script,
    script::{Context, Dialect, SiteKind, Source, Value, last_of},
    shell::{Reads, shebang, shell_call},
};

/// LIMIT: readings of one script with the same first argument: a script that starts itself again with one word more would be
/// read for ever. What more words add was met in these.
const MAX_READINGS: usize = 3;

impl<'a> Closure<'a> {
    /// Follows a program that was found.
    pub(super) fn launch(&mut self, invoked: &[u8], found: &Found<'a>, task: &Task) {
        let invoked_name = last_of(invoked);
        let real_name = last_of(&found.path);
        match task.how {
            How::Child(_) | How::Perhaps => self.list(found, &task.origin),
            How::First(_) => {
                self.begins_with(found);
                // The kernel asks nothing here; but many programs start themselves again.
                let many = programs::is_shell(invoked_name)
                    || programs::is_shell(real_name)
                    || programs::is_multi_call(real_name);
                if !many {
                    self.list(found, &task.origin);
                }
            }
            How::Interpreter => {}
        }
        let key = Key {
            path: found.path.clone(),
            invoked: invoked_name.to_vec(),
            how: match task.how {
                // Of shells only bash makes a difference, to texts without `#!`.
                How::Child(Some(Dialect::Busybox | Dialect::Posix)) => How::Child(None),
                how => how,
            },
            words: task.words.get(1..).unwrap_or_default().to_vec(),
            directory: task.directory.clone(),
            environment: self.environment_number(&task.environment),
        };
        if !self.seen.insert(key) {
            return;
        }
        let task = &Task {
            origin: Origin {
                chain: Arc::new([&task.origin.chain[..], &[step(invoked, task)]].concat()),
                ..task.origin.clone()
            },
            ..task.clone()
        };
        match &found.what {
            What::File(file) => match &file.content {
                Content::Elf(_) => self.program(invoked, found, task),
                Content::Text(text) => self.text(invoked, found, &Arc::clone(text), task),
                Content::Head(head) if head.starts_with(b"#!") => {
                    // Of a script in another language no more is wanted: what its interpreter runs is not told from it.
                    if !is_foreign(head) {
                        let what = format!(
                            "`{}` is a script that was not read whole: it is too large, or the image holds too many",
                            text(&found.path)
                        );
                        self.gap(GapKind::Unread, what, &task.origin);
                    }
                    self.text(invoked, found, &Arc::clone(head), task);
                }
                Content::Head(head) => {
                    let path = text(&found.path);
                    let what = if head.is_empty() && file.size > 0 {
                        format!("`{path}` was not read: the image holds more text than is kept")
                    } else {
                        format!("`{path}` is neither a compiled program nor a script")
                    };
                    self.gap(GapKind::Unread, what, &task.origin);
                }
            },
            What::Config { file, .. } => {
                if let Some(script) = &file.text {
                    self.text(invoked, found, &Arc::from(script.as_slice()), task);
                } else {
                    let what = format!(
                        "what `{}` runs: a file of a volume that was not read",
                        text(&found.path)
                    );
                    self.gap(GapKind::Volume, what, &task.origin);
                }
            }
            What::Volume(mount) => {
                let what = format!(
                    "what `{}` is and runs: {}",
                    text(&found.path),
                    files::volume(mount)
                );
                self.gap(GapKind::Volume, what, &task.origin);
            }
            What::Directory | What::Other => {}
        }
    }

    /// A text that is executed.
    fn text(&mut self, invoked: &[u8], found: &Found<'a>, script: &Arc<[u8]>, task: &Task) {
        let arguments = task.words.get(1..).unwrap_or_default();
        let name = match task.words.first() {
            Some(Value::Known(name)) if name.contains(&b'/') => Value::Known(Arc::clone(name)),
            _ => Value::known(invoked),
        };
        if let Some((interpreter, argument)) = shebang(script) {
            let mut words = vec![Value::known(&interpreter)];
            words.extend(argument.map(Value::known));
            words.push(name);
            words.extend(arguments.iter().cloned());
            self.wrapped(last_of(invoked), arguments, task);
            self.known(invoked, found, task);
            self.push(Task {
                words,
                how: How::Interpreter,
                origin: first_line(found, "the `#!` line", task),
                ..task.clone()
            });
            return;
        }
        match task.how {
            How::First(_) => {
                let what = format!(
                    "`{}` has no `#!` line: the runtime cannot start it",
                    text(&found.path)
                );
                self.gap(GapKind::Missing, what, &task.origin);
            }
            How::Child(Some(Dialect::Bash)) => {
                self.read(
                    &found.path,
                    0,
                    script,
                    Dialect::Bash,
                    name,
                    arguments.to_vec(),
                    task,
                );
            }
            How::Child(_) | How::Interpreter | How::Perhaps => {
                let mut words = vec![Value::known("/bin/sh"), Value::known(invoked)];
                words.extend(arguments.iter().cloned());
                self.push(Task {
                    words,
                    how: How::Child(None),
                    origin: first_line(
                        found,
                        "it has no `#!` line, so `/bin/sh` is executed for it",
                        task,
                    ),
                    ..task.clone()
                });
            }
        }
    }

    /// A compiled program.
    fn program(&mut self, invoked: &[u8], found: &Found<'a>, task: &Task) {
        if task.how == How::Perhaps {
            // With which arguments it is started is not known.
            self.known(invoked, found, task);
            return;
        }
        let mut arguments = task.words.get(1..).unwrap_or_default();
        let real = last_of(&found.path);
        let mut tool = last_of(invoked).to_vec();
        if programs::is_multi_call(&tool) {
            // `busybox sh -c …`
            match arguments.split_first() {
                Some((Value::Known(applet), rest)) => {
                    tool = last_of(applet).to_vec();
                    arguments = rest;
                }
                Some(_) => {
                    let what = format!("which program of `{}` is run", text(&found.path));
                    self.gap(GapKind::Dynamic, what, &task.origin);
                }
                None => {}
            }
        }
        let dialect = Dialect::of(real).or_else(|| Dialect::of(&tool));
        if programs::is_shell(&tool) || programs::is_shell(real) {
            let dialect = dialect.unwrap_or(Dialect::Posix);
            self.shell(dialect, arguments, task);
            return;
        }
        self.wrapped(&tool, arguments, task);
        self.known(&tool, found, task);
    }

    /// A shell with its arguments: a text, a file, or whatever it is given.
    fn shell(&mut self, dialect: Dialect, arguments: &[Value], task: &Task) {
        let call = shell_call(arguments);
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
            Reads::Input => self.input(task),
            Reads::Text(value, name, arguments) => match value {
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
            },
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
    fn read(
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

/// The first line of a script as the origin of what is executed for it.
fn first_line(found: &Found<'_>, why: &str, task: &Task) -> Origin {
    Origin {
        place: Some(Place {
            file: text(&found.path),
            line: 1,
        }),
        why: why.to_owned(),
        chain: Arc::clone(&task.origin.chain),
    }
}

fn step(invoked: &[u8], task: &Task) -> String {
    match (&task.origin.place, task.how) {
        (Some(place), _) => format!("{}:{} `{}`", place.file, place.line, text(invoked)),
        (None, How::First(kind)) => {
            let occasion = match kind {
                StartKind::Container => "container",
                StartKind::Hook => "hook",
                StartKind::Probe => "probe",
            };
            format!("{occasion} `{}`", text(invoked))
        }
        (None, _) => format!("`{}`", text(invoked)),
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
