//! Texts that hardly are policies, and long ones that are.

use super::{
    Case, Expected,
    content::{Content, MOST, full, repeated},
};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn texts() -> Vec<Case> {
    use Expected::{Fine, FineOrTooMuch, Refused, Unable};
    let wrong = "error[";
    vec![
        Case::lint(
            "a program",
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0",
            Refused(wrong),
        ),
        Case::lint(
            "a program to a comparison",
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0",
            Refused(wrong),
        )
        .with_arguments(&["compare", "hostile"]),
        Case::lint("16 MiB of noise", Content::Noise(MOST), Refused(wrong)),
        Case::lint(
            "100 MB of zeros",
            Content::Sparse(100 << 20),
            Unable("over 16 MiB"),
        ),
        Case::lint("16 MiB of zeros", Content::Sparse(16 << 20), Refused(wrong)),
        Case::lint(
            "10,000 braces",
            repeated("profile p {\n", "{ ", 10_000, ""),
            Refused(wrong),
        ),
        Case::lint(
            "8 million braces",
            repeated("profile p ", "{ ", MOST / 2, ""),
            Refused(wrong),
        ),
        Case::lint(
            "16 million closing braces",
            repeated("profile p {", "}", MOST, ""),
            Refused(wrong),
        ),
        Case::lint(
            "100,000 profiles in each other",
            repeated("", "profile p {\n", 100_000, ""),
            Refused(wrong),
        ),
        Case::lint(
            "100,000 conditions in each other",
            repeated("profile p {\n", "if defined @{A} { ", 100_000, ""),
            Refused(wrong),
        ),
        Case::lint(
            "100,000 times else if",
            repeated(
                "profile p {\nif defined @{A} { }\n",
                "else if defined @{A} { }\n",
                100_000,
                "}\n",
            ),
            FineOrTooMuch,
        ),
        Case::lint(
            "a NUL in a path",
            "profile p {\n  /a\0b r,\n}\n",
            Refused(wrong),
        ),
        Case::lint(
            "a NUL in quotes",
            "profile p {\n  \"/a\0b\" r,\n}\n",
            Refused(wrong),
        ),
        Case::lint("carriage returns", "profile p {\r\n  /a r,\r\n}\r\n", Fine),
        Case::lint(
            "carriage returns where words end",
            "profile p {\r\n  signal send,\r\n  network\r\n,\r\n}\r\n",
            Refused(wrong),
        ),
        Case::lint(
            "quoted bytes that are not UTF-8, and no glob",
            b"profile p {\n  \"/a\xff\xfe[ b\" r,\n}\n",
            Refused("invalid-glob"),
        ),
        Case::lint(
            "quoted bytes that are not UTF-8",
            b"profile p {\n  \"/a\xff\xfe b\" r,\n}\n",
            Fine,
        ),
        Case::lint(
            "a quote without an end",
            "profile p {\n  \"/a r,\n}\n",
            Refused(wrong),
        ),
        Case::lint(
            "5 million quotes without an end",
            repeated("profile p {\n", "\"/ ", MOST / 3, ""),
            Refused(wrong),
        ),
        Case::lint(
            "the longest word",
            repeated("profile p { /", "a", 16_381, " r, }\n"),
            Fine,
        ),
        Case::lint(
            "a word that is longer by one",
            repeated("profile p { /", "a", 16_382, " r, }\n"),
            Refused("error[too-long]"),
        ),
        Case::lint(
            "a word of 16 MiB",
            repeated("profile p { /", "a", MOST, " r, }\n"),
            FineOrTooMuch,
        ),
        Case::lint(
            "a number of 16 MiB",
            repeated("profile p { priority=", "1", MOST, " /a r, }\n"),
            Refused(wrong),
        ),
        Case::lint(
            "500 kB on one line",
            repeated("profile p {", " /a r,", 500_000 / 6, "}\n"),
            Fine,
        ),
        Case::lint(
            "16 MiB on one line",
            repeated("profile p {", " /a r,", MOST / 6, "}\n"),
            FineOrTooMuch,
        ),
        Case::lint(
            "16 MiB of syntax errors on one line",
            full(" foo,"),
            Refused(wrong),
        ),
        Case::lint(
            "100,000 undefined variables on one line",
            repeated("profile p {", " /@{X} r,", 100_000, "}\n"),
            Refused("undefined-variable"),
        ),
        Case::lint(
            "16 MiB of undefined variables on one line",
            full(" /@{X} r,"),
            Refused(wrong),
        ),
        Case::lint(
            "100,000 wrong globs on one line",
            repeated("profile p {", " /[ r,", 100_000, "}\n"),
            Refused("invalid-glob"),
        ),
        Case::lint(
            "16 MiB of wrong globs on one line",
            full(" /[ r,"),
            Refused(wrong),
        ),
        Case::lint(
            "16 MiB of warnings on one line",
            full(" audit {signal,}"),
            FineOrTooMuch,
        ),
        Case::lint(
            "100,000 wrong globs as JSON",
            repeated("profile p {", " /[ r,\n", 100_000, "}\n"),
            Refused("invalid-glob"),
        )
        .with_arguments(&["lint", "hostile"]),
        Case::lint(
            "100,000 wrong globs to a comparison",
            repeated("profile p {", " /[ r,\n", 100_000, "}\n"),
            Refused("invalid-glob"),
        )
        .with_arguments(&["compare", "hostile"]),
        Case::lint(
            "8 million comments",
            repeated("", "#\n", MOST / 2, "profile p { }\n"),
            FineOrTooMuch,
        ),
        Case::lint(
            "16 million lines",
            repeated("profile p {", "\n", MOST, "}\n"),
            FineOrTooMuch,
        ),
        Case::lint(
            "a comment of 16 MiB",
            repeated("#", "a", MOST, "\nprofile p { }\n"),
            Refused("error[too-long]"),
        ),
    ]
}
