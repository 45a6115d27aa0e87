//! Words and their pieces.

use super::{Name, Operation, Parameter, Piece, here_document, pieces};

fn text(text: &str, quoted: bool) -> Piece {
    Piece::Literal {
        text: text.to_owned(),
        quoted,
    }
}

fn command(text: &str, quoted: bool) -> Piece {
    Piece::Command {
        text: text.to_owned(),
        line: 0,
        quoted,
    }
}

fn parameter(name: Name, operation: Operation, quoted: bool) -> Piece {
    Piece::Parameter {
        parameter: Box::new(Parameter { name, operation }),
        quoted,
    }
}

#[test]
fn words_come_apart() {
    let named = |name: &str| Name::Named(name.to_owned());
    let cases = [
        (
            "a'b c'\"d\"",
            vec![text("a", false), text("b c", true), text("d", true)],
        ),
        (r"\$x", vec![text("$", true), text("x", false)]),
        ("~/x", vec![Piece::Tilde(String::new()), text("/x", false)]),
        (
            "$a-$1",
            vec![
                parameter(named("a"), Operation::Plain, false),
                text("-", false),
                parameter(Name::Positional(1), Operation::Plain, false),
            ],
        ),
        (
            "${a:-\"x y\"}",
            vec![parameter(
                named("a"),
                Operation::Default(vec![text("x y", true)]),
                false,
            )],
        ),
        (
            "\"$(echo \"a)\" ')')\"",
            vec![text("", true), command("echo \"a)\" ')'", true)],
        ),
        (
            "$(case x in a) b;; esac)",
            vec![command("case x in a) b;; esac", false)],
        ),
        (
            "$((1 + $(id -u)))",
            vec![Piece::Arithmetic(vec![
                text("1 + ", true),
                command("id -u", true),
            ])],
        ),
        (r"`a \`b\``", vec![command("a `b`", false)]),
        (
            "${#a}",
            vec![parameter(named("a"), Operation::Length, false)],
        ),
        ("$'a\\n'", vec![text("a\n", true)]),
        ("a$", vec![text("a", false), text("$", true)]),
    ];
    for (word, expected) in cases {
        assert_eq!(pieces(word), Ok(expected), "{word}");
    }
    assert_eq!(here_document("'$(x)'").unwrap().len(), 3);
}

#[test]
fn what_does_not_end_is_not_understood() {
    for word in ["'a", "\"a", "${a", "$(a", "`a", "${a:-\"}", "$'\\x41'"] {
        assert!(pieces(word).is_err(), "{word}");
    }
}

#[test]
fn nesting_ends_and_takes_no_time() {
    for unit in ["$(( \"", "${a:-\"", "\"$(", "$(", "${a:-", "$(\"$((\""] {
        assert!(pieces(&unit.repeat(20_000)).is_err(), "{unit}");
    }
    let deep = "${a:-\"".repeat(12) + &"\"}".repeat(12);
    assert!(pieces(&deep).is_ok());
    let arithmetic = "$((\"".repeat(7) + &"\"))".repeat(7);
    assert!(pieces(&arithmetic).is_ok());
}
