//! From a command's first word to the file that is started: through a path, or the folders of PATH.

use super::{
    GapKind,
    closure::{Closure, How, Origin, Task},
    files::{self, Found, Lost, What, join},
    list::text,
    script::Value,
};

impl<'a> Closure<'a> {
    /// The files that a command's first word can be, with the names by which they are started.
    pub(super) fn locate(&mut self, name: &[u8], task: &Task) -> Vec<(Vec<u8>, Found<'a>)> {
        let mut found = Vec::new();
        if name.contains(&b'/') {
            let Some(path) = absolute(name, &task.directory) else {
                let what = format!("`{}` is started in a folder that is not known", text(name));
                self.gap(GapKind::Dynamic, what, &task.origin);
                return found;
            };
            let why = match self.files.resolve(&path) {
                Ok(file) if file.is_executable() => {
                    found.push((path, file));
                    return found;
                }
                Ok(_) => "is no file that can be executed",
                Err(lost) => in_words(lost),
            };
            self.missing_path(&format!("`{}` {why}", text(&path)), task);
            return found;
        }
        let paths = task
            .environment
            .variables
            .get("PATH")
            .cloned()
            .unwrap_or_default();
        for path in paths.iter() {
            let Value::Known(path) = path else {
                let what = format!("`{}` is looked for in a PATH that is not known", text(name));
                self.gap(GapKind::Dynamic, what, &task.origin);
                continue;
            };
            if let Some(file) = self.search(name, path, task)
                && !found.iter().any(|(invoked, _)| *invoked == file.0)
            {
                found.push(file);
            }
        }
        if found.is_empty() && paths.iter().all(|path| path.bytes().is_some()) {
            self.missing_name(&format!("`{}` is in no folder of PATH", text(name)), task);
        }
        found
    }

    /// The first program of a name in the folders of a PATH, as execvp(3) and Go's `LookPath` look for it.
    fn search(&mut self, name: &[u8], path: &[u8], task: &Task) -> Option<(Vec<u8>, Found<'a>)> {
        for folder in path.split(|byte| *byte == b':').take(256) {
            // A relative folder is no place where runtimes look; shells do.
            if folder.first() != Some(&b'/') && matches!(task.how, How::First(_)) {
                continue;
            }
            let Some(folder) = absolute(folder, &task.directory) else {
                let what = format!(
                    "`{}` is looked for in a folder that is not known",
                    text(name)
                );
                self.gap(GapKind::Dynamic, what, &task.origin);
                continue;
            };
            let path = join(&folder, name);
            match self.files.resolve(&path) {
                Ok(Found {
                    what: What::Volume(mount),
                    ..
                }) => {
                    let what = format!(
                        "programs are looked for in `{}`, of which nothing is known: {}",
                        text(&folder),
                        files::volume(mount)
                    );
                    self.gap(
                        GapKind::Volume,
                        what,
                        &Origin {
                            place: None,
                            ..task.origin.clone()
                        },
                    );
                }
                Ok(found) if found.is_executable() => return Some((path, found)),
                _ => {
                    let folder = self.real_folder(&folder);
                    self.written.searched(&folder, name);
                }
            }
        }
        None
    }

    /// A path that leads to no program: the image is read, not the container, in which the script that names it may have
    /// written it.
    fn missing_path(&mut self, what: &str, task: &Task) {
        match task.how {
            How::Perhaps => {}
            How::Child(_) | How::First(_) | How::Interpreter => {
                self.gap(GapKind::Missing, what.to_owned(), &task.origin);
            }
        }
    }

    /// A name that PATH leads to no program: the end for a start, else a branch for another system.
    ///
    /// Where the container writes it itself, that is told in the end (`written`).
    fn missing_name(&mut self, what: &str, task: &Task) {
        match task.how {
            How::Child(_) => self.note(what.to_owned(), &task.origin),
            How::Perhaps => {}
            How::First(_) | How::Interpreter => {
                self.gap(GapKind::Missing, what.to_owned(), &task.origin);
            }
        }
    }
}

/// A path from a folder.
pub(super) fn absolute(path: &[u8], directory: &Value) -> Option<Vec<u8>> {
    if path.first() == Some(&b'/') {
        Some(path.to_vec())
    } else {
        Some(join(directory.bytes()?, path))
    }
}

fn in_words(lost: Lost) -> &'static str {
    match lost {
        Lost::Loop => "leads over too many links",
        Lost::Missing => "is not there",
        Lost::NotDirectory => "leads through something that is no folder",
    }
}
