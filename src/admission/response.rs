//! The answer to a review, as the API server reads it.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Serialize;
use serde_json::value::RawValue;

/// The answer to a review.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The request's `uid`.
    pub uid: String,
    /// Why it is denied; `None` lets it in.
    pub denial: Option<String>,
    /// A JSON patch of the object (RFC 6902), as JSON.
    pub patch: Option<Vec<u8>>,
    /// Shown to the user by `kubectl`.
    pub warnings: Vec<String>,
    /// Key and value, for the API server's audit log; the API server puts the webhook's name before the key.
    pub audit_annotations: Vec<(&'static str, Cow<'static, str>)>,
}

impl Answer {
    /// The `AdmissionReview` that carries this answer, as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let status = self.denial.as_deref().map(|message| Status {
            code: 403,
            reason: "Forbidden",
            message,
        });
        let patch = self.patch.as_deref().map(base64).transpose()?;
        let mut json =
            Vec::with_capacity(TYPICAL + patch.as_ref().map_or(0, |patch| patch.get().len()));
        let review = Review {
            api_version: "admission.k8s.io/v1",
            kind: "AdmissionReview",
            response: Response {
                uid: &self.uid,
                allowed: self.denial.is_none(),
                status,
                patch_type: self.patch.is_some().then_some("JSONPatch"),
                patch,
                warnings: &self.warnings,
                audit_annotations: AuditAnnotations(&self.audit_annotations),
            },
        };
        serde_json::to_writer(&mut json, &review)?;
        Ok(json)
    }
}

/// A string of JSON. Made here, since a serializer looks at every byte for what it must escape.
fn base64(patch: &[u8]) -> Result<Box<RawValue>, serde_json::Error> {
    let mut text = String::with_capacity(patch.len().div_ceil(3) * 4 + 2);
    text.push('"');
    BASE64.encode_string(patch, &mut text);
    text.push('"');
    RawValue::from_string(text)
}

/// Bytes of the answer to a pod that passes, and some to spare.
const TYPICAL: usize = 512;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
    audit_annotations: AuditAnnotations<'a>,
}

#[derive(Serialize)]
struct Status<'a> {
    code: u16,
    reason: &'static str,
    message: &'a str,
}

struct AuditAnnotations<'a>(&'a [(&'static str, Cow<'static, str>)]);

impl Serialize for AuditAnnotations<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}
