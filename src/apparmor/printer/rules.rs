//! Rules to text.

use super::Printer;
use crate::apparmor::ast::{
    Condition, ConditionOperator, Conditional, ExecMode, Mount, PathRule, Rule, Word,
};

impl Printer {
    pub(super) fn rule(&mut self, rule: &Rule) {
        match rule {
            Rule::All => self.say("all"),
            Rule::Capability(names) => {
                self.say("capability");
                self.words(names);
            }
            Rule::ChangeProfile { mode, exec, target } => {
                self.say("change_profile");
                self.exec_mode(*mode);
                self.words(exec);
                self.target(target.as_ref());
            }
            Rule::File => self.say("file"),
            Rule::Path(rule) => self.path_rule(rule),
            Rule::Link {
                subset,
                link,
                target,
            } => {
                self.say(if *subset { "link subset" } else { "link" });
                self.word(link);
                self.target(Some(target));
            }
            Rule::Mount(mount) => self.mount(mount),
            Rule::PivotRoot {
                conditions,
                root,
                target,
            } => {
                self.located("pivot_root", conditions, root.as_ref());
                self.target(target.as_ref());
            }
            Rule::Remount { conditions, path } => {
                self.located("remount", conditions, path.as_ref());
            }
            Rule::Rlimit { name, value, unit } => {
                self.say("set rlimit");
                self.word(name);
                self.say("<=");
                self.word(value);
                self.words(unit);
            }
            Rule::Umount { conditions, path } => {
                self.located("umount", conditions, path.as_ref());
            }
            Rule::Dbus(rule) => self.conditional("dbus", DBUS, rule),
            Rule::IoUring(rule) => self.conditional("io_uring", IO_URING, rule),
            Rule::Mqueue(rule) => self.conditional("mqueue", MQUEUE, rule),
            Rule::Network(rule) => self.conditional("network", SOCKET, rule),
            Rule::Ptrace(rule) => self.conditional("ptrace", PTRACE, rule),
            Rule::Signal(rule) => self.conditional("signal", SIGNAL, rule),
            Rule::Unix(rule) => self.conditional("unix", SOCKET, rule),
            Rule::Userns(rule) => self.conditional("userns", USERNS, rule),
        }
    }

    fn path_rule(&mut self, rule: &PathRule) {
        if rule.keyword {
            self.say("file");
        }
        self.exec_mode(rule.mode);
        if rule.leading {
            self.word(&rule.permissions);
            if rule.subset {
                self.say("subset");
            }
            self.word(&rule.path);
        } else {
            self.word(&rule.path);
            self.word(&rule.permissions);
        }
        self.target(rule.target.as_ref());
    }

    fn exec_mode(&mut self, mode: Option<ExecMode>) {
        match mode {
            Some(ExecMode::Safe) => self.say("safe"),
            Some(ExecMode::Unsafe) => self.say("unsafe"),
            None => {}
        }
    }

    fn target(&mut self, target: Option<&Word>) {
        if let Some(target) = target {
            self.say("->");
            self.word(target);
        }
    }

    fn located(&mut self, keyword: &str, conditions: &[Condition], path: Option<&Word>) {
        self.say(keyword);
        self.conditions(conditions);
        self.words(path);
    }

    fn mount(&mut self, mount: &Mount) {
        self.located("mount", &mount.conditions, mount.source.as_ref());
        if let Some(target) = &mount.target {
            self.say("->");
            self.conditions(&target.conditions);
            self.word(&target.path);
        }
    }

    /// A rule of permissions, words and conditions; a single permission stands alone when the rule knows it.
    fn conditional(&mut self, keyword: &str, known: &[&str], rule: &Conditional) {
        self.say(keyword);
        match rule.permissions.as_slice() {
            [] => {}
            [single] if known.iter().any(|name| name.as_bytes() == single.value) => {
                self.word(single);
            }
            several => {
                self.gap();
                self.list(several);
            }
        }
        if keyword == "mqueue" {
            self.conditions(&rule.conditions);
            self.words(&rule.names);
        } else {
            self.words(&rule.names);
            self.conditions(&rule.conditions);
        }
        if let Some(peer) = &rule.peer {
            self.group("peer", peer);
        }
    }

    pub(super) fn group(&mut self, name: &str, conditions: &[Condition]) {
        self.say(name);
        self.put("=(");
        self.tight = true;
        self.conditions(conditions);
        self.close(")");
    }

    fn conditions(&mut self, conditions: &[Condition]) {
        for condition in conditions {
            self.word(&condition.name);
            match (condition.operator, condition.values.as_slice()) {
                (ConditionOperator::None, _) => {}
                // A carriage return is part of a value in parentheses only.
                (ConditionOperator::Equals, [value]) if !value.value.contains(&b'\r') => {
                    self.put("=");
                    self.text.extend_from_slice(&value.value);
                }
                (ConditionOperator::Equals, values) => {
                    self.put("=");
                    self.list(values);
                }
                (ConditionOperator::In, values) => {
                    self.say("in ");
                    self.list(values);
                }
            }
        }
    }

    pub(super) fn list(&mut self, words: &[Word]) {
        self.put("(");
        self.tight = true;
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                self.close(",");
            }
            self.word(word);
        }
        self.close(")");
    }
}

const DBUS: &[&str] = &[
    "bind",
    "eavesdrop",
    "r",
    "read",
    "receive",
    "rw",
    "send",
    "w",
    "wr",
    "write",
];
const IO_URING: &[&str] = &["override_creds", "sqpoll"];
const MQUEUE: &[&str] = &[
    "create", "delete", "getattr", "open", "r", "read", "rw", "setattr", "w", "wr", "write",
];
const PTRACE: &[&str] = &[
    "r", "read", "readby", "rw", "trace", "tracedby", "w", "wr", "write",
];
const SIGNAL: &[&str] = &["r", "read", "receive", "rw", "send", "w", "wr", "write"];
const SOCKET: &[&str] = &[
    "accept", "bind", "connect", "create", "getattr", "getopt", "listen", "r", "read", "receive",
    "rw", "send", "setattr", "setopt", "shutdown", "w", "wr", "write",
];
const USERNS: &[&str] = &["create"];
