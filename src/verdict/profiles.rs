//! What is known of the profiles that nodes hold.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    apparmor::{
        automaton::Budget,
        diagnostic::{Diagnostic, Severity},
        include::{Includes, Loaded, load},
        model::{Policy, conflicts, policy},
        source::Sources,
    },
    compare::{Baseline, Comparison, Relation, Subject, Yardstick, compare_within},
};

/// A source of profile texts that can tell how a profile relates to a baseline.
pub trait Profiles: Send + Sync {
    /// How the profile of this name compares with a baseline, or `None` where its text is not known.
    fn comparison(&self, name: &str, baseline: Baseline) -> Option<Arc<Comparison>>;
}

/// A file that `apparmor_parser` would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct ProfileError {
    /// The file: the one added, or one that it includes.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Profiles by their declared names, from files.
#[derive(Clone, Default)]
pub struct ProfileTexts {
    files: Vec<TextFile>,
    problems: Vec<ProfileError>,
    by_name: HashMap<String, Known>,
    /// Comparisons made so far: a text that was read again has those of before.
    cache: Arc<Mutex<HashMap<Question, Arc<Comparison>>>>,
    /// The baselines that were asked for.
    yardsticks: Arc<Mutex<HashMap<Baseline, Arc<Yardstick>>>>,
}

/// A file, with all that it includes.
#[derive(Clone)]
struct TextFile {
    name: String,
    text: Arc<[u8]>,
    includes: Arc<dyn Includes + Send + Sync>,
    texts: Texts,
}

/// All texts that a file is made of. Hashed once: they may be long, and every container that names one of its profiles asks.
#[derive(Clone, Eq)]
struct Texts {
    hash: u64,
    all: Arc<[Arc<[u8]>]>,
}

impl Texts {
    fn of(sources: &Sources) -> Self {
        let all: Arc<[Arc<[u8]>]> = sources.files().map(|file| Arc::clone(&file.text)).collect();
        let mut hasher = DefaultHasher::new();
        all.hash(&mut hasher);
        Self {
            hash: hasher.finish(),
            all,
        }
    }
}

impl PartialEq for Texts {
    fn eq(&self, other: &Self) -> bool {
        // Mostly they are the same: a list's own comparison would read all of it.
        Arc::ptr_eq(&self.all, &other.all) || (self.hash == other.hash && self.all == other.all)
    }
}

impl Hash for Texts {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

/// What a comparison is about: nothing else shapes it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    texts: Texts,
    profile: String,
    baseline: Baseline,
}

#[derive(Clone, Debug)]
enum Known {
    Once(Placed),
    Twice(Placed, Placed),
}

#[derive(Clone, Debug)]
struct Placed {
    /// The number of its file.
    file: usize,
    /// `file:line`
    place: String,
}

impl ProfileTexts {
    /// None, that remember the comparisons of others.
    #[must_use]
    pub fn remembering(others: &Self) -> Self {
        Self {
            cache: Arc::clone(&others.cache),
            yardsticks: Arc::clone(&others.yardsticks),
            ..Self::default()
        }
    }

    /// Adds every profile that the file's text declares. What the parser would refuse is among [`ProfileTexts::problems`], and
    /// nothing is known of that file's profiles but their names.
    pub fn add(&mut self, file: &str, text: Arc<[u8]>, includes: Arc<dyn Includes + Send + Sync>) {
        let (loaded, policy, error) = read(file, &text, &*includes);
        let number = self.files.len();
        for profile in &policy.profiles {
            // A name that is not UTF-8 cannot be written in a pod.
            let Ok(name) = String::from_utf8(profile.name.clone()) else {
                continue;
            };
            let line = loaded
                .sources
                .location(profile.span)
                .map_or(0, |location| location.line);
            let placed = Placed {
                file: number,
                place: format!("{file}:{line}"),
            };
            let known = match self.by_name.remove(&name) {
                None => Known::Once(placed),
                Some(Known::Once(first) | Known::Twice(first, _)) => Known::Twice(first, placed),
            };
            self.by_name.insert(name, known);
        }
        self.files.push(TextFile {
            name: file.to_owned(),
            text,
            includes,
            texts: Texts::of(&loaded.sources),
        });
        self.problems.extend(error);
    }

    /// What is wrong with the files, one each.
    #[must_use]
    pub fn problems(&self) -> &[ProfileError] {
        &self.problems
    }

    /// The names that are declared.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// How many names are declared.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether no name is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    fn compare(&self, placed: &Placed, name: &str, baseline: Baseline) -> Comparison {
        let Some(file) = self.files.get(placed.file) else {
            return unknown("its text is gone".to_owned());
        };
        let (loaded, policy, error) = read(&file.name, &file.text, &*file.includes);
        if let Some(error) = error {
            return unknown(error.to_string());
        }
        let Some(profile) = policy.profile(name.as_bytes()) else {
            return unknown("its text is gone".to_owned());
        };
        let candidate = Subject {
            policy: &policy,
            sources: &loaded.sources,
            profile,
        };
        match self.yardstick(baseline) {
            Some(baseline) => compare_within(candidate, &baseline, &mut Budget::default()),
            None => unknown("the baseline has no profile".to_owned()),
        }
    }

    /// A baseline's own profile, made once.
    fn yardstick(&self, baseline: Baseline) -> Option<Arc<Yardstick>> {
        // A thread that panicked while it held the map has left it whole.
        let known = || {
            self.yardsticks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(yardstick) = known().get(&baseline) {
            return Some(Arc::clone(yardstick));
        }
        // Not under the lock: others need not wait for it.
        let yardstick = Arc::new(Yardstick::baseline(baseline)?);
        let mut known = known();
        if known.len() >= MAX_YARDSTICKS {
            known.clear();
        }
        known.insert(baseline, Arc::clone(&yardstick));
        Some(yardstick)
    }
}

