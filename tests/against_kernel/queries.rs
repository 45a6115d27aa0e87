//! What the kernel would permit, by its query interface, and what the model does: random profiles, random strings.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use armorgate::apparmor::model::{Class, Features, Profile, file, permits};

use crate::{
    Modelled, Target,
    automata::Automata,
    compiled::ParserVersion,
    generate::{Generated, Generator, Random, Theme},
    machine::{
        Machine,
        commands::{GuestAnswer, GuestCommand, Masks},
    },
    none_wrong,
    strings::Strings,
};

/// Profiles that the kernel gets from each parser.
const PROFILES: usize = 48;
/// Strings for each class that a profile has rules of.
const FILES: usize = 350;
const OTHERS: usize = 100;

/// Something asked, and what the model answers.
struct Asked {
    class: u8,
    string: Vec<u8>,
    /// Bits that are compared.
    bits: u32,
    expected: u32,
}

pub(crate) fn check(target: &Target, seed: u64) -> Result<()> {
    let kernel = target.kernel;
    let mut random = Random::new(seed ^ (kernel as u64 + 1) << 40);
    let mut texts = Vec::new();
    let mut script = Vec::new();
    // Of which profile, compiled by which parser; nothing for the command that loads it.
    let mut asked: Vec<Option<(usize, ParserVersion, Asked)>> = Vec::new();
    let begin = Instant::now();
    for version in [target.parser(), ParserVersion::V5_0] {
        let mut left = PROFILES;
        while left > 0 {
            let text = generate(&mut random, version, texts.len()).text();
            let (Some(modelled), Ok(policy)) =
                (Modelled::of(&text), target.compile(version, &text)?)
            else {
                continue;
            };
            left -= 1;
            script.push(GuestCommand::Replace { policy });
            asked.push(None);
            for profile in &modelled.policy.profiles {
                let questions = questions(&mut random, target, version, profile, &text)?;
                for question in questions {
                    let name = String::from_utf8_lossy(&profile.name);
                    script.push(GuestCommand::query(&name, question.class, &question.string));
                    asked.push(Some((texts.len(), version, question)));
                }
            }
            texts.push(text);
        }
    }
    let prepared = begin.elapsed();
    let answers = Machine::run(kernel, &[], &script)?;
    ensure!(answers.len() == asked.len(), "{} answers", answers.len());
    let mut wrong = Vec::new();
    let mut told = BTreeSet::new();
    let mut compared = [0; 33];
    for (answer, asked) in answers.iter().zip(&asked) {
        let Some((profile, version, asked)) = asked else {
            ensure!(
                matches!(answer, GuestAnswer::Done(_)),
                "not loaded: {answer:?}"
            );
            continue;
        };
        let GuestAnswer::Masks(Masks { allow, .. }) = answer else {
            bail!("{}: {answer:?}", asked.string.escape_ascii());
        };
        compared[usize::from(asked.class)] += 1;
        // What is said of labels may be missing as a whole: then the kernel permits nothing, but the interface says all.
        let is_missing = asked.class == LABEL && *allow == u32::MAX;
        let allow = if is_missing { 0 } else { *allow };
        if (allow ^ asked.expected) & asked.bits != 0 {
            // One of a profile is enough to see what is the matter.
            if !told.insert(*profile) {
                continue;
            }
            wrong.push(format!(
                "parser {}, class {}, `{}`: the kernel permits {:#x}, the model {:#x}\n{}",
                version,
                asked.class,
                asked.string.escape_ascii(),
                allow & asked.bits,
                asked.expected & asked.bits,
                texts[*profile],
            ));
        }
    }
    let total: usize = compared.iter().sum();
    let by_class: Vec<String> = (0..)
        .zip(compared)
        .filter(|(_, count)| *count > 0)
        .map(|(class, count): (u8, usize)| format!("{count} of class {class}"))
        .collect();
    println!(
        "linux {kernel}, seed {seed}: {} profiles, {total} queries ({}), prepared in {:.1} s, all in {:.1} s",
        texts.len(),
        by_class.join(", "),
        prepared.as_secs_f64(),
        begin.elapsed().as_secs_f64(),
    );
    ensure!(total > 20_000, "too few");
    none_wrong(kernel, &wrong)
}

