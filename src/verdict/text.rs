//! Strings of an object, borrowed from its JSON text where possible.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, de::Visitor};

/// A string of the object: borrowed from its text where that has no escapes, which `Option<Cow<str>>` never is in serde.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// The string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Text<'_> {
    /// What follows the prefix, or `None` where the string does not begin with it.
    #[must_use]
    pub fn strip_prefix(&self, prefix: &str) -> Option<Self> {
        Some(Self(match &self.0 {
            Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix(prefix)?),
            Cow::Owned(text) => Cow::Owned(text.strip_prefix(prefix)?.to_owned()),
        }))
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        reader.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::Text;

    #[test]
    fn borrows_unless_the_text_has_escapes() {
        let [plain, escaped]: [Option<Text<'_>>; 2] =
            serde_json::from_str(r#"["web", "we\u0062"]"#).unwrap();
        assert!(matches!(plain, Some(Text(Cow::Borrowed("web")))));
        assert!(matches!(escaped, Some(Text(Cow::Owned(text))) if text == "web"));
    }
}
