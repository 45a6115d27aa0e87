//! Whose name and password a registry is shown: Docker's configuration files, and the programs that they name as helpers;
//! pull secrets, which have the same form.
//!
//! What counts for a repository is the entry with the longest path that it stands below (`registry.example/team`), as for
//! the kubelet; hosts may have `*` in their names there. Programs are run for the user's own files only: a pull secret
//! that names one is no reason to run it.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    io::{self, Cursor},
    path::PathBuf,
};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use serde::Deserialize;

use super::error::RegistryError;
use crate::image::{digest::shown, reference::RegistryReference};

/// LIMIT: bytes of a configuration file.
const MAX_FILE: u64 = 1 << 20;

/// Where credentials are looked for.
#[derive(Clone)]
pub enum CredentialSource {
    /// A file of Docker's form, and the helpers that it names. A file that is missing holds nothing.
    File(PathBuf),
    /// A pull secret: the text of its `.dockerconfigjson`.
    Secret(Vec<u8>),
}

/// What a registry is shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// A token that is used as it is.
    Bearer(String),
    /// A token that other tokens are given for.
    Identity(String),
    /// A name and a password.
    Password(String, String),
}

impl CredentialSource {
    /// The file that Docker itself uses: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
    #[must_use]
    pub fn docker() -> Option<Self> {
        let named = env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty());
        let folder = match named {
            Some(folder) => PathBuf::from(folder),
            None => PathBuf::from(env::var_os("HOME")?).join(".docker"),
        };
        Some(Self::File(folder.join("config.json")))
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(out, "File({})", path.display()),
            Self::Secret(_) => out.write_str("Secret(…)"),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Credentials(…)")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DockerConfig {
    #[serde(default)]
    auths: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

/// The credentials for an image: those of the first source that has some. May run a helper, and wait for it.
pub(super) fn find(
    sources: &[CredentialSource],
    host: &str,
    reference: &RegistryReference,
) -> Result<Option<Credentials>, RegistryError> {
    let error = |why: String| RegistryError::Credentials {
        host: shown(host),
        why: shown(&why),
    };
    for source in sources {
        let (json, runs_helpers) = match source {
            CredentialSource::File(path) => match read(path) {
                Ok(json) => (json, true),
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(error(format!("{}: {cause}", path.display()))),
            },
            CredentialSource::Secret(json) => (json.clone(), false),
        };
        // A parser's message may quote a password.
        let config: DockerConfig = serde_json::from_slice(&json)
            .map_err(|cause| error(format!("line {} is malformed", cause.line())))?;
        let helpers = config.cred_helpers.unwrap_or_default();
        let helper = helpers.iter().find(|(key, _)| server(key) == server(host));
        if let Some((_, helper)) = helper
            && runs_helpers
            && let Some(found) = ask(helper, host).map_err(error)?
        {
            return Ok(Some(found));
        }
        if let Some(entry) = best(
            &config.auths.unwrap_or_default(),
            host,
            reference.repository(),
        ) && let Some(found) = entry_of(entry).map_err(error)?
        {
            return Ok(Some(found));
        }
        if let Some(store) = config.creds_store.filter(|store| !store.is_empty())
            && runs_helpers
            && helper.is_none()
            && let Some(found) = ask(&store, host).map_err(error)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn read(path: &PathBuf) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MAX_FILE {
        return Err(io::Error::other("it is too large"));
    }
    fs::read(path)
}

/// The entry with the longest path that a repository stands below; of two the one whose host has fewer wildcards.
fn best<'a>(
    entries: &'a BTreeMap<String, serde_json::Value>,
    host: &str,
    repository: &str,
) -> Option<&'a serde_json::Value> {
    let host = server(host);
    let fit = |key: &str| {
        let key = key.split_once("://").map_or(key, |(_, key)| key);
        let (pattern, path) = key.split_once('/').unwrap_or((key, ""));
        let path = path.trim_end_matches('/');
        // Docker Hub's key ends with the version of its interface, as other keys of old times do.
        let path = if matches!(path, "v1" | "v2") {
            ""
        } else {
            path
        };
        let is_below = path.is_empty()
            || repository
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let is_host = is_match(&server(pattern), &host);
        (is_host && is_below).then(|| (path.len(), usize::MAX - pattern.matches('*').count()))
    };
    let fits = entries
        .iter()
        .filter_map(|(key, entry)| Some((fit(key)?, entry)));
    fits.max_by_key(|(fit, _)| *fit).map(|(_, entry)| entry)
}

