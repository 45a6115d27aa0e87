//! The decoder of compiled policy, on small profiles whose meaning is known, by all versions of the parser.

#[path = "support/compiled/mod.rs"]
mod compiled;
#[path = "support/mod.rs"]
mod support;

use anyhow::{Context as _, Result, bail, ensure};
use compiled::{
    Parser, ParserVersion, Source,
    permissions::{APPEND, EXEC, Exec, ExecTarget, LINK, LOCK, MMAP, READ, WRITE},
    profile::{CompiledProfile, Mode, Owner},
};

/// Asks of the first record of a text, by every version.
fn by_every_version(
    text: &str,
    check: impl Fn(ParserVersion, &CompiledProfile) -> Result<()>,
) -> Result<()> {
    for version in ParserVersion::ALL {
        let profile = compile(&Parser::new(version)?, text)?;
        check(version, &profile).with_context(|| format!("parser {version}"))?;
    }
    Ok(())
}

fn compile(parser: &Parser, text: &str) -> Result<CompiledProfile> {
    match parser.compile(text)? {
        Ok(records) => records.into_iter().next().context("no record"),
        Err(rejected) => bail!("{}", rejected.0),
    }
}

/// The permissions of both halves, as letters.
fn letters(profile: &CompiledProfile, path: &str) -> String {
    let permissions = profile.file_permissions(path.as_bytes());
    let half = |bits: u32| -> String {
        "xwralkm"
            .chars()
            .zip([EXEC, WRITE, READ, APPEND, LINK, LOCK, MMAP])
            .filter_map(|(letter, bit)| (bits & bit != 0).then_some(letter))
            .collect()
    };
    let [owner, other] = [permissions.owner, permissions.other].map(|found| half(found.bits));
    if owner == other {
        owner
    } else {
        format!("{owner}/{other}")
    }
}

