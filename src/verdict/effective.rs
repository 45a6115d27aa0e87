//! The profile that Kubernetes asks the runtime to apply to a container.
//!
//! Order as in the kubelet (`pkg/security/apparmor.GetProfile`): the container's field, the legacy annotation, the pod's
//! field, nothing. The API server copies an annotation into the container's field when a Pod is created, so there an
//! annotation wins over the pod's field; in a template it does not, and its validation refuses the two when they differ.
//! Ephemeral containers and templates are never copied, hence fields and annotations are both read everywhere.

use super::{
    fields::{ANNOTATION_PREFIX, AppArmorField, Container},
    kind::Kind,
    path::FieldPath,
    text::Text,
    workload::Pod,
};

/// LIMIT: bytes of `localhostProfile`, as the API server validates it.
const MAX_PROFILE_NAME: usize = 4095;

/// What begins the name of every generated profile.
pub const GENERATED_PREFIX: &str = "armorgate.";

/// What a field or an annotation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile<'w> {
    /// The profile of this name, loaded on the node by somebody.
    Localhost(&'w str),
    /// The container runtime's default.
    RuntimeDefault,
    /// No profile at all.
    Unconfined,
}

/// Where a container's profile is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The legacy annotation of that container.
    Annotation,
    /// `securityContext.appArmorProfile` of the container.
    Container,
    /// `securityContext.appArmorProfile` of the pod.
    Pod,
    /// Nowhere: the runtime chooses, and chooses its default.
    Unset,
}

/// What Kubernetes asks the runtime for, and where that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared<'w> {
    /// What is asked for.
    pub profile: Profile<'w>,
    /// Where.
    pub origin: Origin,
}

/// Why no profile can be told: the API server, or the kubelet, would refuse the object too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem<'w> {
    /// Field (the container's, or in a template the pod's) and annotation ask for different profiles.
    Disagreement {
        /// What the field asks for.
        field: Profile<'w>,
        /// What the annotation asks for.
        annotation: Profile<'w>,
    },
    /// `localhostProfile` is set, but the type is not `Localhost`.
    ForeignName,
    /// A Localhost profile's name is empty or absent.
    MissingName,
    /// No `type`.
    MissingType,
    /// A Localhost profile's name begins or ends with a blank.
    PaddedName,
    /// A Localhost profile's name is over 4095 bytes.
    TooLongName,
    /// An annotation that is none of `runtime/default`, `unconfined`, `localhost/NAME`.
    UnknownAnnotation(&'w str),
    /// A `type` that is none of `RuntimeDefault`, `Unconfined`, `Localhost`.
    UnknownType(&'w str),
}

/// What Kubernetes asks the runtime for, or why that cannot be told. The origin tells where to look in both cases.
pub type Effective<'w> = Result<Declared<'w>, (Problem<'w>, Origin)>;

/// The profile that a container of this pod gets; `kind` is that of the object that holds the pod.
pub fn effective<'w>(kind: Kind, pod: &'w Pod<'_>, container: &'w Container<'_>) -> Effective<'w> {
    let own =
        read_field(container.profile.as_ref()).map_err(|problem| (problem, Origin::Container))?;
    let annotation = match pod.annotation(container.name.as_str()) {
        Some(value) => read_annotation(value).map_err(|problem| (problem, Origin::Annotation))?,
        None => None,
    };
    let pods = read_field(pod.profile.as_ref()).map_err(|problem| (problem, Origin::Pod))?;
    let inherited = if kind == Kind::Pod {
        None
    } else {
        pods.map(|field| (field, Origin::Pod))
    };
    let field = own.map(|field| (field, Origin::Container)).or(inherited);
    let declared = |profile, origin| Ok(Declared { profile, origin });
    match (field, annotation, pods) {
        (Some((field, origin)), Some(annotation), _) if field != annotation => {
            Err((Problem::Disagreement { field, annotation }, origin))
        }
        (Some((field, origin)), _, _) => declared(field, origin),
        (None, Some(annotation), _) => declared(annotation, Origin::Annotation),
        (None, None, Some(field)) => declared(field, Origin::Pod),
        (None, None, None) => declared(Profile::RuntimeDefault, Origin::Unset),
    }
}

/// The profile that an `appArmorProfile` field asks for, held to the API server's own validation.
pub(super) fn read_field<'w>(
    field: Option<&'w AppArmorField<'_>>,
) -> Result<Option<Profile<'w>>, Problem<'w>> {
    let Some(field) = field else { return Ok(None) };
    let name = field.localhost_profile.as_ref().map(Text::as_str);
    let profile = match field.kind.as_ref().map_or("", |kind| kind.as_str()) {
        "" => return Err(Problem::MissingType),
        "Localhost" => return localhost(name.unwrap_or_default()).map(Some),
        "RuntimeDefault" => Profile::RuntimeDefault,
        "Unconfined" => Profile::Unconfined,
        other => return Err(Problem::UnknownType(other)),
    };
    if name.is_some() {
        Err(Problem::ForeignName)
    } else {
        Ok(Some(profile))
    }
}

/// The profile that an annotation's value asks for; an empty value asks for none, as in the kubelet.
fn read_annotation(value: &str) -> Result<Option<Profile<'_>>, Problem<'_>> {
    match value {
        "" => Ok(None),
        "runtime/default" => Ok(Some(Profile::RuntimeDefault)),
        "unconfined" => Ok(Some(Profile::Unconfined)),
        _ => match value.strip_prefix("localhost/") {
            Some(name) => localhost(name).map(Some),
            None => Err(Problem::UnknownAnnotation(value)),
        },
    }
}

fn localhost(name: &str) -> Result<Profile<'_>, Problem<'_>> {
    match name {
        "" => Err(Problem::MissingName),
        // The kernel's name for no profile, which CRI-O passes on.
        "unconfined" => Ok(Profile::Unconfined),
        // Before anything looks at all of it: every container of a pod may have to.
        _ if name.len() > MAX_PROFILE_NAME => Err(Problem::TooLongName),
        _ if name.trim() != name => Err(Problem::PaddedName),
        _ => Ok(Profile::Localhost(name)),
    }
}

impl Origin {
    /// The field or annotation of a container of which the object's author asked for its profile (`Container` where
    /// nothing was asked for). `holder` is the container's own path, `pod` that of its pod.
    #[must_use]
    pub fn path(self, pod: FieldPath, holder: FieldPath, container: &str) -> FieldPath {
        match self {
            Self::Annotation => pod
                .key("metadata")
                .key("annotations")
                .key(&format!("{ANNOTATION_PREFIX}{container}")),
            Self::Container => holder.key("securityContext").key("appArmorProfile"),
            Self::Pod => pod
                .key("spec")
                .key("securityContext")
                .key("appArmorProfile"),
            Self::Unset => holder,
        }
    }
}
