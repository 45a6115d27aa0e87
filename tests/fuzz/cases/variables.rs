//! Variables that never end, multiply, or are used a lot.

use super::{
    Case, Expected,
    content::{lines, repeated, values},
};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn variables() -> Vec<Case> {
    use Expected::{Fine, FineOrTooMuch, Refused};
    let chain = |count: usize| {
        let links = lines(count, |index| {
            format!("@{{A{}}} = @{{A{index}}}", index + 1)
        });
        format!("@{{A0}} = a\n{links}profile p {{\n  /@{{A{count}}} r,\n}}\n")
    };
    let large = |text: &str| format!("@{{A}} ={}\n@{{B}} = @{{A}}\n{text}", values(9_000));
    vec![
        Case::lint(
            "a variable that is itself",
            "@{A} = @{A}\nprofile p {\n  /@{A} r,\n}\n",
            Refused("recursive-variable"),
        ),
        Case::lint(
            "variables in a circle",
            "@{A} = @{B}\n@{B} = x@{A}\nprofile p {\n  /@{A} r,\n}\n",
            Refused("recursive-variable"),
        ),
        Case::lint("a chain of 60 variables", chain(60), Fine),
        Case::lint(
            "a chain of 50,000 variables",
            chain(50_000),
            Refused("error[too-"),
        ),
        Case::lint(
            "2^30 values",
            format!(
                "@{{A0}} = x y\n{}profile p {{\n  /@{{A30}} r,\n}}\n",
                lines(30, |index| format!(
                    "@{{A{}}} = @{{A{index}}}@{{A{index}}}",
                    index + 1
                ))
            ),
            Refused("error[too-"),
        ),
        Case::lint(
            "a value that multiplies 1,000 times",
            repeated(
                "@{A} = x y\n@{B} = ",
                "@{A}",
                1_000,
                "\nprofile p {\n  /@{B} r,\n}\n",
            ),
            Refused("error[too-"),
        ),
        Case::lint(
            "a path with 100,000 variables",
            repeated("@{A} = x y\nprofile p {\n  /", "@{A}", 100_000, " r,\n}\n"),
            Refused("error[too-"),
        ),
        Case::lint(
            "9,000 values in 100 rules",
            large(&format!(
                "profile p {{\n{}}}\n",
                lines(100, |index| format!("/@{{A}}/{index} r,"))
            )),
            Fine,
        ),
        Case::lint(
            "9,000 values in 100,000 rules",
            large(&format!(
                "profile p {{\n{}}}\n",
                lines(100_000, |index| format!("/@{{B}}/{index} r,"))
            )),
            Refused("error[too-"),
        ),
        Case::lint(
            "9,000 values in 5,000 conditions",
            large(&format!(
                "profile p {{\n{}}}\n",
                lines(5_000, |index| format!(
                    "if @{{B}} in x {{\n /{index} r,\n}}"
                ))
            )),
            FineOrTooMuch,
        ),
        Case::lint(
            "9,000 values in 5,000 profiles",
            large(&lines(5_000, |index| {
                format!("profile p{index} {{\nif @{{B}} in x {{\n /a r,\n}}\n}}")
            })),
            FineOrTooMuch,
        ),
        Case::lint(
            "9,000 values in the names of 5,000 profiles",
            large(&lines(5_000, |index| {
                format!("profile p{index}@{{B}} {{ }}")
            })),
            Refused("error["),
        ),
        Case::lint(
            "9,000 values with the names of 5,000 profiles in them",
            format!(
                "@{{A}} ={}\n@{{B}} = @{{A}}@{{profile_name}}\n{}",
                values(9_000),
                lines(5_000, |index| format!("profile p{index} {{ /@{{B}} r, }}"))
            ),
            Refused("error[too-large]"),
        ),
        Case::lint(
            "9,000 values compared in 50,000 conditions",
            large(&format!(
                "profile p {{\n{}}}\n",
                lines(50_000, |_| "if @{A} == @{B} { }".to_owned())
            )),
            Refused("error[too-large]"),
        ),
        Case::lint(
            "a value of 4,000 variables",
            repeated(
                "@{A} = x\n@{B} = ",
                "@{A}",
                4_000,
                "\nprofile p {\n  /@{B} r,\n}\n",
            ),
            FineOrTooMuch,
        ),
        Case::lint(
            "200,000 variables",
            lines(200_000, |index| format!("@{{V{index}}} = a")) + "profile p { }\n",
            FineOrTooMuch,
        ),
        Case::lint(
            "500,000 additions to a variable",
            format!(
                "@{{A}} = a\n{}profile p {{ }}\n",
                lines(500_000, |index| format!("@{{A}} += {index}"))
            ),
            FineOrTooMuch,
        ),
        Case::lint(
            "a million values",
            format!(
                "@{{A}} ={}\nprofile p {{\n  /@{{A}} r,\n}}\n",
                values(1_000_000)
            ),
            Refused("error[too-"),
        ),
        Case::lint(
            "10,000 aliases in 10,000 rules",
            format!(
                "{}profile p {{\n{}}}\n",
                lines(10_000, |index| format!("alias /a -> /{index},")),
                lines(10_000, |index| format!("/a{index} r,"))
            ),
            Refused("error[too-"),
        ),
    ]
}
