//! How shells and scripts are called: a shell's options, and the `#!` line.

use super::script::{Value, Why};

/// How a shell is called.
pub(super) struct Call {
    pub(super) is_interactive: bool,
    pub(super) is_login: bool,
    /// Names of options that are switched on: of `-o` and bash's `-O`.
    pub(super) options: Vec<Value>,
    pub(super) reads: Reads,
}

/// What a shell reads.
pub(super) enum Reads {
    File(Value, Vec<Value>),
    Input,
    /// A text, what `$0` is, and the arguments.
    Text(Value, Value, Vec<Value>),
}

/// Reads the options of a shell: sh(1), bash(1).
pub(super) fn shell_call(arguments: &[Value]) -> Call {
    let (mut is_interactive, mut is_login, mut has_text) = (false, false, false);
    let mut options = Vec::new();
    let mut rest = arguments;
    while let [Value::Known(option), behind @ ..] = rest {
        let option = String::from_utf8_lossy(option);
        match &*option {
            "--" | "-" => {
                rest = behind;
                break;
            }
            "--login" => {
                is_login = true;
                rest = behind;
            }
            "--rcfile" | "--init-file" => rest = behind.get(1..).unwrap_or_default(),
            option if option.starts_with("--") => rest = behind,
            option if option.len() > 1 && option.starts_with(['-', '+']) => {
                is_interactive |= option.starts_with('-') && option.contains('i');
                is_login |= option.contains('l');
                has_text |= option.starts_with('-') && option.contains('c');
                // `-o pipefail`, `-euxo pipefail`: each `o` takes a word.
                let names = option.matches(['o', 'O']).count();
                options.extend(behind.iter().take(names).cloned());
                rest = behind.get(names..).unwrap_or_default();
            }
            _ => break,
        }
    }
    let reads = match rest {
        [] => Reads::Input,
        [Value::Rest(why), ..] => Reads::File(Value::Unknown(Why::clone(why)), Vec::new()),
        [first, others @ ..] if has_text => {
            let name = others
                .first()
                .cloned()
                .unwrap_or_else(|| Value::known("sh"));
            Reads::Text(
                first.clone(),
                name,
                others.get(1..).unwrap_or_default().to_vec(),
            )
        }
        [first, others @ ..] => Reads::File(first.clone(), others.to_vec()),
    };
    Call {
        is_interactive,
        is_login,
        options,
        reads,
    }
}

/// The program and the one argument of a `#!` line, as `fs/binfmt_script.c` reads them from the first 256 bytes.
pub(super) fn shebang(script: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let line = script.strip_prefix(b"#!")?;
    let line = line.get(..254).unwrap_or(line);
    let line = line.split(|byte| *byte == b'\n').next()?;
    let line = line.trim_ascii();
    let end = line
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t'))
        .unwrap_or(line.len());
    let (interpreter, argument) = line.split_at_checked(end)?;
    let argument = argument.trim_ascii();
    (!interpreter.is_empty()).then(|| {
        (
            interpreter.to_vec(),
            (!argument.is_empty()).then(|| argument.to_vec()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::shebang;

    #[test]
    fn first_lines_are_read_as_the_kernel_reads_them() {
        for (line, expected) in [
            ("#!/bin/sh\nx", Some(("/bin/sh", None))),
            (
                "#! /usr/bin/env  bash \n",
                Some(("/usr/bin/env", Some("bash"))),
            ),
            (
                "#!/usr/bin/env -S a b\n",
                Some(("/usr/bin/env", Some("-S a b"))),
            ),
            ("#!\n", None),
            ("x", None),
        ] {
            let found = shebang(line.as_bytes());
            let expected = expected.map(|(interpreter, argument): (&str, Option<&str>)| {
                (
                    interpreter.as_bytes().to_vec(),
                    argument.map(|argument| argument.as_bytes().to_vec()),
                )
            });
            assert_eq!(found, expected, "{line}");
        }
    }
}
