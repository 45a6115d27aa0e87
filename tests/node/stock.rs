//! What is in the registry: the system's own images, and those of the pods.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    images::Store,
    machine::build,
    registry::Registry,
    subject::{Entry, Subject, layer},
    support::from_setup,
};

/// The tag of every image.
pub(crate) const TAG: &str = "1";

/// The image of this program as the Dockerfile makes it, and the one that holds a pod's namespaces.
pub(crate) fn system(registry: &Registry) -> Result<()> {
    let program = tempfile::NamedTempFile::new()?;
    // Debug information is most of it.
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(program.path())
        .arg(env!("CARGO_BIN_EXE_armorgate"))
        .status()?;
    ensure!(stripped.success(), "strip: {stripped}");
    let own = layer(&[Entry::program(
        "usr/local/bin/armorgate",
        fs::read(program.path())?,
    )])?;
    let base = fs::read(from_setup("ARMORGATE_TEST_IMAGES")?.join("base.tar"))?;
    let parser = fs::read(from_setup("ARMORGATE_TEST_NODE")?.join("apparmor.tar"))?;
    let mut store = Store::default();
    let run = json!({ "Entrypoint": ["/usr/local/bin/armorgate"], "Cmd": ["--help"], "User": "65532:65532" });
    let image = store.plain_image(&[base, parser, own], &run)?;
    registry.push("armorgate", &store, "0.1.0", &image)?;

    let pause = [("pause.rs", include_str!("../guest/pause.rs"))];
    let pause = build(
        "pause",
        &pause,
        &["-Cstrip=symbols", "-Ctarget-feature=+crt-static"],
    )?;
    let mut store = Store::default();
    let layers = [layer(&[Entry::program("pause", fs::read(pause)?)])?];
    let image = store.image(&layers, "amd64", &json!({ "Entrypoint": ["/pause"] }))?;
    registry.push("pause", &store, TAG, &image)
}

/// The image of a subject, under its name.
pub(crate) fn push(registry: &Registry, subject: &Subject) -> Result<()> {
    let setup = from_setup("ARMORGATE_TEST_IMAGES")?;
    let read = |name: &&str| fs::read(Path::new(&setup).join(format!("{name}.tar")));
    let mut layers = subject
        .packages
        .iter()
        .map(read)
        .collect::<std::io::Result<Vec<_>>>()?;
    layers.push(layer(&subject.own)?);
    let mut store = Store::default();
    let image = store.plain_image(&layers, &subject.config)?;
    registry.push(subject.name, &store, TAG, &image)
}