/// Whether a host fits a pattern label by label: `*` stands for any letters of one.
fn is_match(pattern: &str, host: &str) -> bool {
    let (patterns, labels) = (pattern.split('.'), host.split('.'));
    patterns.clone().count() == labels.clone().count()
        && patterns
            .zip(labels)
            .all(|(pattern, label)| match pattern.split_once('*') {
                None => pattern == label,
                Some((front, back)) => {
                    // LIMIT: one `*` in a label; more of them fit nothing.
                    !back.contains('*')
                        && label.len() >= front.len() + back.len()
                        && label.starts_with(front)
                        && label.ends_with(back)
                }
            })
}

/// One name for the names of Docker Hub.
fn server(host: &str) -> String {
    let host = host.split_once("://").map_or(host, |(_, host)| host);
    let host = host
        .split('/')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        _ => host,
    }
}

fn entry_of(entry: &serde_json::Value) -> Result<Option<Credentials>, String> {
    let text = |key: &str| {
        let text = entry.get(key).and_then(serde_json::Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    if let Some(token) = text("registrytoken") {
        return Ok(Some(Credentials::Bearer(token.to_owned())));
    }
    // Docker leaves an empty entry where a helper has the password.
    if ["auth", "identitytoken", "username"]
        .iter()
        .all(|key| text(key).is_none())
    {
        return Ok(None);
    }
    let mut entry = entry.clone();
    if let Some(fields) = entry.as_object_mut() {
        // An empty text is as good as none.
        fields.retain(|_, value| value.as_str() != Some(""));
    }
    let alone = serde_json::json!({ "auths": { "registry": entry } });
    found(get_credential_from_reader(
        Cursor::new(alone.to_string()),
        "registry",
    ))
}

/// Asks a helper, which is a program of the name `docker-credential-HELPER`.
fn ask(helper: &str, host: &str) -> Result<Option<Credentials>, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !helper.bytes().all(is_name) {
        return Err(format!("`{helper}` is no name of a helper"));
    }
    let server = match server(host).as_str() {
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        _ => host.to_owned(),
    };
    let alone = serde_json::json!({ "credHelpers": { &server: helper } });
    found(get_credential_from_reader(
        Cursor::new(alone.to_string()),
        &server,
    ))
}

fn found(
    result: Result<DockerCredential, CredentialRetrievalError>,
) -> Result<Option<Credentials>, String> {
    match result {
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credentials::Identity(token))),
        Ok(DockerCredential::UsernamePassword(name, password)) => {
            Ok(Some(Credentials::Password(name, password)))
        }
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        // What helpers say when they know nothing (docker-credential-helpers).
        Err(CredentialRetrievalError::HelperFailure { stdout, .. })
            if stdout.contains("credentials not found") =>
        {
            Ok(None)
        }
        // What it printed may hold a secret.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            Err(format!("the helper `{helper}` failed"))
        }
        Err(CredentialRetrievalError::HelperCommunicationError) => {
            Err("the helper cannot be run: install `docker-credential-…`".to_owned())
        }
        Err(_) => Err("an entry is malformed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::{CredentialSource, Credentials, find};
    use crate::image::reference::RegistryReference;

    fn password(name: &str) -> Credentials {
        Credentials::Password(name.to_owned(), "p:w".to_owned())
    }

    fn secret(json: &str) -> CredentialSource {
        CredentialSource::Secret(json.as_bytes().to_vec())
    }

    fn look(sources: &[CredentialSource], reference: &str) -> Result<Option<Credentials>, String> {
        let reference: RegistryReference = reference.parse().unwrap();
        find(sources, reference.host(), &reference).map_err(|error| error.to_string())
    }

    #[test]
    fn the_longest_path_counts() {
        let entry = |name: &str| format!(r#"{{"username":"{name}","password":"p:w"}}"#);
        let json = format!(
            r#"{{"auths":{{"https://a.io/v1/":{},"a.io/team":{},"a.io/team/app":{},"*.io":{},"*.b*.io":{},
                "https://index.docker.io/v1/":{},"c.io:5000":{},"empty.io":{{}}}}}}"#,
            entry("host"),
            entry("team"),
            entry("app"),
            entry("wild"),
            entry("label"),
            entry("hub"),
            entry("port"),
        );
        for (reference, name) in [
            ("a.io/x", Some("host")),
            ("a.io/teams/x", Some("host")),
            ("a.io/team", Some("team")),
            ("a.io/team/x", Some("team")),
            ("a.io/team/app/x", Some("app")),
            ("z.io/x", Some("wild")),
            ("x.bc.io/x", Some("label")),
            ("x.c.io/x", None),
            ("nginx", Some("hub")),
            ("c.io:5000/x", Some("port")),
            ("d.example/x", None),
            ("d.example:5000/x", None),
            ("empty.io/x", None),
        ] {
            assert_eq!(
                look(&[secret(&json)], reference),
                Ok(name.map(password)),
                "{reference}"
            );
        }
        let other = secret(r#"{"auths":{"d.example":{"auth":"dTpwOnc="}}}"#);
        assert_eq!(
            look(&[secret(&json), other], "d.example/x"),
            Ok(Some(password("u")))
        );
    }

    #[test]
    fn every_kind_of_entry_is_read() {
        for (entry, expected) in [
            (r#"{"auth":"dTpwOnc="}"#, Some(password("u"))),
            (
                r#"{"auth":"dTpwOnc=","username":"","password":""}"#,
                Some(password("u")),
            ),
            (
                r#"{"auth":"dTpwOnc","identitytoken":"t"}"#,
                Some(Credentials::Identity("t".to_owned())),
            ),
            (
                r#"{"registrytoken":"r"}"#,
                Some(Credentials::Bearer("r".to_owned())),
            ),
            (r#"{"email":"a@b"}"#, None),
        ] {
            let json = format!(r#"{{"auths":{{"a.io":{entry}}}}}"#);
            assert_eq!(look(&[secret(&json)], "a.io/x"), Ok(expected), "{entry}");
        }
        for broken in [
            r#"{"auths":{"a.io":{"auth":"secret%"}}}"#,
            r#"{"auths":{"a.io":{"auth":"c2VjcmV0"}}}"#,
            r#"{"auths":{"a.io":{"auth":"dTpwOnc=","username":"secret","password":"p"}}}"#,
            r#"{"auths":{"a.io":"#,
            r#"{"auths":["secret"]}"#,
        ] {
            let error = look(&[secret(broken)], "a.io/x").unwrap_err();
            assert!(
                error.contains("`a.io`") && !error.contains("secret"),
                "{error}"
            );
        }
        assert!(!format!("{:?} {:?}", secret("x"), password("x")).contains('x'));
    }

    #[test]
    fn helpers_are_asked_for_files_and_not_for_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let helper = folder.path().join("docker-credential-armorgate-test");
        let script = r#"#!/bin/sh
read server || [ -n "$server" ]
case "$server" in
    a.io) echo '{"Username":"u","Secret":"p:w"}' ;;
    https://index.docker.io/v1/) echo '{"Username":"<token>","Secret":"t"}' ;;
    broken.io) echo secret; exit 3 ;;
    *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"#;
        fs::write(&helper, script).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        // Names of helpers are looked up in PATH: that of this test is its own, in a process of its own.
        if std::env::var_os("ARMORGATE_TEST_HELPER").is_none() {
            let path = std::env::var("PATH").unwrap();
            let status = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "image::registry::credentials::tests::helpers_are_asked_for_files_and_not_for_secrets"])
                .env("ARMORGATE_TEST_HELPER", "1")
                .env("PATH", format!("{}:{path}", folder.path().display()))
                .status();
            assert!(status.unwrap().success());
            return;
        }
        let json = r#"{"credsStore":"armorgate-test","auths":{"a.io":{}},
            "credHelpers":{"x.io":"armorgate-missing","y.io":"../armorgate-test"}}"#;
        let path = folder.path().join("config.json");
        fs::write(&path, json).unwrap();
        let file = [
            CredentialSource::File(path),
            CredentialSource::File("/nonexistent".into()),
        ];
        assert_eq!(look(&file, "a.io/x"), Ok(Some(password("u"))));
        let identity = Credentials::Identity("t".to_owned());
        assert_eq!(look(&file, "nginx"), Ok(Some(identity)));
        assert_eq!(look(&file, "other.io/x"), Ok(None));
        assert_eq!(look(&[secret(json)], "a.io/x"), Ok(None));
        for host in ["broken.io", "x.io", "y.io"] {
            let error = look(&file, &format!("{host}/x")).unwrap_err();
            assert!(
                error.contains("helper") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
