//! An image's configuration: what it runs and as whom, and which layers it is made of (OCI image specification,
//! "Image Configuration").
//!
//! Values stay as they are written: an entrypoint that is absent, empty or one empty word means three things to three
//! runtimes. What they mean for a container is decided where the pod is known.
//!
//! LIMIT: keys are read in the specification's spelling; Go reads them in any case.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{digest::ImageDigest, error::malformed, platform::Platform};

/// What an image says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The operating system: `linux`. Empty when it is not told.
    pub os: String,
    /// The architecture: `amd64`. Empty when it is not told.
    pub architecture: String,
    /// The architecture's variant.
    pub variant: Option<String>,
    /// The entrypoint: `None` (absent or null), `[]` and `[""]` are kept apart.
    pub entrypoint: Option<Vec<String>>,
    /// The default arguments, or the whole command where there is no entrypoint.
    pub cmd: Option<Vec<String>>,
    /// The environment, `NAME=value` each, in the image's order.
    pub env: Vec<String>,
    /// The working directory. Empty when it is not told.
    pub working_dir: String,
    /// The user: a name or number, perhaps with `:` and a group. Empty when it is not told.
    pub user: String,
    /// The folders that are volumes, sorted.
    pub volumes: Vec<String>,
    /// Whether there is a health check of Docker's. Kubernetes does not run it.
    pub has_healthcheck: bool,
    /// The digests of the layers' plain tars, the lowest first.
    pub diff_ids: Vec<ImageDigest>,
}

/// A configuration that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not JSON, or of other types.
    #[error("the image's configuration cannot be read: {0}")]
    Malformed(String),
}

impl Config {
    /// Reads it from JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let image: Image = serde_json::from_slice(json)
            .map_err(|error| ConfigError::Malformed(malformed(&error)))?;
        let run = image.config.unwrap_or_default();
        let healthcheck = run.healthcheck.and_then(|check| check.test);
        Ok(Self {
            os: image.os.unwrap_or_default(),
            architecture: image.architecture.unwrap_or_default(),
            variant: image.variant.filter(|variant| !variant.is_empty()),
            entrypoint: run.entrypoint,
            cmd: run.cmd,
            env: run.env.unwrap_or_default(),
            working_dir: run.working_dir.unwrap_or_default(),
            user: run.user.unwrap_or_default(),
            volumes: run.volumes.unwrap_or_default().into_keys().collect(),
            has_healthcheck: healthcheck
                .is_some_and(|test| test.first().is_some_and(|first| first != "NONE")),
            diff_ids: image
                .rootfs
                .and_then(|files| files.diff_ids)
                .unwrap_or_default(),
        })
    }

    /// What it was built for.
    #[must_use]
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
        }
    }
}

/// The JSON. Go writes `null` for what is empty.
#[derive(Deserialize)]
struct Image {
    architecture: Option<String>,
    config: Option<Run>,
    os: Option<String>,
    rootfs: Option<RootFilesystem>,
    variant: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Run {
    cmd: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    env: Option<Vec<String>>,
    healthcheck: Option<Healthcheck>,
    user: Option<String>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
    working_dir: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Healthcheck {
    test: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RootFilesystem {
    diff_ids: Option<Vec<ImageDigest>>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Config;

    fn config(run: &str) -> Config {
        let json = format!(r#"{{"os":"linux","architecture":"amd64","config":{run}}}"#);
        Config::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn absent_empty_and_one_empty_word_are_kept_apart() {
        for (json, entrypoint) in [
            ("{}", None),
            (r#"{"Entrypoint":null}"#, None),
            (r#"{"Entrypoint":[]}"#, Some(vec![])),
            (r#"{"Entrypoint":[""]}"#, Some(vec![String::new()])),
            (
                r#"{"Entrypoint":["/a","b c"]}"#,
                Some(vec!["/a".to_owned(), "b c".to_owned()]),
            ),
        ] {
            assert_eq!(config(json).entrypoint, entrypoint, "{json}");
        }
        assert_eq!(config("null"), config("{}"));
    }

    #[test]
    fn everything_that_shapes_a_start_is_read() {
        let config = config(
            r#"{"Cmd":["-x"],"Env":["PATH=/bin","A="],"WorkingDir":"/w","User":"1:2","Unknown":{"a":[1]},
                "Volumes":{"/v":{},"/a":{}},"Healthcheck":{"Test":["CMD","/h"]},"ExposedPorts":null}"#,
        );
        assert_eq!(config.cmd, Some(vec!["-x".to_owned()]));
        assert_eq!(config.env, ["PATH=/bin", "A="]);
        assert_eq!(
            (config.working_dir.as_str(), config.user.as_str()),
            ("/w", "1:2")
        );
        assert_eq!(config.volumes, ["/a", "/v"]);
        assert!(config.has_healthcheck);
        assert_eq!(config.platform().to_string(), "linux/amd64");
        for none in [
            r#"{"Healthcheck":{"Test":["NONE"]}}"#,
            r#"{"Healthcheck":{}}"#,
        ] {
            assert!(!super::tests::config(none).has_healthcheck, "{none}");
        }
    }

    #[test]
    fn other_shapes_are_errors() {
        for json in [
            "",
            "[]",
            "{",
            r#"{"config":{"Entrypoint":"sh -c x"}}"#,
            r#"{"config":{"Env":[1]}}"#,
            r#"{"rootfs":{"diff_ids":["sha256:../x"]}}"#,
        ] {
            let error = Config::from_json(json.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
        }
        let long = format!(
            r#"{{"config":{{"Env":"{}"}}}}"#,
            "\u{7}é".repeat(9000).escape_default()
        );
        let error = Config::from_json(long.as_bytes()).unwrap_err().to_string();
        assert!(error.len() < 1000, "{error}");
        let deep = "[".repeat(100_000);
        assert!(Config::from_json(format!(r#"{{"x":{deep}"#).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Config::from_json(&bytes);
        }
    }
}
