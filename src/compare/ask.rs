//! One question to one profile: is it permitted, and which rule decides?

use crate::apparmor::automaton::{Budget, Exhausted};
use crate::apparmor::model::rules::{mount, ptrace, signal, sockets, userns};
use crate::apparmor::model::{Class, Features, Profile, file};
use crate::apparmor::source::Span;

use super::relation::permits_everything;
use super::side::Side;

/// An operation, as the kernel asks for it.
#[derive(Clone, Debug)]
pub struct Question {
    /// The class whose rules are asked.
    pub class: Class,
    /// The string, without the class byte.
    pub string: Vec<u8>,
    /// Bits that must all be permitted.
    pub bits: u32,
    /// Whether a policy of these features has the class at all.
    pub mediated: fn(Features) -> bool,
}

/// What the profile says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is permitted.
    pub permitted: bool,
    /// The rule that decides, if one does.
    pub rule: Option<Span>,
    /// Where no rule decides: why it is as it is.
    pub why: Option<&'static str>,
}

/// Asks.
pub fn ask(profile: &Profile, question: &Question) -> Result<Answer, Exhausted> {
    let everything = |why| {
        Ok(Answer {
            permitted: true,
            rule: None,
            why: Some(why),
        })
    };
    if permits_everything(profile.mode) {
        return everything("the profile's mode permits everything");
    }
    if !(question.mediated)(profile.features) {
        return everything("the profile's ABI does not mediate this, so all of it is permitted");
    }
    let mut budget = Budget::default();
    let entries = profile.entries.get(&question.class);
    let entries = entries.map_or(&[][..], Vec::as_slice);
    let mut side = Side::new(entries, question.bits, &mut budget)?;
    let at = side.walk(side.start(), &question.string, &mut budget)?;
    let missing = question.bits & !side.allows(at);
    // Of several bits one that is missing decides.
    let bit = lowest(if missing == 0 { question.bits } else { missing });
    let deciding = side.deciding(at, bit);
    Ok(Answer {
        permitted: missing == 0,
        rule: deciding.map(|(entry, _)| entry.span),
        why: deciding.is_none().then_some("no rule is about it"),
    })
}

/// The same of a capability, by its number.
#[must_use]
pub fn ask_capability(profile: &Profile, number: usize) -> Answer {
    if permits_everything(profile.mode) {
        return Answer {
            permitted: true,
            rule: None,
            why: Some("the profile's mode permits everything"),
        };
    }
    let is_about = |mask: u64| mask >> number & 1 == 1;
    let permitted = is_about(profile.capabilities.permitted());
    let rule = profile
        .capabilities
        .rules
        .iter()
        .find(|rule| rule.deny != permitted && is_about(rule.mask))
        .map(|rule| rule.span);
    Answer {
        permitted,
        rule,
        why: rule.is_none().then_some("no rule is about it"),
    }
}

fn lowest(bits: u32) -> u32 {
    bits & bits.wrapping_neg()
}

impl Question {
    /// Something done to a path, by permission letters; none for letters that are none.
    #[must_use]
    pub fn file(path: &str, letters: &str, others: bool) -> Option<Self> {
        let mut bits = 0;
        for letter in letters.chars() {
            bits |= match letter {
                'r' => file::READ,
                'w' => file::WRITE,
                'a' => file::APPEND,
                'x' => file::EXECUTE,
                'm' => file::MAP,
                'l' => file::LINK,
                'k' => file::LOCK,
                _ => return None,
            };
        }
        let bits = if others { bits << file::OTHER } else { bits };
        (bits != 0).then(|| Self::new(Class::File, path.as_bytes(), bits, |_| true))
    }

    /// A socket of a family and type, to be created; none for words that are none.
    #[must_use]
    pub fn network(family: &str, kind: &str) -> Option<Self> {
        let family = sockets::family(family.as_bytes())?;
        let kind = sockets::socket_type(kind.as_bytes())?;
        let string = [0, family, 0, kind];
        let mediated = |features: Features| features.network_v8 || features.network_v9;
        Some(Self::new(
            Class::Network,
            &string,
            sockets::CREATE,
            mediated,
        ))
    }

    /// A signal to or from a process under a profile; none for a word that is none.
    #[must_use]
    pub fn signal(name: &str, peer: &str, receive: bool) -> Option<Self> {
        let number = signal::number(name.as_bytes())?;
        let bits = if receive {
            signal::RECEIVE
        } else {
            signal::SEND
        };
        let string = [&[number], peer.as_bytes()].concat();
        Some(Self::new(Class::Signal, &string, bits, |features| {
            features.signal
        }))
    }

    /// Tracing a process under a profile, or being traced by it; none for a word that is none.
    #[must_use]
    pub fn ptrace(what: &str, peer: &str) -> Option<Self> {
        let bits = match what {
            "trace" => ptrace::TRACE,
            "read" => ptrace::READ,
            "tracedby" => ptrace::TRACED_BY,
            "readby" => ptrace::READ_BY,
            _ => return None,
        };
        Some(Self::new(
            Class::Ptrace,
            peer.as_bytes(),
            bits,
            |features| features.ptrace,
        ))
    }

    /// A new mount without flags.
    #[must_use]
    pub fn mount(target: &str, source: &str, fstype: &str) -> Self {
        let string = format!("{target}\0{source}\0{fstype}\0");
        Self::new(Class::Mount, string.as_bytes(), mount::MOUNT, |features| {
            features.mount
        })
    }

    /// The end of a mount.
    #[must_use]
    pub fn umount(target: &str) -> Self {
        Self::new(Class::Mount, target.as_bytes(), mount::UMOUNT, |features| {
            features.mount
        })
    }

    /// A change to a profile.
    #[must_use]
    pub fn change_profile(label: &str) -> Self {
        Self::new(Class::File, label.as_bytes(), file::CHANGE_PROFILE, |_| {
            true
        })
    }

    /// A new user namespace.
    #[must_use]
    pub fn userns() -> Self {
        Self::new(Class::Userns, b"", userns::CREATE, |features| {
            features.userns
        })
    }

    fn new(class: Class, string: &[u8], bits: u32, mediated: fn(Features) -> bool) -> Self {
        Self {
            class,
            string: string.to_vec(),
            bits,
            mediated,
        }
    }
}