const FILES: &str = "profile p {
  /a r, deny /b w, /b rw, owner /c rw, /sh px -> foo, /dir/** r, /one/* r, /all/{,**} k,
  /not/[^x]y r, /l l, /m m, audit /n a, deny /ix x, /ix ix, owner /o r, /o w, deny owner /o w,
}";

#[test]
fn files_allow_what_their_rules_say() -> Result<()> {
    by_every_version(FILES, |version, profile| {
        // The newest takes the `m` that `ix` brings away with the `x`.
        let mapped = if version < ParserVersion::V5_0 {
            "m"
        } else {
            ""
        };
        for (path, expected) in [
            ("/a", "r"),
            ("/a/", ""),
            ("/b", "r"),
            ("/c", "wra/"),
            ("/sh", "x"),
            ("/dir/", ""),
            ("/dir/x", "r"),
            ("/dir/x/", "r"),
            ("/dir/x/y", "r"),
            ("/one/x", "r"),
            ("/one/x/", ""),
            ("/one/", ""),
            ("/all/", "k"),
            ("/all/x/", "k"),
            ("/not/zy", "r"),
            ("/not//y", "r"),
            ("/not/xy", ""),
            ("/l", "l"),
            ("/m", "m"),
            ("/n", "a"),
            ("/ix", mapped),
            ("/o", "r/wa"),
            ("", ""),
        ] {
            let found = letters(profile, path);
            ensure!(found == expected, "{path}: {found}, not {expected}");
        }
        Ok(())
    })
}

#[test]
fn two_stars_do_not_match_the_root_and_bare_file_does() -> Result<()> {
    by_every_version("profile p { /** r, }", |_, profile| {
        ensure!(letters(profile, "/").is_empty() && letters(profile, "/x") == "r");
        Ok(())
    })?;
    by_every_version("profile p { file, }", |_, profile| {
        ensure!(letters(profile, "/") == "xwralkm");
        Ok(())
    })
}

#[test]
fn programs_run_where_their_rules_say() -> Result<()> {
    let text = "profile p {
      /ix ix, /px px, /Px Px, /pix pix, /pux pux, /cx cx, /cix cix, /ux ux, /Ux Ux,
      /named px -> there, /Named Px -> :space:there, /child cx -> kid, /stack px -> &there,
      profile kid { /k r, }
    }";
    let exec = |target, fallbacks: [bool; 2], unsafe_| Exec {
        target,
        inherit_fallback: fallbacks[0],
        unconfined_fallback: fallbacks[1],
        unsafe_,
    };
    let none = [false, false];
    let named = |name: &str| ExecTarget::Named(name.to_owned());
    by_every_version(text, |_, profile| {
        for (path, expected) in [
            ("/ix", exec(ExecTarget::Inherit, none, false)),
            ("/px", exec(ExecTarget::ByAttachment, none, true)),
            ("/Px", exec(ExecTarget::ByAttachment, none, false)),
            ("/pix", exec(ExecTarget::ByAttachment, [true, false], true)),
            ("/pux", exec(ExecTarget::ByAttachment, [false, true], true)),
            ("/cx", exec(ExecTarget::ByChildAttachment, none, true)),
            (
                "/cix",
                exec(ExecTarget::ByChildAttachment, [true, false], true),
            ),
            ("/ux", exec(ExecTarget::Unconfined, none, true)),
            ("/Ux", exec(ExecTarget::Unconfined, none, false)),
            ("/named", exec(named("there"), none, true)),
            ("/Named", exec(named(":space:there"), none, false)),
            ("/child", exec(named("p//kid"), none, true)),
            ("/stack", exec(named("&there"), none, true)),
        ] {
            let found = profile.file_permissions(path.as_bytes());
            let found = [found.owner.exec, found.other.exec];
            ensure!(
                found == [Some(expected.clone()), Some(expected)],
                "{path}: {found:?}"
            );
        }
        Ok(())
    })
}

#[test]
fn links_need_the_pair() -> Result<()> {
    let text = "profile p { /plain l, /target r, link /any -> /target, link subset /sub -> /{target,less}, /sub rw, deny link /no -> /**, /no l, }";
    by_every_version(text, |_, profile| {
        let any = profile.link(b"/any", b"/target");
        ensure!(any.link == [true; 2] && any.subset == [false; 2], "{any:?}");
        let plain = profile.link(b"/plain", b"/target");
        // Only who owns the target is asked for a subset.
        ensure!(
            plain.link == [true; 2] && plain.subset == [true, false],
            "{plain:?}"
        );
        for (link, target, [same, other]) in [
            ("/any", "/target", [true, true]),
            ("/any", "/other", [false, false]),
            ("/plain", "/target", [true, true]),
            ("/sub", "/target", [false, true]),
            ("/no", "/target", [false, false]),
            ("/target", "/plain", [false, false]),
        ] {
            for (owner, expected) in [(Owner::Same, same), (Owner::Other, other)] {
                let found = profile.may_link(link.as_bytes(), target.as_bytes(), owner);
                ensure!(found == expected, "{link} to {target}, {owner:?}: {found}");
            }
        }
        Ok(())
    })
}

#[test]
fn profiles_change_where_their_rules_say() -> Result<()> {
    let text = "profile p { change_profile -> there, change_profile /bin/run -> other*, }";
    by_every_version(text, |_, profile| {
        ensure!(profile.change_profile(b"there") && !profile.change_profile(b"elsewhere"));
        ensure!(profile.change_on_exec(b"there") && profile.on_exec(b"/bin/run", b"others"));
        ensure!(!profile.on_exec(b"/bin/run", b"elsewhere"));
        // What such a rule brings with it.
        let attribute = letters(profile, "/proc/1/attr/current");
        ensure!(attribute.contains('w'), "{attribute}");
        Ok(())
    })
}

#[test]
fn other_classes_answer_in_the_numbers_of_the_kernel() -> Result<()> {
    let text = "abi <abi/3.0>,
    profile p {
      signal send set=(term) peer=x, ptrace (read, tracedby) peer=y, network inet stream,
      mount options=ro /a -> /b/, umount /u/, pivot_root /new/, capability sys_admin, capability bpf, set rlimit nofile <= 5,
    }";
    by_every_version(text, |version, profile| {
        let ask = |class, string: &[u8]| profile.class_permissions(class, string);
        ensure!(ask(SIGNAL, b"\x0fx") == Some(2), "term");
        ensure!(ask(SIGNAL, b"\x09x") == Some(0), "kill");
        ensure!(ask(SIGNAL, b"\x0fz") == Some(0), "peer");
        ensure!(ask(PTRACE, b"y") == Some(4 | 8), "{:?}", ask(PTRACE, b"y"));
        ensure!(ask(PTRACE, b"x") == Some(0));
        ensure!(ask(NETWORK, &[0, 2, 0, 2]) == Some(0), "datagrams");
        let stream = ask(NETWORK, &[0, 2, 0, 1]).unwrap_or(0);
        ensure!(stream & 0x10 != 0, "{stream:#x}");
        ensure!(ask(MOUNT, b"/b/\0/a\0any\0\x01") == Some(2), "ro");
        ensure!(ask(MOUNT, b"/b/\0/a\0any\0") == Some(0), "rw");
        ensure!(ask(MOUNT, b"/c/\0/a\0any\0\x01") == Some(0), "elsewhere");
        ensure!(ask(MOUNT, b"/u/") == Some(4), "umount");
        ensure!(
            ask(MOUNT, b"/new/\0/old/").is_some_and(|mask| mask & 1 != 0),
            "pivot_root"
        );
        // The abi does not know user namespaces: they are free.
        ensure!(ask(USER_NAMESPACE, b"").is_none());
        ensure!(profile.capabilities == 1 << 21 | 1 << 39, "{version}");
        ensure!(profile.has_capability(21) && !profile.has_capability(0));
        ensure!(profile.resource_limits == [(7, 5)].into());
        Ok(())
    })
}

#[test]
fn the_abi_says_which_classes_are_mediated() -> Result<()> {
    for (version, abi, networks, namespaces) in [
        (ParserVersion::V3_0, "", false, false),
        (ParserVersion::V3_0, "abi <abi/3.0>,", true, false),
        (ParserVersion::V4_1, "", false, false),
        (ParserVersion::V4_1, "abi <abi/3.0>,", true, false),
        (ParserVersion::V4_1, "abi <abi/4.0>,", true, true),
        (ParserVersion::V5_0, "", false, false),
        (ParserVersion::V5_0, "abi <abi/3.0>,", true, false),
        (ParserVersion::V5_0, "abi <abi/4.0>,", true, true),
    ] {
        let text = format!("{abi} profile p {{ /a r, }}");
        let profile = compile(&Parser::new(version)?, &text)?;
        let found = [NETWORK, USER_NAMESPACE].map(|class| profile.class_start(class).is_some());
        ensure!(
            found == [networks, namespaces],
            "{version} {abi}: {found:?}"
        );
        ensure!(profile.class_start(MOUNT).is_some() && profile.class_start(SIGNAL).is_some());
    }
    Ok(())
}

#[test]
fn heads_children_and_hats_are_records() -> Result<()> {
    let text =
        "profile p /usr/bin/{p,q}* flags=(complain, audit, attach_disconnected, mediate_deleted) {
      profile kid /k { /k r, } ^hat { /h r, } }
    profile :space:other { /o r, }";
    for version in ParserVersion::ALL {
        let compiled = Parser::new(version)?.compile(text)?;
        let records = compiled.ok().context("rejected")?;
        let find = |name: &str| {
            let found = records.iter().find(|profile| profile.name == name);
            found.with_context(|| format!("{version}: no {name}"))
        };
        ensure!(records.len() == 4, "{version}: {records:?}");
        let parent = find("p")?;
        ensure!(parent.mode == Mode::Complain && parent.audits_all);
        ensure!(parent.path_flags == 0x1_0004, "{:#x}", parent.path_flags);
        ensure!(parent.attaches_to(b"/usr/bin/query") && !parent.attaches_to(b"/usr/bin/sh"));
        ensure!(find("p//hat")?.is_hat && !find("p//kid")?.is_hat);
        ensure!(find("other")?.namespace.as_deref() == Some("space"));
        ensure!(letters(find("p//kid")?, "/k") == "r");
    }
    Ok(())
}

#[test]
fn a_table_of_permissions_says_the_same_as_packed_ones() -> Result<()> {
    let parser = Parser::new(ParserVersion::V4_1)?;
    let packed = compile(&parser, FILES)?;
    // A prompt rule is what makes this version write a table.
    let table = FILES.replace("/a r,", "/a r, prompt /prompt r,");
    let table = compile(&parser, &table)?;
    for path in PATHS {
        let [packed, table] =
            [&packed, &table].map(|profile| profile.file_permissions(path.as_bytes()));
        ensure!(packed == table, "{path}: {packed:?} {table:?}");
    }
    Ok(())
}

#[test]
fn tables_in_other_forms_say_the_same() -> Result<()> {
    for version in ParserVersion::ALL {
        let usual = Parser::new(version)?;
        let expected = compile(&usual, FILES)?;
        for option in [
            "equiv",
            "no-diff-encode",
            "no-minimize",
            "compress-small",
            "no-filter-deny",
            "no-expr-simplify",
        ] {
            let parser = usual.clone().with_option(&format!("-O{option}"));
            let found = compile(&parser, FILES)?;
            for path in PATHS {
                ensure!(
                    found.file_permissions(path.as_bytes())
                        == expected.file_permissions(path.as_bytes()),
                    "{version} {option}: {path}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn wide_states_are_read() -> Result<()> {
    // Each question mark doubles the states: 65,538 need more than 16 bits.
    let text = format!("profile p {{ /**a{} r, }}", "?".repeat(15));
    let parser = Parser::new(ParserVersion::V5_0)?.with_option("-Ostate32");
    let profile = compile(&parser, &text)?;
    for (path, expected) in [
        ("/bbaccccccccccccccc", "r"),
        ("/bbaccccccccccccccd", "r"),
        ("/bbacccccccccccccc", ""),
        ("/bbaccccccccccccccc/", ""),
    ] {
        ensure!(letters(&profile, path) == expected, "{path}");
    }
    Ok(())
}

#[test]
fn many_profiles_are_one_process_and_a_bad_one_is_itself() -> Result<()> {
    for version in ParserVersion::ALL {
        let texts: Vec<(String, String)> = (0..300)
            .map(|index| {
                let name = format!("p{index}");
                let rule = if index == 7 { "/a rq," } else { "/a r, /b/** rw, deny /b/c* w," };
                let text = format!("abi <abi/3.0>, profile {name} {{ /n{index} r, {rule} profile kid {{ /k r, }} }}");
                (name, text)
            })
            .collect();
        let sources: Vec<Source<'_>> = texts
            .iter()
            .map(|(name, text)| Source { name, text })
            .collect();
        let compiled = Parser::new(version)?.compile_many(&sources)?;
        ensure!(compiled.len() == sources.len());
        for (index, answer) in compiled.into_iter().enumerate() {
            if index == 7 {
                let rejected = answer.err().context("it is wrong")?;
                ensure!(rejected.0.contains("syntax error"), "{rejected:?}");
                continue;
            }
            let records = answer.ok().context("it is right")?;
            let [parent, kid] = &records[..] else {
                bail!("{records:?}")
            };
            ensure!(letters(parent, &format!("/n{index}")) == "r");
            ensure!(letters(parent, "/b/c") == "r" && letters(kid, "/k") == "r");
        }
    }
    Ok(())
}

/// Paths that the rules of [`FILES`] are about, and some that none is.
const PATHS: [&str; 23] = [
    "/a", "/b", "/c", "/sh", "/dir/", "/dir/x", "/one/x", "/one/x/", "/all/", "/all/x", "/not/zy",
    "/not//y", "/not/xy", "/l", "/m", "/n", "/ix", "/o", "", "/", "a", "/a\0/b", "/l\0/a",
];

const MOUNT: u8 = 7;
const PTRACE: u8 = 9;
const SIGNAL: u8 = 10;
const NETWORK: u8 = 14;
const USER_NAMESPACE: u8 = 21;