/// A profile in the language that the parsers share, without what an older one takes to mean something else.
fn generate(random: &mut Random, version: ParserVersion, number: usize) -> Generated {
    let theme = [Theme::Files, Theme::Others, Theme::All][random.below(3)];
    let language = version.min(ParserVersion::V4_1);
    let mut generated = Generator::new(random, language).profile(&format!("q{number}"), theme);
    // The kernel answers what the rules say, not what becomes of it.
    generated.head = generated.head.replace("complain", "audit");
    generated.body.retain(|rule| {
        let words: Vec<&str> = rule.split([' ', ',', '(', ')']).collect();
        let has = |word| words.contains(&word);
        // Without Unix sockets in the kernel these rules become others.
        let is_unix = has("unix") && !has("network");
        // The first parser widens mounts, keeps a `deny` in a block that the others lose, loses rules after a condition that
        // are not about files, and by `audit deny umount,` a whole class.
        let differs = has("mount")
            || has("remount")
            || has("if")
            || (has("audit") && has("deny"))
            || (has("{") && has("deny"));
        !is_unix && (version > ParserVersion::V3_0 || !differs)
    });
    // All parsers take a label and a path for the same if only their first letters differ, and lose one of the two.
    let text = generated.body.join(" ");
    let ends: BTreeSet<&str> = words(&text)
        .filter(|word| word.starts_with('/'))
        .filter_map(|word| word.get(1..))
        .collect();
    generated.body.retain(|rule| {
        let mut labels = words(rule).filter(|word| !word.starts_with('/'));
        !rule.contains("change_profile")
            || !labels.any(|label| label.get(1..).is_some_and(|end| ends.contains(end)))
    });
    generated
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .map(|word| word.trim_end_matches(',').trim_matches('"'))
}

/// The questions to one profile.
fn questions(
    random: &mut Random,
    target: &Target,
    version: ParserVersion,
    profile: &Profile,
    text: &str,
) -> Result<Vec<Asked>> {
    let mut all = Vec::new();
    let none = Vec::new();
    let entries = |class: Class| profile.entries.get(&class).unwrap_or(&none);
    let mut files = Automata::new(entries(Class::File))?;
    let mut strings = Strings::new(random, entries(Class::File), text);
    for _ in 0..FILES {
        let string = strings.next();
        // No operation is about an empty name.
        if !string.is_empty() {
            all.push(files.about_file(version, string)?);
        }
    }
    for (class, byte, mediated) in CLASSES {
        let is_mediated = mediated(profile.features) && mediated(target.features);
        let entries = entries(class);
        let mut automata = Automata::new(entries)?;
        let count = if entries.is_empty() || !is_mediated {
            3
        } else {
            OTHERS
        };
        let mut strings = Strings::new(random, entries, text);
        for _ in 0..count {
            let string = strings.next();
            if is_mediated {
                all.extend(automata.about(class, byte, &string)?);
                if class == Class::Ptrace {
                    // The kernel's own question about tracing is in another place of the policy.
                    let string = [&[byte], string.as_slice()].concat();
                    let mut asked = automata.about(class, byte, &string[1..])?;
                    if let Some(asked) = &mut asked {
                        asked.class = LABEL;
                        asked.string = string;
                    }
                    all.extend(asked);
                }
            } else {
                all.push(Asked::unmediated(byte, string));
            }
        }
    }
    Ok(all)
}

