//! What is known of the profiles that nodes hold.

use std::collections::HashMap;

use crate::{
    apparmor::{Declaration, DeclarationError, declarations},
    compare::{self, Baseline, Relation},
};

/// A source of profile texts that can tell how a profile relates to a baseline.
pub trait Profiles: Send + Sync {
    /// The relation of the profile of this name, or `None` where its text is not known.
    fn relation(&self, name: &str, baseline: Baseline) -> Option<Relation>;
}

/// Profiles by their declared names, from files.
#[derive(Clone, Debug, Default)]
pub struct ProfileTexts {
    by_name: HashMap<String, Known>,
}

#[derive(Clone, Debug)]
enum Known {
    Once(Placed),
    Twice(Placed, Placed),
}

#[derive(Clone, Debug)]
struct Placed {
    declaration: Declaration,
    file: String,
}

impl ProfileTexts {
    /// Adds every profile that the file's text declares. On an error nothing is added.
    pub fn add(&mut self, file: &str, text: &[u8]) -> Result<(), DeclarationError> {
        for declaration in declarations(text)? {
            let name = declaration.name.clone();
            let placed = Placed {
                declaration,
                file: file.to_owned(),
            };
            let known = match self.by_name.remove(&name) {
                None => Known::Once(placed),
                Some(Known::Once(first) | Known::Twice(first, _)) => Known::Twice(first, placed),
            };
            self.by_name.insert(name, known);
        }
        Ok(())
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
}

impl Profiles for ProfileTexts {
    fn relation(&self, name: &str, baseline: Baseline) -> Option<Relation> {
        Some(match self.by_name.get(name)? {
            Known::Once(placed) => compare::relation(&placed.declaration, baseline),
            // Which of the two a node has loaded cannot be told from here.
            Known::Twice(first, second) => Relation::Unknown {
                why: format!(
                    "it is declared twice, at {} and at {}",
                    first.place(),
                    second.place()
                ),
            },
        })
    }
}

impl Placed {
    fn place(&self) -> String {
        format!("{}:{}", self.file, self.declaration.line)
    }
}

#[cfg(test)]
mod tests {
    use super::{Baseline, ProfileTexts, Profiles, Relation};

    #[test]
    fn a_name_declared_twice_is_in_doubt() {
        let mut texts = ProfileTexts::default();
        texts.add("a", b"profile web { }\nprofile db { }").unwrap();
        texts.add("b", b"\nprofile web { file, }").unwrap();
        assert_eq!(texts.len(), 2);
        let why = "it is declared twice, at a:1 and at b:2".to_owned();
        assert_eq!(
            texts.relation("web", Baseline::Containerd),
            Some(Relation::Unknown { why })
        );
        assert!(matches!(
            texts.relation("db", Baseline::Containerd),
            Some(Relation::Unknown { .. })
        ));
        assert_eq!(texts.relation("cache", Baseline::Containerd), None);
    }
}
