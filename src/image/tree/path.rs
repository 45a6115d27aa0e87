//! Paths inside of an image: bytes, split at slashes.

/// The names of a path, without what stands for nothing.
pub(crate) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
}

/// The names of a path with `..` taken back name by name and ending at the root, as Go's `filepath.Clean` does with the
/// names in a tar.
pub(crate) fn clean(path: &[u8]) -> Vec<&[u8]> {
    let mut clean = Vec::new();
    for name in components(path) {
        if name == b".." {
            clean.pop();
        } else {
            clean.push(name);
        }
    }
    clean
}

/// Appends a name to an absolute path.
pub(crate) fn push(path: &mut Vec<u8>, name: &[u8]) {
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

/// A path for a message: short, without control characters.
pub(crate) fn shown(path: &[u8]) -> String {
    crate::image::digest::shown(&String::from_utf8_lossy(path))
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn names_are_cleaned_and_end_at_the_root() {
        for (path, expected) in [
            ("", ""),
            ("/", ""),
            (".", ""),
            ("./a//b/", "a/b"),
            ("/a/./b", "a/b"),
            ("a/../b", "b"),
            ("../../a", "a"),
            ("a/../../..", ""),
            ("a/..b/...", "a/..b/..."),
        ] {
            let names = clean(path.as_bytes()).join(&b'/');
            assert_eq!(String::from_utf8(names).unwrap(), expected, "{path}");
        }
    }
}
