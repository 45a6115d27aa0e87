//! The `registries` of the configuration, as what reads images takes them.

use std::fs;

use anyhow::Context as _;

use crate::{
    image::registry::{HostPattern, Mirror, RegistryOptions},
    verdict::Registries,
};

/// How registries are reached. Files of authorities are read; pull secrets come with each image.
pub(super) fn options(registries: &Registries) -> anyhow::Result<RegistryOptions> {
    let hosts = |what: &str, hosts: &[String]| -> anyhow::Result<Vec<HostPattern>> {
        let parsed = hosts.iter().map(|host| {
            host.parse()
                .with_context(|| format!("registries.{what}: `{host}`"))
        });
        parsed.collect()
    };
    let mut options = RegistryOptions {
        private_hosts: hosts("privateHosts", &registries.private_hosts)?,
        insecure_hosts: hosts("insecureHosts", &registries.insecure_hosts)?,
        ..RegistryOptions::default()
    };
    if !registries.allowed_hosts.is_empty() {
        options.allowed_hosts = Some(hosts("allowedHosts", &registries.allowed_hosts)?);
    }
    for (host, mirrors) in &registries.mirrors {
        let parsed = mirrors.iter().map(|mirror| {
            mirror
                .parse::<Mirror>()
                .with_context(|| format!("registries.mirrors: `{mirror}`"))
        });
        let parsed: Vec<Mirror> = parsed.collect::<anyhow::Result<_>>()?;
        options.mirrors.insert(host.clone(), parsed);
    }
    for file in &registries.certificate_authorities {
        let text =
            fs::read(file).with_context(|| format!("registries.certificateAuthorities: {file}"))?;
        options.certificate_authorities.push(text);
    }
    Ok(options)
}
