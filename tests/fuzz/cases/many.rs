//! Many of everything.

use super::{
    Case, Expected,
    content::{MOST, full, lines, repeated, rules},
};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn many() -> Vec<Case> {
    use Expected::{Fine, FineOrTooMuch, Refused, Weaker, WeakerOrTooMuch};
    let profiles = |count| lines(count, |index| format!("profile p{index} {{ /a r, }}"));
    let mut cases = vec![
        Case::lint(
            "a million rules",
            rules(1_000_000, |index| format!("/{index} r,")),
            FineOrTooMuch,
        ),
        Case::compare(
            "a million rules, compared",
            rules(1_000_000, |index| format!("/{index} r,")),
            FineOrTooMuch,
        ),
        Case::compare(
            "a million globs, compared",
            rules(1_000_000, |index| format!("/{index}* r,")),
            FineOrTooMuch,
        ),
        Case::compare(
            "200,000 rules, compared",
            rules(200_000, |index| format!("/{index} r,")),
            FineOrTooMuch,
        ),
        Case::lint(
            "a million rules in 100 blocks",
            repeated(
                &format!("profile p {{ {}", "audit {".repeat(100)),
                "/a r,\n",
                1_000_000,
                &"}".repeat(101),
            ),
            FineOrTooMuch,
        ),
        Case::lint(
            "3 million capabilities in a rule",
            repeated("profile p {\ncapability", " kill", MOST / 5, ",\n}\n"),
            FineOrTooMuch,
        ),
        Case::lint(
            "2 million flags",
            repeated("profile p flags=(audit", ",audit", MOST / 6, ") { }\n"),
            FineOrTooMuch,
        ),
        Case::lint("10,000 profiles", profiles(10_000), Fine),
        Case::lint("100,000 profiles", profiles(100_000), Refused("error[too-")),
        Case::lint(
            "100,000 hats",
            format!(
                "profile p {{\n{}}}\n",
                lines(100_000, |index| format!("^h{index} {{ }}"))
            ),
            Refused("error[too-"),
        ),
        Case::lint(
            "5,000 children below a name of 1 MB",
            format!(
                "profile {} {{\n{}}}\n",
                "a".repeat(1 << 20),
                lines(5_000, |index| format!("profile c{index} {{ }}"))
            ),
            FineOrTooMuch,
        ),
        Case::lint(
            "5,000 children that 5,000 programs start",
            format!(
                "profile p {{\n{}}}\n",
                lines(5_000, |index| format!(
                    "/{index} cx -> c{index},\nprofile c{index} {{ }}"
                ))
            ),
            Refused("too-many-transitions"),
        ),
        Case::compare(
            "100 profiles",
            format!("abi <abi/3.0>,\n{}", profiles(100)),
            Fine,
        ),
        Case::compare(
            "10,000 profiles, compared",
            format!("abi <abi/3.0>,\n{}", profiles(10_000)),
            FineOrTooMuch,
        ),
        Case::compare(
            "100 profiles, and one that is weaker",
            format!("abi <abi/3.0>,\n{}profile q {{ all, }}\n", profiles(100)),
            Weaker,
        ),
        Case::compare(
            "10,000 profiles, and one that is weaker",
            format!("abi <abi/3.0>,\n{}profile q {{ all, }}\n", profiles(10_000)),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "5,000 file rules",
            rules(5_000, |index| {
                format!("/usr/lib/a{}/{index} r,", index % 70)
            }),
            Fine,
        ),
        Case::compare(
            "5,000 file rules with globs",
            rules(5_000, |index| {
                format!("/usr/lib/*/a{}/**/{index} r,", index % 70)
            }),
            Fine,
        ),
        Case::compare(
            "5,000 file rules with globs, one weaker",
            rules(5_000, |index| {
                if index == 4_000 {
                    "/proc/*-trigger w,".to_owned()
                } else {
                    format!("/usr/lib/*/a{}/**/{index} r,", index % 70)
                }
            }),
            Weaker,
        ),
        Case::compare(
            "5,000 file rules with globs at both ends",
            rules(5_000, |index| format!("/**/{index}/** rw,")),
            WeakerOrTooMuch,
        ),
        Case::compare(
            "50,000 file rules with globs",
            rules(50_000, |index| format!("/usr/*/{index}* r,")),
            FineOrTooMuch,
        ),
        Case::compare(
            "5,000 file rules with 5,000 others",
            rules(5_000, |index| {
                format!("/usr/lib/*/a{}/{index} r,", index % 70)
            }),
            Weaker,
        )
        .with_file(
            "other",
            rules(5_000, |index| {
                format!("/usr/lib/*/a{}/{} r,", index % 70, index + 1)
            }),
        )
        .with_arguments(&["compare", "hostile", "other"]),
    ];
    for (name, rule) in [
        ("150,000 times `all,`", "all,\n"),
        ("150,000 times `mount,`", "mount,\n"),
        ("150,000 times `unix,`", "unix,\n"),
    ] {
        cases.push(Case::lint(
            name,
            repeated("profile p {\n", rule, 150_000, "}\n"),
            Refused("error[too-large]"),
        ));
    }
    for (name, rule) in [
        ("16 MiB of `all,`", "all,\n"),
        ("16 MiB of `dbus,`", "dbus,\n"),
        ("16 MiB of `mount,`", "mount,\n"),
        ("16 MiB of `network,`", "network,\n"),
        ("16 MiB of `signal,`", "signal,\n"),
        ("16 MiB of `unix,`", "unix,\n"),
        (
            "16 MiB of mounts with every option",
            "mount options in (ro,rw,nosuid,nodev,noexec,sync,remount,mand,dirsync,noatime,nodiratime,bind,rbind,move,verbose,silent,loud,acl,private,rprivate,shared,rshared,slave,rslave,relatime,strictatime) /a -> /b,\n",
        ),
        ("16 MiB of `capability,`", "capability,\n"),
        ("16 MiB of rlimits", "set rlimit nofile <= 1,\n"),
    ] {
        cases.push(Case::lint(name, full(rule), FineOrTooMuch));
    }
    cases
}
