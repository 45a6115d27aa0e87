//! Images made for tests: layers, configurations, manifests and indexes, in a layout or in an archive of `docker save`.

#![expect(
    clippy::indexing_slicing,
    reason = "keys of JSON objects, which are made where they are missing"
)]
#![expect(
    dead_code,
    reason = "every test program compiles this module and uses its own part of it"
)]

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::Result;
use armorgate::image::{
    Image, ImageDigest,
    tree::{Content, File, Node},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The headers of a static program for x86-64: all that is read of one.
pub(crate) const PROGRAM: &str = concat!(
    "\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0",
    "\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    "\0\0\0\0\x40\0\x38\0\x01\0\x40\0\0\0\0\0",
    // One part, to be loaded.
    "\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
);

/// A tar of executable files, each with its text.
pub(crate) fn tar(files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o755);
        header.set_size(u64::try_from(text.len())?);
        tar.append_data(&mut header, name, text.as_bytes())?;
    }
    Ok(tar.into_inner()?)
}

pub(crate) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Documents and blobs by their digests.
#[derive(Clone, Default)]
pub(crate) struct Store {
    pub(crate) blobs: BTreeMap<ImageDigest, Vec<u8>>,
}

impl Store {
    /// Adds a blob, and describes it.
    pub(crate) fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = ImageDigest::of(&bytes);
        let size = bytes.len();
        self.blobs.insert(digest, bytes);
        json!({ "mediaType": media_type, "digest": digest, "size": size })
    }

    /// Adds an image of these plain tars for a platform, gzipped, and describes its manifest.
    pub(crate) fn image(
        &mut self,
        layers: &[Vec<u8>],
        architecture: &str,
        run: &Value,
    ) -> Result<Value> {
        let mut described = Vec::new();
        for layer in layers {
            described.push(self.add(&format!("{LAYER}+gzip"), gzip(layer)?));
        }
        self.described_image(layers, &described, architecture, run)
    }

    /// The same of layers as they are, for somebody who is slow at unpacking.
    pub(crate) fn plain_image(&mut self, layers: &[Vec<u8>], run: &Value) -> Result<Value> {
        let described = layers.iter().map(|layer| self.add(LAYER, layer.clone()));
        let described: Vec<Value> = described.collect();
        self.described_image(layers, &described, "amd64", run)
    }

    fn described_image(
        &mut self,
        layers: &[Vec<u8>],
        described: &[Value],
        architecture: &str,
        run: &Value,
    ) -> Result<Value> {
        let diff_ids: Vec<ImageDigest> =
            layers.iter().map(|layer| ImageDigest::of(layer)).collect();
        let config = json!({
            "os": "linux", "architecture": architecture, "config": run,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = self.add(CONFIG, serde_json::to_vec(&config)?);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": described,
        });
        let mut manifest = self.add(MANIFEST, serde_json::to_vec(&manifest)?);
        manifest["platform"] = json!({ "os": "linux", "architecture": architecture });
        Ok(manifest)
    }

    /// Adds an index, and describes it.
    pub(crate) fn index(&mut self, manifests: &[Value]) -> Result<Value> {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        Ok(self.add(INDEX, serde_json::to_vec(&index)?))
    }

    /// Writes a layout whose `index.json` has these entries.
    pub(crate) fn write_layout(&self, folder: &Path, entries: &[Value]) -> Result<()> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        fs::write(
            folder.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        let index = json!({ "schemaVersion": 2, "manifests": entries });
        fs::write(folder.join("index.json"), serde_json::to_vec(&index)?)?;
        for (digest, bytes) in &self.blobs {
            fs::write(blobs.join(digest.hex()), bytes)?;
        }
        Ok(())
    }
}

/// A description with a name.
pub(crate) fn named(mut described: Value, name: &str) -> Value {
    described["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    described
}

/// The digest in a description; of what is none, that of nothing.
pub(crate) fn digest(described: &Value) -> ImageDigest {
    let text = described["digest"].as_str().unwrap_or_default();
    text.parse().unwrap_or_else(|_| ImageDigest::of(b""))
}

/// The text of a file of an image; of what is none, what it is.
pub(crate) fn text(image: &Image, path: &str) -> String {
    match image.tree.node(path.as_bytes()) {
        Some(Node::File(File {
            content: Content::Text(text),
            ..
        })) => String::from_utf8_lossy(text).into_owned(),
        other => format!("{other:?}"),
    }
}
