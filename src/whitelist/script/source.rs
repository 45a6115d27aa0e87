//! Files that a script reads into itself: `.` and `source`.

use std::{rc::Rc, sync::Arc};

use super::{
    GapKind, Source, Sourced,
    command::absolute,
    read::{Frame, Reader},
    state::State,
    value::Value,
};

/// LIMIT: files that are read into each other.
const MAX_SOURCING: usize = 12;
/// LIMIT: files of a folder that a script reads into itself.
const MAX_FOLDER: usize = 64;

impl Reader<'_> {
    pub(super) fn source(&mut self, words: &[Value], state: &mut State) {
        let words = match words {
            [Value::Known(dashes), rest @ ..] if &dashes[..] == b"--" => rest,
            words => words,
        };
        let Some((file, arguments)) = words.split_first() else {
            return;
        };
        match file {
            Value::Known(name) => self.source_named(&Arc::clone(name), arguments, state),
            Value::Files(files) => {
                let files = files.clone();
                self.folder(&files);
                let mut found = self.context.files.matching(&files);
                self.spend(found.len());
                if found.len() > MAX_FOLDER {
                    self.unread("a folder of more files than are followed is sourced".to_owned());
                    found.truncate(MAX_FOLDER);
                }
                for path in found {
                    // One after the other, as a loop over them does; none where it is left.
                    let mut own = state.clone();
                    self.source_file(&path, arguments, &mut own);
                    self.join(state, &own);
                }
            }
            value => {
                if let Some(why) = value.why() {
                    self.gap(format!("a file is sourced whose name is not known: {why}"));
                }
            }
        }
    }

    fn source_named(&mut self, name: &[u8], arguments: &[Value], state: &mut State) {
        if name.is_empty() {
            return;
        }
        if name.contains(&b'/') {
            let paths: Vec<Option<Vec<u8>>> = state
                .directory
                .iter()
                .map(|directory| absolute(name, directory))
                .collect();
            for path in paths {
                match path {
                    Some(path) => {
                        let mut own = state.clone();
                        self.source_file(&path, arguments, &mut own);
                        *state = own;
                    }
                    None => self.gap(format!(
                        "`{}` is sourced in a folder that is not known",
                        String::from_utf8_lossy(name)
                    )),
                }
            }
            return;
        }
        let path = self.variable("PATH", state);
        let mut folders: Vec<Vec<u8>> = Vec::new();
        for value in path.known() {
            folders.extend(value.split(|byte| *byte == b':').map(<[u8]>::to_vec));
        }
        folders.extend(state.directory.known().map(<[u8]>::to_vec));
        for folder in folders {
            let path = [&folder[..], b"/", name].concat();
            if !matches!(self.context.files.text(&path), Source::Missing) {
                self.source_file(&path, arguments, state);
                return;
            }
        }
        self.missing(name);
    }

    /// Tells of a file that the image lacks: where it was tested for, the script goes on without it.
    fn missing(&mut self, path: &[u8]) {
        if !self.is_guarded(path) {
            self.gap_of(
                GapKind::Missing,
                format!(
                    "`{}` is sourced and is not there",
                    String::from_utf8_lossy(path)
                ),
            );
            return;
        }
        let missing = Sourced {
            place: self.place(),
            path: path.to_vec(),
        };
        // LIMIT: such files of one script that are told.
        if self.reading.missing.len() < 100 && !self.reading.missing.contains(&missing) {
            self.reading.missing.push(missing);
        }
    }

    /// Reads a file into the script, as if its text stood here.
    fn source_file(&mut self, path: &[u8], arguments: &[Value], state: &mut State) {
        let text = match self.context.files.text(path) {
            Source::Missing => {
                self.missing(path);
                return;
            }
            Source::Opaque(kind, why) => {
                self.gap_of(
                    kind,
                    format!("`{}` is sourced: {why}", String::from_utf8_lossy(path)),
                );
                return;
            }
            Source::Text(text) => text,
        };
        if self.sourcing.iter().any(|known| known == path) {
            return;
        }
        if self.sourcing.len() >= MAX_SOURCING {
            self.unread("files are read into each other deeper than is followed".to_owned());
            return;
        }
        let sourced = Sourced {
            place: self.place(),
            path: path.to_vec(),
        };
        if !self.reading.sourced.contains(&sourced) {
            self.reading.sourced.push(sourced);
        }
        self.sourcing.push(path.to_vec());
        let place = (self.first_line, self.line, Arc::clone(&self.file));
        let file: Arc<[u8]> = Arc::from(path);
        let positional = (!arguments.is_empty())
            .then(|| std::mem::replace(&mut state.positional, vec![arguments.to_vec()]));
        self.spend(text.len() / 1024);
        let text = String::from_utf8_lossy(&text).into_owned();
        self.file = file;
        self.first_line = 0;
        self.line = 1;
        self.frames.push(Frame {
            name: Rc::from("source"),
            returns: Vec::new(),
            locals: Vec::new(),
        });
        match self.parse(&text) {
            Ok(program) => self.program(&program, state),
            Err(error) => self.unread(format!("a sourced file could not be read: {error}")),
        }
        if let Some(frame) = self.frames.pop() {
            for returned in &frame.returns {
                self.join(state, returned);
            }
            // `local` is not allowed here; what it set stays, as it does in dash.
        }
        if let Some(positional) = positional {
            state.positional = positional;
        }
        (self.first_line, self.line, self.file) = place;
        self.sourcing.pop();
    }
}
