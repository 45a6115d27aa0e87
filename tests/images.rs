//! Images in OCI layouts and in archives of `docker save`, whole and broken; the cache of their layers.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "support/images.rs"]
mod images;

use std::{
    fs,
    path::{Path, PathBuf},
};

use armorgate::image::{
    self, ArchiveError, Cache, Description, Fault, Image, ImageDigest, ImageError, ImageSource,
    LayoutError, Limits, ManifestError, Options,
    layer::{BlobError, LayerError},
};
use images::{CONFIG, LAYER, MANIFEST, Store, digest, gzip, named, tar, text};
use serde_json::{Value, json};
use tempfile::TempDir;

fn read_with(source: &str, options: &Options) -> Result<Image, ImageError> {
    let source: ImageSource = source.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let read = runtime.block_on(image::read(&source, options));
    let described = runtime.block_on(image::resolve(&source, options));
    if let Ok(image) = &read {
        let expected = Description {
            reference: source,
            digest: image.digest,
            index: image.index,
            platform: image.platform.clone(),
            config: image.config.clone(),
        };
        assert_eq!(described.unwrap(), expected);
    }
    read
}

fn read(source: &str) -> Result<Image, ImageError> {
    read_with(source, &Options::default())
}

fn for_platform(source: &str, platform: &str) -> Result<Image, ImageError> {
    let platform = Some(platform.parse().unwrap());
    read_with(
        source,
        &Options {
            platform,
            ..Options::default()
        },
    )
}

/// An image of two layers for amd64, of which the second replaces a file of the first.
fn sample(store: &mut Store) -> Value {
    let layers = [
        tar(&[("bin/a", "#!/1"), ("bin/b", "#!/1")]).unwrap(),
        tar(&[("bin/a", "#!/2"), ("bin/.wh.b", "")]).unwrap(),
    ];
    let run = json!({ "Entrypoint": ["/bin/a"], "Env": ["PATH=/bin"] });
    store.image(&layers, "amd64", &run).unwrap()
}

fn layout(store: &Store, entries: &[Value]) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    store.write_layout(folder.path(), entries).unwrap();
    let source = format!("oci:{}", folder.path().display());
    (folder, source)
}

#[test]
fn an_image_of_a_layout_is_read() {
    let mut store = Store::default();
    let image = sample(&mut store);
    let (_folder, source) = layout(&store, &[named(image.clone(), "v1")]);
    for source in [source.clone(), format!("{source}:v1")] {
        let read = read(&source).unwrap();
        assert_eq!(read.digest, digest(&image));
        assert_eq!(
            (read.index, read.platform.to_string().as_str()),
            (None, "linux/amd64")
        );
        assert_eq!(read.config.entrypoint, Some(vec!["/bin/a".to_owned()]));
        assert_eq!(text(&read, "/bin/a"), "#!/2");
        assert_eq!(read.tree.len(), 3);
    }
    let error = read(&format!("{source}:v2")).unwrap_err();
    assert!(matches!(
        error,
        ImageError::Layout(LayoutError::Name { .. })
    ));
    assert!(error.to_string().contains("`v1`"), "{error}");
}

#[test]
fn the_platform_chooses_through_indexes_in_indexes() {
    let mut store = Store::default();
    let images = ["amd64", "arm64", "s390x"].map(|architecture| {
        let layer = tar(&[("which", &format!("#!{architecture}"))]).unwrap();
        store.image(&[layer], architecture, &json!({})).unwrap()
    });
    let mut attestation = images[0].clone();
    attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    let inner = store
        .index(&[attestation, images[1].clone(), images[2].clone()])
        .unwrap();
    let outer = store.index(&[inner, images[0].clone()]).unwrap();
    let (_folder, source) = layout(&store, std::slice::from_ref(&outer));
    for (platform, image) in ["linux/amd64", "linux/arm64", "linux/s390x"]
        .iter()
        .zip(&images)
    {
        let read = for_platform(&source, platform).unwrap();
        assert_eq!(
            (read.digest, read.index),
            (digest(image), Some(digest(&outer)))
        );
        assert_eq!(
            text(&read, "/which"),
            format!("#!{}", platform.split_at(6).1)
        );
        assert_eq!(&read.platform.to_string(), platform);
    }
    let error = for_platform(&source, "linux/riscv64").unwrap_err();
    assert!(matches!(error, ImageError::Platform { .. }));
    assert!(error.to_string().contains("linux/amd64"), "{error}");
    assert_eq!(error.fault(), Fault::Caller);

    // Several images for platforms without an index of their own.
    let (_folder, source) = layout(&store, &images);
    assert_eq!(
        for_platform(&source, "linux/arm64").unwrap().digest,
        digest(&images[1])
    );
    // An image alone is taken for what it is, unless a platform is asked for.
    let (_folder, source) = layout(&store, &[images[2].clone()]);
    assert_eq!(read(&source).unwrap().platform.to_string(), "linux/s390x");
    assert!(matches!(
        for_platform(&source, "linux/arm64"),
        Err(ImageError::Platform { .. })
    ));
}

