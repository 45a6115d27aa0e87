//! Wrappers that run a command for each of what they find or read: `find -exec`, `xargs`.

use super::{
    super::script::{Value, Why},
    Inner, command,
    special::take,
    unknown,
};

pub(super) fn find(arguments: &[Value]) -> Vec<Inner> {
    let mut found = Vec::new();
    let mut rest = arguments;
    while let [word, behind @ ..] = rest {
        rest = behind;
        if let Value::Rest(why) = word {
            found.push(unknown(format!(
                "`find` may be told to run something: {why}"
            )));
        }
        if matches!(
            word.bytes(),
            Some(b"-exec" | b"-execdir" | b"-ok" | b"-okdir")
        ) {
            let end = behind
                .iter()
                .position(|word| matches!(word.bytes(), Some(b";" | b"+")))
                .unwrap_or(behind.len());
            let words = behind.get(..end).unwrap_or_default();
            let placed = words.iter().map(|word| match word.bytes() {
                Some(bytes) if bytes.windows(2).any(|pair| pair == b"{}") => {
                    Value::unknown("a file that `find` finds")
                }
                _ => word.clone(),
            });
            let placed: Vec<Value> = placed.collect();
            if !placed.is_empty() {
                found.push(command(placed));
            }
            rest = behind.get(end..).unwrap_or_default();
        }
    }
    found
}

/// `xargs [options] [command]`: what it reads goes behind the command's words, or with `-I` into them, the first one included.
pub(super) fn xargs(arguments: &[Value]) -> Vec<Inner> {
    let (rest, replaced) = xargs_options(arguments);
    // Without a command it is `echo`.
    let mut words = if rest.is_empty() {
        vec![Value::known("echo")]
    } else {
        rest.to_vec()
    };
    match replaced {
        None => words.push(Value::Rest(Why::new("what `xargs` reads"))),
        Some(Value::Known(mark)) => {
            for word in &mut words {
                if word.bytes().is_some_and(|word| holds(word, &mark)) {
                    *word = Value::unknown("what `xargs` reads");
                }
            }
        }
        // Any word may hold a mark that is not known.
        Some(_) => words = vec![Value::Rest(Why::new("what `xargs` reads"))],
    }
    vec![command(words)]
}

/// The words behind the options of `xargs`, and the mark that it replaces, if there is one.
fn xargs_options(arguments: &[Value]) -> (&[Value], Option<Value>) {
    const LONG: &[&[u8]] = &[
        b"--arg-file",
        b"--delimiter",
        b"--max-args",
        b"--max-chars",
        b"--max-procs",
        b"--process-slot-var",
    ];
    let mut mark = None;
    let mut rest = arguments;
    while let [Value::Known(option), behind @ ..] = rest {
        let option = &option[..];
        if option == b"--" {
            return (behind, mark);
        }
        if option.len() < 2 || option.first() != Some(&b'-') {
            break;
        }
        rest = behind;
        if option.starts_with(b"--") {
            if let Some(given) = option.strip_prefix(b"--replace") {
                mark = Some(mark_or_braces(given.strip_prefix(b"=").unwrap_or(given)));
            } else if LONG.contains(&option) {
                take(&mut rest);
            }
            continue;
        }
        for (at, letter) in option.iter().enumerate().skip(1) {
            let attached = option.get(at + 1..).unwrap_or_default();
            match letter {
                b'I' | b'J' if attached.is_empty() => {
                    mark = Some(take(&mut rest).unwrap_or_else(|| Value::known("{}")));
                }
                b'I' | b'J' | b'i' => mark = Some(mark_or_braces(attached)),
                b'a' | b'd' | b'E' | b'L' | b'n' | b'P' | b's' if attached.is_empty() => {
                    take(&mut rest);
                }
                // Theirs is attached or left out.
                b'a' | b'd' | b'E' | b'L' | b'n' | b'P' | b's' | b'e' | b'l' => {}
                _ => continue,
            }
            break;
        }
    }
    (rest, mark)
}

fn mark_or_braces(mark: &[u8]) -> Value {
    Value::known(if mark.is_empty() { &b"{}"[..] } else { mark })
}

/// Whether a word holds a mark; an empty one is in none.
fn holds(word: &[u8], mark: &[u8]) -> bool {
    !mark.is_empty() && word.windows(mark.len()).any(|part| part == mark)
}
