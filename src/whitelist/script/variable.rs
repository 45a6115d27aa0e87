//! Variables: what they hold where they are used, and what assigning does.

use std::{rc::Rc, sync::Arc};

use super::{
    command::name_of,
    fields,
    index::base_of,
    read::Reader,
    state::{State, Variable, Words},
    value::{Value, Values, Why},
};

/// Variables that the shell or the runtime sets, so that they are not empty although nobody assigned them.
const SET_BY_OTHERS: &[&str] = &[
    "BASH",
    "BASHOPTS",
    "BASHPID",
    "BASH_ALIASES",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_CMDS",
    "BASH_COMMAND",
    "BASH_COMPAT",
    "BASH_EXECUTION_STRING",
    "BASH_LINENO",
    "BASH_LOADABLES_PATH",
    "BASH_REMATCH",
    "BASH_SUBSHELL",
    "BASH_VERSINFO",
    "BASH_VERSION",
    "COLUMNS",
    "COPROC",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "HISTFILE",
    "HOME",
    "HOSTNAME",
    "HOSTTYPE",
    "LINENO",
    "LINES",
    "LOGNAME",
    "MACHTYPE",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "OSTYPE",
    "PATH",
    "PIPESTATUS",
    "PPID",
    "PS1",
    "PS2",
    "RANDOM",
    "REPLY",
    "SECONDS",
    "SHELL",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "TERM",
    "UID",
    "USER",
    "_",
];

impl Reader<'_> {
    /// The values of a variable where it is used.
    pub(super) fn variable(&self, name: &str, state: &State) -> Values {
        match name {
            "BASH_SOURCE" => return Values::one(Value::Known(Arc::clone(&self.file))),
            "PWD" => return state.directory.clone(),
            _ => {}
        }
        let mut values = match state.variables.get(name) {
            Some(variable) => variable.values(),
            None => self.unset(name),
        };
        if let Some(why) = &state.any_changed {
            values.insert(Value::Unknown(why.clone()));
        }
        values
    }

    /// The lists of an array where it is used.
    pub(super) fn list_variable(&self, name: &str, state: &State) -> Vec<Words> {
        if name == "BASH_SOURCE" {
            return vec![vec![Value::Known(Arc::clone(&self.file))]];
        }
        let mut lists = match state.variables.get(name) {
            Some(variable) => variable.lists(),
            None if SET_BY_OTHERS.contains(&name) => {
                vec![vec![Value::Rest(Why::new(format!("`{name}`")))]]
            }
            None => vec![Words::new()],
        };
        if let Some(why) = &state.any_changed {
            lists.push(vec![Value::Rest(why.clone())]);
        }
        lists
    }

    /// What a variable holds that the script did not set.
    pub(super) fn unset(&self, name: &str) -> Values {
        let environment = &self.context.environment;
        if let Some(values) = environment.variables.get(name) {
            return values.clone();
        }
        // Shells set it themselves.
        if name == "IFS" {
            return Values::one(Value::known(fields::DEFAULT));
        }
        let set_by_others = SET_BY_OTHERS.contains(&name) || is_service_link(name);
        if set_by_others {
            return Values::one(Value::unknown(format!("the variable `{name}`")));
        }
        let mut values = Values::one(Value::known(""));
        if environment.others.is_some() {
            values.insert(Value::unknown(format!("the variable `{name}`")));
        }
        values
    }

    pub(super) fn script_name(&self) -> Value {
        // bash: `$0` is then what was assigned.
        if self.ever.contains_key("BASH_ARGV0") {
            return Value::unknown("the variable `BASH_ARGV0`");
        }
        self.context.name.clone()
    }

    pub(super) fn assign_values(&mut self, name: &str, values: &Values, state: &mut State) {
        self.assign(name, Variable::scalar(values.iter().cloned()), state);
    }

    pub(super) fn assign(&mut self, name: &str, variable: Variable, state: &mut State) {
        if self.is_number(name) {
            self.number(&variable.values(), state);
        }
        // Long values are compared with each other wherever ways meet.
        self.spend(variable.size() / 64);
        let name: Rc<str> = Rc::from(name);
        if self.exports_all {
            self.exported.insert(Rc::clone(&name));
        }
        // LIMIT: variables of one script.
        if self.ever.len() < 4_000 || self.ever.contains_key(&name) {
            self.ever
                .entry(Rc::clone(&name))
                .or_default()
                .extend(variable.values().iter().cloned());
        } else if !self.exported.is_empty() {
            state.any_changed = Some(Why::new("one of too many variables to follow"));
        }
        Rc::make_mut(&mut state.variables).insert(name, Rc::new(variable));
    }

    /// Assigns to some element of an array.
    pub(super) fn assign_element(&mut self, name: &str, state: &mut State) {
        let why = Why::new(format!("an element of `{name}`"));
        self.assign(name, Variable::list(vec![Value::Rest(why)]), state);
    }

    /// Whether what is assigned to a variable is read as a number, or as the name of another.
    fn is_number(&self, name: &str) -> bool {
        matches!(name, "HISTCMD" | "OPTIND" | "RANDOM" | "SRANDOM") || self.numbers.contains(name)
    }

    /// Assigns to the variable that a word names.
    pub(super) fn assign_to(&mut self, name: &Value, values: &Values, state: &mut State) {
        if let Some(name) = name_of(name) {
            let name = name.to_owned();
            self.assign_values(&name, values, state);
        } else if let Some(list) = base_of(name) {
            let list = list.to_owned();
            self.assign_element(&list, state);
        } else if let Some(why) = name.why() {
            state.any_changed = Some(why);
        }
    }
}

/// Variables that Kubernetes sets for the services of a namespace, whatever the pod says: `REDIS_PORT_6379_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.contains("_PORT_") && (name.contains("_TCP") || name.contains("_UDP")))
}
