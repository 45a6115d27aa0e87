//! `AdmissionReview` v1 as the API server sends it: only the fields that are needed, borrowed from the body.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::verdict::{JsonObject, Text};

/// Why a body is no admission review. The caller's fault: HTTP 400, with this as the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadReview {
    /// No JSON, or fields of the wrong type.
    #[error("the body is no AdmissionReview: {0}")]
    Json(String),
    /// No `uid` to answer to.
    #[error("`request.uid` is empty")]
    NoUid,
    /// No request in it.
    #[error("the AdmissionReview holds no `request`")]
    NoRequest,
    /// Not UTF-8.
    #[error("the body is not UTF-8, from byte {0} on")]
    NotUtf8(usize),
    /// Another operation than the four that exist.
    #[error("`request.operation` `{0}` is none of CREATE, UPDATE, DELETE, CONNECT")]
    UnknownOperation(String),
    /// Another version, or another kind of object.
    #[error(
        "this webhook answers `AdmissionReview` of `admission.k8s.io/v1`, not `{kind}` of `{api_version}`"
    )]
    UnknownReview {
        /// The body's `apiVersion`.
        api_version: String,
        /// The body's `kind`.
        kind: String,
    },
}

/// What the API server is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Connect,
    Create,
    Delete,
    Update,
}

impl Operation {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Create => "CREATE",
            Self::Delete => "DELETE",
            Self::Update => "UPDATE",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    #[serde(borrow, default)]
    api_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    request: Option<JsonObject<ReviewRequest<'a>>>,
}

/// The request in a review.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewRequest<'a> {
    #[serde(borrow, default)]
    uid: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) kind: JsonObject<GroupKind<'a>>,
    #[serde(borrow, default)]
    sub_resource: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, default)]
    operation: Option<Text<'a>>,
    #[serde(borrow, default)]
    user_info: Option<JsonObject<UserInfo<'a>>>,
    #[serde(default)]
    dry_run: Option<bool>,
    #[serde(borrow, default)]
    pub(super) object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) old_object: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct GroupKind<'a> {
    #[serde(borrow, default)]
    pub(super) group: Text<'a>,
    #[serde(borrow, default)]
    pub(super) kind: Text<'a>,
}

#[derive(Debug, Deserialize)]
struct UserInfo<'a> {
    #[serde(borrow, default)]
    username: Option<Text<'a>>,
    #[serde(borrow, default)]
    groups: Option<Vec<Text<'a>>>,
}

impl<'a> ReviewRequest<'a> {
    /// Reads a body.
    pub fn parse(body: &'a [u8]) -> Result<Self, BadReview> {
        let text =
            std::str::from_utf8(body).map_err(|error| BadReview::NotUtf8(error.valid_up_to()))?;
        let JsonObject(review): JsonObject<Review<'a>> =
            serde_json::from_str(text).map_err(|error| BadReview::Json(one_line(&error)))?;
        let [api_version, kind] = [review.api_version, review.kind].map(Option::unwrap_or_default);
        if (api_version.as_str(), kind.as_str()) != ("admission.k8s.io/v1", "AdmissionReview") {
            let [api_version, kind] =
                [api_version, kind].map(|text| crate::report::text::quote(text.as_str()));
            return Err(BadReview::UnknownReview { api_version, kind });
        }
        let JsonObject(request) = review.request.ok_or(BadReview::NoRequest)?;
        if request.uid().is_empty() {
            return Err(BadReview::NoUid);
        }
        Ok(request)
    }

    pub(super) fn operation(&self) -> Result<Operation, BadReview> {
        match as_str(self.operation.as_ref()) {
            "CONNECT" => Ok(Operation::Connect),
            "CREATE" => Ok(Operation::Create),
            "DELETE" => Ok(Operation::Delete),
            "UPDATE" => Ok(Operation::Update),
            other => Err(BadReview::UnknownOperation(crate::report::text::quote(
                other,
            ))),
        }
    }

    pub(super) fn uid(&self) -> &str {
        as_str(self.uid.as_ref())
    }

    pub(super) fn name(&self) -> &str {
        as_str(self.name.as_ref())
    }

    pub(super) fn namespace(&self) -> &str {
        as_str(self.namespace.as_ref())
    }

    pub(super) fn sub_resource(&self) -> &str {
        as_str(self.sub_resource.as_ref())
    }

    pub(super) fn user(&self) -> &str {
        self.user_info
            .as_ref()
            .map_or("", |user| as_str(user.0.username.as_ref()))
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        let groups = self
            .user_info
            .as_ref()
            .and_then(|user| user.0.groups.as_deref());
        groups.unwrap_or_default().iter().map(Text::as_str)
    }

    pub(super) fn dry_run(&self) -> bool {
        self.dry_run.unwrap_or_default()
    }
}

fn as_str<'t>(text: Option<&'t Text<'_>>) -> &'t str {
    text.map_or("", Text::as_str)
}

fn one_line(error: &serde_json::Error) -> String {
    crate::report::text::sentence(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{BadReview, ReviewRequest};

    #[test]
    fn only_a_v1_review_with_a_request_is_read() {
        let read = |body: &str| {
            ReviewRequest::parse(body.as_bytes()).map(|request| request.uid().to_owned())
        };
        let review = |rest: &str| {
            format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"{rest}}}"#)
        };
        assert_eq!(
            read(&review(r#","request":{"uid":"1","object":null}"#)),
            Ok("1".to_owned())
        );
        assert_eq!(read(&review("")), Err(BadReview::NoRequest));
        assert_eq!(
            read(&review(r#","request":null"#)),
            Err(BadReview::NoRequest)
        );
        assert_eq!(
            read(&review(r#","request":{"uid":""}"#)),
            Err(BadReview::NoUid)
        );
        assert!(matches!(
            read(&review(r#","request":[]"#)),
            Err(BadReview::Json(_))
        ));
        assert!(matches!(
            read(r#"{"apiVersion":"admission.k8s.io/v1beta1"}"#),
            Err(BadReview::UnknownReview { .. })
        ));
        assert!(matches!(read("{"), Err(BadReview::Json(_))));
        assert!(matches!(
            read(&"[".repeat(100_000)),
            Err(BadReview::Json(_))
        ));
        assert_eq!(
            ReviewRequest::parse(b"{\"a\":\"\xff\"}").unwrap_err(),
            BadReview::NotUtf8(6)
        );
    }
}
