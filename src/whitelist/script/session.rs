//! What a shell does besides the script: what its environment tells it to read first, and the text that it puts before each
//! command under `set -x`.
//!
//! LIMIT: nobody sits before it, so `ENV`, `PS1` and `PROMPT_COMMAND` are not read.

use super::{Dialect, read::Reader, state::State, value::Value, word};

impl Reader<'_> {
    /// What is read before the script: bash(1), `BASH_ENV`. (As `sh` it does not: then this is too much.)
    pub(super) fn begin(&mut self, state: &mut State) {
        if self.context.dialect != Dialect::Bash {
            return;
        }
        let context = self.context;
        let exported = context.environment.variables.keys();
        for name in exported.filter(|name| name.starts_with("BASH_FUNC_")) {
            self.gap(format!("a function in the environment, `{name}`"));
        }
        // bash(1), `BASHOPTS`: options that are switched on at the start.
        let options = context.environment.variables.get("BASHOPTS");
        let is_harmless = |options: &Value| {
            options.bytes().is_some_and(|options| {
                let mut options = options.split(|byte| *byte == b':');
                !options.any(|option| matches!(option, b"expand_aliases" | b"lastpipe"))
            })
        };
        if !options.is_none_or(|options| options.iter().all(is_harmless)) {
            self.gap("options of the shell in the environment, `BASHOPTS`".to_owned());
        }
        let Some(files) = context.environment.variables.get("BASH_ENV").cloned() else {
            return;
        };
        let before = state.clone();
        for file in files.iter() {
            let mut own = before.clone();
            match file {
                // Not looked for in PATH.
                Value::Known(name) if name.contains(&b'/') || name.is_empty() => {
                    self.source(std::slice::from_ref(file), &mut own);
                }
                Value::Known(name) => {
                    let name = [b"./", &name[..]].concat();
                    self.source(&[Value::known(name)], &mut own);
                }
                value => {
                    if let Some(why) = value.why() {
                        self.gap(format!("the file that `BASH_ENV` names is read: {why}"));
                    }
                }
            }
            own.unreachable = false;
            self.join(state, &own);
        }
    }

    /// `PS4`: substitutions in it run before each command that is shown.
    pub(super) fn run_prompts(&mut self, state: &mut State) {
        let values = self.ever.get("PS4").cloned().unwrap_or_default();
        for value in values.known() {
            let text = String::from_utf8_lossy(value);
            match word::here_document(&text) {
                Ok(pieces) => self.scan(&pieces, state),
                Err(error) => self.unread(format!("`PS4` has {error}")),
            }
        }
    }
}
