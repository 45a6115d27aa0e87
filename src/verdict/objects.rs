//! The texts of `AppArmorProfile` objects, each known by the object's name.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::profiles::{ProfileTexts, Profiles};
use crate::{
    apparmor::include::Includes,
    compare::{Baseline, Comparison, Relation},
};

/// Why a text cannot be that of an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// `apparmor_parser` would refuse it.
    #[error("spec.text: {0}")]
    Invalid(String),
    /// It declares other profiles than the one of the object's name.
    #[error(
        "spec.text: declare one profile, `{name}`, as the object is called; there {}",
        declared(found)
    )]
    Name {
        /// The object's name.
        name: String,
        /// What is declared.
        found: Vec<String>,
    },
}

fn declared(found: &[String]) -> String {
    match found {
        [] => "is none".to_owned(),
        [one] => format!("is `{}`", one.escape_debug()),
        many => format!("are {}", many.len()),
    }
}

/// Profiles by the names of their objects. Clones share what they know.
#[derive(Clone)]
pub struct ObjectTexts(Arc<Inner>);

struct Inner {
    includes: Arc<dyn Includes + Send + Sync>,
    /// Remembers the comparisons of all.
    shared: ProfileTexts,
    texts: RwLock<HashMap<String, Arc<ProfileTexts>>>,
}

impl ObjectTexts {
    /// None yet; their texts may include these files.
    #[must_use]
    pub fn new(includes: Arc<dyn Includes + Send + Sync>) -> Self {
        Self(Arc::new(Inner {
            includes,
            shared: ProfileTexts::default(),
            texts: RwLock::default(),
        }))
    }

    /// Reads the text of an object, and whether it can be that.
    pub fn read(&self, name: &str, text: &str) -> Result<ProfileTexts, ObjectError> {
        let mut texts = ProfileTexts::remembering(&self.0.shared);
        texts.add(name, text.as_bytes().into(), Arc::clone(&self.0.includes));
        if let Some(problem) = texts.problems().first() {
            return Err(ObjectError::Invalid(problem.to_string()));
        }
        if texts.names().ne([name]) {
            return Err(ObjectError::Name {
                name: name.to_owned(),
                found: texts.names().map(str::to_owned).collect(),
            });
        }
        Ok(texts)
    }

    /// The text of an object from now on. One that cannot be its text is remembered for that: nothing can be told of it.
    pub fn set(&self, name: &str, text: &str) {
        let read = Arc::new(self.read(name, text).unwrap_or_default());
        let mut texts = self.0.texts.write().unwrap_or_else(PoisonError::into_inner);
        texts.insert(name.to_owned(), read);
    }

    /// An object is gone, or has no text.
    pub fn remove(&self, name: &str) {
        let mut texts = self.0.texts.write().unwrap_or_else(PoisonError::into_inner);
        texts.remove(name);
    }

    /// Only these objects are left.
    pub fn retain(&self, is_left: impl Fn(&str) -> bool) {
        let mut texts = self.0.texts.write().unwrap_or_else(PoisonError::into_inner);
        texts.retain(|name, _| is_left(name));
    }

    fn text(&self, name: &str) -> Option<Arc<ProfileTexts>> {
        let texts = self.0.texts.read().unwrap_or_else(PoisonError::into_inner);
        texts.get(name).cloned()
    }
}

impl Profiles for ObjectTexts {
    fn comparison(&self, name: &str, baseline: Baseline) -> Option<Arc<Comparison>> {
        let texts = self.text(name)?;
        let known = texts.comparison(name, baseline);
        Some(known.unwrap_or_else(|| {
            let why = "the text of its AppArmorProfile is not valid".to_owned();
            Arc::new(Comparison {
                relation: Relation::Unknown { why },
                witnesses: Vec::new(),
                stricter: None,
            })
        }))
    }
}

/// Profiles from two sources. A name that both know is no better than the worse of the two: which of them a node has cannot be
/// told from here.
pub struct Both<'p>(pub &'p dyn Profiles, pub &'p dyn Profiles);

impl Profiles for Both<'_> {
    fn comparison(&self, name: &str, baseline: Baseline) -> Option<Arc<Comparison>> {
        let first = self.0.comparison(name, baseline);
        let is_fine = |comparison: &Arc<Comparison>| {
            matches!(comparison.relation, Relation::Equal | Relation::Stronger)
        };
        match (&first, self.1.comparison(name, baseline)) {
            (Some(known), Some(second)) if is_fine(known) => Some(second),
            (None, second) => second,
            (Some(_), _) => first,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Both, ObjectError, ObjectTexts, ProfileTexts, Profiles};
    use crate::{
        apparmor::include::NoIncludes,
        compare::{Baseline, Relation, Runtime},
    };

    fn relation(profiles: &dyn Profiles, name: &str) -> Option<&'static str> {
        let comparison = profiles.comparison(name, Baseline::newest(Runtime::Containerd))?;
        Some(match comparison.relation {
            Relation::Equal => "equal",
            Relation::Incomparable => "incomparable",
            Relation::Stronger => "stronger",
            Relation::Unknown { .. } => "unknown",
            Relation::Weaker => "weaker",
        })
    }

    #[test]
    fn an_object_is_known_by_its_own_name_only() {
        let objects = ObjectTexts::new(Arc::new(NoIncludes));
        objects.set("web", "abi <abi/3.0>,\nprofile web { /x r, }");
        objects.set("db", "profile web { /x r, }");
        objects.set("bad", "profile bad {");
        assert_eq!(relation(&objects, "web"), Some("stronger"));
        assert_eq!(relation(&objects, "db"), Some("unknown"));
        assert_eq!(relation(&objects, "bad"), Some("unknown"));
        assert_eq!(relation(&objects, "none"), None);
        assert!(matches!(
            objects.read("db", "profile web { }\nprofile db { }"),
            Err(ObjectError::Name { .. })
        ));
        objects.retain(|name| name == "db");
        assert_eq!(relation(&objects, "web"), None);
        objects.remove("db");
        assert_eq!(relation(&objects, "db"), None);
    }

    #[test]
    fn of_two_texts_the_worse_counts() {
        let objects = ObjectTexts::new(Arc::new(NoIncludes));
        let mut files = ProfileTexts::default();
        let mut set = |name: &str, weak: bool, in_objects: bool| {
            let rule = if weak { "/proc/kcore r," } else { "/x r," };
            let text = format!("abi <abi/3.0>,\nprofile {name} {{ {rule} }}");
            if in_objects {
                objects.set(name, &text);
            } else {
                files.add(name, text.as_bytes().into(), Arc::new(NoIncludes));
            }
        };
        set("a", true, true);
        set("a", false, false);
        set("b", false, true);
        set("b", true, false);
        set("c", false, true);
        set("d", false, false);
        let both = Both(&objects, &files);
        for (name, expected) in [
            ("a", Some("incomparable")),
            ("b", Some("incomparable")),
            ("c", Some("stronger")),
            ("d", Some("stronger")),
            ("e", None),
        ] {
            assert_eq!(relation(&both, name), expected, "{name}");
        }
    }
}
