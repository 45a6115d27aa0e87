//! Manifests: YAML or JSON text to objects, each as the JSON that the API server would see, with the place of every field.

use serde_saphyr::{Location, MergeKeyPolicy, Options, Spanned};

use super::yaml::Node;
use crate::{
    report::{Place, text::sentence},
    verdict::{FieldPath, Kind, Segment},
};

/// A file that cannot be read as manifests.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub(super) struct ManifestError {
    file: String,
    line: u64,
    column: u64,
    message: String,
}

/// An object of a manifest.
pub(super) struct Object<'f> {
    file: &'f str,
    /// Its group (`""` for the core) and kind; empty where it does not say.
    pub(super) group: String,
    pub(super) kind: String,
    node: Spanned<Node>,
}

/// The objects of a file, in its order; those of a List one by one.
pub(super) fn objects<'f>(file: &'f str, text: &str) -> Result<Vec<Object<'f>>, ManifestError> {
    let documents: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(text, options())
        .map_err(|error| {
        let location = error.location().unwrap_or(Location::UNKNOWN);
        let message = error.without_snippet().to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        let message = sentence(message.trim_start_matches("error: "));
        ManifestError {
            file: file.to_owned(),
            line: location.line(),
            column: location.column(),
            message,
        }
    })?;
    let mut objects = Vec::new();
    // Lists may hold lists: a stack, not recursion.
    let mut waiting: Vec<(Spanned<Node>, Option<TypeMeta>)> = Vec::new();
    for mut document in documents.into_iter().rev() {
        document.value.merge_maps(text);
        waiting.push((document, None));
    }
    while let Some((mut node, inherited)) = waiting.pop() {
        let own = TypeMeta::of(&node.value);
        let is_bare = own.kind.is_empty() && own.group.is_empty();
        let TypeMeta { group, kind } = inherited.filter(|_| is_bare).unwrap_or(own);
        let holds_pod = Kind::of(&group, &kind).is_some();
        // To kubectl whatever has a list of `items` is a list, and its items alone are sent.
        let is_list = match node.value.take_list("items") {
            Some(items) => {
                // Items of a PodList need not say that they are Pods.
                let item = kind.strip_suffix("List").unwrap_or(&kind);
                let inherited = TypeMeta {
                    group: group.clone(),
                    kind: item.to_owned(),
                };
                waiting.extend(
                    items
                        .into_iter()
                        .rev()
                        .map(|node| (node, Some(inherited.clone()))),
                );
                true
            }
            None => false,
        };
        if holds_pod || !is_list {
            objects.push(Object {
                file,
                group,
                kind,
                node,
            });
        }
    }
    Ok(objects)
}

/// LIMIT: what a file may unfold to, aliases included: enough for a dump of a large cluster.
fn options() -> Options {
    serde_saphyr::options! {
        with_snippet: false,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        budget: serde_saphyr::budget! { max_events: 10_000_000, max_nodes: 5_000_000, max_documents: 100_000 },
    }
}

#[derive(Clone, Debug)]
struct TypeMeta {
    group: String,
    kind: String,
}

impl TypeMeta {
    fn of(node: &Node) -> Self {
        let api_version = node.text("apiVersion").unwrap_or_default();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        Self {
            group: group.to_owned(),
            kind: node.text("kind").unwrap_or_default().to_owned(),
        }
    }
}

