//! `set rlimit nofile <= 1024,`: checked, and not a permission. A limit takes nothing away that a default gives.

use std::num::IntErrorKind;

use super::super::super::ast::Word;
use super::super::super::diagnostic::Diagnostic;
use super::super::lowering::Lowering;

/// What a limit counts, and so which units its values may have.
#[derive(Clone, Copy)]
enum Kind {
    Bytes,
    Count,
    Microseconds,
    /// -20 to 19.
    Nice,
    Seconds,
}

fn kind(name: &[u8]) -> Option<Kind> {
    Some(match name {
        b"as" | b"core" | b"data" | b"fsize" | b"memlock" | b"msgqueue" | b"rss" | b"stack" => {
            Kind::Bytes
        }
        b"locks" | b"nofile" | b"ofile" | b"nproc" | b"rtprio" | b"sigpending" => Kind::Count,
        b"cpu" => Kind::Seconds,
        b"nice" => Kind::Nice,
        b"rttime" => Kind::Microseconds,
        _ => return None,
    })
}

/// Microseconds of a unit of time. The parser takes any beginning of the long names as well.
fn microseconds(unit: &[u8]) -> Option<i128> {
    Some(match unit {
        b"us" => 1,
        b"ms" => 1_000,
        b"s" => 1_000_000,
        _ => {
            let begins =
                |name: &str, least: usize| unit.len() >= least && name.as_bytes().starts_with(unit);
            if begins("microseconds", 11) {
                1
            } else if begins("milliseconds", 11) {
                1_000
            } else if begins("seconds", 3) {
                1_000_000
            } else if begins("minutes", 3) {
                60_000_000
            } else if begins("hours", 4) {
                3_600_000_000
            } else if begins("days", 3) {
                86_400_000_000
            } else if begins("weeks", 4) {
                604_800_000_000
            } else {
                return None;
            }
        }
    })
}

/// Checks a limit.
pub(in super::super) fn check(
    cx: &mut Lowering<'_>,
    name: &Word,
    value: &Word,
    unit: Option<&Word>,
) {
    let Some(kind) = kind(&cx.decoded(name)) else {
        cx.report(
            Diagnostic::error("unknown-rlimit", name.span, "this is not a resource limit")
                .help("limits are those of setrlimit(2), in lower case and without `RLIMIT_`"),
        );
        return;
    };
    let text = cx.decoded(value).into_owned();
    if text == b"infinity" {
        return;
    }
    let unit = unit.map(|unit| cx.decoded(unit).into_owned());
    let number = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| match text.parse::<i64>() {
            Ok(number) => Some(number),
            // As in strtoll(3).
            Err(error) if *error.kind() == IntErrorKind::PosOverflow => Some(i64::MAX),
            Err(error) if *error.kind() == IntErrorKind::NegOverflow => Some(i64::MIN),
            Err(_) => None,
        });
    let problem = match (number, kind) {
        (None, _) => Some("a limit is a number or `infinity`"),
        (Some(number), Kind::Nice) if unit.is_some() || !(-20..=19).contains(&number) => {
            Some("`nice` is a number from -20 to 19")
        }
        (_, Kind::Nice) => None,
        (Some(number), _) if number < 0 => Some("this limit is not negative"),
        (_, Kind::Count) if unit.is_some() => Some("this limit is a count, without a unit"),
        (_, Kind::Count) => None,
        (_, Kind::Bytes) => match unit.as_deref() {
            None | Some(b"K" | b"KB" | b"M" | b"MB" | b"G" | b"GB") => None,
            _ => Some("sizes are in `KB`, `MB` or `GB`"),
        },
        (Some(number), Kind::Seconds | Kind::Microseconds) => match unit.as_deref() {
            None => None,
            Some(unit) => match microseconds(unit) {
                None => Some("this is not a unit of time"),
                Some(unit)
                    if matches!(kind, Kind::Seconds) && i128::from(number) * unit < 1_000_000 =>
                {
                    Some("the time limit is at least a second")
                }
                Some(_) => None,
            },
        },
    };
    if let Some(message) = problem {
        cx.report(
            Diagnostic::error("invalid-rlimit", value.span, message)
                .help("as in `set rlimit nofile <= 1024,` or `set rlimit core <= 10MB,`"),
        );
    }
}