/// The classes that these kernels have, or could: their numbers, and whether they are mediated.
type Mediated = fn(Features) -> bool;
const CLASSES: [(Class, u8, Mediated); 8] = [
    (Class::Mount, 7, |features| features.mount),
    (Class::Ptrace, 9, |features| features.ptrace),
    (Class::Signal, 10, |features| features.signal),
    (Class::Network, 14, |features| features.network_v8),
    (Class::PosixMqueue, 17, |features| features.posix_mqueue),
    (Class::Userns, 21, |features| features.userns),
    (Class::IoUring, 22, |features| features.io_uring),
    (Class::Dbus, 32, |features| features.dbus),
];
const LABEL: u8 = 16;

impl Automata<'_> {
    fn about_file(&mut self, version: ParserVersion, string: Vec<u8>) -> Result<Asked> {
        let matched = self.matched(&string)?;
        let allow = permits(&self.entries, &matched).allow;
        // An owner's half: the kernel takes the asking process for one whose file it is.
        let mut expected = allow & 0xf;
        for (bit, kernel) in [
            // Open and getattr, as they come with reading; open, create, delete, setattr, chmod and chown.
            (file::READ, 0x240),
            (file::WRITE, 0x3170),
            (file::LINK, 0x4_0000),
            (file::LOCK, KERNEL_LOCK),
            (file::MAP, KERNEL_MAP),
            (file::ON_EXEC, 0x2000_0000),
            (file::CHANGE_PROFILE, 0x4000_0000),
        ] {
            if allow & bit != 0 {
                expected |= kernel;
            }
        }
        // Attributes may always be read where anything is said at all.
        let mut bits = !0x200;
        if string.contains(&0) {
            // Compiled rules to change profiles have an `x` there that no operation asks for.
            bits &= !file::EXECUTE;
        }
        let is_run = |&index: &u32| {
            let entry = self.entries.get(index as usize);
            entry.is_some_and(|entry| {
                entry.permissions & (file::EXECUTE | file::EXECUTE << file::OTHER) != 0
            })
        };
        if version < ParserVersion::V5_0 && matched.iter().any(is_run) {
            // Older parsers lose the `m` of rules that lose their `x` to an exact one, and keep what `ix` brought along when
            // `x` is denied.
            bits &= !KERNEL_MAP;
        }
        Ok(Asked {
            class: 2,
            string,
            bits,
            expected,
        })
    }

    /// None for a string that no operation has.
    fn about(&mut self, class: Class, byte: u8, string: &[u8]) -> Result<Option<Asked>> {
        let nuls = string.split(|&byte| byte == 0).count() - 1;
        let bits = match class {
            _ if string.is_empty() && class != Class::Userns => return Ok(None),
            Class::Mount => match nuls {
                0 => 0x4,
                1 => 0x1,
                2 => return Ok(None),
                _ => {
                    let flags = string.splitn(4, |&byte| byte == 0).last();
                    let flags = flags.context("flags")?;
                    if flags.iter().any(|flag| !(1..=32).contains(flag)) {
                        return Ok(None);
                    }
                    0x2
                }
            },
            // Family and type.
            Class::Network if string.len() != 4 || string[..2] == *b"\x001" => return Ok(None),
            Class::Userns => 0x8,
            _ => !KERNEL_LOCK,
        };
        let matched = self.matched(string)?;
        let ours = permits(&self.entries, &matched).allow;
        // The places that bits have in the kernel's numbers (`map_other` and `map_xbits` in security/apparmor).
        let high = ours >> 14 & 0x7f;
        let high = (high & 0x3) << 8 | (high & 0x1c) << 18 | (high & 0x60) << 19;
        let expected = ours & 0x7f | high | (ours & 0x1000_0000) >> 1;
        Ok(Some(Asked {
            class: byte,
            string: string.to_vec(),
            bits,
            expected,
        }))
    }
}

impl Asked {
    fn unmediated(class: u8, string: Vec<u8>) -> Self {
        Self {
            class,
            string,
            bits: u32::MAX,
            expected: u32::MAX,
        }
    }
}

/// In every answer of newer kernels that is not about files.
const KERNEL_LOCK: u32 = 0x8000;
const KERNEL_MAP: u32 = 0x1_0000;
