//! What includes bring, and what they do not.

use super::{
    Case, Expected,
    content::{Content, MOST, lines, repeated},
};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn includes() -> Vec<Case> {
    use Expected::{Fine, FineOrTooMuch, Refused};
    let one = "profile p {\n  include <a>\n}\n";
    let mut folder = Case::lint("a folder of 9,000 files", one, Fine);
    for index in 0..9_000 {
        folder = folder.with_file(format!("apparmor.d/a/{index}"), format!("/{index} r,\n"));
    }
    let mut chain = Case::lint(
        "a chain of 1,000 includes",
        "profile p {\n  include <0>\n}\n",
        Refused("too-many-includes"),
    );
    for index in 0..1_000 {
        chain = chain.with_file(
            format!("apparmor.d/{index}"),
            format!("include <{}>\n", index + 1),
        );
    }
    let mut doubling = Case::lint(
        "includes that double 30 times",
        "profile p {\n  include <0>\n}\n",
        Refused("error[too-"),
    );
    for index in 0..30 {
        let next = index + 1;
        let text =
            format!("profile a {{\n  include <{next}>\n}}\nprofile b {{\n  include <{next}>\n}}\n");
        doubling = doubling.with_file(format!("apparmor.d/{index}"), text);
    }
    let mut large = Case::lint("60 MiB of rules in 10 includes", one, FineOrTooMuch);
    let mut sparse = Case::lint("a folder of 640 MiB", one, Refused(""));
    for index in 0..10 {
        large = large.with_file(
            format!("apparmor.d/a/{index}"),
            repeated("", "/a r,\n", 1_000_000, ""),
        );
    }
    let mut newlines = Case::lint("60 MiB of newlines in 4 includes", one, Fine);
    for index in 0..4 {
        newlines = newlines.with_file(
            format!("apparmor.d/a/{index}"),
            repeated("", "\n", 15 << 20, ""),
        );
    }
    for index in 0..40 {
        sparse = sparse.with_file(format!("apparmor.d/a/{index}"), Content::Sparse(16 << 20));
    }
    vec![
        Case::lint(
            "an include of itself",
            "profile p {\n  include \"hostile\"\n}\n",
            Refused("error["),
        ),
        Case::lint("an include that includes itself", one, Fine)
            .with_file("apparmor.d/a", "include <a>\n/a r,\n"),
        Case::lint("includes in a circle", one, Fine)
            .with_file("apparmor.d/a", "include <b>\n")
            .with_file("apparmor.d/b", "include <a>\n/a r,\n"),
        Case::lint(
            "a profile that includes itself",
            "include <a>\n",
            Refused("too-many-includes"),
        )
        .with_file("apparmor.d/a", one),
        Case::lint(
            "a profile that includes itself twice",
            one,
            Refused("error[too-"),
        )
        .with_file(
            "apparmor.d/a",
            "profile a {\n  include <a>\n}\nprofile b {\n  include <a>\n}\n",
        ),
        doubling.with_file("apparmor.d/30", "/a r,\n"),
        chain,
        folder,
        large,
        newlines,
        sparse,
        Case::lint(
            "1,000 profiles that include 1,000 rules",
            lines(1_000, |index| format!("profile p{index} {{ include <a> }}")),
            FineOrTooMuch,
        )
        .with_file("apparmor.d/a", repeated("", "/a r,\n", 1_000, "")),
        Case::lint(
            "1,000 profiles that include 100,000 capabilities",
            lines(1_000, |index| format!("profile p{index} {{ include <a> }}")),
            Refused("error[too-large]"),
        )
        .with_file("apparmor.d/a", repeated("", "capability,\n", 100_000, "")),
        Case::lint(
            "9,000 profiles that include flags of 16 kB",
            lines(9_000, |index| format!("profile p{index} {{ include <a> }}")),
            Refused("error[too-large]"),
        )
        .with_file(
            "apparmor.d/a",
            repeated(
                "profile a flags=(attach_disconnected.path=/",
                "a",
                16_000,
                ") { }\n",
            ),
        ),
        Case::lint(
            "9,000 profiles that include a name of 16 kB",
            lines(9_000, |index| format!("profile p{index} {{ include <a> }}")),
            Refused("error[too-long]"),
        )
        .with_file("apparmor.d/a", repeated("profile ", "a", 16_000, " { }\n")),
        Case::lint(
            "9,000 profiles that include a target of 16 kB",
            lines(9_000, |index| format!("profile p{index} {{ include <a> }}")),
            Refused("error[too-large]"),
        )
        .with_file("apparmor.d/a", repeated("/a px -> ", "a", 16_000, ",\n")),
        Case::lint(
            "an include in the middle of a rule",
            "profile p {\n  /a include <a>\n}\n",
            Refused("include-inside-statement"),
        )
        .with_file("apparmor.d/a", "r,\n"),
        Case::lint(
            "half a profile from an include",
            "include <a>\n}\n",
            Refused("error["),
        )
        .with_file("apparmor.d/a", "profile p {\n"),
        Case::lint("a folder with a program in it", one, Refused("a/program:1"))
            .with_file("apparmor.d/a/program", b"\x7fELF\x02\x01\x01\0\0\x3e\0")
            .with_file("apparmor.d/a/rules", "/a r,\n"),
        Case::lint("a folder that includes itself", one, Fine)
            .with_file("apparmor.d/a/1", "include <a>\n")
            .with_file("apparmor.d/a/2", "include <a/1>\n/a r,\n"),
        Case::lint("an include of 100 MB", one, Refused("file-too-large"))
            .with_file("apparmor.d/a", Content::Sparse(100 << 20)),
        Case::lint("an empty folder", one, Fine).with_file("apparmor.d/a/.hidden", ""),
        Case::lint(
            "an include of a device",
            "profile p {\n  include \"/dev/zero\"\n}\n",
            Refused("unreadable-include"),
        ),
        Case::lint(
            "an include that is missing",
            one,
            Refused("missing-include"),
        ),
        Case::lint(
            "a million includes that are missing",
            repeated("profile p {\n", "include <n>\n", 1_000_000, "}\n"),
            Refused("error["),
        ),
        Case::lint(
            "a million includes that may be missing",
            repeated("profile p {\n", "include if exists <n>\n", 700_000, "}\n"),
            FineOrTooMuch,
        ),
        Case::lint(
            "an ABI of 16 MiB",
            "abi <a>,\nprofile p { }\n",
            FineOrTooMuch,
        )
        .with_file("apparmor.d/a", repeated("", "a {", MOST / 3, "")),
        Case::lint(
            "100,000 times an ABI of 100 kB",
            repeated("", "abi <a>,\n", 100_000, "profile p { }\n"),
            FineOrTooMuch,
        )
        .with_file("apparmor.d/a", repeated("network {", "a", 100_000, "}")),
    ]
}
