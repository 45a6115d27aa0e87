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
        sparse,
        Case::lint(
            "1,000 profiles that include 1,000 rules",
            lines(1_000, |index| format!("profile p{index} {{ include <a> }}")),
            FineOrTooMuch,
        )
        .with_file("apparmor.d/a", repeated("", "/a r,\n", 1_000, "")),
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