#[test]
fn indexes_that_lead_nowhere_end() {
    let mut store = Store::default();
    let mut described = store.index(&[]).unwrap();
    for _ in 0..30 {
        described = store.index(&[described]).unwrap();
    }
    let (_folder, source) = layout(&store, &[described]);
    assert!(matches!(read(&source), Err(ImageError::Documents(16))));
}

#[test]
fn names_choose_among_several_images() {
    let mut store = Store::default();
    let [a, b] = ["a", "b"].map(|name| {
        let layer = tar(&[(name, "#!")]).unwrap();
        let image = store.image(&[layer], "amd64", &json!({})).unwrap();
        named(image, &format!("docker.io/{name}:1"))
    });
    let (_folder, source) = layout(&store, &[a, b.clone()]);
    let error = read(&source).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`docker.io/a:1`, `docker.io/b:1`"),
        "{error}"
    );
    let read = read(&format!("{source}:docker.io/b:1")).unwrap();
    assert_eq!(read.digest, digest(&b));
    assert!(read.tree.node(b"/b").is_some());
}

#[test]
fn broken_layouts_are_told_apart() {
    let mut store = Store::default();
    let image = sample(&mut store);
    let (folder, source) = layout(&store, std::slice::from_ref(&image));
    let blob = |digest: &ImageDigest| folder.path().join("blobs/sha256").join(digest.hex());
    let manifest: Value = serde_json::from_slice(&store.blobs[&digest(&image)]).unwrap();
    let layer = digest(&manifest["layers"][1]);
    let with = |path: &Path, bytes: Option<&[u8]>| {
        let was = fs::read(path).unwrap();
        match bytes {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        let error = read(&source).unwrap_err();
        fs::write(path, was).unwrap();
        error
    };
    let missing: Is = |error| matches!(error, ImageError::Layout(LayoutError::Missing { .. }));
    let other: Is = |error| matches!(error, ImageError::DocumentDigest { .. });
    for digest in [digest(&image), digest(&manifest["config"])] {
        assert!(missing(&with(&blob(&digest), None)));
        assert!(other(&with(&blob(&digest), Some(b"{}"))));
    }
    assert!(missing(&with(&blob(&layer), None)));
    let mut bytes = store.blobs[&layer].clone();
    bytes[20] ^= 1;
    let cut = &store.blobs[&layer][..30];
    for bytes in [&bytes, cut] {
        let error = with(&blob(&layer), Some(bytes));
        let ImageError::Layer { source, .. } = &error else {
            panic!("{error:?}")
        };
        let is_blob = matches!(
            **source,
            LayerError::Blob(BlobError::Digest { .. } | BlobError::Size { .. })
        );
        assert!(is_blob, "{source:?}");
        assert_eq!(error.fault(), Fault::Registry);
    }
    let not_layout: Is = |error| matches!(error, ImageError::Layout(LayoutError::NotLayout(_)));
    assert!(not_layout(&with(&folder.path().join("oci-layout"), None)));
    let old = br#"{"imageLayoutVersion":"0.1.0"}"#;
    assert!(not_layout(&with(
        &folder.path().join("oci-layout"),
        Some(old)
    )));
    let index = folder.path().join("index.json");
    assert!(matches!(
        with(&index, Some(b"[")),
        ImageError::Manifest(ManifestError::Malformed(_))
    ));
    let large = vec![b' '; (4 << 20) + 1];
    assert!(matches!(
        with(&index, Some(&large)),
        ImageError::Layout(LayoutError::Read { .. })
    ));
    // A digest is never a path.
    let trick =
        r#"{"manifests":[{"digest":"sha256:../../../../../../../../etc/passwd","size":1}]}"#;
    let error = with(&index, Some(trick.as_bytes()));
    assert!(
        matches!(error, ImageError::Manifest(ManifestError::Malformed(_))),
        "{error:?}"
    );
    // A pipe has no end.
    let pipe = blob(&layer);
    fs::remove_file(&pipe).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    assert!(matches!(
        read(&source),
        Err(ImageError::Layout(LayoutError::Read { .. }))
    ));
}

#[test]
fn manifests_that_do_not_fit_their_configuration_are_refused() {
    let plain = tar(&[("a", "#!")]).unwrap();
    let right = ImageDigest::of(&plain);
    let kept = |diff_ids: &[ImageDigest]| {
        let mut store = Store::default();
        let layer = store.add(LAYER, gzip(&plain).unwrap());
        let config =
            json!({ "os": "linux", "architecture": "amd64", "rootfs": { "diff_ids": diff_ids } });
        let config = store.add(CONFIG, serde_json::to_vec(&config).unwrap());
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        let manifest = store.add(MANIFEST, serde_json::to_vec(&manifest).unwrap());
        let (_folder, source) = layout(&store, &[manifest]);
        read(&source)
    };
    kept(&[right]).unwrap();
    assert!(matches!(
        kept(&[]),
        Err(ImageError::Manifest(ManifestError::Mismatch {
            manifest: 1,
            config: 0
        }))
    ));
    let error = kept(&[ImageDigest::of(b"other")]).unwrap_err();
    let ImageError::Layer { source, .. } = error else {
        panic!("{error:?}")
    };
    assert!(matches!(*source, LayerError::DiffId { .. }));
}

/// Whether an error is the one that a case is about.
type Is = fn(&ImageError) -> bool;

/// How an archive of `docker save` names what it holds.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// `ID/layer.tar`; the second layer, when it is the same as the first, a link to it.
    Old,
    /// `blobs/sha256/DIGEST`.
    New,
    /// The same with compressed layers, as containerd's store has them.
    Compressed,
}

