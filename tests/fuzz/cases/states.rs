//! Globs that are deep or long, what has exponentially many states, and many domains that a program can get to.

use super::{
    Case, Expected,
    content::{lines, nested, repeated, rules, values},
};

/// Globs that are deep, long or alternate a lot.
pub(super) fn globs() -> Vec<Case> {
    use Expected::{Fine, FineOrTooMuch, Refused, WeakerOrTooMuch};
    let long =
        |piece: &str, count| repeated("abi <abi/3.0>,\nprofile p {\n  /", piece, count, " r,\n}\n");
    let nested = |depth| rules(1, move |_| format!("/a/{} r,", nested(depth)));
    vec![
        Case::compare("49 alternations in each other", nested(49), Fine),
        Case::compare(
            "60 alternations in each other",
            nested(60),
            Refused("invalid-glob"),
        ),
        Case::lint(
            "100,000 alternations in each other",
            long("{a,", 100_000),
            Refused("error["),
        ),
        Case::compare("100 alternations in a row", long("{a,b}", 100), Fine),
        Case::compare(
            "50,000 alternations in a row",
            long("{a,b}", 50_000),
            FineOrTooMuch,
        ),
        Case::compare(
            "100,000 sets in a row",
            long("[ab]", 100_000),
            FineOrTooMuch,
        ),
        Case::compare("100,000 question marks", long("?", 100_000), FineOrTooMuch),
        Case::compare(
            "1,000 rules of 16,000 question marks",
            rules(1_000, |index| format!("/{index}{} r,", "?".repeat(16_000))),
            Refused("error[too-large]"),
        ),
        Case::compare(
            "16,000 stars",
            rules(1, |_| format!("/{} r,", "*a".repeat(8_000))),
            FineOrTooMuch,
        ),
        Case::compare("100,000 stars", long("*a", 100_000), FineOrTooMuch),
        Case::compare(
            "1,000 stars, and a rule that is weaker",
            rules(2, |index| {
                if index == 0 {
                    format!("/{} rw,", "*a".repeat(1_000))
                } else {
                    "/proc/* w,".to_owned()
                }
            }),
            WeakerOrTooMuch,
        ),
        Case::compare("a path of 200 kB", long("a", 200_000), FineOrTooMuch),
        Case::compare("a path of 15 MB", long("a", 15_000_000), FineOrTooMuch),
        Case::compare(
            "a million alternatives",
            format!(
                "abi <abi/3.0>,\nprofile p {{\n  /a/{{x{}}} r,\n}}\n",
                values(1_000_000).replace(' ', ",")
            ),
            FineOrTooMuch,
        ),
        Case::compare(
            "9,000 values on both sides of stars",
            format!(
                "abi <abi/3.0>,\n@{{A}} ={}\nprofile p {{\n  /a/@{{A}}/**/@{{A}} r,\n}}\n",
                values(9_000)
            ),
            FineOrTooMuch,
        ),
    ]
}

