//! The words that a container, a probe and a hook begin with, as Kubernetes and the runtimes compose them.
//!
//! `command` replaces the image's entrypoint and its default arguments; `args` alone replaces the arguments (containerd
//! `WithProcessArgs`, CRI-O `SpecSetProcessArgs`). An empty list is the same as none. The kubelet expands `$(NAME)` in
//! `command`, `args` and probes from the variables of the pod, not from those of the image; in hooks it does not.

use std::{collections::BTreeMap, sync::Arc};

use crate::image::Config;

use super::{
    StartKind, Workload,
    script::{Environment, Value, Values, Why},
};

/// A start, before it is followed.
pub(super) struct StartWords {
    pub(super) kind: StartKind,
    pub(super) words: Vec<Value>,
}

/// All starts of a container, the container's own first.
pub(super) fn starts(config: &Config, workload: &Workload) -> Vec<StartWords> {
    let mut starts = vec![StartWords {
        kind: StartKind::Container,
        words: container(config, workload),
    }];
    for probe in &workload.probes {
        let words = probe
            .iter()
            .map(|word| expand(word, workload, Variables::Static));
        starts.push(StartWords {
            kind: StartKind::Probe,
            words: words.collect(),
        });
    }
    for hook in &workload.hooks {
        starts.push(StartWords {
            kind: StartKind::Hook,
            words: hook.iter().map(Value::known).collect(),
        });
    }
    starts
}

/// The variables that everything in the container starts with.
pub(super) fn environment(config: &Config, workload: &Workload) -> Environment {
    // containerd and CRI-O set a PATH first, the image's variables come over it, then the pod's; the last one counts.
    let mut variables =
        BTreeMap::from([("PATH".to_owned(), Values::one(Value::known(DEFAULT_PATH)))]);
    for variable in &config.env {
        if let Some((name, value)) = variable.split_once('=') {
            variables.insert(name.to_owned(), Values::one(Value::known(value)));
        }
    }
    for variable in &workload.env {
        let value = match &variable.value {
            Some(value) => Value::known(value),
            None => Value::unknown(format!("the pod's variable `{}`", variable.name)),
        };
        variables.insert(variable.name.clone(), Values::one(value));
    }
    Environment {
        variables,
        others: workload
            .unread_env
            .then(|| Why::new("variables of the pod that were not read")),
    }
}

/// The folder in which everything starts.
pub(super) fn directory(config: &Config, workload: &Workload) -> Arc<[u8]> {
    let directory = workload
        .working_dir
        .as_deref()
        .filter(|directory| !directory.is_empty())
        .unwrap_or(&config.working_dir);
    let absolute = format!("/{}", directory.trim_matches('/'));
    Arc::from(absolute.as_bytes())
}

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn container(config: &Config, workload: &Workload) -> Vec<Value> {
    let own = |words: &[String]| -> Vec<Value> {
        words
            .iter()
            .map(|word| expand(word, workload, Variables::All))
            .collect()
    };
    let of_image = |words: &Option<Vec<String>>| -> Vec<Value> {
        words.iter().flatten().map(Value::known).collect()
    };
    if !workload.command.is_empty() {
        let mut words = own(&workload.command);
        words.extend(own(&workload.args));
        return words;
    }
    // containerd takes an entrypoint of one empty word for none.
    let mut words = match config.entrypoint.as_deref() {
        Some([only]) if only.is_empty() => Vec::new(),
        _ => of_image(&config.entrypoint),
    };
    if workload.args.is_empty() {
        words.extend(of_image(&config.cmd));
    } else {
        words.extend(own(&workload.args));
    }
    words
}

/// Which variables an expansion knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variables {
    All,
    /// Those that the pod spells out: for probes the kubelet looks nothing up.
    Static,
}

/// `$(NAME)`; `$$` is a `$`; a name that is not known stays as it is written.
fn expand(word: &str, workload: &Workload, variables: Variables) -> Value {
    let mut text = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        text.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        if let Some(behind) = rest.strip_prefix('$') {
            text.push('$');
            rest = behind;
            continue;
        }
        let Some((name, behind)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'))
        else {
            text.push('$');
            continue;
        };
        // The last of a name counts, as in the container.
        let known = workload
            .env
            .iter()
            .rev()
            .find(|variable| variable.name == name);
        match known {
            Some(variable) => match (&variable.value, variables) {
                (Some(value), _) => text.push_str(value),
                (None, Variables::All) => {
                    return Value::unknown(format!("the pod's variable `{name}`"));
                }
                (None, Variables::Static) => text.extend(["$(", name, ")"]),
            },
            None if workload.unread_env && variables == Variables::All => {
                return Value::unknown(format!("the pod's variable `{name}`"));
            }
            None => text.extend(["$(", name, ")"]),
        }
        rest = behind;
    }
    text.push_str(rest);
    Value::known(text)
}

#[cfg(test)]
mod tests {
    use super::{Config, Value, Variables, Workload, container, directory, expand};
    use crate::whitelist::PodVariable;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn command_and_args_replace_what_the_image_says() {
        let none: &[&str] = &[];
        for (entrypoint, cmd, command, args, expected) in [
            (
                Some(&["/e"][..]),
                Some(&["c"][..]),
                none,
                none,
                &["/e", "c"][..],
            ),
            (Some(&["/e"]), Some(&["c"]), &["k"], none, &["k"]),
            (Some(&["/e"]), Some(&["c"]), none, &["a"], &["/e", "a"]),
            (Some(&["/e"]), Some(&["c"]), &["k"], &["a"], &["k", "a"]),
            (None, Some(&["c"]), none, none, &["c"]),
            (None, Some(&["c"]), none, &["a"], &["a"]),
            (Some(&[""]), Some(&["c"]), none, none, &["c"]),
            (Some(&[]), None, none, none, none),
        ] {
            let config = Config {
                entrypoint: entrypoint.map(strings),
                cmd: cmd.map(strings),
                ..Config::default()
            };
            let workload = Workload {
                command: strings(command),
                args: strings(args),
                ..Workload::default()
            };
            let expected: Vec<Value> = expected.iter().map(Value::known).collect();
            assert_eq!(container(&config, &workload), expected);
        }
    }

    #[test]
    fn variables_of_the_pod_are_expanded() {
        let workload = Workload {
            env: vec![
                PodVariable {
                    name: "A".to_owned(),
                    value: Some("x".to_owned()),
                },
                PodVariable {
                    name: "S".to_owned(),
                    value: None,
                },
            ],
            ..Workload::default()
        };
        for (word, expected) in [
            ("$(A)/b", Some("x/b")),
            ("$$(A)", Some("$(A)")),
            ("$(NONE)", Some("$(NONE)")),
            ("$A $(A", Some("$A $(A")),
            ("$(S)", None),
        ] {
            let value = expand(word, &workload, Variables::All);
            assert_eq!(value.bytes(), expected.map(str::as_bytes), "{word}");
        }
        assert_eq!(
            expand("$(S)", &workload, Variables::Static),
            Value::known("$(S)")
        );
    }

    #[test]
    fn the_pods_folder_counts_before_the_images() {
        let config = Config {
            working_dir: "/app/".to_owned(),
            ..Config::default()
        };
        let mut workload = Workload::default();
        assert_eq!(&*directory(&config, &workload), b"/app");
        workload.working_dir = Some("data".to_owned());
        assert_eq!(&*directory(&config, &workload), b"/data");
        assert_eq!(&*directory(&Config::default(), &Workload::default()), b"/");
    }
}
