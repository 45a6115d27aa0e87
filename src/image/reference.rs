//! What names an image: a registry reference, a folder in OCI layout, an archive of `docker save`.
//!
//! References read as `docker` and containerd read them (the grammar of the distribution project): without a host they are
//! Docker Hub's, one word stands below `library/`, without tag and digest the tag is `latest`; with both the digest counts.
//! Nothing is opened or asked here.
//!
//! LIMIT: a folder's or archive's path ends at its first colon, as it does for other tools of this notation.

use std::{fmt, path::PathBuf, str::FromStr};

use super::digest::{DigestError, ImageDigest, shown};

/// LIMIT: bytes of a whole reference; real ones are shorter than 255 and a tag and a digest.
const MAX_LENGTH: usize = 1024;

/// LIMIT: bytes of host and repository, as registries have it.
const MAX_NAME: usize = 255;

const DOCKER_HUB: &str = "docker.io";

/// Where an image is read from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ImageSource {
    /// `docker-archive:FILE[:REFERENCE]`: what `docker save` writes.
    DockerArchive {
        /// The file.
        file: PathBuf,
        /// Which of several images.
        name: Option<String>,
    },
    /// `oci:DIR[:TAG]`: a folder in OCI image layout.
    OciLayout {
        /// The folder.
        folder: PathBuf,
        /// Which of several images.
        tag: Option<String>,
    },
    /// An image in a registry.
    Registry(RegistryReference),
}

/// An image in a registry. Made by parsing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RegistryReference {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<ImageDigest>,
}

/// A text that names no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The part behind `@`.
    #[error("`{reference}` has a digest that cannot be used")]
    Digest {
        /// The reference.
        reference: String,
        /// What is wrong with it.
        #[source]
        source: DigestError,
    },
    /// Nothing there.
    #[error("the name of the image is empty: write for instance `docker.io/library/nginx:1.29`")]
    Empty,
    /// The part in front of the first slash.
    #[error("`{0}` has a host that is none: letters, digits, `-` and `.`, then perhaps a port")]
    Host(String),
    /// Too long.
    #[error(
        "the name of the image is over {MAX_LENGTH} bytes long, or its repository over {MAX_NAME}"
    )]
    Length,
    /// A path is missing, or has bytes that cannot be in one.
    #[error("`{0}` names no file: write `oci:DIR[:TAG]` or `docker-archive:FILE`")]
    Path(String),
    /// The part between host and tag.
    #[error(
        "`{0}` has a repository that is none: lower-case letters and digits, single `.`, `_`, `-` between them, `/`"
    )]
    Repository(String),
    /// The part behind the last colon.
    #[error("`{0}` has a tag that is none: up to 128 letters, digits, `_`, `.` and `-`")]
    Tag(String),
}

impl RegistryReference {
    /// The registry's host as it was written, with its port where there was one: `docker.io` for Docker Hub.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository: `library/nginx`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where one was written; `latest` where neither tag nor digest were.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one was written. It says which image this is, whatever the tag.
    #[must_use]
    pub fn digest(&self) -> Option<ImageDigest> {
        self.digest
    }