impl Profiles for ProfileTexts {
    fn comparison(&self, name: &str, baseline: Baseline) -> Option<Arc<Comparison>> {
        let placed = match self.by_name.get(name)? {
            Known::Once(placed) => placed,
            // Which of the two a node has loaded cannot be told from here.
            Known::Twice(first, second) => {
                return Some(Arc::new(unknown(format!(
                    "it is declared twice, at {} and at {}",
                    first.place, second.place
                ))));
            }
        };
        let question = Question {
            texts: self.files.get(placed.file)?.texts.clone(),
            profile: name.to_owned(),
            baseline,
        };
        // A thread that panicked while it held the map has left it whole.
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache().get(&question) {
            return Some(Arc::clone(known));
        }
        // Not under the lock: others need not wait for it.
        let comparison = Arc::new(self.compare(placed, name, baseline));
        let mut cache = cache();
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        cache.insert(question, Arc::clone(&comparison));
        Some(comparison)
    }
}

/// LIMIT: baselines that are remembered. A cluster has one for each version of a runtime on its nodes.
const MAX_YARDSTICKS: usize = 32;

/// LIMIT: comparisons that are remembered.
const MAX_CACHED: usize = 10_000;

/// A text's profiles, and why the parser would refuse them, if it would.
fn read(
    file: &str,
    text: &[u8],
    includes: &dyn Includes,
) -> (Loaded, Policy, Option<ProfileError>) {
    let (loaded, mut diagnostics) = load(file.to_owned(), text.into(), includes);
    let (policy, more) = policy(&loaded, includes);
    diagnostics.extend(more);
    diagnostics.extend(conflicts(&policy));
    let error = first_error(&loaded.sources, &diagnostics, file);
    (loaded, policy, error)
}

fn first_error(sources: &Sources, diagnostics: &[Diagnostic], file: &str) -> Option<ProfileError> {
    let error = diagnostics
        .iter()
        .find(|diagnostic| diagnostic.severity == Severity::Error)?;
    let location = sources.location(error.span);
    let help = error.help.as_ref();
    Some(ProfileError {
        file: location
            .as_ref()
            .map_or(file, |location| location.file)
            .to_owned(),
        line: location.map_or(0, |location| location.line),
        message: help.map_or_else(
            || error.message.clone(),
            |help| format!("{}: {help}", error.message),
        ),
    })
}

fn unknown(why: String) -> Comparison {
    Comparison {
        relation: Relation::Unknown { why },
        witnesses: Vec::new(),
        stricter: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Baseline, ProfileTexts, Profiles, Relation};
    use crate::{apparmor::include::NoIncludes, compare::Runtime};

    fn texts(files: &[(&str, &str)]) -> ProfileTexts {
        let mut texts = ProfileTexts::default();
        for (file, text) in files {
            texts.add(file, text.as_bytes().into(), Arc::new(NoIncludes));
        }
        texts
    }

    const CONTAINERD: Baseline = Baseline::newest(Runtime::Containerd);

    #[test]
    fn a_name_declared_twice_is_in_doubt() {
        let texts = texts(&[
            ("a", "profile web { }\nprofile db { }"),
            ("b", "\nprofile web { file, }"),
        ]);
        assert_eq!(texts.len(), 2);
        let relation = |name| {
            texts
                .comparison(name, CONTAINERD)
                .map(|comparison| comparison.relation.clone())
        };
        let why = "it is declared twice, at a:1 and at b:2".to_owned();
        assert_eq!(relation("web"), Some(Relation::Unknown { why }));
        assert_eq!(relation("db"), Some(Relation::Stronger));
        assert_eq!(relation("cache"), None);
    }

    #[test]
    fn a_text_read_again_is_not_compared_again() {
        let first = texts(&[("a", "abi <abi/3.0>,\nprofile web { /x r, }")]);
        let before = first.comparison("web", CONTAINERD).unwrap();
        assert_eq!(before.relation, Relation::Stronger);
        let mut second = ProfileTexts::remembering(&first);
        let text = "abi <abi/3.0>,\nprofile web { /x r, }".as_bytes();
        second.add("a", text.into(), Arc::new(NoIncludes));
        let after = second.comparison("web", CONTAINERD).unwrap();
        assert!(Arc::ptr_eq(&before, &after));
        let mut third = ProfileTexts::remembering(&first);
        let text = "abi <abi/3.0>,\nprofile web { /sys/firmware/x r, }".as_bytes();
        third.add("a", text.into(), Arc::new(NoIncludes));
        let changed = third.comparison("web", CONTAINERD).unwrap();
        assert_eq!(changed.relation, Relation::Incomparable);
    }

    #[test]
    fn a_text_that_the_parser_refuses_is_told_with_its_place() {
        let texts = texts(&[("a", "profile web {\n  /x{ r,\n}")]);
        let problem = texts.problems().first().unwrap().to_string();
        assert!(problem.starts_with("a:2: "), "{problem}");
        let comparison = texts.comparison("web", CONTAINERD).unwrap();
        assert_eq!(comparison.relation, Relation::Unknown { why: problem });
    }
}
