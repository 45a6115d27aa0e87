//! The real server over real TLS, and everything that can arrive at it.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly")]

mod bad_input;
mod limits;
mod mutation;
mod serving;
#[path = "../support/mod.rs"]
mod support;

use std::{fs, path::PathBuf};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use support::{Answer, CertificateFiles, Webhook, post};

/// A standalone webhook with certificate files.
pub(crate) struct Server {
    pub(crate) webhook: Webhook,
    pub(crate) certificates: CertificateFiles,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, arguments)
    }

    /// One with this configuration.
    pub(crate) fn configured(config: &Value) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("config.yaml");
        fs::write(&file, config.to_string())?;
        Self::start_in(folder, &["--config", &file.display().to_string()])
    }

    fn start_in(folder: tempfile::TempDir, arguments: &[&str]) -> Result<Self> {
        let certificates = CertificateFiles::new(folder.path())?;
        let mut webhook = Webhook::start(&program(), &folder.path().join("log"), 0, |command| {
            command.arg("--standalone").args(arguments);
            command
                .arg("--tls-cert")
                .arg(&certificates.chain)
                .arg("--tls-key")
                .arg(&certificates.key);
        })?;
        webhook.wait_until_ready()?;
        Ok(Self {
            webhook,
            certificates,
            _folder: folder,
        })
    }

    pub(crate) fn post(&self, body: &[u8]) -> Result<Answer> {
        self.post_to("/validate", body)
    }

    pub(crate) fn post_to(&self, path: &str, body: &[u8]) -> Result<Answer> {
        post(self.webhook.address, &self.certificates.ca, path, body)
    }

    /// The response in the answer to a review of this object.
    pub(crate) fn review(&self, object: &Value) -> Result<Value> {
        let answer = self.post(review(object).to_string().as_bytes())?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(serde_json::from_str::<Value>(&answer.text)?["response"].take())
    }

    /// It still does its work.
    pub(crate) fn is_unharmed(&self) -> Result<()> {
        let good = self.review(&pod(&json!({})))?;
        ensure!(good["allowed"] == true && good["uid"] == "u", "{good}");
        let weak = self.review(&pod(
            &json!({ "appArmorProfile": { "type": "Unconfined" } }),
        ))?;
        ensure!(
            weak["allowed"] == false && weak["status"]["code"] == 403,
            "{weak}"
        );
        Ok(())
    }
}

pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_armorgate"))
}

pub(crate) fn review(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": "CREATE", "namespace": "default", "name": "n",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "userInfo": { "username": "somebody", "groups": ["system:authenticated"] },
            "object": object, "oldObject": null,
        },
    })
}

pub(crate) fn pod(context: &Value) -> Value {
    json!({ "spec": { "containers": [{ "name": "web", "securityContext": context }] } })
}
