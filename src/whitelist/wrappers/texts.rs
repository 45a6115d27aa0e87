//! Whether a text that a client of a database is given can start a program on the client's side, or ask the server for one.

/// psql(1), META-COMMANDS: those that run nothing and read no file. Their arguments may hold a command in backquotes, or a pipe.
const PSQL: &[&[u8]] = &[
    b"a",
    b"c",
    b"conninfo",
    b"connect",
    b"copy",
    b"crosstabview",
    b"echo",
    b"elif",
    b"else",
    b"encoding",
    b"endif",
    b"errverbose",
    b"gdesc",
    b"gexec",
    b"gset",
    b"h",
    b"if",
    b"l",
    b"pset",
    b"q",
    b"qecho",
    b"quit",
    b"set",
    b"t",
    b"timing",
    b"unset",
    b"warn",
    b"x",
    b"z",
];

/// Whether a text of psql starts nothing: no `\!` and its like, and no `COPY … PROGRAM`.
pub(super) fn psql_starts_none(text: &[u8]) -> bool {
    if holds(&text.to_ascii_lowercase(), b"program") {
        return false;
    }
    text.split(|byte| *byte == b'\n').all(|line| {
        let mut rest = line;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
            rest = rest.get(at + 1..).unwrap_or_default();
            let end = rest
                .iter()
                .position(|byte| !byte.is_ascii_alphabetic())
                .unwrap_or(rest.len());
            let (name, behind) = rest.split_at_checked(end).unwrap_or_default();
            rest = match (name, behind) {
                // The end of copied rows; the end of a command on a line.
                (b"", [b'.' | b'\\', behind @ ..]) => behind,
                // `\d` and its like describe.
                (name, behind)
                    if (PSQL.contains(&name) || name.starts_with(b"d"))
                        && !behind.iter().any(|byte| matches!(byte, b'`' | b'|')) =>
                {
                    behind
                }
                _ => return false,
            };
        }
        true
    })
}

/// Whether a text of psql puts variables into itself as they are: `:name`, not `::type` and not `:'name'`.
pub(super) fn puts_variables(text: &[u8]) -> bool {
    let mut before = b' ';
    for pair in text.windows(2) {
        if let [b':', next] = pair
            && before != b':'
            && (next.is_ascii_alphabetic() || *next == b'_')
        {
            return true;
        }
        before = pair.first().copied().unwrap_or_default();
    }
    false
}

/// Whether a text of mysql starts nothing (mysql(1), MYSQL CLIENT COMMANDS): no `\!` and its like, no such command at the start of a
/// line or statement.
pub(super) fn mysql_starts_none(text: &[u8]) -> bool {
    let escapes = text
        .windows(2)
        .any(|pair| matches!(pair, [b'\\', b'!' | b'.' | b'P' | b'e']));
    // What wrote the text may have meant a line's end by `\n`.
    let lines = String::from_utf8_lossy(text).replace("\\n", "\n");
    let named = lines.split(['\n', '\r', ';']).any(|line| {
        let line = line.trim_start().to_ascii_lowercase();
        let word: String = line.chars().take_while(char::is_ascii_alphabetic).collect();
        matches!(word.as_str(), "edit" | "pager" | "source" | "system")
    });
    !escapes && !named
}

/// Names through which code of the MongoDB shell reaches files, programs, or names that are made of parts.
const MONGO: &[&str] = &[
    "Function",
    "Reflect",
    "constructor",
    "edit",
    "editor",
    "eval",
    "exec",
    "execFile",
    "global",
    "globalThis",
    "import",
    "load",
    "module",
    "process",
    "require",
    "run",
    "runProgram",
    "self",
    "shell",
    "spawn",
    "startMongoProgram",
    "system",
    "this",
    "window",
];

/// Whether code of the MongoDB shell starts nothing: no name that leads to programs, and none that is put together.
pub(super) fn mongo_starts_none(text: &[u8]) -> bool {
    if text.iter().any(|byte| matches!(byte, b'\\' | b'`')) {
        return false;
    }
    let mut before = b' ';
    for byte in text.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        // A member by a name that is computed; a list stands behind something else.
        if *byte == b'[' && (before.is_ascii_alphanumeric() || b"_$)]}'\"?.".contains(&before)) {
            return false;
        }
        before = *byte;
    }
    let text = String::from_utf8_lossy(text);
    !text
        .split(|character: char| {
            !character.is_alphanumeric() && character != '_' && character != '$'
        })
        .any(|name| MONGO.contains(&name))
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::{mongo_starts_none, mysql_starts_none, psql_starts_none, puts_variables};

    #[test]
    fn texts_of_psql_that_start_programs_are_told_from_others() {
        for text in [
            "SELECT 1;",
            "\\q",
            "\\c app\nCREATE TABLE t (a int);\nCOPY t FROM stdin;\n1\n\\.\n",
            "\\set ON_ERROR_STOP on\n\\dt+ public.*",
            "SELECT format('CREATE DATABASE %I', 'a') \\gexec",
            "SELECT a || b FROM t",
        ] {
            assert!(psql_starts_none(text.as_bytes()), "{text}");
        }
        for text in [
            "\\! id",
            "select 1 \\g |id",
            "\\o |id",
            "\\set x `id`",
            "\\i more.sql",
            "COPY t FROM Program 'id'",
            "\\copy t to program 'id'",
            "\\e",
            "\\setenv PAGER id",
        ] {
            assert!(!psql_starts_none(text.as_bytes()), "{text}");
        }
        assert!(puts_variables(b"COPY t FROM :source"));
        assert!(!puts_variables(b"SELECT :'name', a::text, '12:30'"));
    }

    #[test]
    fn texts_of_mysql_that_start_programs_are_told_from_others() {
        for text in [
            "SELECT * FROM information_schema.system_x;",
            "CREATE USER 'a'@'%' IDENTIFIED BY 'it\\'s'",
            "SELECT pager FROM system",
        ] {
            assert!(mysql_starts_none(text.as_bytes()), "{text}");
        }
        for text in [
            "\\! id",
            "system id",
            "select 1;\n  SYSTEM id",
            "select 1; source /x.sql",
            "\\. /x.sql",
            "pager less",
            "a\\nsystem id",
        ] {
            assert!(!mysql_starts_none(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn code_of_the_mongodb_shell_that_starts_programs_is_told_from_other() {
        for text in [
            "db.adminCommand('ping')",
            "db.createUser({user: 'a', pwd: \"b\", roles: [{role: 'root', db: 'admin'}]})",
            "rs.status().ok",
        ] {
            assert!(mongo_starts_none(text.as_bytes()), "{text}");
        }
        for text in [
            "require('child_process').exec('id')",
            "run('id')",
            "db['con' + 'structor']",
            "load('/x.js')",
            "db.constructor.constructor('x')()",
            "\\u0072un('id')",
        ] {
            assert!(!mongo_starts_none(text.as_bytes()), "{text}");
        }
    }
}
