//! What will come of an operation, by the model of all profiles that are loaded.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use armorgate::{
    apparmor::{
        automaton::{Automaton, Budget},
        model::{
            CAPABILITIES, Class, Exec, ExecTarget, Fallback, Features, Profile, ProfileMode, file,
        },
    },
    compare::{Question, ask, ask_capability},
};

use crate::{Modelled, automata::Automata};

/// What the kernel asks about an operation: all of it must be permitted.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Capability(&'static str),
    /// Which profile a program runs in.
    Exec(String),
    /// Letters of a path; whether the file is somebody else's.
    File(String, &'static str, bool),
    /// A new name for a file.
    Link {
        from: String,
        to: String,
        others: bool,
    },
    /// Anything else.
    Other(Question),
    /// Of another process's profile, about this one: a signal or what is done in tracing.
    Peer(String, About),
}

/// What is asked of both sides.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    Signal(&'static str),
    /// Of the one that traces, and of the other.
    Trace(&'static str, &'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Denied,
    /// It runs, with this label.
    Label(String),
    Permitted,
}

/// All profiles that are loaded.
pub(crate) struct World {
    policies: Vec<Modelled>,
    features: Features,
}

impl World {
    pub(crate) fn new(policies: Vec<Modelled>, features: Features) -> Self {
        Self { policies, features }
    }

    fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.policies
            .iter()
            .flat_map(|modelled| &modelled.policy.profiles)
    }

    /// None for one that mediates nothing.
    fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles()
            .find(|profile| profile.name == name.as_bytes())
            .filter(|profile| profile.mode != ProfileMode::Unconfined)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.profiles()
            .any(|profile| profile.name == name.as_bytes())
    }

    pub(crate) fn outcome(&self, who: &str, asks: &[Ask]) -> Result<Outcome> {
        let mut outcome = Outcome::Permitted;
        for asked in asks {
            let permitted = match asked {
                Ask::Exec(path) => {
                    match self.domain(who, path)? {
                        Some(label) => outcome = Outcome::Label(label),
                        None => return Ok(Outcome::Denied),
                    }
                    true
                }
                Ask::Capability(name) => self.capability(who, name)?,
                Ask::File(path, letters, others) => {
                    let question = Question::file(path, letters, *others).context("letters")?;
                    self.asks(who, &question)?
                }
                Ask::Link { from, to, others } => self.link(who, from, to, *others)?,
                Ask::Other(question) => self.asks(who, question)?,
                Ask::Peer(peer, About::Signal(name)) => {
                    let [send, receive] = [(peer.as_str(), false), (who, true)]
                        .map(|(other, receive)| Question::signal(name, other, receive));
                    self.asks(who, &send.context("a signal")?)?
                        && self.asks(peer, &receive.context("a signal")?)?
                }
                Ask::Peer(peer, About::Trace(own, theirs)) => {
                    let own = Question::ptrace(own, peer).context("a word")?;
                    let theirs = Question::ptrace(theirs, who).context("a word")?;
                    // Who is not confined may trace everybody.
                    self.profile(who).is_none()
                        || self.asks(who, &own)? && self.asks(peer, &theirs)?
                }
            };
            if !permitted {
                return Ok(Outcome::Denied);
            }
        }
        Ok(outcome)
    }

    fn asks(&self, who: &str, question: &Question) -> Result<bool> {
        // What the kernel does not know it permits.
        if !(question.mediated)(self.features) && question.class != Class::File {
            return Ok(true);
        }
        self.profile(who)
            .map_or(Ok(true), |profile| Ok(ask(profile, question)?.permitted))
    }

    fn capability(&self, who: &str, name: &str) -> Result<bool> {
        let number = CAPABILITIES.iter().position(|known| *known == name);
        let number = number.with_context(|| format!("no capability {name}"))?;
        let answer = self
            .profile(who)
            .map(|profile| ask_capability(profile, number));
        Ok(answer.is_none_or(|answer| answer.permitted))
    }

    /// As the kernel does it: the new name, the pair, and for some pairs whether the link would permit no more than the file.
    fn link(&self, who: &str, from: &str, to: &str, others: bool) -> Result<bool> {
        let Some(profile) = self
            .profile(who)
            .filter(|profile| profile.mode != ProfileMode::Complain)
        else {
            return Ok(true);
        };
        let mut automata = files(profile)?;
        let half = if others { file::OTHER } else { 0 };
        let mut half_of = |path: &[u8]| -> Result<(u32, Option<Exec>)> {
            let permits = automata.permits(path)?;
            let [own, other] = permits.exec;
            let exec = if others { other } else { own };
            Ok((permits.allow >> half & file::HALF, exec))
        };
        let link = half_of(to.as_bytes())?;
        let pair = half_of(format!("{to}\0{from}").as_bytes())?;
        if link.0 & pair.0 & file::LINK == 0 {
            return Ok(false);
        }
        if pair.0 & file::LINK_SUBSET == 0 {
            return Ok(true);
        }
        let target = half_of(from.as_bytes())?;
        let runs = link.0 & file::EXECUTE != 0;
        Ok(link.0 & !file::LINK & !target.0 == 0 && (!runs || link.1 == target.1))
    }

    /// The label of a program that is run; none if it is not.
    fn domain(&self, who: &str, path: &str) -> Result<Option<String>> {
        let Some(profile) = self.profile(who) else {
            let none = self.has(who).then(|| who.to_owned());
            return Ok(self
                .attached(None, path)?
                .or(none)
                .or_else(|| Some("unconfined".to_owned())));
        };
        let [exec, _] = files(profile)?.permits(path.as_bytes())?.exec;
        let Some(exec) = exec else {
            return Ok(None);
        };
        let fallback = || match exec.fallback {
            Fallback::Deny => None,
            Fallback::Inherit => Some(who.to_owned()),
            Fallback::Unconfined => Some("unconfined".to_owned()),
        };
        let found = match &exec.target {
            ExecTarget::Inherit => Some(who.to_owned()),
            ExecTarget::Unconfined => Some("unconfined".to_owned()),
            ExecTarget::Child => self.attached(Some(&profile.name), path)?,
            ExecTarget::Profile => self.attached(None, path)?,
            ExecTarget::Named(name) => {
                let name = String::from_utf8_lossy(name);
                if let Some(above) = name.strip_prefix('&') {
                    // On top of what it would get without: the profile that attaches to it, or what stands for that.
                    let base = self.attached(None, path)?.or_else(fallback);
                    return Ok(base.filter(|_| self.has(above)).map(|base| {
                        let both = BTreeSet::from([base.as_str(), above]);
                        Vec::from_iter(both).join("//&")
                    }));
                }
                self.has(&name).then(|| name.into_owned())
            }
        };
        Ok(found.or_else(fallback))
    }

    /// The profile that attaches to a program. No two of these tests do.
    fn attached(&self, parent: Option<&[u8]>, path: &str) -> Result<Option<String>> {
        for profile in self.profiles() {
            if profile.parent.as_deref() != parent {
                continue;
            }
            let mut budget = Budget::default();
            let patterns = profile.attachments.iter().map(|pattern| (pattern, 1));
            let mut automaton = Automaton::new(patterns, &mut budget)?;
            let mut state = automaton.start();
            for &byte in path.as_bytes() {
                state = automaton.next(state, byte, &mut budget)?;
            }
            if !automaton.accepts(state).is_empty() {
                return Ok(Some(String::from_utf8_lossy(&profile.name).into_owned()));
            }
        }
        Ok(None)
    }
}

fn files(profile: &Profile) -> Result<Automata<'_>> {
    let entries = profile.entries.get(&Class::File);
    Automata::new(entries.map_or(&[], Vec::as_slice))
}
