//! `AdmissionReview` v1 as the API server sends it: only the fields that are needed, borrowed from the body.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    verdict::{JsonObject, Kind, Malformed, Text, Workload, bounded_list},
    whitelist::PodTemplate,
};

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

/// Why a pod is not read. The API server has read it: there is more of something than is read here.
#[derive(Debug, thiserror::Error)]
#[error("the pod cannot be read: {0}")]
pub(super) struct Unreadable(String);

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

/// The request in a review.
#[derive(Debug, Default)]
pub struct ReviewRequest<'a> {
    uid: Option<Text<'a>>,
    kind: Option<JsonObject<GroupKind<'a>>>,
    sub_resource: Option<Text<'a>>,
    name: Option<Text<'a>>,
    namespace: Option<Text<'a>>,
    operation: Option<Text<'a>>,
    user_info: Option<JsonObject<UserInfo<'a>>>,
    dry_run: Option<bool>,
    object: Object<'a>,
    pub(super) old_object: Option<&'a RawValue>,
}

/// The object of a request.
#[derive(Debug, Default)]
enum Object<'a> {
    #[default]
    Absent,
    /// As it stands in the body, not read yet.
    Raw(&'a RawValue),
    /// Read on the way: the API server writes the kind before the object.
    Read(Workload<'a>),
    /// The same of a pod, with what shapes its lists.
    Template(PodTemplate<'a>),
}

#[derive(Debug, Default, Deserialize)]
struct GroupKind<'a> {
    #[serde(borrow, default)]
    group: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
}

#[derive(Debug, Deserialize)]
struct UserInfo<'a> {
    #[serde(borrow, default)]
    username: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "bounded_list")]
    groups: Vec<Text<'a>>,
}

impl<'a> ReviewRequest<'a> {
    /// Reads a body.
    pub fn parse(body: &'a [u8]) -> Result<Self, BadReview> {
        Self::parse_as(body, Objects::Workload)
    }

    /// Reads a body, and of a pod in it what shapes its lists.
    pub(super) fn parse_template(body: &'a [u8]) -> Result<Self, BadReview> {
        Self::parse_as(body, Objects::Template)
    }

    fn parse_as(body: &'a [u8], objects: Objects) -> Result<Self, BadReview> {
        let text = utf8(body)?;
        let review = match read(text, objects) {
            Ok(review) => review,
            // The object may be at fault, which its verdict tells: read again, leaving the object as it is.
            Err(_) => {
                read(text, Objects::Leave).map_err(|error| BadReview::Json(one_line(&error)))?
            }
        };
        Self::checked(review)
    }

    fn checked(review: Review<'a>) -> Result<Self, BadReview> {
        let [api_version, kind] = [review.api_version, review.kind].map(Option::unwrap_or_default);
        if (api_version.as_str(), kind.as_str()) != ("admission.k8s.io/v1", "AdmissionReview") {
            let [api_version, kind] =
                [api_version, kind].map(|text| crate::report::text::quote(text.as_str()));
            return Err(BadReview::UnknownReview { api_version, kind });
        }
        let request = review.request.ok_or(BadReview::NoRequest)?;
        if request.uid().is_empty() {
            return Err(BadReview::NoUid);
        }
        Ok(request)
    }

