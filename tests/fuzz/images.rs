//! What has to hold for every image, whole or hostile: what cannot be read is told in one short line, and what can be read
//! comes to the same again.

use std::{error::Error, fmt::Display, fs, io::Read, path::Path, str::FromStr};

use armorgate::image::{
    self, Config, Description, ImageDigest, ImageSource, Limits, Options, Platform,
    RegistryReference, Tree,
    layer::{self, Expected},
};
use serde_json::{Value, json};

use super::Broken;

/// Bytes of a message: one names up to sixteen texts from outside, a hundred and twenty characters of each, escaped.
const LONGEST: usize = 16 * 1200 + 1000;

/// A text that may name an image, a digest or a platform: what is read prints itself, and is read again.
pub(crate) fn reference(text: &[u8]) -> Result<(), Broken> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Ok(());
    };
    reads_what_it_prints::<ImageSource>(text)?;
    reads_what_it_prints::<RegistryReference>(text)?;
    for (kind, printed) in [
        ("digest", reads_what_it_prints::<ImageDigest>(text)?),
        ("platform", reads_what_it_prints::<Platform>(text)?),
    ] {
        holds!(
            printed.as_deref().is_none_or(|printed| printed == text),
            "a {kind} of two texts: {text:?} and {printed:?}"
        );
    }
    Ok(())
}

fn reads_what_it_prints<T>(text: &str) -> Result<Option<String>, Broken>
where
    T: Display + FromStr<Err: Error> + PartialEq,
{
    let value = match text.parse::<T>() {
        Ok(value) => value,
        Err(error) => return is_one_line(&error).map(|()| None),
    };
    let printed = value.to_string();
    holds!(
        printed.parse().is_ok_and(|again: T| again == value),
        "printed, it is another: {printed:?}"
    );
    Ok(Some(printed))
}

/// A configuration: written down again, it says the same.
pub(crate) fn config(json: &[u8]) -> Result<(), Broken> {
    let config = match Config::from_json(json) {
        Ok(config) => config,
        Err(error) => return is_one_line(&error),
    };
    let volumes: serde_json::Map<String, Value> = config
        .volumes
        .iter()
        .map(|volume| (volume.clone(), json!({})))
        .collect();
    let healthcheck = config.has_healthcheck.then(|| json!({ "Test": ["CMD"] }));
    let written = json!({
        "os": config.os, "architecture": config.architecture, "variant": config.variant,
        "rootfs": { "diff_ids": config.diff_ids },
        "config": {
            "Entrypoint": config.entrypoint, "Cmd": config.cmd, "Env": config.env,
            "WorkingDir": config.working_dir, "User": config.user,
            "Volumes": volumes, "Healthcheck": healthcheck,
        },
    });
    let again = Config::from_json(written.to_string().as_bytes());
    holds!(
        again.is_ok_and(|again| again == config),
        "written down, it is another: {written}"
    );
    Ok(())
}

/// A layer's blob: in whatever pieces it comes it is the same layer, and its names make a tree in which every path ends.
pub(crate) fn layer(blob: &[u8]) -> Result<(), Broken> {
    let limits = limits();
    let whole = layer::read(&mut &*blob, &Expected::default(), &limits);
    let pieces = layer::read(&mut Pieces(blob), &Expected::default(), &limits);
    // What is damaged in two ways may be told by either: how much is decompressed ahead depends on the pieces.
    holds!(
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => whole == pieces,
            (Err(_), Err(_)) => true,
            _ => false,
        },
        "in pieces, it is another: {whole:?} and {pieces:?}"
    );
    let read = match whole {
        Ok(read) => read,
        Err(error) => {
            if let Err(pieces) = &pieces {
                is_one_line(pieces)?;
            }
            return is_one_line(&error);
        }
    };
    let expected = Expected {
        digest: Some(ImageDigest::of(blob)),
        diff_id: Some(read.diff_id),
        size: u64::try_from(blob.len()).ok(),
    };
    holds!(
        layer::read(&mut &*blob, &expected, &limits).is_ok_and(|again| again == read),
        "by its digests, it is another"
    );
    let tree = match Tree::from_layers([read.tree], &limits) {
        Ok(tree) => tree,
        Err(error) => return is_one_line(&error),
    };
    holds!(tree.len() <= limits.entries + 1, "more names than may be");
    for (path, node) in tree.iter() {
        let shown = String::from_utf8_lossy(&path);
        holds!(
            path.starts_with(b"/") && path.len() <= limits.path + 1,
            "no path: {shown:?}"
        );
        holds!(
            tree.node(&path) == Some(node),
            "nothing stands at {shown:?}"
        );
        match tree.resolve(&path) {
            // Where no link is left on the way, the way leads there.
            Ok(found) => holds!(
                tree.resolve(&found.path).is_ok_and(|again| again == found),
                "{shown:?} leads to what leads elsewhere: {found:?}"
            ),
            Err(error) => is_one_line(&error)?,
        }
    }
    Ok(())
}

