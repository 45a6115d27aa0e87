//! The place of a field inside an object, as `kubectl` and the API server write it.

use std::fmt;

/// One step of a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// An element of a list, counted from 0.
    Index(usize),
    /// A key of a map.
    Key(String),
}

/// A field of an object: `spec.containers[1].securityContext`, with keys that are no plain names in quotes:
/// `metadata.annotations["a.example/b"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldPath(Vec<Segment>);

impl FieldPath {
    /// The path of these keys, from the object's root.
    #[must_use]
    pub fn of(keys: &[&str]) -> Self {
        Self(
            keys.iter()
                .map(|key| Segment::Key((*key).to_owned()))
                .collect(),
        )
    }

    /// This path, one key deeper.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.0.push(Segment::Key(key.to_owned()));
        self
    }

    /// This path, one list element deeper.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Segment::Index(index));
        self
    }

    /// The steps from the object's root.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(out, "[{index}]")?,
                Segment::Key(key) if !is_plain(key) => write!(out, "[{key:?}]")?,
                Segment::Key(key) if position == 0 => out.write_str(key)?,
                Segment::Key(key) => write!(out, ".{key}")?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::FieldPath;

    #[test]
    fn reads_as_the_api_server_writes_it() {
        let path = FieldPath::of(&["spec", "containers"])
            .index(1)
            .key("securityContext");
        assert_eq!(path.to_string(), "spec.containers[1].securityContext");
        let annotation = FieldPath::of(&["metadata", "annotations"]).key("a.example/b\n");
        assert_eq!(
            annotation.to_string(),
            r#"metadata.annotations["a.example/b\n"]"#
        );
    }
}