impl Object<'_> {
    /// The object as JSON text.
    pub(super) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&self.node.value)
    }

    /// `metadata.NAME`, where it is a string.
    pub(super) fn metadata(&self, name: &str) -> &str {
        let metadata = self
            .node
            .value
            .field("metadata")
            .map(|(_, metadata)| &metadata.value);
        metadata
            .and_then(|metadata| metadata.text(name))
            .unwrap_or_default()
    }

    /// Where the object begins.
    pub(super) fn place(&self) -> Place {
        self.at(self.node.referenced)
    }

    /// Where a field stands, or as much of its path as there is.
    pub(super) fn place_of(&self, path: &FieldPath) -> Place {
        let (mut node, mut location) = (&self.node, self.node.referenced);
        for segment in path.segments() {
            let next = match (segment, &node.value) {
                (Segment::Index(index), Node::List(list)) => {
                    list.get(*index).map(|item| (item.referenced, item))
                }
                (Segment::Key(key), value) => {
                    value.field(key).map(|(key, value)| (key.referenced, value))
                }
                (Segment::Index(_), _) => None,
            };
            let Some((place, inner)) = next else { break };
            (node, location) = (inner, place);
        }
        self.at(location)
    }

    fn at(&self, location: Location) -> Place {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Place {
            file: self.file.to_owned(),
            line: number(location.line()),
            column: number(location.column()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::objects;
    use crate::verdict::FieldPath;

    #[test]
    fn documents_and_lists_become_objects() {
        let text = "# comment\n---\nkind: Pod\napiVersion: v1\n---\n---\napiVersion: v1\nkind: List\nitems:\n\
            - kind: Deployment\n  apiVersion: apps/v1\n- apiVersion: v1\n  kind: PodList\n  items: [{metadata: {name: a}}]\n";
        let found = objects("f", text).unwrap();
        let shown: Vec<String> = found
            .iter()
            .map(|object| format!("{}/{}:{}", object.group, object.kind, object.place().line))
            .collect();
        assert_eq!(shown, ["/Pod:3", "apps/Deployment:10", "/Pod:14"]);
        assert_eq!(found[2].to_json().unwrap(), r#"{"metadata":{"name":"a"}}"#);
        assert_eq!(found[2].metadata("name"), "a");
    }

    #[test]
    fn values_read_as_kubernetes_reads_them() {
        let text = "a: yes\nb: 'yes'\nc: ~\nd: 0x10\ne: 1e3\nf: &x [1, -1]\ng: *x\nh: |\n  t\ni: 18446744073709551615\nj: on\n1: k";
        let [object] = &objects("f", text).unwrap()[..] else {
            panic!()
        };
        let expected = r#"{"a":true,"b":"yes","c":null,"d":16,"e":1000.0,"f":[1,-1],"g":[1,-1],"h":"t\n","i":18446744073709551615,"j":true,"1":"k"}"#;
        assert_eq!(object.to_json().unwrap(), expected);
    }

    #[test]
    fn merge_keys_go_in_the_order_in_which_they_are_written() {
        for (map, expected) in [
            ("{a: 1, <<: *u}", r#"{"a":2,"b":3}"#),
            ("{<<: *u, a: 1}", r#"{"a":1,"b":3}"#),
            ("{<<: [*v, *u]}", r#"{"a":4,"b":3}"#),
            ("{a: 1, '<<': *u}", r#"{"a":1,"<<":{"a":2,"b":3}}"#),
        ] {
            let text = format!("# ä\n---\nu: &u {{a: 2, b: 3}}\nv: &v {{a: 4}}\nm: {map}\n");
            let [object] = &objects("f", &text).unwrap()[..] else {
                panic!()
            };
            let json: serde_json::Value = serde_json::from_str(&object.to_json().unwrap()).unwrap();
            assert_eq!(
                json["m"],
                serde_json::from_str::<serde_json::Value>(expected).unwrap(),
                "{map}"
            );
        }
    }

    #[test]
    fn whatever_has_items_is_a_list() {
        let text = "kind: ConfigMap\napiVersion: v1\nitems:\n- {kind: Pod, apiVersion: v1}\n---\n\
            {kind: Pod, apiVersion: v1, items: [{apiVersion: v1}, {}]}\n---\n{kind: Secret, items: x}\n";
        let kinds: Vec<String> = objects("f", text)
            .unwrap()
            .into_iter()
            .map(|object| object.kind)
            .collect();
        assert_eq!(kinds, ["Pod", "Pod", "Pod", "Pod", "Secret"]);
    }

    #[test]
    fn json_is_yaml_with_tabs() {
        let [object] =
            &objects("f", "{\n\t\"kind\": \"Pod\",\n\t\"a\": \"\\u00e4\\/\"\n}\n").unwrap()[..]
        else {
            panic!()
        };
        assert_eq!(
            (object.kind.as_str(), object.to_json().unwrap().as_str()),
            ("Pod", r#"{"kind":"Pod","a":"ä/"}"#)
        );
    }

    #[test]
    fn a_field_is_found_or_the_nearest_above_it() {
        let text = "spec:\n  containers:\n  - name: a\n  - name: b\n    securityContext:\n      privileged: true\n";
        let [object] = &objects("f", text).unwrap()[..] else {
            panic!()
        };
        let container = FieldPath::of(&["spec", "containers"]).index(1);
        assert_eq!(object.place_of(&container).line, 4);
        let place = object.place_of(&container.clone().key("securityContext").key("privileged"));
        assert_eq!((place.line, place.column), (6, 7));
        assert_eq!(
            object.place_of(&container.key("nothing").key("there")).line,
            4
        );
    }

    #[test]
    fn broken_files_are_told_with_their_place() {
        for text in [
            "a: [",
            "a: b: c\n",
            "{{ .Values.x }}: y",
            "a: 1\na: 2\n",
            "a: *nope",
            &"[".repeat(100_000),
        ] {
            let error = objects("f", text).err().unwrap().to_string();
            assert!(
                error.starts_with("f:") && !error.contains('\n') && error.len() < 400,
                "{error}"
            );
        }
    }

    #[test]
    fn an_alias_bomb_ends_early() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let before = level - 1;
            let aliases = vec![format!("*a{before}"); 10].join(", ");
            text = format!("{text}a{level}: &a{level} [{aliases}]\n");
        }
        assert!(objects("f", &text).is_err());
    }
}