    /// The JSON text of the object, where it was not read.
    pub(super) fn take_raw_object(&mut self) -> Option<&'a str> {
        match std::mem::take(&mut self.object) {
            Object::Raw(json) => Some(json.get()),
            Object::Absent | Object::Read(_) | Object::Template(_) => None,
        }
    }

    /// The pod, where there is one.
    pub(super) fn take_template(&mut self) -> Result<Option<PodTemplate<'a>>, Unreadable> {
        match std::mem::take(&mut self.object) {
            Object::Template(pod) => Ok(Some(pod)),
            Object::Raw(json) => serde_json::from_str(json.get())
                .map(Some)
                .map_err(|error| Unreadable(one_line(&error))),
            Object::Absent | Object::Read(_) => Ok(None),
        }
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

    /// The kind of the object, or `None` for one that holds no pod.
    pub(super) fn kind(&self) -> Option<Kind> {
        let JsonObject(kind) = self.kind.as_ref()?;
        Kind::of(kind.group.as_str(), kind.kind.as_str())
    }

    /// Whether the object is an `AppArmorProfile`.
    pub(super) fn is_profile_object(&self) -> bool {
        self.kind.as_ref().is_some_and(|JsonObject(kind)| {
            (kind.group.as_str(), kind.kind.as_str()) == ("armorgate.dev", "AppArmorProfile")
        })
    }

    /// The object, read as of that kind.
    pub(super) fn take_object(&mut self, kind: Kind) -> Result<Workload<'a>, Malformed> {
        match std::mem::take(&mut self.object) {
            Object::Raw(json) => Workload::parse(kind, json.get()),
            Object::Read(workload) if workload.kind == kind => Ok(workload),
            // A second `kind` after the object is nothing that the API server writes.
            Object::Absent | Object::Read(_) | Object::Template(_) => Err(Malformed::absent()),
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
        self.user_info
            .iter()
            .flat_map(|user| &user.0.groups)
            .map(Text::as_str)
    }

    pub(super) fn dry_run(&self) -> bool {
        self.dry_run.unwrap_or_default()
    }
}

fn utf8(body: &[u8]) -> Result<&str, BadReview> {
    std::str::from_utf8(body).map_err(|error| BadReview::NotUtf8(error.valid_up_to()))
}

/// What to do with the object on the way.
#[derive(Clone, Copy)]
enum Objects {
    Leave,
    Template,
    Workload,
}

fn read(text: &str, objects: Objects) -> serde_json::Result<Review<'_>> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let review = ReviewSeed(objects).deserialize(&mut reader)?;
    reader.end()?;
    Ok(review)
}

#[derive(Default)]
struct Review<'a> {
    api_version: Option<Text<'a>>,
    kind: Option<Text<'a>>,
    request: Option<ReviewRequest<'a>>,
}

struct ReviewSeed(Objects);

impl<'de> DeserializeSeed<'de> for ReviewSeed {
    type Value = Review<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Review<'de>, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ReviewSeed {
    type Value = Review<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Review<'de>, A::Error> {
        let mut review = Review::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match key.as_str() {
                "apiVersion" => review.api_version = map.next_value()?,
                "kind" => review.kind = map.next_value()?,
                "request" => review.request = map.next_value_seed(RequestSeed(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(review)
    }
}

struct RequestSeed(Objects);

impl<'de> DeserializeSeed<'de> for RequestSeed {
    type Value = Option<ReviewRequest<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RequestSeed {
    type Value = Option<ReviewRequest<'de>>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut request = ReviewRequest::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match key.as_str() {
                "uid" => request.uid = map.next_value()?,
                "kind" => request.kind = map.next_value()?,
                "subResource" => request.sub_resource = map.next_value()?,
                "name" => request.name = map.next_value()?,
                "namespace" => request.namespace = map.next_value()?,
                "operation" => request.operation = map.next_value()?,
                "userInfo" => request.user_info = map.next_value()?,
                "dryRun" => request.dry_run = map.next_value()?,
                "object" => {
                    request.object = match (self.0, request.kind()) {
                        (Objects::Workload, Some(kind)) => Object::Read(map.next_value_seed(kind)?),
                        (Objects::Template, Some(Kind::Pod)) => map
                            .next_value::<Option<PodTemplate<'_>>>()?
                            .map_or(Object::Absent, Object::Template),
                        _ => map
                            .next_value::<Option<&RawValue>>()?
                            .map_or(Object::Absent, Object::Raw),
                    }
                }
                "oldObject" => request.old_object = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Some(request))
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
