//! YAML nodes with their places, and merge keys as kubectl's YAML library carries them out.

use std::fmt;

use indexmap::IndexMap;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

/// A YAML node.
pub(super) enum Node {
    Bool(bool),
    Float(f64),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
    Null,
    Signed(i64),
    Text(String),
    Unsigned(u64),
}

impl Node {
    pub(super) fn field(&self, name: &str) -> Option<(&Spanned<String>, &Spanned<Node>)> {
        let Node::Map(fields) = self else { return None };
        fields
            .iter()
            .find(|(key, _)| key.value == name)
            .map(|(key, value)| (key, value))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match &self.field(name)?.1.value {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Carries out merge keys as kubectl's YAML library does: in the order in which they are written, so that a later `<<`
    /// goes over an earlier key, and of a list of maps the first goes over the others.
    pub(super) fn merge_maps(&mut self, text: &str) {
        match self {
            Self::List(list) => list.iter_mut().for_each(|item| item.value.merge_maps(text)),
            Self::Map(fields) => {
                for (_, value) in &mut *fields {
                    value.value.merge_maps(text);
                }
                if fields.iter().any(|(key, _)| is_merge(key, text)) {
                    *fields = merged(std::mem::take(fields), text);
                }
            }
            _ => {}
        }
    }

    pub(super) fn take_list(&mut self, name: &str) -> Option<Vec<Spanned<Node>>> {
        let Node::Map(fields) = self else { return None };
        match &mut fields
            .iter_mut()
            .find(|(key, _)| key.value == name)?
            .1
            .value
        {
            Node::List(list) => Some(std::mem::take(list)),
            _ => None,
        }
    }
}

type Field = (Spanned<String>, Spanned<Node>);

fn merged(fields: Vec<Field>, text: &str) -> Vec<Field> {
    let mut result: IndexMap<String, Field> = IndexMap::new();
    let mut put = |(key, value): Field| {
        result.insert(key.value.clone(), (key, value));
    };
    for (key, value) in fields {
        match value.value {
            Node::Map(fields) if is_merge(&key, text) => fields.into_iter().for_each(&mut put),
            Node::List(maps) if is_merge(&key, text) => {
                let maps = maps.into_iter().rev().filter_map(|map| match map.value {
                    Node::Map(fields) => Some(fields),
                    _ => None,
                });
                maps.flatten().for_each(&mut put);
            }
            other => put((
                key,
                Spanned {
                    value: other,
                    ..value
                },
            )),
        }
    }
    result.into_values().collect()
}

/// Whether a key is `<<` and not `"<<"`, which is a name like any other.
fn is_merge(key: &Spanned<String>, text: &str) -> bool {
    let quoted = || {
        let offset = key
            .defined
            .span()
            .byte_offset()
            .and_then(|offset| usize::try_from(offset).ok());
        let first = offset.and_then(|offset| text.as_bytes().get(offset));
        matches!(first, Some(b'"' | b'\''))
    };
    key.value == "<<" && !quoted()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any YAML value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Signed(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Unsigned(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Node::Map(fields))
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::List(list) => serializer.collect_seq(list.iter().map(|item| &item.value)),
            Self::Map(fields) => {
                serializer.collect_map(fields.iter().map(|(key, value)| (&key.value, &value.value)))
            }
            Self::Null => serializer.serialize_unit(),
            Self::Signed(value) => serializer.serialize_i64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
        }
    }
}