/// A name, and a rule with these marks behind a star.
type Kind = (&'static str, fn(&str) -> String);

/// What has exponentially many states.
pub(super) fn states() -> Vec<Case> {
    use Expected::{Fine, Refused, Weaker, WeakerOrTooMuch};
    let marks = |index: usize| "?".repeat(20 + index);
    let mut cases = vec![
        Case::compare(
            "hundreds of stars in a rule",
            repeated("profile p {\n  /", "**a", 300, " rw,\n}\n"),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "hundreds of stars in hundreds of rules",
            rules(300, |index| {
                format!("/{} rw,", format!("**{index}").repeat(100))
            }),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "a rule that doubles its states 40 times",
            rules(1, move |_| format!("/**a{} rw,", marks(20))),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "denials that double their states",
            rules(30, move |index| {
                if index == 0 {
                    "file,".to_owned()
                } else {
                    format!("deny /**{}{} rw,", index % 10, marks(index))
                }
            }),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "sets that double their states",
            rules(100, |index| {
                format!("/**[a-z0-{}]{} rw,", index % 10, "[a-z]".repeat(40))
            }),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "100 profiles that double their states",
            lines(100, |index| {
                format!("profile p{index} {{\n/**a{} rw,\n}}", marks(20))
            }),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "the same that doubles its states, twice",
            rules(1, move |_| format!("/**a{} rw,", marks(20))),
            WeakerOrTooMuch,
        )
        .with_arguments(&["compare", "hostile", "hostile"]),
        Case::compare(
            "what doubles its states, mended",
            rules(30, move |index| format!("/**a{} rw,", marks(index))),
            WeakerOrTooMuch,
        )
        .with_arguments(&["compare", "--fix", "hostile"]),
        Case::compare("everything, mended", rules(1, |_| "all,".to_owned()), Fine)
            .with_arguments(&["compare", "--fix", "hostile"]),
        Case::compare(
            "a narrow denial that doubles its states, of everything",
            rules(2, |index| match index {
                0 => "all,".to_owned(),
                _ => format!("deny /[ab]*a{} w,", "?".repeat(24)),
            }),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "a denial of 40 letters after any, of everything",
            rules(2, |index| match index {
                0 => "all,".to_owned(),
                _ => format!("deny /**a{} w,", "?".repeat(40)),
            }),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "300 denials of several stars, of everything",
            rules(301, |index| match index {
                0 => "all,".to_owned(),
                _ => format!("deny /**a{index}**b{index}** w,"),
            }),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "changes of profile that disagree and double their states",
            rules(30, move |index| {
                let environment = if index % 2 == 0 { "safe" } else { "unsafe" };
                let marks = marks(index);
                format!("change_profile {environment} /**a{marks} -> **b{marks},")
            }),
            Refused("conflicting-exec"),
        ),
        Case::compare(
            "everything after 20 large rules",
            rules(21, |index| {
                if index == 20 {
                    "all,".to_owned()
                } else {
                    format!("/**/a{}/** rw,", "?".repeat(index))
                }
            }),
            Weaker,
        ),
    ];
    let kinds: [Kind; 8] = [
        ("D-Bus rules that double their states", |marks| {
            format!("dbus send path=/**a{marks} interface=**b{marks} member=**c{marks},")
        }),
        ("files that double their states", |marks| {
            format!("/**a{marks} rw,")
        }),
        ("links that double their states", |marks| {
            format!("link /**a{marks} -> /**b{marks},")
        }),
        ("mounts that double their states", |marks| {
            format!("mount /**a{marks} -> /**b{marks},")
        }),
        ("profiles to change to that double their states", |marks| {
            format!("change_profile /**a{marks} -> **b{marks},")
        }),
        ("programs that double their states", |marks| {
            format!("/**a{marks} px,")
        }),
        ("signals that double their states", |marks| {
            format!("signal peer=**a{marks},")
        }),
        ("unix sockets that double their states", |marks| {
            format!("unix addr=@**a{marks} peer=(addr=@**b{marks}),")
        }),
    ];
    for (name, rule) in kinds {
        cases.push(Case::compare(
            name,
            rules(30, move |index| rule(&marks(index))),
            WeakerOrTooMuch,
        ));
    }
    cases
}

/// Many domains that a program can get to.
pub(super) fn domains() -> Vec<Case> {
    use Expected::WeakerOrTooMuch;
    let chain = |count: usize| {
        let links = lines(count, |index| {
            format!(
                "profile p{index} /bin/p{index} {{\n  /bin/p{} px,\n  /a{index} r,\n}}",
                index + 1
            )
        });
        format!("abi <abi/3.0>,\n{links}profile p{count} /bin/p{count} {{\n  file,\n}}\n")
    };
    let arguments = &["compare", "hostile", "--profile", "p0"];
    vec![
        Case::compare("a chain of 500 programs", chain(500), Expected::Weaker)
            .with_arguments(arguments),
        Case::compare("a chain of 1,000 programs", chain(1_000), WeakerOrTooMuch)
            .with_arguments(arguments),
        Case::compare("a chain of 9,000 programs", chain(9_000), WeakerOrTooMuch)
            .with_arguments(arguments),
        Case::compare(
            "500 hats",
            format!(
                "abi <abi/3.0>,\nprofile p {{\n{}}}\n",
                lines(500, |index| format!("^h{index} {{\n  /h{index} r,\n}}"))
            ),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "9,000 hats",
            format!(
                "abi <abi/3.0>,\nprofile p {{\n{}}}\n",
                lines(9_000, |index| format!("^h{index} {{\n  /h{index} r,\n}}"))
            ),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "9,000 hats, the first of them weak",
            format!(
                "abi <abi/3.0>,\nprofile p {{\n^h {{\n  file,\n}}\n{}}}\n",
                lines(9_000, |index| format!("^h{index} {{\n}}"))
            ),
            Expected::Weaker,
        ),
    ]
}
