//! The part of a generated profile's name that people recognise.

use std::fmt;

/// LIMIT: characters, so that the whole name (`armorgate.`, this, `.` and 16 digits) is also good for the value of a label.
const MAX_SLUG: usize = 36;

/// What a profile is called after: letters, digits and single dashes, as in the name of a Kubernetes object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(String);

impl Slug {
    /// After a workload, or anything else that has a name. Never fails: what no slug may have becomes a dash.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let mut slug = String::with_capacity(MAX_SLUG);
        for character in name.chars() {
            if slug.len() >= MAX_SLUG {
                break;
            }
            if character.is_ascii_alphanumeric() {
                slug.push(character.to_ascii_lowercase());
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        slug.truncate(slug.trim_end_matches('-').len());
        if slug.is_empty() {
            slug.push_str(NAMELESS);
        }
        Self(slug)
    }

    /// After an image, by the last part of its repository: `nginx` for `example.org/library/nginx:1.29@sha256:…`.
    #[must_use]
    pub fn of_image(reference: &str) -> Self {
        let (name, _digest) = reference.split_once('@').unwrap_or((reference, ""));
        let last = name.rsplit('/').next().unwrap_or(name);
        let (repository, _tag) = last.split_once(':').unwrap_or((last, ""));
        Self::of(repository)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Where nothing of a name is left.
const NAMELESS: &str = "image";

#[cfg(test)]
mod tests {
    use super::Slug;

    #[test]
    fn slugs_are_parts_of_object_names() {
        for (name, slug) in [
            ("web", "web"),
            ("Web_Server.v2", "web-server-v2"),
            ("--a--b--", "a-b"),
            ("", "image"),
            ("日本", "image"),
            ("a日b", "a-b"),
            ("x ux,\n}", "x-ux"),
            (
                "a-very-long-name-of-a-workload-that-goes-on",
                "a-very-long-name-of-a-workload-that",
            ),
            (&"x".repeat(99), &"x".repeat(36)),
        ] {
            assert_eq!(Slug::of(name).as_str(), slug);
        }
    }

    #[test]
    fn images_are_called_by_their_repository() {
        for (reference, slug) in [
            ("nginx", "nginx"),
            ("nginx:1.29", "nginx"),
            ("localhost:5000/team/api", "api"),
            ("example.org/library/redis:8@sha256:00ff", "redis"),
            ("redis@sha256:00ff", "redis"),
            ("oci:images/web", "web"),
            ("a/", "image"),
        ] {
            assert_eq!(Slug::of_image(reference).as_str(), slug);
        }
    }
}