    /// What a registry is asked for: the digest, else the tag.
    pub(crate) fn version(&self) -> String {
        match (self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl FromStr for ImageSource {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > MAX_LENGTH {
            return Err(ReferenceError::Length);
        }
        let located = |located: &str| {
            let (path, name) = match located.split_once(':') {
                Some((path, name)) => (path, Some(name)),
                None => (located, None),
            };
            let is_fine = |part: &str| !part.is_empty() && !part.contains(char::is_control);
            if !is_fine(path) || !name.is_none_or(is_fine) {
                return Err(ReferenceError::Path(shown(text)));
            }
            Ok((PathBuf::from(path), name.map(str::to_owned)))
        };
        if let Some(rest) = text.strip_prefix("oci:") {
            let (folder, tag) = located(rest)?;
            Ok(Self::OciLayout { folder, tag })
        } else if let Some(rest) = text.strip_prefix("docker-archive:") {
            let (file, name) = located(rest)?;
            Ok(Self::DockerArchive { file, name })
        } else {
            text.parse().map(Self::Registry)
        }
    }
}

impl FromStr for RegistryReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(ReferenceError::Length);
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.parse().map_err(|source| ReferenceError::Digest {
                    reference: shown(text),
                    source,
                })?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        // A colon behind the last slash starts a tag; one in front of it a port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        let tag = match (tag, digest) {
            (Some(tag), _) if !is_tag(tag) => return Err(ReferenceError::Tag(shown(text))),
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some("latest".to_owned()),
        };
        let (host, path) = match name.split_once('/') {
            Some((first, rest)) if is_host_like(first) => (first, rest),
            _ => (DOCKER_HUB, name),
        };
        if !is_host(host) {
            return Err(ReferenceError::Host(shown(text)));
        }
        // As old versions of Docker wrote it.
        let host = match host {
            "index.docker.io" => DOCKER_HUB,
            host => host,
        };
        let repository = if host == DOCKER_HUB && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if !path.split('/').all(is_component) || is_image_id(name) {
            return Err(ReferenceError::Repository(shown(text)));
        }
        if host.len() + repository.len() > MAX_NAME {
            return Err(ReferenceError::Length);
        }
        Ok(Self {
            host: host.to_owned(),
            repository,
            tag,
            digest,
        })
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, path, name) = match self {
            Self::DockerArchive { file, name } => ("docker-archive", file, name),
            Self::OciLayout { folder, tag } => ("oci", folder, tag),
            Self::Registry(reference) => return reference.fmt(out),
        };
        write!(out, "{kind}:{}", path.display())?;
        match name {
            Some(name) => write!(out, ":{name}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RegistryReference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(out, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(out, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether what stands in front of the first slash is a host and not a part of the repository.
fn is_host_like(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

pub(super) fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match (rest.is_empty(), rest.strip_prefix(':')) {
                (true, _) => return true,
                (false, port) => return port.is_some_and(is_port),
            }
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// Letters and digits with separators between them: one `.`, one or two `_`, any number of `-`.
pub(super) fn is_component(component: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators = component.as_bytes().split(is_word);
    let mut ends = component.bytes().take(1).chain(component.bytes().last());
    !component.is_empty()
        && ends.all(|byte| is_word(&byte))
        && separators
            .filter(|separator| !separator.is_empty())
            .all(|separator| {
                matches!(separator, b"." | b"_" | b"__")
                    || separator.iter().all(|&byte| byte == b'-')
            })
}

fn is_tag(tag: &str) -> bool {
    !tag.is_empty()
        && tag.len() <= 128
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// 64 hexadecimal digits alone would be an image's identifier on some machine.
fn is_image_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{ImageSource, ReferenceError};

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_read_as_containerd_reads_them() {
        for (text, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.29", "docker.io/library/nginx:1.29"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
            ("bitnami/redis:8", "docker.io/bitnami/redis:8"),
            ("localhost/a", "localhost/a:latest"),
            ("Host/a", "Host/a:latest"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("[::1]:5000/a:1", "[::1]:5000/a:1"),
            (
                "a/b__c/d.e/f---g:H_1.2-3",
                "docker.io/a/b__c/d.e/f---g:H_1.2-3",
            ),
        ] {
            let source: ImageSource = text.parse().unwrap();
            assert_eq!(source.to_string(), full);
            assert_eq!(full.parse::<ImageSource>().unwrap(), source);
        }
        let pinned: ImageSource = format!("a.b/c:tag@{DIGEST}").parse().unwrap();
        let ImageSource::Registry(pinned) = pinned else {
            panic!("{pinned:?}")
        };
        assert_eq!(
            (pinned.tag(), pinned.version().as_str()),
            (Some("tag"), DIGEST)
        );
        let untagged: ImageSource = format!("a.b/c@{DIGEST}").parse().unwrap();
        assert_eq!(untagged.to_string(), format!("a.b/c@{DIGEST}"));
    }

    #[test]
    fn hostile_names_are_errors() {
        type Is = fn(&ReferenceError) -> bool;
        let repository: Is = |error| matches!(error, ReferenceError::Repository(_));
        let host: Is = |error| matches!(error, ReferenceError::Host(_));
        let tag: Is = |error| matches!(error, ReferenceError::Tag(_));
        let id = "a".repeat(64);
        for (text, is) in [
            ("/a", repository),
            ("a/", repository),
            ("a//b", repository),
            ("a/../b", repository),
            ("..", repository),
            ("a.b/../c", repository),
            ("a.b/%2e%2e/c", repository),
            ("a_/b", repository),
            ("a___b", repository),
            ("a..b", repository),
            ("a.b/UPPER", repository),
            ("a b", repository),
            ("a\nb", repository),
            ("a?x=1", repository),
            ("a.b/c#d", repository),
            ("é", repository),
            (&id, repository),
            ("http://a.b/c", host),
            ("-a.b/c", host),
            ("a..b/c", host),
            ("user:secret/c", host),
            ("a.b:0/c", host),
            ("a.b:65536/c", host),
            ("a.b:+1/c", host),
            ("[::1/c", host),
            ("[::1]x/c", host),
            ("[a.b]:1/c", host),
            ("a:", tag),
            ("a:.b", tag),
            ("a:b c", tag),
            ("a:b:c?", tag),
        ] {
            let error = text.parse::<ImageSource>().unwrap_err();
            assert!(is(&error), "{text:?}: {error:?}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        for text in ["a@", "a@sha256:x", "a@b@c", &format!("user@{DIGEST}@x")] {
            let error = text.parse::<ImageSource>().unwrap_err();
            assert!(matches!(error, ReferenceError::Digest { .. }), "{text:?}");
        }
        assert_eq!("".parse::<ImageSource>(), Err(ReferenceError::Empty));
        for text in ["a".repeat(300), format!("a:{}", "b".repeat(2000))] {
            assert_eq!(text.parse::<ImageSource>(), Err(ReferenceError::Length));
        }
    }

    #[test]
    fn files_and_folders_have_a_kind_in_front() {
        let source: ImageSource = "oci:some/dir:docker.io/a:1".parse().unwrap();
        let ImageSource::OciLayout { folder, tag } = &source else {
            panic!("{source:?}")
        };
        assert_eq!(folder, Path::new("some/dir"));
        assert_eq!(tag.as_deref(), Some("docker.io/a:1"));
        assert_eq!(source.to_string(), "oci:some/dir:docker.io/a:1");
        let source: ImageSource = "docker-archive:/tmp/a b.tar".parse().unwrap();
        let ImageSource::DockerArchive { file, name } = &source else {
            panic!("{source:?}")
        };
        assert_eq!((file.as_path(), name), (Path::new("/tmp/a b.tar"), &None));
        for text in ["oci:", "oci::tag", "oci:a:", "docker-archive:", "oci:a\0b"] {
            let error = text.parse::<ImageSource>().unwrap_err();
            assert!(matches!(error, ReferenceError::Path(_)), "{text:?}");
        }
    }
}