fn archive(folder: &Path, style: Style, tags: &[&str]) -> (PathBuf, ImageDigest) {
    let layers = [
        tar(&[("bin/a", "#!/1")]).unwrap(),
        tar(&[("bin/a", "#!/2"), ("bin/c", "#!/3")]).unwrap(),
        tar(&[("bin/a", "#!/1")]).unwrap(),
    ];
    let mut archive = tar::Builder::new(Vec::new());
    let mut put = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes).unwrap();
    };
    let diff_ids: Vec<ImageDigest> = layers.iter().map(|layer| ImageDigest::of(layer)).collect();
    let config = json!({
        "os": "linux", "architecture": "amd64", "config": { "Cmd": ["/bin/c"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = serde_json::to_vec(&config).unwrap();
    let id = ImageDigest::of(&config);
    let mut names = Vec::new();
    for (position, layer) in layers.iter().enumerate() {
        let blob = if style == Style::Compressed {
            gzip(layer).unwrap()
        } else {
            layer.clone()
        };
        let name = match style {
            Style::Old => format!("layer{position}/layer.tar"),
            _ => format!("blobs/sha256/{}", ImageDigest::of(&blob).hex()),
        };
        if style != Style::Old || position != 2 {
            put(&name, &blob);
        }
        names.push(name);
    }
    let config_name = match style {
        Style::Old => format!("{}.json", id.hex()),
        _ => format!("blobs/sha256/{}", id.hex()),
    };
    put(&config_name, &config);
    let manifest = json!([{ "Config": config_name, "RepoTags": tags, "Layers": names }]);
    put("manifest.json", &serde_json::to_vec(&manifest).unwrap());
    if style == Style::Old {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive
            .append_link(&mut header, "layer2/layer.tar", "../layer0/layer.tar")
            .unwrap();
    }
    let path = folder.join("saved.tar");
    fs::write(&path, archive.into_inner().unwrap()).unwrap();
    (path, id)
}

#[test]
fn archives_of_every_age_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        cache: Some(Cache::new(folder.path().join("cache"), Cache::MAX_BYTES)),
        ..Options::default()
    };
    for style in [Style::Old, Style::New, Style::Compressed] {
        let (path, id) = archive(folder.path(), style, &["docker.io/library/a:1"]);
        let source = format!("docker-archive:{}", path.display());
        for source in [
            source.clone(),
            format!("{source}:a:1"),
            format!("{source}:docker.io/library/a:1"),
        ] {
            let image = read_with(&source, &options).unwrap();
            assert_eq!(
                (image.digest, image.platform.to_string().as_str()),
                (id, "linux/amd64")
            );
            assert_eq!(image.config.cmd, Some(vec!["/bin/c".to_owned()]));
            assert_eq!(
                (text(&image, "/bin/a"), text(&image, "/bin/c")),
                ("#!/1".to_owned(), "#!/3".to_owned())
            );
        }
        let error = read(&format!("{source}:b")).unwrap_err();
        assert!(
            error.to_string().contains("`docker.io/library/a:1`"),
            "{error}"
        );
        assert!(matches!(
            for_platform(&source, "linux/arm64"),
            Err(ImageError::Platform { .. })
        ));
    }
}

#[test]
fn broken_archives_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = archive(folder.path(), Style::New, &[]);
    let source = format!("docker-archive:{}", path.display());
    read(&source).unwrap();
    let whole = fs::read(&path).unwrap();
    let with = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        read(&source).unwrap_err()
    };
    let replaced = |from: &str, to: &str| {
        let at = whole
            .windows(from.len())
            .position(|window| window == from.as_bytes())
            .unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let cases: [(&str, Vec<u8>, Is); 8] = [
        ("gzip", gzip(&whole).unwrap(), |e| {
            matches!(e, ImageError::Archive(ArchiveError::Compressed(_)))
        }),
        ("cut", whole[..700].to_vec(), |e| {
            matches!(e, ImageError::Archive(ArchiveError::Broken { .. }))
        }),
        ("empty", Vec::new(), |e| {
            matches!(e, ImageError::Archive(ArchiveError::Missing { .. }))
        }),
        ("no tar", vec![b'x'; 2000], |e| {
            matches!(e, ImageError::Archive(ArchiveError::Broken { .. }))
        }),
        (
            "manifest",
            replaced(r#"[{"Config""#, r#"[["Config""#),
            |e| matches!(e, ImageError::Archive(ArchiveError::Manifest { .. })),
        ),
        (
            "none",
            replaced(r#""Layers":["blobs/"#, r#""Layers":["blobz/"#),
            |e| matches!(e, ImageError::Archive(ArchiveError::Missing { .. })),
        ),
        (
            "config",
            replaced(r#""architecture":"amd64""#, r#""architecture":"arm64""#),
            |e| matches!(e, ImageError::DocumentDigest { .. }),
        ),
        ("layer", replaced("#!/2", "#!/9"), |e| {
            matches!(e, ImageError::Layer { .. })
        }),
    ];
    for (name, bytes, is) in cases {
        let error = with(&bytes);
        assert!(is(&error), "{name}: {error:?}");
        assert!(!error.to_string().contains('\n'));
    }
    // Each name is as long as an extended header may have it, and there are few entries.
    let mut named = tar::Builder::new(Vec::new());
    for _ in 0..5 {
        let path = "p/".repeat(500_000);
        named
            .append_pax_extensions([("path", path.as_bytes())])
            .unwrap();
        named
            .append_data(&mut tar::Header::new_ustar(), "p", &b""[..])
            .unwrap();
    }
    let error = with(&named.into_inner().unwrap());
    assert!(error.to_string().contains("names are over"), "{error}");
    let missing = read("docker-archive:/nonexistent").unwrap_err();
    assert!(matches!(
        missing,
        ImageError::Archive(ArchiveError::Read { .. })
    ));
}

#[test]
fn layers_come_from_the_cache_the_second_time() {
    let mut store = Store::default();
    let image = sample(&mut store);
    let (folder, source) = layout(&store, std::slice::from_ref(&image));
    let cached = tempfile::tempdir().unwrap();
    let options = Options {
        cache: Some(Cache::new(cached.path().to_owned(), Cache::MAX_BYTES)),
        ..Options::default()
    };
    let first = read_with(&source, &options).unwrap();
    // Without the layers' blobs nothing else can give them.
    let manifest: Value = serde_json::from_slice(&store.blobs[&digest(&image)]).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        fs::remove_file(folder.path().join("blobs/sha256").join(digest(layer).hex())).unwrap();
    }
    let second = read_with(&source, &options).unwrap();
    assert!(first.tree.iter().eq(second.tree.iter()));
    assert_eq!(text(&second, "/bin/a"), "#!/2");
    assert!(read(&source).is_err());
}

#[test]
fn the_image_as_a_whole_has_limits() {
    let mut store = Store::default();
    let image = sample(&mut store);
    let (_folder, source) = layout(&store, &[image]);
    let with = |limits: Limits| {
        read_with(
            &source,
            &Options {
                limits,
                ..Options::default()
            },
        )
        .unwrap_err()
    };
    let limits = Limits::default();
    assert!(matches!(
        with(Limits {
            image_bytes: 5000,
            ..limits
        }),
        ImageError::Large(5000)
    ));
    assert!(matches!(
        with(Limits {
            entries: 6,
            ..limits
        }),
        ImageError::Tree(_)
    ));
    let error = with(Limits {
        layers: 1,
        ..limits
    });
    assert!(matches!(
        error,
        ImageError::Manifest(ManifestError::Layers { found: 2, limit: 1 })
    ));
    let error = with(Limits {
        document: 100,
        ..limits
    });
    assert!(
        matches!(error, ImageError::Layout(LayoutError::Read { .. })),
        "{error:?}"
    );
}