/// Bytes that come three at a time.
struct Pieces<'a>(&'a [u8]);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let end = buffer.len().min(3);
        self.0.read(buffer.get_mut(..end).unwrap_or_default())
    }
}

/// A layout: its index and, each behind a NUL, its blobs. `@2` stands for what describes the second blob, `#2` for its digest;
/// only blobs further behind can be described.
pub(crate) fn layout(text: &[u8]) -> Result<(), Broken> {
    let mut documents: Vec<Vec<u8>> = text.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    documents.truncate(10);
    for at in (1..documents.len()).rev() {
        let (before, behind) = documents.split_at_mut(at);
        let Some(blob) = behind.first() else { continue };
        let digest = ImageDigest::of(blob).to_string();
        let described = format!(r#""digest":"{digest}","size":{}"#, blob.len());
        for document in before {
            replace(document, &format!("@{at}"), &described);
            replace(document, &format!("#{at}"), &digest);
        }
    }
    let folder = folder()?;
    let blobs = folder.path().join("blobs/sha256");
    let write = |path: &Path, bytes: &[u8]| fs::write(path, bytes).map_err(broken);
    fs::create_dir_all(&blobs).map_err(broken)?;
    let marker = br#"{"imageLayoutVersion":"1.0.0"}"#;
    write(&folder.path().join("oci-layout"), marker)?;
    for (at, document) in documents.iter().enumerate() {
        if at == 0 {
            write(&folder.path().join("index.json"), document)?;
        } else {
            write(&blobs.join(ImageDigest::of(document).hex()), document)?;
        }
    }
    let described = image(&format!("oci:{}", folder.path().display()))?;
    holds!(
        described.is_none_or(|described| {
            let mut digests = documents.iter().map(|document| ImageDigest::of(document));
            digests.any(|digest| digest == described.digest)
        }),
        "an image whose manifest is nowhere"
    );
    Ok(())
}

fn replace(text: &mut Vec<u8>, mark: &str, by: &str) {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| {
        rest.windows(mark.len())
            .position(|here| here == mark.as_bytes())
    }) {
        text.splice(from + at..from + at + mark.len(), by.bytes());
        from += at + by.len();
    }
}

/// An archive of `docker save`.
pub(crate) fn archive(bytes: &[u8]) -> Result<(), Broken> {
    let folder = folder()?;
    let file = folder.path().join("saved.tar");
    fs::write(&file, bytes).map_err(broken)?;
    image(&format!("docker-archive:{}", file.display())).map(drop)
}

/// Reads an image twice, and what describes it: all say the same.
fn image(source: &str) -> Result<Option<Description>, Broken> {
    let source: ImageSource = source.parse().map_err(broken)?;
    let options = Options {
        limits: limits(),
        ..Options::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(broken)?;
    let described = runtime.block_on(image::resolve(&source, &options));
    let read = || runtime.block_on(image::read(&source, &options));
    let (one, other) = (read(), read());
    holds!(
        format!("{one:?}") == format!("{other:?}"),
        "read twice, it comes to two things: {one:?} and {other:?}"
    );
    let described = match described {
        Ok(described) => described,
        Err(error) => {
            holds!(one.is_err(), "read, but not described: {error}");
            return is_one_line(&error).map(|()| None);
        }
    };
    match one {
        Ok(one) => holds!(
            (one.digest, one.index, one.platform, one.config)
                == (
                    described.digest,
                    described.index,
                    described.platform.clone(),
                    described.config.clone()
                ),
            "described as another: {described:?}"
        ),
        Err(error) => is_one_line(&error)?,
    }
    Ok(Some(described))
}

fn is_one_line(error: &dyn Error) -> Result<(), Broken> {
    let mut error = Some(error);
    while let Some(here) = error {
        let message = here.to_string();
        holds!(
            !message.is_empty() && message.len() <= LONGEST && !message.contains(char::is_control),
            "no message for a line, of {} bytes: {:?}",
            message.len(),
            message.chars().take(400).collect::<String>()
        );
        error = here.source();
    }
    Ok(())
}

/// As an image's, but that hostile ones end sooner.
fn limits() -> Limits {
    Limits {
        layer_bytes: 4 << 20,
        image_bytes: 8 << 20,
        ratio_from: 1 << 20,
        layers: 8,
        entries: 2000,
        names: 1 << 20,
        ..Limits::default()
    }
}

fn folder() -> Result<tempfile::TempDir, Broken> {
    tempfile::tempdir().map_err(broken)
}

/// The machine's fault, not the input's.
fn broken(error: impl Display) -> Broken {
    Broken(error.to_string())
}
