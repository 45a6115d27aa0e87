//! What programs go on to run besides what they are told to read: commands in their arguments, and what is known of them.

use std::sync::Arc;

use super::{
    GapKind,
    closure::{Closure, How, Origin, Task},
    files::{self, Found},
    list::text,
    programs,
    script::{self, Value, folder_of, last_of},
    supervisor,
    wrappers::{self, Carried},
};

impl<'a> Closure<'a> {
    /// The commands in the arguments of a wrapper.
    pub(super) fn wrapped(&mut self, tool: &[u8], arguments: &[Value], task: &Task) {
        for inner in wrappers::inner(tool, arguments, task.input.as_ref()) {
            self.carried(tool, inner, task);
        }
        self.puts(tool, arguments, task);
        if let Some(argument) = programs::asked(tool, arguments) {
            let what = format!(
                "what `{}` runs is not followed: it is asked to by {argument}",
                text(tool)
            );
            self.gap(GapKind::Code, what, &task.origin);
        }
    }

    /// What a wrapper carries.
    fn carried(&mut self, tool: &[u8], inner: wrappers::Inner, task: &Task) {
        let mut environment = Arc::clone(&task.environment);
        if !inner.variables.is_empty() {
            let changed = Arc::make_mut(&mut environment);
            for (name, value) in inner.variables {
                changed.variables.insert(name, script::Values::one(value));
            }
        }
        let origin = Origin {
            why: format!("`{}` runs it", text(tool)),
            ..task.origin.clone()
        };
        let child = |words: Vec<Value>| Task {
            words,
            directory: task.directory.clone(),
            environment: Arc::clone(&environment),
            input: task.input.clone(),
            origin: origin.clone(),
            how: How::Child(None),
        };
        match inner.what {
            Carried::Command(words) => self.push(child(words)),
            Carried::Files(pattern) => self.push(child(vec![Value::Files(pattern)])),
            Carried::Supervisor(file) => {
                for command in supervisor::commands(&self.files, file.as_ref(), &task.directory) {
                    match command {
                        Ok((place, words)) => self.push(Task {
                            origin: Origin {
                                place: Some(place),
                                ..origin.clone()
                            },
                            ..child(words)
                        }),
                        Err(what) => self.gap(GapKind::Unread, what, &origin),
                    }
                }
            }
            Carried::Unknown(what) => self.gap(GapKind::Code, what, &origin),
        }
    }

    /// What the table of known programs says.
    pub(super) fn known(&mut self, invoked: &[u8], found: &Found<'a>, task: &Task) {
        let names = [last_of(invoked), last_of(&found.path)];
        for known in programs::known(&names) {
            let name = text(last_of(&found.path));
            if let Some(why) = &known.never {
                self.never(format!("`{name}`: {why}"));
            }
            if let Some(code) = &known.code {
                self.gap(
                    GapKind::Code,
                    format!("what `{name}` starts: {code}"),
                    &task.origin,
                );
            }
            let origin = Origin {
                why: format!("`{name}` is known to start it"),
                place: None,
                chain: Arc::clone(&task.origin.chain),
            };
            let mut words: Vec<Value> = Vec::new();
            for start in &known.starts {
                let start = start.as_bytes();
                words.push(Value::known(if start.starts_with(b".") {
                    files::join(folder_of(&found.path), start)
                } else {
                    start.to_vec()
                }));
            }
            for files in &known.files {
                words.push(Value::Files(script::FilePattern {
                    path: Arc::from(files.as_bytes()),
                    reach: script::Reach::Matching,
                    filters: Vec::new(),
                }));
            }
            for word in words {
                self.push(Task {
                    words: vec![word],
                    directory: task.directory.clone(),
                    environment: Arc::clone(&task.environment),
                    input: None,
                    origin: origin.clone(),
                    how: How::Perhaps,
                });
            }
        }
    }
}
