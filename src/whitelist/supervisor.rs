//! The programs of supervisord, from its ini file: `command=` of each `[program:…]`, `[eventlistener:…]` and `[fcgi-program:…]`,
//! and the files that `[include]` names (supervisord's manual, "Configuration File").

use super::{
    Place,
    files::{Files, files_in},
    list::text,
    locate::absolute,
    script::{FilePattern, Files as _, Reach, Source, Value, folder_of},
};

/// LIMIT: files that are read.
const MAX_FILES: usize = 64;

/// A command with its place, or what could not be read.
type Command = Result<(Place, Vec<Value>), String>;

/// The commands of a configuration; without a name the first that supervisord finds.
pub(super) fn commands(files: &Files<'_>, file: Option<&Value>, directory: &Value) -> Vec<Command> {
    let path = match file {
        Some(Value::Known(name)) => absolute(name, directory),
        Some(_) => None,
        None => DEFAULTS
            .iter()
            .filter_map(|name| absolute(name.as_bytes(), directory))
            .find(|path| files.resolve(path).is_ok()),
    };
    let Some(path) = path else {
        return vec![Err(
            "the configuration of supervisord is not known".to_owned()
        )];
    };
    let mut commands = Vec::new();
    let included = read(files, &path, &mut commands);
    for pattern in included {
        let path = if pattern.first() == Some(&b'/') {
            pattern
        } else {
            files_in(folder_of(&path), &pattern).path.to_vec()
        };
        let pattern = FilePattern {
            path: path.into(),
            reach: Reach::Matching,
            filters: Vec::new(),
        };
        for path in files.matching(&pattern).into_iter().take(MAX_FILES) {
            read(files, &path, &mut commands);
        }
    }
    commands
}

const DEFAULTS: [&str; 6] = [
    "supervisord.conf",
    "etc/supervisord.conf",
    "/etc/supervisord.conf",
    "/etc/supervisor/supervisord.conf",
    "../etc/supervisord.conf",
    "../supervisord.conf",
];

/// Reads one file; gives the patterns of those it includes.
fn read(files: &Files<'_>, path: &[u8], commands: &mut Vec<Command>) -> Vec<Vec<u8>> {
    let text_of = match files.text(path) {
        Source::Text(text) => text,
        Source::Missing => {
            commands.push(Err(format!(
                "`{}`, supervisord's configuration, is not there",
                text(path)
            )));
            return Vec::new();
        }
        Source::Opaque(_, why) => {
            commands.push(Err(format!(
                "`{}`, supervisord's configuration: {why}",
                text(path)
            )));
            return Vec::new();
        }
    };
    let mut included = Vec::new();
    let mut section = String::new();
    for (index, line) in String::from_utf8_lossy(&text_of).lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.split(']').next())
        {
            name.clone_into(&mut section);
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        // A `;` behind a blank begins a comment.
        let value = value.split(" ;").next().unwrap_or_default().trim();
        match (section.split(':').next(), key.trim()) {
            (Some("program" | "eventlistener" | "fcgi-program"), "command") => {
                let place = Place {
                    file: text(path),
                    line: index + 1,
                };
                commands.push(Ok((place, words(value))));
            }
            (Some("include"), "files") => {
                included.extend(
                    value
                        .split_whitespace()
                        .map(|pattern| pattern.as_bytes().to_vec()),
                );
            }
            _ => {}
        }
    }
    included
}

/// The words of a command, parted at blanks but for quotes; `%(…)s` makes one unknown.
fn words(command: &str) -> Vec<Value> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), character) if open == character => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, character) if character.is_whitespace() => words.extend(word.take()),
            (_, character) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
        .into_iter()
        .map(|word| {
            if word.contains("%(") {
                Value::unknown("a setting of supervisord")
            } else {
                Value::known(word)
            }
        })
        .collect()
}
